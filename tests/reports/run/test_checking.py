"""A run over several subjects: one worker for one after the other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rmspec.properties.search.corpus import corpus
from rmspec.properties.settings import Settings
from rmspec.reports.run import checking
from rmspec.reports.run.checking import Checking

HELPERS = Path(__file__).parents[2] / "helpers"


def test_a_subject_that_waits_outlives_a_neighbour_that_kills_what_started_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded again for its check, and its verdict and its message are its own."""
    for name in ("hostile.py", "innocent.py"):
        shutil.copy(HELPERS / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checking, "usable_processors", lambda: 1)  # one after the other, in one worker
    settings = Settings(profile="smoke", formats=("float32",), programs=tuple(corpus())[:8])
    outcome = Checking(["hostile.py:parent", "hostile.py:sound", "innocent.py:raising"], settings, []).run()
    killer, sound, raising = outcome.results
    assert (killer.verdict, sound.verdict, raising.verdict) == ("errored", "conforms", "errored")
    assert "the process that starts subjects has ended" in killer.message
    assert "NotImplementedError in session: no parameters yet" in raising.message
    assert raising.hint == "return Outcome(raised=Raised(type, message)) from perform"
