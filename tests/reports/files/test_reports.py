"""The reporters, fed with events: what each says of deviations, hazards, trouble and text from outside."""

import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console
from runs import PROGRAM, events, record

from rmspec.oracles.host.crash import last_words
from rmspec.oracles.program.program import Load, Param, Program, Save, SetGrad, SetOption, Step, TensorNumber
from rmspec.properties.events import (
    ClauseResult,
    Deviation,
    SubjectResult,
)
from rmspec.reports.documents import stored_json
from rmspec.reports.files import html as html_report
from rmspec.reports.files import json as json_report
from rmspec.reports.files import junit
from rmspec.reports.files import markdown as markdown_report
from rmspec.reports.files.programs import Programs
from rmspec.reports.gate import exit_code
from rmspec.reports.outputs import check_writable, write
from rmspec.reports.problems import BadOption
from rmspec.reports.stored import program_file, read_program
from rmspec.reports.terminal.terminal import Terminal
from rmspec.reports.text import call_line, hexadecimal, plain, program_lines

NASTY = "</script><b>&\x1b[31m|`*\x00"
NEW = Deviation(
    "eps-placement",
    f"param is 0.5 {NASTY}",
    PROGRAM,
    "value",
    2,
    "A",
    "p",
    "param",
    0,
    1,
    0.5,
    (0.25, 0.375),
    framework="torch",
)
KNOWN = replace(NEW, clause="option-change", known="torch-42", reason="as ever", observed="KeyError: 'x'", allowed=None)
INHERITED = replace(NEW, clause="hooks", known="inherited:torch", reason="the baseline does the same")
HAZARD = replace(NEW, clause="centered-variance", hazard=True, observed=math.nan, allowed=(-math.inf, math.inf))
CLAUSES = (
    ClauseResult("eps-placement", 10, 0, "deviates", 1.5),
    ClauseResult("option-change", 3, 0, "known"),
    ClauseResult("hooks", 0, 0, "not-checked", None, "the subject has no hooks"),
    ClauseResult("update", 5, 5, "inconclusive", math.inf),
    ClauseResult("failed-step", 2, 0, "observed", None, "has stepped no parameter (2)"),
)
RESULT = SubjectResult(
    "torch",
    "deviates",
    "torch",
    framework="torch",
    seconds=1.25,
    programs=7,
    steps=20,
    element_checks=1234567,
    inconclusive_checks=5,
    inconclusive_reasons={"the hidden state may be any number by then": 5},
    clauses=CLAUSES,
    deviations=(NEW, KNOWN, INHERITED),
    hazards=(HAZARD,),
    formats=("float32",),
    versions={"torch": "2.13"},
    stale=("old-one: its witness no longer deviates",),
)
ERRORED = SubjectResult(
    f"dir/mine.py:{NASTY}", "errored", message=f"it crashed\n{NASTY}", hint="mend it", complete=False
)


def printed(*results: SubjectResult, quiet: bool = False, repro_dir: str | None = None) -> str:
    """What the terminal shows of a run with these results."""
    out = StringIO()
    console = Console(file=out, width=80, markup=False, highlight=False, emoji=False, soft_wrap=True)
    with Terminal(console, quiet=quiet) as terminal:
        for event in events(*results, repro_dir=repro_dir):
            terminal.handle(event)
    return out.getvalue()


class TestGate:
    """Which exit code a run deserves."""

    CLEAN = replace(RESULT, verdict="known", deviations=(KNOWN, INHERITED), stale=())
    DEVIATES = replace(RESULT, stale=())
    STALE = replace(CLEAN, stale=("x: y",))
    UNSUPPORTED = SubjectResult("x", "unsupported")
    INCONCLUSIVE = SubjectResult("x", "inconclusive")

    @pytest.mark.parametrize(
        ("results", "code"),
        [
            ((CLEAN,), 0),
            ((CLEAN, UNSUPPORTED), 0),
            ((DEVIATES,), 1),
            ((CLEAN, DEVIATES, ERRORED, STALE, UNSUPPORTED), 1),
            ((replace(ERRORED, deviations=(NEW,)),), 1),
            ((CLEAN, ERRORED, STALE, UNSUPPORTED), 4),
            ((replace(ERRORED, deviations=(KNOWN,)),), 4),
            ((STALE, INCONCLUSIVE), 6),
            ((CLEAN, INCONCLUSIVE), 5),
            ((UNSUPPORTED,), 5),
            ((), 5),
        ],
    )
    def test_several_subjects_combine_by_precedence(self, results: tuple[SubjectResult, ...], code: int) -> None:
        """The first of 1, 4, 6, 5 that applies to any subject is the exit code; known deviations alone are 0."""
        assert exit_code(results) == code

    def test_interruption_and_faults_of_rmspec_come_first(self) -> None:
        """130 wins over 3, and 3 over a deviation."""
        assert exit_code([self.DEVIATES], complete=False, internal=True) == 130
        assert exit_code([self.DEVIATES], internal=True) == 3

    def test_hazards_count_on_request(self) -> None:
        """Hazards are 0, and 1 when they are to fail the gate."""
        assert exit_code([self.CLEAN], fail_on_hazards=True) == 1
        assert exit_code([replace(self.CLEAN, hazards=())], fail_on_hazards=True) == 0


class TestTerminal:
    """What a person reads."""

    def test_a_new_deviation_is_told_in_full_and_others_in_lists(self) -> None:
        """One block for what is new; the known, the inherited, hazards and the rest have lists of their own."""
        text = printed(RESULT)
        assert text.count("DEVIATION of") == 1
        assert "  observed  0.5 = 0x1.0000000000000p-1\n" in text
        assert "  allowed   from 0.25 = 0x1.0000000000000p-2\n            to   0.375 = 0x1.8000000000000p-2\n" in text
        for line in (
            "  known deviations (1): option-change\n",
            "  inherited from torch (1): hooks\n",
            "  hazards of the formula (1): centered-variance\n",
            "  observed only, as the page promises nothing (1): failed-step\n",
            "  not checked (1):\n    hooks: the subject has no hooks\n",
            "  stale known deviations (1):\n    old-one: its witness no longer deviates\n",
        ):
            assert line in text

    def test_the_verdict_says_what_it_rests_on(self) -> None:
        """Quiet, the verdict with what was checked, its sum, the counts, and the commands for what is new are left."""
        text = printed(RESULT, quiet=True, repro_dir="out")
        assert text.splitlines() == [
            "torch: deviates from 1 clause (2 of 5 clauses checked, 1 known deviation, 1",
            "  inherited deviation)",
            "  1 deviate + 1 known + 1 inconclusive + 1 observed only + 1 not checked = 5",
            "    clauses",
            "  against the dialect torch, policy strict: 7 programs, 20 steps, 1,234,567",
            "    element checks, 1 hazard, 1.2 s",
            "  5 element checks inconclusive (0.0 %): the hidden state may be any number by",
            "    then (5)",
            "  stale known deviations: old-one",
            "  new deviations, the shortest program first:",
            "    eps-placement  rmspec repro out/torch-eps-placement.json --subject torch",
        ]

    def test_text_from_outside_cannot_garble_the_terminal(self) -> None:
        """Control characters of names and messages are shown, not obeyed."""
        text = printed(RESULT, ERRORED)
        assert "\x1b" not in text
        assert "\x00" not in text
        assert "\\x1b[31m" in text

    def test_the_way_to_replay_fits_the_run(self) -> None:
        """With a folder for programs the replay is one command; without, storing them comes first."""
        assert "    rmspec repro out/torch-eps-placement.json --subject torch\n" in printed(RESULT, repro_dir="out")
        assert "    rmspec check torch --repro-dir repro\n    rmspec repro repro/" in printed(RESULT)

    def test_a_long_name_keeps_the_verdict_within_the_page(self) -> None:
        """A path without a space is never broken; what follows it goes to the next line."""
        long = replace(RESULT, name="a/very/long/path/to/some/file/of/the/user/optimizers.py:RMSprop")
        lines = printed(long, quiet=True, repro_dir="out").splitlines()
        assert lines[0].startswith(long.name)
        assert max(len(line) for line in lines if "rmspec repro" not in line) <= 80


class TestJson:
    """What a program reads."""

    def test_every_kind_of_result_follows_the_schema(self) -> None:
        """The report validates, with numbers that JSON has none for as strings, and is strict JSON."""
        text = json_report.render(record(RESULT, ERRORED, complete=False))

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        data = json.loads(text, parse_constant=refuse)
        jsonschema.Draft202012Validator.check_schema(stored_json("schemas/report-1.json"))
        jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)
        assert data["complete"] is False
        [hazard] = data["subjects"][0]["hazards"]
        assert (hazard["observed"], hazard["allowed"]) == ("nan", ["-inf", "inf"])
        assert data["subjects"][0]["clauses"][3]["worst_fraction"] == "inf"

    def test_the_promised_keys_are_there(self) -> None:
        """The stable keys are there, with what they promise."""
        data = json_report.document(record(RESULT))
        assert {"schema", "complete", "environment", "subjects"} <= set(data)
        [found] = data["subjects"]
        for key in ("name", "verdict", "dialect", "policy", "seconds", "programs", "steps", "element_checks"):
            assert found[key] == getattr(RESULT, key)
        assert found["inconclusive_checks"] == 5
        assert (
            found["clauses"][0].items()
            >= {"id": "eps-placement", "checks": 10, "inconclusive": 0, "worst_fraction": 1.5}.items()
        )
        first, second, third = found["deviations"]
        assert [each["known"] for each in (first, second, third)] == [None, "torch-42", "inherited:torch"]
        assert (first["calls"], first["elements"], first["observed"], first["allowed"]) == (3, 1, 0.5, [0.25, 0.375])
        assert first["program"]["schema"] == "rmspec.program/1"
        assert "import" in first["script"]

    @pytest.mark.parametrize("key", ["verdict", "deviations", "element_checks"])
    def test_the_schema_refuses_a_report_without_a_promised_key(self, key: str) -> None:
        """A report that lacks a stable key does not validate."""
        data = json_report.document(record(RESULT))
        del data["subjects"][0][key]
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)


class TestJunit:
    """What a CI shows."""

    def test_one_case_a_clause(self) -> None:
        """A new deviation and a stale list are failures; a clause that was not checked is skipped; a crash is an error."""
        root = ElementTree.fromstring(junit.render(record(RESULT, ERRORED)))
        cases = {case.get("name"): case for case in root.iter("testcase")}
        assert set(cases) == {clause.id for clause in CLAUSES} | {"subject", "known-deviations"}
        failed = cases["eps-placement"]
        assert failed.find("failure") is not None
        assert "rmspec repro" in (failed.findtext("system-out") or "")
        assert cases["option-change"].find("failure") is None
        assert "torch-42" in (cases["option-change"].findtext("system-out") or "")
        assert all(cases[name].find("skipped") is not None for name in ("hooks", "update"))
        assert cases["subject"].find("error") is not None
        assert "old-one: its witness no longer deviates" in (cases["known-deviations"].findtext("failure") or "")
        assert {name: root.get(name) for name in ("tests", "failures", "errors")} == {
            "tests": "7",
            "failures": "2",
            "errors": "1",
        }


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs


class TestPages:
    """What is read in a browser or a pull request."""

    def test_the_page_is_self_contained_and_escapes_what_comes_from_outside(self) -> None:
        """No script, nothing loaded, and a name with markup in it stays text."""
        text = html_report.render(record(RESULT, ERRORED, complete=False))
        tags = _Tags()
        tags.feed(text)
        assert not {"script", "b", "link", "img", "iframe"} & set(tags.tags)
        assert not [name for name, _ in tags.attributes if name in ("src", "onclick")]
        assert "&lt;/script&gt;&lt;b&gt;" in text
        assert "Interrupted" in text
        assert "prefers-color-scheme: dark" in text
        assert all(clause.id in text for clause in CLAUSES)

    def test_markdown_tables_and_fences_hold_what_comes_from_outside(self) -> None:
        """A pipe ends no cell, a backtick no fence, and markup stays text."""
        text = markdown_report.render(record(RESULT, ERRORED))
        rows = [line for line in text.splitlines() if line.startswith("|")]
        cells = [row.replace("\\|", "").count("|") for row in rows]
        assert cells == [12, 12, 12, 12, *[8] * (len(CLAUSES) + 2)]
        assert "</script>" not in text.split("```")[0]
        assert "### Deviation: eps-placement" in text


class TestReadable:
    """Programs and numbers as a person reads them."""

    def test_calls_read_like_python(self) -> None:
        """A program is a line for each parameter and each call, and the call that broke is pointed at."""
        assert program_lines(PROGRAM, mark=2) == [
            "p = 1.0    # float32, shape (1,)",
            "A = RMSprop([p], eps=0.5)",
            "p.grad = 2.0",
            "A.step()    # <- here",
        ]

    @pytest.mark.parametrize(
        ("call", "line"),
        [
            (Save("A", "s", "deepcopy"), "s = copy.deepcopy(A.state_dict())"),
            (Load("A", "s"), "A.load_state_dict(s)"),
            (SetOption("A", 1, {"lr": TensorNumber(0.5)}), "A.param_groups[1]['lr'] = tensor(0.5)"),
            (SetGrad("p", None), "p.grad = None"),
            (Step("A", "raises"), "A.step(closure that raises)"),
        ],
    )
    def test_a_call_is_one_line(self, call: Save | Load | SetOption | SetGrad | Step, line: str) -> None:
        """Each call of the vocabulary has its line."""
        assert call_line(call) == line

    def test_as_many_values_are_printed_as_are_used(self) -> None:
        """What is left over is left out, and that fewer values repeat is said."""
        params = (Param("p", "float32", (2,), (1.0, 2.0, 3.0)), Param("q", "complex64", (3,), (1.0, 2.0)))
        calls = (SetGrad("p", (4.0,)), SetGrad("q", (5.0,) * 9), Step("A", "returns", {"p": (6.0, 7.0, 8.0)}, 0.5))
        assert program_lines(Program(params, calls)) == [
            "p = [1.0, 2.0]    # float32, shape (2,)",
            "q = [1.0, 2.0]    # complex64, shape (3,), values repeat",
            "p.grad = 4.0    # values repeat",
            "q.grad = [5.0, 5.0, 5.0, 5.0, 5.0, 5.0]",
            "A.step(closure that returns 0.5, sets p.grad = [6.0, 7.0])",
        ]

    def test_numbers_are_decimal_and_hexadecimal(self) -> None:
        """Both forms read back as the number; what is not finite has its name."""
        assert hexadecimal(0.1) == "0.1 = 0x1.999999999999ap-4"
        assert hexadecimal(math.nan) == "nan"
        assert plain("a\x1b\n") == "a\\x1b\n"

    def test_files_of_programs_are_told_apart(self) -> None:
        """Two subjects with one file name get two names; what is not new stands in a folder of its kind."""
        names = ("a/mine.py:X", "b/mine.py:X")
        files = {
            program_file("r", names, name, each)
            for name in names
            for each in (NEW, replace(NEW, hazard=True), replace(NEW, known="k"), replace(NEW, known="l"))
        }
        assert len(files) == 8
        assert [program_file("r", ("torch",), "torch", each) for each in (NEW, KNOWN, INHERITED, HAZARD)] == [
            "r/torch-eps-placement.json",
            "r/known/torch-option-change-torch-42.json",
            "r/inherited/torch-hooks.json",
            "r/hazards/torch-centered-variance.json",
        ]

    def test_the_programs_of_a_run_stand_where_its_commands_say(self, tmp_path: Path) -> None:
        """Each kind is in its folder, and each file is a program that reads back."""
        reporter = Programs(str(tmp_path / "out"))
        for event in events(RESULT):
            reporter.handle(event)
        written = {str(each) for each in (tmp_path / "out").rglob("*.json")}
        assert written == {
            program_file(str(tmp_path / "out"), ("torch",), "torch", each) for each in (NEW, KNOWN, INHERITED, HAZARD)
        }
        assert all(read_program(each) == PROGRAM for each in written)

    def test_last_words_leave_out_addresses_and_libraries(self) -> None:
        """Of a crash report the subject's own frame is kept, of what was printed the last lines."""
        text = (
            "one\nFatal Python error: Segmentation fault\n\nCurrent thread 0x00007f1c (most recent call first):\n"
            f'  File "{json.__file__}", line 3 in loads\n  File "/home/me/mine.py", line 12 in step\n'
        )
        assert last_words(text) == ("one\nFatal Python error: Segmentation fault", "mine.py, line 12, in step")
        assert last_words("") == ("", "")


class TestOutputs:
    """Files that are whole or not there."""

    def test_a_failed_write_leaves_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """When the last move fails, the old content stays and nothing is left beside it."""
        target = tmp_path / "report.json"
        target.write_text("old")

        def fail(*names: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.replace", fail)
        with pytest.raises(BadOption, match="No space left on device"):
            write(str(target), "new")
        assert target.read_text() == "old"
        assert list(tmp_path.iterdir()) == [target]

    def test_a_link_stays_a_link_and_the_mode_stays(self, tmp_path: Path) -> None:
        """A report that is a symbolic link is written where that points to, with the permissions it had."""
        target, link = tmp_path / "target", tmp_path / "link"
        target.write_text("old")
        target.chmod(0o640)
        link.symlink_to(target)
        check_writable(str(link), "--json")
        write(str(link), "new")
        assert link.is_symlink()
        assert target.read_text() == "new"
        assert target.stat().st_mode & 0o777 == 0o640

    def test_a_device_is_written_as_it_is(self) -> None:
        """A device is not replaced by a file."""
        check_writable("/dev/null", "--json")
        write("/dev/null", "text")
        assert not Path("/dev/null").is_file()
