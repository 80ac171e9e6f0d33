"""Every output says what became of each clause: hidden and by what, inherited, checked under amendments, and their sum."""

import re
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from runs import events, judged_under_amendments, record

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.reports.cli.log import log_summary
from rmspec.reports.files import badge, sarif
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.files.github import annotation_lines
from rmspec.reports.pytest.clauses import SUBJECT, outcome
from rmspec.reports.terminal.table import clause_sum, verdict_phrase
from rmspec.reports.terminal.terminal import Terminal
from rmspec.reports.text import clause_note

KNOWN = judged_under_amendments()
NEW = judged_under_amendments(known=None)
EPS = "eps is added inside the square root"
SUM = f"{len(CLAUSES) - 5} conform + 1 known + 1 inherited + 2 hidden + 1 not checked = {len(CLAUSES)} clauses"


def written(format: str, path: Path, result=KNOWN) -> str:
    """The file of a run, in this format."""
    reporter = FORMATS[format].reporter(str(path))
    for event in events(result):
        reporter.handle(event)
    return path.read_text("utf-8")


def printed(result) -> str:
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
    assert record(KNOWN).gate.sentence == "exit code 0: conforms; 2 clauses hidden"
    assert record(NEW).gate.sentence == "exit code 1: deviates from 1 clause; 2 clauses hidden"


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
