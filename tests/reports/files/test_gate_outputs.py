"""SARIF, JUnit and the badge, as their readers take them: valid, the same from run to run, and nothing lost."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from runs import deviation, many, record, subject

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.properties.events import SubjectResult
from rmspec.reports.files import badge, junit, sarif
from rmspec.reports.files import json as json_report
from rmspec.reports.files.fingerprint import fingerprints, portable
from rmspec.reports.files.locations import Place, place
from rmspec.reports.outputs import write

SCHEMAS = Path(__file__).parents[2] / "schemas"
SARIF = jsonschema.Draft4Validator(
    json.loads((SCHEMAS / "sarif-2.1.0.json").read_text("utf-8")), format_checker=jsonschema.FormatChecker()
)
JUNIT = xmlschema.XMLSchema(SCHEMAS / "junit.xsd")

NASTY = "</script>&\x1b[31m|`*\x00\ud800 %0A::error::"
NEW = deviation(summary=f"param is 0.5 {NASTY}")
KNOWN = deviation("option-change", known="torch-42", reason="as ever", observed="KeyError: 'x'", allowed=None)
INHERITED = deviation("hooks", known="inherited:torch", reason="the baseline does the same")
HAZARD = deviation("centered-variance", hazard=True, observed=float("nan"), allowed=(float("-inf"), float("inf")))
DEVIATES = subject("mine.py:RMSprop", NEW, KNOWN, INHERITED, HAZARD)
CRASHED = SubjectResult("a b/mine.py:X", "errored", message=f"it crashed\n{NASTY}", hint="mend it", complete=False)
STALE = subject("torch", stale=("old-one: its witness no longer deviates",))
KINDS = {
    "deviates": record(DEVIATES),
    "crashed": record(CRASHED),
    "stale": record(STALE),
    "interrupted": record(DEVIATES, replace(CRASHED, verdict="inconclusive", message="interrupted"), complete=False),
    "nothing": record(),
    "many": record(*many()),
}
BADGE = {
    "type": "object",
    "required": ["schemaVersion", "label", "message"],
    "properties": {
        "schemaVersion": {"const": 1},
        "label": {"type": "string"},
        "message": {"type": "string", "minLength": 1},
        "color": {"enum": ["brightgreen", "green", "yellow", "orange", "red", "lightgrey"]},
        "isError": {"type": "boolean"},
    },
    "additionalProperties": False,
}
"""The endpoint's schema: https://shields.io/badges/endpoint-badge."""


def log(*results: SubjectResult, folder: Path = Path(), **options: Any) -> dict[str, Any]:
    """The one run of a SARIF log."""
    found: dict[str, Any] = sarif.document(record(*results, **options), folder)["runs"][0]
    return found


class TestSarif:
    """What code scanning reads."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_follows_the_schema_of_the_standard(self, kind: str, tmp_path: Path) -> None:
        """Whatever happened, the file that is written validates."""
        write(str(tmp_path / "log.sarif"), sarif.render(KINDS[kind]))
        SARIF.validate(json.loads((tmp_path / "log.sarif").read_text("utf-8")))

    def test_the_schema_refuses_what_is_none(self) -> None:
        """The validation can fail: a result without its message, and an unknown level."""
        for change in ({"message": None}, {"level": "fatal"}):
            found = sarif.document(KINDS["deviates"], Path())
            found["runs"][0]["results"][0].update(change)
            assert not SARIF.is_valid(found)

    def test_every_clause_is_a_rule_and_every_deviation_a_result(self) -> None:
        """What fails is an error; what is excused is a note with its justification; a hazard is a note until it fails."""
        run = log(DEVIATES)
        assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == list(CLAUSES)
        by_rule = {result["ruleId"]: result for result in run["results"]}
        assert all(list(CLAUSES)[each["ruleIndex"]] == each["ruleId"] for each in run["results"])
        assert {rule: each["level"] for rule, each in by_rule.items()} == {
            "eps-placement": "error",
            "option-change": "note",
            "hooks": "note",
            "centered-variance": "note",
        }
        assert by_rule["option-change"]["suppressions"] == [{"kind": "external", "justification": "torch-42: as ever"}]
        assert "suppressions" not in by_rule["eps-placement"]
        assert "rmspec repro repro/mine.py-RMSprop-eps-placement.json" in by_rule["eps-placement"]["message"]["text"]
        failing = log(DEVIATES, fail_on_hazards=True)["results"]
        assert [each["level"] for each in failing if each["ruleId"] == "centered-variance"] == ["error"]

    def test_trouble_is_told_by_the_invocation(self) -> None:
        """A crash, a stale entry and an interruption are notifications, and the first and last are no success."""
        for kind, success, said in (
            ("crashed", False, "it crashed"),
            ("stale", True, "old-one"),
            ("interrupted", False, "interrupted"),
        ):
            [invocation] = sarif.document(KINDS[kind], Path())["runs"][0]["invocations"]
            assert invocation["executionSuccessful"] is success
            assert any(said in each["message"]["text"] for each in invocation["toolExecutionNotifications"])

    def test_a_finding_is_shown_where_its_class_is(self, tmp_path: Path) -> None:
        """File and line of a class, function, import or name; a code host that finds none gets the project's file."""
        (tmp_path / "my port.py").write_text("import x\n\n\nclass RMSprop:\n    pass\n\n\nmade = RMSprop\n")
        (tmp_path / "src" / "pkg").mkdir(parents=True)
        (tmp_path / "src" / "pkg" / "__init__.py").write_text("\nfrom .a import B as RMSprop\n")
        (tmp_path / "broken.py").write_text("def f(:\n")
        assert place("my port.py:RMSprop", tmp_path) == Place("my port.py", 4)
        assert place(f"{tmp_path}/my port.py:made", tmp_path) == Place("my port.py", 8)
        assert place("pkg:RMSprop", tmp_path) == Place("src/pkg/__init__.py", 2)
        assert place("broken.py:f", tmp_path) == Place("broken.py", 1)
        for name in ("torch", "torch:foreach", "process:node x.py:y", "/etc/passwd.py:x", "../up.py:X", "gone:X"):
            assert place(name, tmp_path) == Place("pyproject.toml", 1)
        [result] = log(subject("my port.py:RMSprop", NEW), folder=tmp_path)["results"]
        [location] = result["locations"]
        assert location["physicalLocation"] == {
            "artifactLocation": {"uri": "my%20port.py", "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": 4},
        }

    def test_files_are_named_from_the_checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """In a job that runs in a folder of the checkout, the place is named from its root."""
        (tmp_path / "below").mkdir()
        (tmp_path / "below" / "mine.py").write_text("X = 1\n")
        monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
        assert place("mine.py:X", tmp_path / "below") == Place("below/mine.py", 1)
        monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "elsewhere"))
        assert place("mine.py:X", tmp_path / "below") == Place("mine.py", 1)

    def test_no_time_and_no_path_is_in_it(self, tmp_path: Path) -> None:
        """Another duration and another folder give the same bytes."""
        slow = replace(
            DEVIATES, seconds=99.0, deviations=tuple(replace(each, seconds_to_first=5) for each in DEVIATES.deviations)
        )
        one, other = (json.dumps(log(each, folder=folder)) for each, folder in ((DEVIATES, tmp_path), (slow, Path())))
        assert one == other
        assert str(tmp_path) not in one


class TestFingerprints:
    """The same finding is recognized, and no two are mistaken for one."""

    def marks(self, *results: SubjectResult) -> list[str]:
        return [mark for _, _, mark in fingerprints(results)]

    def test_it_stays_across_paths_seeds_versions_and_numbers(self) -> None:
        """The clause and the class decide; where the checkout is, and what number showed it, do not."""
        first = self.marks(subject("mine.py:RMSprop", NEW))
        other = deviation(observed=7.5, summary="square_avg is 7.5", role="square_avg", kind="base", occurrences=9)
        for name in ("src/mine.py:RMSprop", "/home/me/src/mine.py:RMSprop", "C:\\work\\mine.py:RMSprop"):
            assert self.marks(subject(name, other, versions={"torch": "3"})) == first

    def test_it_is_this_one_for_ever(self) -> None:
        """A code host has stored it: a change of this value closes every finding that there is, and opens it again."""
        assert self.marks(subject("mine.py:RMSprop", NEW)) == [
            "7f4985d2abb1a39802c824f7abc4dba7b882dbcc39aa78f09b4f66f163baf7e6"
        ]

    def test_other_findings_have_others(self) -> None:
        """Other clauses, classes, files of one name, and what is known or a hazard."""
        results = (
            subject("a/mine.py:X", NEW, deviation("hooks"), HAZARD, deviation("centered-variance"), KNOWN),
            subject("b/mine.py:X", NEW),
            subject("b/mine.py:Y", NEW),
            subject("torch", NEW, NEW),
        )
        marks = self.marks(*results)
        assert len(set(marks)) == len(marks) == 9
        assert len(set(self.marks(*many()))) == 500

    def test_a_name_keeps_the_folders_that_tell_it_apart(self) -> None:
        """As few as it takes; what is no file keeps its name."""
        names = ["x/a/mine.py:X", "x/b/mine.py:X", "x/b/other.py:X", "torch", "process:node a/b.py:c"]
        assert [portable(name, names) for name in names] == [
            "a/mine.py:X",
            "b/mine.py:X",
            "other.py:X",
            "torch",
            "process:node a/b.py:c",
        ]


class TestJunit:
    """What test dashboards read."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_follows_the_schema_of_jenkins(self, kind: str) -> None:
        """Whatever happened, the document validates."""
        JUNIT.validate(junit.render(KINDS[kind]))

    def test_the_schema_refuses_what_is_none(self) -> None:
        """The validation can fail."""
        text = junit.render(KINDS["deviates"]).replace("system-out", "system-in")
        assert not JUNIT.is_valid(text)

    def test_the_reproduction_names_the_files_of_the_run(self) -> None:
        """With a folder for programs the command replays the file there."""
        root = ElementTree.fromstring(junit.render(record(DEVIATES, repro_dir="out")))
        [failed] = [case for case in root.iter("testcase") if case.find("failure") is not None]
        printed = failed.findtext("system-out") or ""
        assert "rmspec repro out/mine.py-RMSprop-eps-placement.json" in printed
        assert "or with this script (not run):" in printed

    def test_an_interrupted_run_is_an_error_and_says_so(self) -> None:
        """A dashboard shows no green for what was not finished, and the suite is marked incomplete."""
        root = ElementTree.fromstring(junit.render(KINDS["interrupted"]))
        assert [error.get("message") for error in root.iter("error")] == ["interrupted"]
        marks = [each.get("value") for each in root.iter("property") if each.get("name") == "complete"]
        assert marks == ["false", "false"]


class TestBadge:
    """What a README shows."""

    @pytest.mark.parametrize(
        ("results", "complete", "message", "color"),
        [
            ((subject("torch"),), True, "conforms", "brightgreen"),
            ((subject("torch", KNOWN, INHERITED),), True, "conforms, 2 known", "brightgreen"),
            ((DEVIATES,), True, "deviates from 1 clause", "red"),
            (many(), True, "deviates from 50 clauses", "red"),
            ((DEVIATES,), False, "interrupted", "lightgrey"),
            ((STALE,), True, "stale known deviations", "orange"),
            ((CRASHED,), True, "could not be checked", "orange"),
            ((), True, "nothing checked", "lightgrey"),
        ],
    )
    def test_it_is_green_where_the_gate_is_open(
        self, results: tuple[SubjectResult, ...], complete: bool, message: str, color: str
    ) -> None:
        """Words and colour follow the exit code, and the document is one that the endpoint takes."""
        found = json.loads(badge.render(record(*results, complete=complete)))
        jsonschema.validate(found, BADGE)
        assert (found["message"], found["color"]) == (message, color)
        assert found["isError"] is (color != "brightgreen")

    def test_hazards_count_on_request(self) -> None:
        """As for the exit code."""
        only = subject("torch", HAZARD)
        assert badge.document(record(only))["message"] == "conforms"
        assert badge.document(record(only, fail_on_hazards=True))["message"] == "deviates from 1 clause"


def test_five_hundred_deviations_are_all_in_the_files() -> None:
    """JSON, JUnit and SARIF each hold every one."""
    run = KINDS["many"]
    assert sum(len(each["deviations"]) for each in json_report.document(run)["subjects"]) == 500
    assert len(list(ElementTree.fromstring(junit.render(run)).iter("failure"))) == 500
    assert len(json.loads(sarif.render(run))["runs"][0]["results"]) == 500
