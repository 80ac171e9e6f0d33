"""The first step of a process: what is seen there alone is kept with its numbers, and promises no script."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import rmspec

from rmspec.oracles.host.beginning import FIRST_STEP
from rmspec.oracles.host.host import open_subject
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import examine
from rmspec.properties.events import Deviation, DeviationFound, Sighting, SubjectFinished, SubjectResult
from rmspec.properties.examination import plan
from rmspec.properties.settings import PROFILES, Settings

pytest.importorskip("torch")

from rmspec.oracles.torch.first_session import first_session

SOURCE = '''
from rmspec.oracles.faults.base import LoopRMSprop

stepped = []


class Once(LoopRMSprop):
    """As a kernel that is set up by the first step of its process: in a part of that the root is a little off."""

    def _denominator(self, v, h):
        d = super()._denominator(v, h)
        if not stepped:
            d.view(-1)[-1000:] *= 1.0001
        stepped.append(True)
        return d


class Always(LoopRMSprop):
    """In large tensors the last elements are always a little off."""

    def _denominator(self, v, h):
        d = super()._denominator(v, h)
        if d.numel() > 100_000:
            d.view(-1)[-1000:] *= 1.0001
        return d
'''


@pytest.fixture
def subject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file of the two, and a search with nothing in it but first steps."""
    file = tmp_path / "starts.py"
    file.write_text(SOURCE, encoding="utf-8")
    monkeypatch.setattr(plan.Plan, "phases", lambda self: iter(()))
    monkeypatch.chdir(tmp_path)
    return "starts.py"


def examined(name: str, profile: str = "ci") -> tuple[list[Deviation], SubjectResult]:
    """The new deviations of a subject, and its result."""
    found: list[Deviation] = []
    settings = Settings(profile=profile, programs=(), without=frozenset({"operations"}))
    with open_subject(name) as driven:
        for event in examine(driven, settings):
            if isinstance(event, DeviationFound) and event.deviation.known is None:
                found.append(event.deviation)
            elif isinstance(event, SubjectFinished):
                return found, event.result
    raise AssertionError("examine ends with SubjectFinished")


def test_what_the_first_step_alone_shows_is_named_by_its_line_and_counted(subject: str) -> None:
    """In each of four starts: the clause of the line, the numbers of one element, and no script."""
    (deviation,), result = examined(f"{subject}:Once")
    assert deviation.clause in ("update", "momentum-update")
    assert deviation.sighting == Sighting(4, PROFILES["ci"].starts)
    assert [param.shape for param in deviation.program.params] == [(1,)]
    assert deviation.observed is not None
    assert deviation.allowed is not None
    assert not deviation.allowed[0] <= float(deviation.observed) <= deviation.allowed[1]
    assert standalone_script(deviation) is None
    assert result.verdict == "deviates"


def test_where_one_start_shows_it_more_say_how_often(subject: str) -> None:
    """A profile of one start takes three more once the first one deviates."""
    (deviation,), _ = examined(f"{subject}:Once", "smoke")
    assert deviation.sighting == Sighting(4, 4)


def test_what_lasts_is_a_deviation_as_any_other(subject: str) -> None:
    """The step is wrong whenever it is taken: it is cut down, attributed and has a script."""
    (deviation,), _ = examined(f"{subject}:Always")
    assert deviation.sighting is None
    assert deviation.clause == "elementwise"
    assert standalone_script(deviation) is not None


def test_a_correct_first_step_is_none(subject: str) -> None:
    """torch itself has nothing to show there, and the steps are counted."""
    found, result = examined("torch")
    assert found == []
    assert result.steps == PROFILES["ci"].starts


def test_each_process_of_a_subject_begins_with_the_step() -> None:
    """A class of which nothing is known yet, a registered subject, and one of another framework; a compiled path does not."""
    for name in ("rmspec.oracles.faults.base:LoopRMSprop", "torch", "reference"):
        with open_subject(name) as host:
            assert host.beginning is not None
            assert host.beginning.program == FIRST_STEP
            assert set(host.beginning.answers[-1].after.state["A"]["p"]) == {"square_avg"}
    assert first_session("torch:compiled", None, "cpu", {}, FIRST_STEP.params) is None


def test_no_report_promises_what_a_replay_would_not_show(subject: str, tmp_path: Path) -> None:
    """Terminal, JSON, HTML and Markdown say in how many starts it was; none has a script, and no file a replay that fails."""
    name = f"{subject}:Once"
    files = [f"--{kind}={tmp_path / kind}" for kind in ("json", "html", "markdown", "junit", "sarif")]
    code, printed, _ = rmspec(tmp_path, "check", name, "--profile", "smoke", "--repro-dir", "repro", *files)
    assert code == 1
    words = "seen in the first step of 4 of 4 processes"
    assert words in " ".join(printed.split())
    assert "reproduce it with" not in printed
    assert "or with this script" not in printed
    (data,) = json.loads((tmp_path / "json").read_text())["subjects"]
    (deviation,) = [each for each in data["deviations"] if each["known"] is None]
    assert deviation["sighting"] == {"times": 4, "starts": 4}
    assert deviation["script"] is None
    assert deviation["script_run"] is None
    for kind in ("html", "markdown", "junit", "sarif"):
        text = (tmp_path / kind).read_text()
        assert words in text, kind
        assert "import torch" not in text, kind
    (file,) = (tmp_path / "repro" / "first-steps").iterdir()
    code, printed, _ = rmspec(tmp_path, "repro", str(file), "--subject", name)
    assert code == 0
    assert "is no proof that it is mended" in " ".join(printed.split())
    code, _, error = rmspec(tmp_path, "script", str(file))
    assert code == 2
    assert "no script shows it for certain" in " ".join(error.split())
