"""Correct optimizers, each written differently, pass: the suite has no false alarm to show."""

from __future__ import annotations

import functools
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.properties.check import check, examine, generated
from rmspec.properties.events import Deviation, DeviationFound, SubjectFinished, SubjectResult
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

from every_correct import COMPILED, FILES, FOLDER, accusations, main, missing_program, seeds, subject_name  # noqa: E402

SAMPLE = sorted(random.Random(0).sample([path for path in FILES if path.stem != COMPILED], 32))
"""What is checked here; ``every_correct.py`` checks all."""


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


def verdict(path: Path, settings: Settings) -> tuple[SubjectResult, list[Deviation]]:
    """The result, and the deviations that are neither hazards nor known."""
    own: list[Deviation] = []
    for event in examine(load(subject_name(path)), settings):
        if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard:
            own.append(event.deviation)
        elif isinstance(event, SubjectFinished):
            return event.result, own
    raise AssertionError("examine ends with SubjectFinished")


@pytest.mark.parametrize("path", SAMPLE, ids=lambda path: path.stem)
def test_a_correct_optimizer_passes(path: Path) -> None:
    """Nothing deviates but what is known of torch, and something was checked in every format."""
    if program := missing_program(path):
        pytest.skip(f"{path.stem} needs {program}")
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
    assert len(FILES) >= 40


def test_the_command_names_what_a_check_holds_against_a_class(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A class that is wrong ends the command with 1, under the clause that it breaks; the sums count it."""
    text = (FOLDER / "plain_class.py").read_text(encoding="utf-8")
    wrong = tmp_path / "wrong.py"
    wrong.write_text(text.replace('theta.sub_(float(group["lr"]) * n)', 'theta.sub_(2 * float(group["lr"]) * n)'))
    monkeypatch.setattr("every_correct.FILES", [wrong])
    monkeypatch.setattr("every_correct.generated", lambda settings: programs()[:3])
    small = functools.partial(check, profile="smoke", programs=(), formats=("float32",))
    monkeypatch.setattr("every_correct.checked", lambda path, *_: small(load(subject_name(path))))
    assert main(["--profile", "smoke", "--only", "wrong"]) == 1
    printed = capsys.readouterr().out
    assert "deviates, 1 new" in printed
    assert ": param is " in printed
    assert printed.splitlines()[-1].startswith("1 classes at 1 seeds, 1 checks")


def test_a_class_that_is_not_judged_has_not_passed() -> None:
    """Without a deviation, an inconclusive verdict, a stale entry and a check of nothing are still held against the run."""
    result, _ = verdict(
        FOLDER / "plain_class.py", Settings(profile="smoke", programs=programs()[:1], formats=("float32",))
    )
    assert accusations(result) == []
    assert accusations(replace(result, verdict="inconclusive")) == ["the verdict is inconclusive"]
    assert accusations(replace(result, stale=("an-entry",))) == ["stale entry: an-entry"]
    assert accusations(replace(result, element_checks=0)) == ["no element was checked"]


def test_a_class_whose_compiler_is_missing_is_left_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The command says which program it lacks, and checks the others."""
    path = tmp_path / "kernel.py"
    path.write_text('NEEDS = "no-such-compiler"\n')
    monkeypatch.setattr("every_correct.FILES", [path])
    monkeypatch.setattr("every_correct.generated", lambda settings: ())
    assert main([]) == 0
    assert "kernel: not checked, because no-such-compiler is not installed" in capsys.readouterr().out


def test_seeds_are_ranges() -> None:
    """A range includes both of its ends."""
    assert seeds("0,4-6") == [0, 4, 5, 6]
