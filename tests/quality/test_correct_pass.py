"""Correct optimizers, each written differently, pass: the suite has no false alarm to show."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.properties.check import examine, generated
from rmspec.properties.events import Deviation, DeviationFound, SubjectFinished, SubjectResult
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).parent / "correct"
FILES = sorted(FOLDER.glob("*.py"))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer, and the workers share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def programs() -> tuple[Program, ...]:
    """The programs of the search, generated once in a worker."""
    return generated(Settings(profile="smoke"))


def named(path: Path) -> str:
    """The name of the subject in a file: its last class or function that is called after RMSprop."""
    names = re.findall(r"^(?:class|def) (\w*rmsprop)\b", path.read_text(encoding="utf-8"), re.MULTILINE | re.IGNORECASE)
    return f"{path}:{names[-1]}"


def verdict(path: Path, settings: Settings) -> tuple[SubjectResult, list[Deviation]]:
    """The result, and the deviations that are neither hazards nor known."""
    own: list[Deviation] = []
    for event in examine(load(named(path)), settings):
        if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard:
            own.append(event.deviation)
        elif isinstance(event, SubjectFinished):
            return event.result, own
    raise AssertionError("examine ends with SubjectFinished")


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "compiled"], ids=lambda path: path.stem)
def test_a_correct_optimizer_passes(path: Path) -> None:
    """Nothing deviates but what is known of torch, and something was checked in every format."""
    result, own = verdict(path, Settings(profile="smoke", programs=programs()))
    assert [(each.clause, each.summary, each.program) for each in own] == []
    assert result.verdict in ("conforms", "known")
    assert result.stale == ()
    assert len(result.formats) == 6
    assert result.element_checks > 30_000
    assert result.inconclusive_checks < result.element_checks / 4


@pytest.mark.slow
def test_a_compiled_optimizer_passes() -> None:
    """One whose arithmetic is a compiled function passes as well, on fewer programs: each shape costs a compilation."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(1))
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {str(error).splitlines()[0]}")
    settings = Settings(profile="smoke", programs=programs()[:10], formats=("float32",), time_budget=60.0)
    result, own = verdict(FOLDER / "compiled.py", replace(settings, seed=1))
    assert [(each.clause, each.summary, each.program) for each in own] == []
    assert result.element_checks > 0


def test_there_are_many_ways_to_be_correct() -> None:
    """The folder holds evaluation orders, fusions, wider intermediates, other state and other interfaces."""
    assert len(FILES) >= 19
