"""Every output says what became of each clause: hidden and by what, inherited, checked under amendments, and their sum."""

import json
import re
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from rich.console import Console
from runs import events, judged_under_amendments, record

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.properties.events import SubjectResult
from rmspec.reports.cli.log import log_summary
from rmspec.reports.documents import stored_json
from rmspec.reports.environment import version
from rmspec.reports.files import badge, sarif
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.files.github import annotation_lines
from rmspec.reports.files.json import document
from rmspec.reports.pytest.clauses import SUBJECT, outcome
from rmspec.reports.readers.json_reader import BadReport, read, result_of
from rmspec.reports.terminal.table import clause_sum, verdict_phrase
from rmspec.reports.terminal.terminal import Terminal
from rmspec.reports.text import clause_note

KNOWN = judged_under_amendments()
NEW = judged_under_amendments(known=None)
EPS = "eps is added inside the square root"
SUM = f"{len(CLAUSES) - 5} conform + 1 known + 1 inherited + 2 hidden + 1 not checked = {len(CLAUSES)} clauses"


def written(format: str, path: Path, result: SubjectResult = KNOWN) -> str:
    """The file of a run, in this format."""
    reporter = FORMATS[format].reporter(str(path))
    for event in events(result):
        reporter.handle(event)
    return path.read_text("utf-8")


def printed(result: SubjectResult) -> str:
    """What the terminal shows of a run."""
    out = StringIO()
    with Terminal(Console(file=out, width=80, markup=False, highlight=False, soft_wrap=True)) as terminal:
        for event in events(result):
            terminal.handle(event)
    return out.getvalue()


def test_the_verdicts_add_up_to_the_clauses() -> None:
    """Each clause has one verdict, and the sum counts every one."""
    numbers = [int(number) for number in re.findall(r"\d+", clause_sum(KNOWN))]
    assert clause_sum(KNOWN) == SUM
    assert sum(numbers[:-1]) == numbers[-1] == len(CLAUSES)


def test_the_verdict_line_counts_what_is_hidden() -> None:
    """Hidden clauses are not checked, and do not make a subject deviate."""
    checked = f"{len(CLAUSES) - 3} of {len(CLAUSES)} clauses checked"
    assert verdict_phrase(KNOWN) == f"conforms ({checked}, 1 known deviation, 1 inherited deviation, 2 hidden)"
    assert verdict_phrase(NEW) == f"deviates from 1 clause ({checked}, 1 inherited deviation, 2 hidden)"
    assert record(KNOWN).gate.sentence == "exit code 0: conforms; 2 clauses are hidden behind deviations"
    assert record(NEW).gate.sentence == "exit code 1: deviates from 1 clause; 2 clauses are hidden behind deviations"


def test_a_note_says_what_qualifies_a_verdict() -> None:
    """What hides a clause, how many of its checks were blocked, and what was given."""
    notes = {clause.id: clause_note(clause) for clause in KNOWN.clauses}
    assert notes["momentum-lr"] == "hidden by eps-placement"
    assert notes["momentum-buffer"] == f"given: {EPS}"
    assert notes["update"] == f"1,234 more checks blocked by eps-placement; given: {EPS}"
    assert notes["maximize"] == "the dialect torch does not maximize"
    assert notes["step"] == ""


class TestTerminal:
    """What a run prints."""

    def test_a_deviation_names_its_amendment(self) -> None:
        """In its block, and nothing where there is none."""
        assert f"\n  explained by: {EPS}\n" in printed(NEW)
        assert "explained by" not in printed(judged_under_amendments(known=None, deviations=()))

    def test_hidden_clauses_are_listed_with_what_hides_them(self) -> None:
        """And those that passed under an amendment with the amendment."""
        text = printed(KNOWN)
        assert "\n    momentum-lr, lr-place-seen: hidden by eps-placement\n" in text
        assert f"  conform, given: {EPS} (2): momentum-buffer,\n    update\n" in text
        assert SUM in " ".join(text.split())


class TestFiles:
    """What a machine reads."""

    def test_the_json_has_every_part(self, tmp_path: Path) -> None:
        """What blocks, hides and is given, the amendment as data, and the counts; it follows the schema and is read back."""
        data = json.loads(written("json", tmp_path / "report.json", NEW))
        jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)
        [subject] = data["subjects"]
        clauses = {clause["id"]: clause for clause in subject["clauses"]}
        update = {key: clauses["update"][key] for key in ("verdict", "blocked", "telling", "hidden_by", "given")}
        assert update == {
            "verdict": "conforms",
            "blocked": 1234,
            "telling": 4,
            "hidden_by": ["eps-placement"],
            "given": [EPS],
        }
        assert clauses["momentum-lr"]["verdict"] == "hidden"
        assert (clauses["step"]["blocked"], clauses["step"]["hidden_by"], clauses["step"]["given"]) == (0, [], [])
        eps, hooks = subject["deviations"]
        assert (eps["amendment"], hooks["amendment"]) == ({"eps_place": "inside"}, None)
        assert (eps["given"], hooks["given"]) == ([], [])
        assert sum(subject["clause_counts"].values()) == len(CLAUSES)
        back = result_of(subject)
        assert back.clauses == NEW.clauses
        assert [each.amendment for each in back.deviations] == [{"eps_place": "inside"}, {}]

    def test_a_report_that_hides_a_clause_by_nothing_is_refused(self, tmp_path: Path) -> None:
        """It was put together by hand, and so was one whose amendment is none."""
        data = json.loads(written("json", tmp_path / "report.json", NEW))
        data["environment"]["rmspec"] = version()
        deviations = data["subjects"][0]["deviations"]
        for change, words in (
            ({**deviations[0], "amendment": {"eps_plaice": "inside"}}, "the amendment of eps-placement cannot be read"),
            ({**deviations[0], "clause": "step"}, "is hidden by eps-placement, and no deviation of that is listed"),
        ):
            data["subjects"][0]["deviations"] = [change, deviations[1]]
            for clause in data["subjects"][0]["clauses"]:
                if clause["id"] in ("eps-placement", "step"):
                    clause["verdict"] = "deviates" if clause["id"] == change["clause"] else "conforms"
            (tmp_path / "changed.json").write_text(json.dumps(data))
            with pytest.raises(BadReport, match=words):
                read(str(tmp_path / "changed.json"))

    @pytest.mark.parametrize("format", ["html", "markdown"])
    def test_a_page_says_what_is_hidden_and_given(self, format: str, tmp_path: Path) -> None:
        """In the table of clauses, and the amendment beside what was observed."""
        text = written(format, tmp_path / "page", NEW)
        assert clause_sum(NEW) in text
        assert "hidden by eps-placement" in text
        assert f"given: {EPS}" in text
        assert f"explained by: {EPS}" in text

    @pytest.mark.parametrize("format", ["html", "md"])
    def test_the_verification_report_says_it_too(self, format: str) -> None:
        """Made of the JSON alone: the sum of each subject, what is hidden by what, and what was given."""
        pytest.importorskip("matplotlib")
        pytest.importorskip("latex2mathml")
        from rmspec.reports.cli.report import files

        text = files(document(record(NEW, judged_under_amendments("b"))))[f"report.{format}"]
        assert clause_sum(KNOWN) in text
        assert clause_sum(NEW) in text
        assert f"explained by: {EPS}" in text
        assert EPS in text.replace(f"explained by: {EPS}", "")
        assert re.search(r"hidden by(</dt><dd><code>| )eps-placement", text)
        assert "4 are hidden behind other deviations" in text

    def test_the_badge_counts_what_is_hidden(self) -> None:
        """Green stays green."""
        assert badge.document(record(KNOWN))["message"] == "conforms, 2 known, 2 hidden"
        assert badge.document(record(KNOWN))["color"] == "brightgreen"
        assert badge.document(record(NEW))["message"] == "deviates from 1 clause, 2 hidden"

    def test_junit_skips_what_is_hidden(self, tmp_path: Path) -> None:
        """With the reason; what was given is in the output of its test, and the sum a property of the suite."""
        root = ElementTree.fromstring(written("junit", tmp_path / "junit.xml"))
        cases = {case.get("name"): case for case in root.iter("testcase")}
        assert cases["momentum-lr"].find("skipped").get("message") == "hidden by eps-placement"
        assert f"conforms, given: {EPS}" in cases["update"].findtext("system-out")
        assert {"name": "clauses", "value": SUM} in [each.attrib for each in root.iter("property")]

    def test_sarif_says_what_was_not_judged(self) -> None:
        """Beside the verdicts; a result has its amendment and names it in its message."""
        [run] = sarif.document(record(NEW), Path())["runs"]
        assert run["properties"]["clauses"] == {"mine.py:X": clause_sum(NEW)}
        assert run["properties"]["unjudged"]["mine.py:X"]["momentum-lr"] == "hidden by eps-placement"
        assert f"explained by: {EPS}" in run["results"][0]["message"]["text"]

    def test_an_annotation_names_the_amendment(self) -> None:
        """On the line of the code host."""
        [line] = annotation_lines(record(NEW), Path())
        assert f"explained by: {EPS}" in line

    def test_a_log_is_summed_up_with_the_sum(self, tmp_path: Path) -> None:
        """As the terminal does it."""
        written("ndjson", tmp_path / "log")
        assert SUM in " ".join(log_summary(str(tmp_path / "log")).split())


@pytest.mark.parametrize(
    ("test", "kind", "words"),
    [
        ("momentum-lr", "skip", "hidden by eps-placement"),
        ("update", "pass", f"9 checks, given: {EPS}"),
        ("hooks", "known", "inherited:torch: the baseline does the same"),
        (SUBJECT, "pass", SUM),
    ],
)
def test_pytest_skips_what_is_hidden(test: str, kind: str, words: str) -> None:
    """The test of a clause says the same as every other report."""
    assert outcome(KNOWN, test) == (kind, words)
