"""A job on GitHub, seen from the runner: its commands are well formed and few, and the summary fits."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import deviation, events, many, record, subject

from rmspec.properties.events import DeviationFound, Event, SubjectResult
from rmspec.reports.files import github
from rmspec.reports.files.github import ANNOTATIONS, SUMMARY_BYTES, annotation_lines, on_github, summary

COMMAND = re.compile(r"^::(?P<name>[a-z-]+)(?: (?P<properties>[^:]*))?::(?P<message>.*)$", re.S)
NASTY = "100% a: b, c\r\n::error::injected"


def read(line: str) -> tuple[str, dict[str, str], str]:
    """A command as the runner reads it, unescaped as it does."""
    found = COMMAND.match(line)
    assert found is not None, line
    assert "\n" not in line
    properties = dict(each.split("=", 1) for each in (found["properties"] or "").split(",") if each)
    for escape, plain in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        properties = {name: value.replace(escape, plain) for name, value in properties.items()}
    message = found["message"]
    for escape, plain in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        message = message.replace(escape, plain)
    return found["name"], properties, message


class Job:
    """What a run says to the runner, in order, and what its step printed beside that."""

    def __init__(self, tmp_path: Path, *results: SubjectResult, **options: Any) -> None:
        self.lines: list[str] = []
        self.summary = tmp_path / "summary.md"
        self.summary.touch()
        reporters = github.reporters(
            [self],
            lambda text: self.lines.extend(text.splitlines()),
            environment={"GITHUB_STEP_SUMMARY": str(self.summary)},
        )
        for event in events(*results, **options):
            for each in reporters:
                each.handle(event)

    def handle(self, event: Event) -> None:
        if isinstance(event, DeviationFound):
            self.lines.append(event.deviation.summary.splitlines()[-1])


def test_a_deviation_is_annotated_where_its_class_is(tmp_path: Path) -> None:
    """File, line, clause and the way to reproduce it; what has a meaning for the runner is escaped."""
    (tmp_path / "mine.py").write_text("\nclass X: ...\n")
    [line] = annotation_lines(record(subject("mine.py:X", deviation(summary=NASTY))), tmp_path)
    name, properties, message = read(line)
    assert name == "error"
    assert properties == {
        "file": "mine.py",
        "line": "2",
        "title": "eps-placement: eps is added outside the square root",
    }
    assert message.startswith("mine.py:X: 100% a: b, c")
    assert "rmspec repro repro/mine.py-X-eps-placement.json" in message


def test_what_fails_is_annotated_and_nothing_else() -> None:
    """Known, inherited and hazards are none; a crash, a stale entry and an interruption are."""
    excused = subject("torch", deviation(known="x"), deviation("hooks", hazard=True))
    assert annotation_lines(record(excused), Path()) == []
    assert len(annotation_lines(record(excused, fail_on_hazards=True), Path())) == 1
    trouble = (SubjectResult("a", "errored", message="it hung"), subject("torch", stale=("old: gone",)))
    messages = [read(line)[2] for line in annotation_lines(record(*trouble, complete=False), Path())]
    assert messages == ["the reports hold what was known by then", "a: it hung", "torch: old: gone"]


def test_ten_are_shown_as_ten_and_of_more_the_last_counts_the_rest() -> None:
    """GitHub drops the eleventh in silence."""
    ten = annotation_lines(record(*many(1, 10)), Path())
    assert len(ten) == ANNOTATIONS == 10
    assert not any("more are" in line for line in ten)
    eleven = annotation_lines(record(*many(1, 11)), Path())
    assert len(eleven) == 10
    assert read(eleven[-1])[2].startswith("2 more are in")


def test_five_hundred_deviations_stay_within_the_limits(tmp_path: Path) -> None:
    """Ten annotations, and a summary that fits beside what the step wrote before, and says what it leaves out."""
    (tmp_path / "before").mkdir()
    job = Job(tmp_path, *many())
    assert sum(line.startswith("::error") for line in job.lines) == 10
    assert read(job.lines[-1])[2].startswith("491 more are in")
    text = job.summary.read_text("utf-8")
    assert len(text.encode()) <= SUMMARY_BYTES
    shown = text.count("### Deviation: ")
    assert shown == 500 or f"**{500 - shown} deviations more: " in text


@pytest.mark.parametrize("budget", [0, 40, 1000, 60_000, 100_000, 300_000])
def test_a_summary_is_never_longer_than_its_room(budget: int) -> None:
    """As many deviations in full as there is room for, and the number of the others; every verdict as long as can be."""
    run = record(*many())
    text = summary(run, budget)
    assert len(text.encode()) <= budget
    if budget >= 60_000:
        shown = text.count("### Deviation: ")
        assert f"**{500 - shown} deviations more: " in text
        assert text.count("| **deviates** |") == 10
        assert budget < 100_000 or shown > 0


def test_a_summary_takes_its_place_after_what_was_written_before(tmp_path: Path) -> None:
    """Other commands of the step wrote there; it is appended, and what they took is not there for it."""
    file = tmp_path / "summary.md"
    file.write_text("x" * (SUMMARY_BYTES - 20_000))
    Job(tmp_path, *many(2, 50))
    text = file.read_text()
    assert text.startswith("xxx")
    assert "# rmspec report" in text
    assert len(text.encode()) <= SUMMARY_BYTES


def test_a_summary_that_cannot_be_written_changes_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told on standard error, and the run goes on."""
    found = github.reporters(
        [],
        lambda text: None,
        environment={"GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "where")},
    )
    for event in events(subject("torch")):
        for each in found:
            each.handle(event)
    assert "job summary could not be written" in capsys.readouterr().err


def test_what_a_subject_says_is_never_a_command(tmp_path: Path) -> None:
    """Between a stop with a secret word and that word, the runner reads no command; the annotations come after it."""
    job = Job(tmp_path, subject("torch", deviation(summary=NASTY)))
    stopped = [index for index, line in enumerate(job.lines) if line.startswith("::stop-commands::")]
    word = job.lines[stopped[0]].removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", word)
    resumed = job.lines.index(f"::{word}::")
    assert stopped == [0]
    assert 0 < job.lines.index("::error::injected") < resumed
    assert job.lines[resumed + 1].startswith("::error file=pyproject.toml,line=1,title=eps-placement")
    again = Job(tmp_path, replace(subject("torch"), verdict="conforms"))
    assert again.lines[0] != job.lines[0]


@pytest.mark.parametrize(("value", "there"), [("true", True), ("false", False), (None, False)])
def test_it_is_github_where_github_says_so(value: str | None, there: bool) -> None:
    """The variable is that of the runner."""
    assert on_github({} if value is None else {"GITHUB_ACTIONS": value}) is there
