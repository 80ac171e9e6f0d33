"""Every output agrees with the exit code: red where it is not 0, and nowhere else."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from commandline import rmspec
from rich.console import Console
from runs import deviation, events, judged_under_amendments, record, subject

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.properties.events import ClauseResult, SubjectResult
from rmspec.properties.verdict_table import CLAUSE_VERDICTS, VERDICTS
from rmspec.reports.documents import stored_json
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.files.github import annotation_lines
from rmspec.reports.files.ndjson import read_log
from rmspec.reports.pytest.clauses import CLAUSE_TESTS, outcome
from rmspec.reports.record import Document
from rmspec.reports.stored import program_file
from rmspec.reports.terminal.terminal import Terminal

KNOWN = deviation("option-change", known="torch-42", reason="as ever")
INHERITED = deviation("hooks", known="inherited:torch", reason="the baseline does the same")
HAZARD = deviation("centered-variance", hazard=True)
DEVIATES = subject("mine.py:X", deviation(), KNOWN, INHERITED, HAZARD)
CONFORMS = subject("torch")
UNSUPPORTED = SubjectResult("keras", "unsupported", message="keras is not installed", hint="pip install keras")
ERRORED = SubjectResult("a.py:X", "errored", message="it crashed", complete=False)
STALE = subject("torch", stale=("old-one: its witness no longer deviates",))
INCONCLUSIVE = subject(
    "b.py:X",
    verdict="inconclusive",
    inconclusive_checks=1000,
    clauses=tuple(ClauseResult(id, 9, 9, "inconclusive") for id in CLAUSES),
)
CUT = replace(INCONCLUSIVE, message="interrupted", complete=False)

Run = tuple[tuple[SubjectResult, ...], dict[str, Any]]
RUNS: dict[str, tuple[int, Run]] = {
    "conforms": (0, ((CONFORMS,), {})),
    "known deviations": (0, ((subject("torch", KNOWN, INHERITED),), {})),
    "hazards": (0, ((subject("torch", HAZARD),), {})),
    "unsupported beside another": (0, ((CONFORMS, UNSUPPORTED), {})),
    "hidden behind what is known": (0, ((judged_under_amendments(),), {})),
    "deviates": (1, ((CONFORMS, DEVIATES), {})),
    "hidden behind what is new": (1, ((judged_under_amendments(known=None),), {})),
    "hazards that fail": (1, ((subject("torch", HAZARD),), {"fail_on_hazards": True})),
    "deviates and more": (1, ((DEVIATES, ERRORED, STALE, INCONCLUSIVE, UNSUPPORTED), {})),
    "rmspec failed": (3, ((CONFORMS, replace(ERRORED, message="rmspec failed: a fault")), {"internal": True})),
    "rmspec failed after the last": (3, ((CONFORMS,), {"internal": True})),
    "crashed": (4, ((CONFORMS, ERRORED), {})),
    "nothing verified": (5, ((CONFORMS, INCONCLUSIVE), {})),
    "nothing supported": (5, ((UNSUPPORTED,), {})),
    "no subject": (5, ((), {})),
    "stale list": (6, ((STALE,), {})),
    "interrupted": (130, ((CONFORMS, CUT), {"complete": False})),
    "interrupted after the last": (130, ((CONFORMS,), {"complete": False})),
}


def stated(text: str) -> int:
    """The exit code that a page states."""
    [code] = re.findall(r"Exit code (\d+)(?=: )", text)
    return int(code)


def read_junit(path: Path) -> bool:
    """Whether the document shows a failure or an error; what it counts is what it holds."""
    root = ElementTree.fromstring(path.read_text())
    red = {tag: len(list(root.iter(tag))) for tag in ("failure", "error")}
    assert [root.get("failures"), root.get("errors")] == [str(number) for number in red.values()]
    return any(red.values())


def read_sarif(path: Path) -> tuple[int, bool]:
    """The exit code of the invocation, and whether a result or a notification is an error."""
    [run] = json.loads(path.read_text())["runs"]
    [invocation] = run["invocations"]
    levels = {each["level"] for each in [*run["results"], *invocation["toolExecutionNotifications"]]}
    return invocation["exitCode"], "error" in levels


READERS: dict[str, Callable[[Path], object]] = {
    "json": lambda path: json.loads(path.read_text())["exit_code"],
    "junit": read_junit,
    "sarif": read_sarif,
    "badge": lambda path: json.loads(path.read_text())["isError"],
    "ndjson": lambda path: read_log(str(path)).footer["exit_code"],
    "html": lambda path: stated(path.read_text()),
    "markdown": lambda path: stated(path.read_text()),
    "repro-dir": lambda path: None,  # programs, and no verdict: see below
}
"""What each format says of the run: its exit code, whether it is red, both, or nothing."""


def parts_of(format: str, path: Path) -> tuple[object, ...]:
    """What a file of this format says of the run."""
    if format not in READERS:
        pytest.fail(
            f"the format {format!r} has no reader: add a row to READERS in tests/reports/files/test_gate_agreement.py, "
            "from a path to the exit code that the file states, to whether it is red, or to None",
            pytrace=False,
        )
    answer = READERS[format](path)
    return answer if isinstance(answer, tuple) else (answer,)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", RUNS)
def test_every_format_agrees_with_every_exit_code(kind: str, format: str, tmp_path: Path) -> None:
    """A format that states the code states this one; one that is red or green is red where it is not 0."""
    code, (results, options) = RUNS[kind]
    assert record(*results, **options).gate.code == code
    reporter = FORMATS[format].reporter(str(tmp_path / "file"))
    for event in events(*results, **options):
        reporter.handle(event)
    for part in parts_of(format, tmp_path / "file"):
        assert part in (None, bool(code) if isinstance(part, bool) else code)


def test_every_exit_code_of_a_run_is_tried() -> None:
    """All but 2, with which nothing is checked and no report is written, as ``tests/cli/test_input.py`` shows."""
    assert {code for code, _ in RUNS.values()} == set(ExitCode) - {ExitCode.BAD_INPUT}
    assert set(stored_json("schemas/report-1.json")["properties"]["exit_code"]["enum"]) == set(ExitCode) - {
        ExitCode.BAD_INPUT
    }
    assert set(READERS) <= set(FORMATS)


@pytest.mark.parametrize("kind", RUNS)
def test_what_closes_the_gate_has_its_program(kind: str, tmp_path: Path) -> None:
    """In the folder of counterexamples, where the printed commands look for it."""
    _, (results, options) = RUNS[kind]
    reporter = FORMATS["repro-dir"].reporter(str(tmp_path))
    for event in events(*results, **options):
        reporter.handle(event)
    names = [result.name for result in results]
    for problem in record(*results, **options).gate.problems:
        if problem.deviation is not None:
            assert Path(program_file(str(tmp_path), names, problem.subject, problem.deviation)).is_file()


@pytest.mark.parametrize("kind", RUNS)
def test_a_job_on_github_is_annotated_where_it_fails(kind: str) -> None:
    """An error beside the code for each problem, and none without."""
    code, (results, options) = RUNS[kind]
    assert bool(annotation_lines(record(*results, **options), Path())) is bool(code)


@pytest.mark.parametrize("kind", RUNS)
def test_pytest_fails_where_the_gate_is_closed_for_a_subject(kind: str) -> None:
    """The tests of one subject are a run of it alone; one that is not supported here is skipped, as is pytest's custom."""
    _, (results, options) = RUNS[kind]
    hazards = options.get("fail_on_hazards", False)
    for result in results:
        outcomes = {outcome(result, test, fail_on_hazards=hazards)[0] for test in CLAUSE_TESTS}
        closed = bool(record(result, fail_on_hazards=hazards).gate.code) and result is not UNSUPPORTED
        assert ("fail" in outcomes) is closed


@pytest.mark.parametrize("kind", RUNS)
def test_the_terminal_shows_what_closes_the_gate(kind: str) -> None:
    """Every closed gate has a line in a colour, and an open one has none but green."""
    code, (results, options) = RUNS[kind]
    if kind in ("no subject", "rmspec failed after the last"):
        return  # the message on standard error says it
    out = StringIO()
    console = Console(file=out, force_terminal=True, color_system="standard", width=80, soft_wrap=True, highlight=False)
    with Terminal(console, quiet=True) as terminal:
        for event in events(*results, **options):
            terminal.handle(event)
    colours = set(re.findall(r"\x1b\[((?:1;)?3[1-3])m", out.getvalue()))
    stale = any(result.stale for result in results)
    assert (colours - {"32"} != set() or stale) is (bool(code) or UNSUPPORTED in results)


def test_a_real_run_agrees(tmp_path: Path) -> None:
    """Hazards that fail the run fail it in every file (``failures="0"`` stood beside exit code 1 once)."""
    options = ("--profile", "smoke", "--dtype", "float16", "--fail-on", "hazards")
    ran = rmspec(tmp_path, "check", "reference", *options, "--reports", "new/out", "--junit", "elsewhere.xml")
    assert ran.code == 1, ran.out + ran.err
    files = {format: tmp_path / "new" / "out" / row.file for format, row in FORMATS.items()}
    assert set((tmp_path / "new" / "out").iterdir()) == set(files.values()) - {files["junit"]}
    for format, file in {**files, "junit": tmp_path / "elsewhere.xml"}.items():
        for part in parts_of(format, file):
            assert part in (None, True, 1)
    assert list((files["repro-dir"] / "hazards").iterdir())
    assert "rmspec repro new/out/repro/hazards/" in ran.out


class TestRows:
    """A verdict is one row, and a format one module and one row."""

    def test_every_verdict_of_the_schema_has_its_row(self) -> None:
        """The words are those of the JSON report, and the order that of precedence."""
        definitions = stored_json("schemas/report-1.json")["$defs"]
        of_subjects = {word for word, row in VERDICTS.items() if "subject" in row.of}
        assert set(definitions["subject"]["properties"]["verdict"]["enum"]) == of_subjects
        assert set(definitions["clause"]["properties"]["verdict"]["enum"]) == set(CLAUSE_VERDICTS)
        words = ("deviates", "known", "inherited", "hidden", "inconclusive", "conforms", "not-checked", "observed")
        assert words == CLAUSE_VERDICTS

    def test_a_format_that_a_test_adds_hears_the_decision(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """One module and one row: the record that it renders holds the gate."""
        import sys
        from types import ModuleType

        module = ModuleType("rmspec.reports.files.words")
        module.render = lambda run: run.gate.sentence  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        row = replace(FORMATS["badge"], option="words", module="words")
        reporter = row.reporter(str(tmp_path / "words"))
        assert isinstance(reporter, Document)
        for event in events(DEVIATES, STALE):
            reporter.handle(event)
        text = (tmp_path / "words").read_text()
        assert text == "exit code 1: deviates from 1 clause; also: stale known deviations"
