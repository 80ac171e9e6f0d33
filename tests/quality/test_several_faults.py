"""A sample of several faults at once: none is lost, whether another one is known or not, and the sample can tell.

The whole measure is the command ``python tests/quality/several_faults.py``; here its functions look at every third stored
program, in float32.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import pytest

from rmspec.oracles.faults import Fault
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.examination import plan
from rmspec.properties.search.corpus import corpus
from rmspec.properties.settings import PROFILES, Profile

torch = pytest.importorskip("torch")

import several_faults  # noqa: E402 - needs torch
from several_faults import CONFORMS, HIDDEN, NAMED, UNCHECKED, UNFOUNDED, Checks, measure, together  # noqa: E402

CHECKS = Checks("sample", ("float32",), ())

QUICK = [
    fault
    for fault in several_faults.CHOICES
    if fault.id
    in (
        "closure-loss-dropped",
        "generator-emptied",
        "gradient-decayed-in-place",
        "load-ignores-lr",
        "load-shapes-half",
        "none-forgets-state",
        "square-avg-starts-at-eps",
        "state-dict-lacks-buffer",
        "state-pooled-by-position",
        "zero-grad-first-group",
    )
]
"""Faults that a third of the stored programs shows, each in a second or two."""

PAIRS = random.Random("pairs, seed 0").sample([pair for pair in combinations(QUICK, 2) if together(pair)], 30)

ANY = [
    tuple(fault for id in ids for fault in several_faults.CHOICES if fault.id == id)
    for ids in (
        ("zero-grad-inverted", "centered-not-squared"),
        ("state-dict-rounds", "closure-without-grad"),
        ("added-not-stepped", "post-hook-twice", "float64-dampened"),
        ("centered-abs", "eps-inside-centered", "square-avg-sum"),
    )
]
"""Pairs and triples of all faults, drawn once: a draw would be another one with every new fault."""


class Alone(dict[str, tuple[Deviation, ...]]):
    """The deviations of each fault when it is the only one, found when they are asked for."""

    def __missing__(self, id: str) -> tuple[Deviation, ...]:
        [fault] = [each for each in several_faults.CHOICES if each.id == id]
        self[id] = several_faults.deviations(fault, CHECKS)
        return self[id]


ALONE = Alone()


@pytest.fixture(autouse=True, scope="module")
def sampled() -> Iterator[None]:
    """A third of the stored programs, with those of closures and generators, and no sweeps, on one thread."""
    chosen, before = [], torch.get_num_threads()
    for number, program in enumerate(corpus()):
        if number % 3 == 1 or any(word in program.note for word in ("closure", "generator")):
            chosen.append(program)
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PROFILES, "sample", Profile("sample", 0, 0, 0))
        patch.setattr(plan, "corpus", lambda: tuple(chosen))
        yield
    torch.set_num_threads(before)


def names(faults: tuple[Fault, ...]) -> str:
    return "+".join(fault.id for fault in faults)


@pytest.mark.parametrize("faults", PAIRS, ids=names)
def test_of_two_faults_the_other_is_found_or_hidden_with_one_known(faults: tuple[Fault, ...]) -> None:
    """Each is taken as known in turn: a clause of the other deviates still, or is hidden by one that the known fault breaks."""
    measured = measure(faults, ALONE, CHECKS)
    assert set(measured.fates) == {fault.id for fault in faults}
    assert several_faults.lost(measured) == []
    assert set(measured.fates.values()) <= {NAMED, HIDDEN}
    assert measured.conforming == ()


@pytest.mark.slow
@pytest.mark.parametrize("faults", ANY, ids=names)
def test_of_any_faults_none_is_lost(faults: tuple[Fault, ...]) -> None:
    """Pairs and triples of all faults: each that is caught alone is named, or hidden by a clause that another one breaks."""
    measured = measure(faults, ALONE, CHECKS)
    assert measured.fates
    assert several_faults.lost(measured) == []
    assert set(measured.fates.values()) <= {NAMED, HIDDEN}


@dataclass(frozen=True)
class Given(Checks):
    """A result that is given, whatever is checked."""

    result: SubjectResult | None = None

    def of(self, subject: str, dialect: str) -> SubjectResult:
        assert self.result is not None
        return self.result


@functools.cache
def composed_result(faults: tuple[Fault, ...]) -> SubjectResult:
    composed = several_faults.compose(*faults)
    return CHECKS.of(f"{composed.__module__}:{composed.__name__}", faults[0].dialect)


def without(result: SubjectResult, gone: frozenset[str], verdict: Any, hidden_by: tuple[str, ...]) -> SubjectResult:
    """The result without the deviations of some clauses, which have this verdict instead."""
    return replace(
        result,
        deviations=tuple(found for found in result.deviations if found.clause not in gone),
        clauses=tuple(
            replace(row, verdict=verdict, hidden_by=hidden_by) if row.id in gone else row for row in result.clauses
        ),
    )


@pytest.mark.parametrize(
    ("verdict", "hidden_by", "fate"),
    [
        ("conforms", (), CONFORMS),
        ("not-checked", (), UNCHECKED),
        ("hidden", ("init-params",), UNFOUNDED),
        ("hidden", (), UNFOUNDED),
    ],
)
def test_a_lost_deviation_is_seen(verdict: Any, hidden_by: tuple[str, ...], fate: str) -> None:
    """What the product must never do, the sample reports: one deviation is dropped, and its clause passes for something else."""
    [first, second] = faults = PAIRS[0]
    result = composed_result(faults)
    assert several_faults.lost(measure(faults, ALONE, Given(result=result))) == []
    gone = several_faults.broken(ALONE, second)
    tampered = without(result, gone, verdict, hidden_by)
    measured = measure(faults, ALONE, Given(result=tampered))
    assert measured.fates == {first.id: NAMED, second.id: fate}
    assert several_faults.lost(measured) == [f"{second.id} {fate} with {first.id} known"]
    assert measured.conforming == (tuple(sorted(gone)) if fate == CONFORMS else ())


def test_a_fault_hidden_by_the_other_is_not_lost() -> None:
    """A clause hidden by one that the known fault breaks is the right answer."""
    [first, second] = faults = PAIRS[0]
    cause = min(several_faults.broken(ALONE, first))
    hidden = without(composed_result(faults), several_faults.broken(ALONE, second), "hidden", (cause,))
    measured = measure(faults, ALONE, Given(result=hidden))
    assert measured.fates == {first.id: NAMED, second.id: HIDDEN}
    assert several_faults.lost(measured) == []
