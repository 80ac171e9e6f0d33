"""The log of a run: a line an event, as it happens, and a footer without which it is no whole log."""

import json
import os
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource
from runs import deviation, events, many, subject

from rmspec.properties.events import Event, Progress, RunFinished
from rmspec.reports.cli.main import main
from rmspec.reports.documents import stored_json
from rmspec.reports.files.ndjson import BadLog, EventLog, MissingFooter, read_log
from rmspec.reports.problems import BadOption

NAN = deviation("centered-variance", hazard=True, observed=float("nan"), allowed=(float("-inf"), float("inf")))
RUN = events(subject("torch", deviation(), NAN), subject("mine.py:\u2028X", deviation(summary="two\nlines")))


def written(path: Path, run: list[Event] = RUN) -> Path:
    log = EventLog(str(path))
    for event in run:
        log.handle(event)
    return path


def test_every_event_is_a_line_that_follows_the_schema(tmp_path: Path) -> None:
    """Strict JSON, one object a line; progress is left out."""
    path = written(tmp_path / "log", [RUN[0], Progress("torch", "corpus", 1, 2), *RUN[1:]])
    report = Resource.from_contents(stored_json("schemas/report-1.json"))
    validator = jsonschema.Draft202012Validator(stored_json("schemas/log-1.json"), registry=report @ Registry())
    lines = path.read_text().splitlines()
    assert len(lines) == len(RUN)
    for line in lines:
        validator.validate(json.loads(line))
    assert [json.loads(line)["event"] for line in lines] == [
        "header",
        "subject-started",
        "deviation",
        "hazard",
        "subject-finished",
        "subject-started",
        "deviation",
        "subject-finished",
        "footer",
    ]


def test_a_whole_log_is_read_back(tmp_path: Path) -> None:
    """Header, events and footer."""
    log = read_log(str(written(tmp_path / "log")))
    assert log.header["subjects"] == ["torch", "mine.py:\u2028X"]
    assert len(log.events) == 7
    assert log.footer["complete"] is True
    assert sum(event["event"] == "deviation" for event in log.events) == 2


def test_five_hundred_deviations_are_all_in_it(tmp_path: Path) -> None:
    """Each has its line, and the subjects hold them again."""
    log = read_log(str(written(tmp_path / "log", events(*many()))))
    assert sum(event["event"] == "deviation" for event in log.events) == 500
    finished = [event["subject"] for event in log.events if event["event"] == "subject-finished"]
    assert sum(len(each["deviations"]) for each in finished) == 500


def test_a_log_that_is_cut_off_anywhere_is_an_error(tmp_path: Path) -> None:
    """After any number of bytes: never mistaken for a whole one."""
    whole = written(tmp_path / "log").read_bytes()
    cut = tmp_path / "cut"
    header = whole.index(b"\n") + 1
    for length in (*range(header, len(whole), 97), len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(MissingFooter, match="is cut off"):
            read_log(str(cut))
    for length in (0, 10):
        cut.write_bytes(whole[:length])
        with pytest.raises(BadLog):
            read_log(str(cut))


def test_a_log_with_lost_lines_is_an_error(tmp_path: Path) -> None:
    """The footer counts them; two logs in one file are none either."""
    path = written(tmp_path / "log")
    lines = path.read_text().splitlines(keepends=True)
    for kept in ([*lines[:3], *lines[4:]], [*lines, *lines]):
        path.write_text("".join(kept))
        with pytest.raises(BadLog, match="before its footer, which counts"):
            read_log(str(path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}\n", "does not begin with the header"),
        ("[1]\n", "line 1, is not a JSON object"),
        ("nothing\n", "line 1, is not a JSON object"),
        ('{"event": "header", "schema": "rmspec.log/2"}\n', "does not begin with the header"),
        ('{"event": "header", "schema": "rmspec.log/1"}\n{"event": "footer", "lines": 1}\n', "line 1, does not follow"),
    ],
)
def test_what_is_no_log_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """The message names the line."""
    path = tmp_path / "log"
    path.write_text(text)
    with pytest.raises(BadLog) as caught:
        read_log(str(path))
    assert said in caught.value.what


def test_it_is_written_as_things_happen(tmp_path: Path) -> None:
    """Whoever follows the file sees a deviation before the run is over."""
    path = tmp_path / "log"
    log = EventLog(str(path))
    for event in RUN[:3]:
        log.handle(event)
    assert len(path.read_text().splitlines()) == 3
    log.handle(RunFinished(False, 1.0))
    assert read_log(str(path)).footer["complete"] is False


def test_two_runs_never_mix(tmp_path: Path) -> None:
    """The later one takes the place of the file; the earlier one goes on in its own, and neither spoils the other."""
    path = tmp_path / "log"
    first, second = EventLog(str(path)), EventLog(str(path))
    for one, other in zip(RUN, events(subject("other"), subject("third")), strict=False):
        first.handle(one)
        second.handle(other)
    first.handle(RunFinished(True, 1.0))
    assert read_log(str(path)).header["subjects"] == ["other", "third"]
    assert os.listdir(tmp_path) == ["log"]


def test_a_log_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    """Named, with what to do."""
    with pytest.raises(BadOption, match="cannot write"):
        written(tmp_path / "no" / "where")


def test_the_command_sums_a_log_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Verdicts and new deviations, at 80 columns; a cut one is exit code 2."""
    path = written(tmp_path / "log")
    assert main(["log", str(path)]) == 0
    out = capsys.readouterr().out
    assert "torch: deviates\n  71 conform + 1 deviate = 72 clauses\n  1 new deviation, 0 known or inherited" in out
    assert "  eps-placement: param is 0.5\n" in out
    assert max(map(len, out.splitlines())) <= 80
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    assert main(["log", str(path)]) == 2
    assert "is cut off: it ends at line 8, without a footer" in capsys.readouterr().err
