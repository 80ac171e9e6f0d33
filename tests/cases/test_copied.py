"""Copies of an optimizer, and checkpoints of another version: what breaks is named, by its clause alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from scripts import executed

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import replay
from rmspec.properties.events import Deviation
from rmspec.properties.search.corpus import corpus
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

FILE = Path(__file__).with_name("copied.py")
PROGRAMS = [stored for stored in corpus() if stored.note.startswith(("copy ", "load a checkpoint"))]


def shown(name: str, programs: list[Program] = PROGRAMS) -> list[Deviation]:
    """What the stored programs about copies and versions show of a class; known ones are those of torch as well."""
    subject = load(f"{FILE}:{name}")
    return [each for stored in programs for each in replay(subject, stored, Settings(known=())) if not each.hazard]


def test_there_are_programs_about_both() -> None:
    """Three copies, and thirteen checkpoints."""
    assert len(PROGRAMS) == 3 + 13


@pytest.mark.parametrize(
    "name",
    ["Sound", "Copied", "AttributeLost", "Versioned", "RefusesWhole", "UnknownEntryRefused", "UnknownEntryInTheWay"],
)
def test_an_optimizer_without_a_fault_passes(name: str) -> None:
    """It is copied, and loads what lacks nothing that it needs, or refuses it whole."""
    assert shown(name) == []


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("NoPickle", "optimizer-copy"),
        ("CopyIsItself", "optimizer-copy"),
        ("StateOfTheOriginal", "optimizer-copy"),
        ("StateLeftBehind", "optimizer-copy"),
        ("NeedsNewOption", "load-version"),
        ("UnknownEntryApplied", "load-version"),
        ("UnknownOptionApplied", "load-version"),
        ("AllStateDemanded", "load-version"),
        ("ClearsBeforeItRefuses", "load-version"),
    ],
)
def test_a_fault_is_named(name: str, clause: str) -> None:
    """By the clause about copies, or about versions, and by no other; the script fails on it."""
    deviations = shown(name)
    assert {each.clause for each in deviations} == {clause}
    failure, printed = executed(standalone_script(deviations[0]))
    assert failure is not None, printed
