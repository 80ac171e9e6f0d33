"""The report as JUnit XML, for CIs: one test suite a subject, one test case a clause.

A document shows a failure or an error where the exit code is not 0, and none where it is. A clause with a deviation that
closes the gate is a failure, with what reproduces it; one that was not checked, or is hidden, is skipped, with the reason.
Stale entries of the list of known deviations are a failure of a case of their own. A subject that could not be driven, or of
which nothing could be verified, is an error, and so is one whose check was interrupted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from rmspec.oracles.dialects import statement
from rmspec.properties.events import ClauseResult, SubjectResult
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.gate import Problem
from rmspec.reports.record import Record
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block
from rmspec.reports.terminal.table import clause_sum
from rmspec.reports.text import clause_note, given_words

__all__ = ["render"]

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(record: Record) -> str:
    """The report as the text of an XML document."""
    root = ElementTree.Element("testsuites", {"name": "rmspec"})
    root.extend(_suite(result, record) for result in record.results)
    if (problems := record.gate.of("")) and not list(root.iter("failure")) + list(root.iter("error")):
        # No subject shows it.
        cases = [_case("rmspec", "run", "error", [problem.title, problem.text]) for problem in problems]
        root.append(_counted("rmspec", record.finished.seconds, {}, cases))
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{record.finished.seconds:.3f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(result: SubjectResult, record: Record) -> ElementTree.Element:
    cases = [_clause(clause, result, record) for clause in result.clauses]
    problems = record.gate.of(result.name)
    if stale := [problem for problem in problems if problem.code is ExitCode.STALE]:
        lines = ["stale known deviations", *(problem.text for problem in stale)]
        cases.append(_case(result.name, "known-deviations", "failure", lines))
    driven = [problem for problem in problems if problem.deviation is None and problem.code is not ExitCode.STALE]
    if driven or not result.complete or not result.clauses:
        cases.append(_whole(result, driven, interrupted=not record.finished.complete))
    facts = {"complete": str(record.finished.complete and result.complete).lower(), "verdict": result.verdict}
    facts |= {"clauses": clause_sum(result)} if result.clauses else {}
    facts |= dict(sorted(record.started.environment.items()))
    return _counted(f"rmspec {result.name}", result.seconds, facts, cases)


def _counted(
    name: str, seconds: float, facts: dict[str, str], cases: Sequence[ElementTree.Element]
) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": _text(name), "time": f"{seconds:.3f}"})
    if facts:
        properties = ElementTree.SubElement(suite, "properties")
        for fact, value in facts.items():
            ElementTree.SubElement(properties, "property", {"name": _text(fact), "value": _text(value)})
    suite.extend(cases)
    children = [child.tag for case in cases for child in case]
    suite.set("tests", str(len(cases)))
    for attribute, tag in {"failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        suite.set(attribute, str(children.count(tag)))
    return suite


def _clause(clause: ClauseResult, result: SubjectResult, record: Record) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _text(result.name), "name": clause.id})
    broken = [deviation for deviation in (*result.deviations, *result.hazards) if deviation.clause == clause.id]
    failing = [deviation for deviation in broken if record.gate.fails(deviation)]
    printed: list[str] = []
    if failing:
        failure = ElementTree.SubElement(case, "failure", {"type": clause.id, "message": _text(failing[0].summary)})
        failure.text = _text(statement(clause.id, result.dialect))
        for deviation in failing:
            printed += [*block(deviation, repro_commands(record.started, result.name, deviation)), ""]
    elif VERDICTS[clause.verdict].case == "skip":
        reason = clause_note(clause) or "every check was inconclusive"
        ElementTree.SubElement(case, "skipped", {"message": _text(reason)})
    printed += [f"{deviation.known}: {deviation.reason}" for deviation in broken if deviation.known is not None]
    if clause.verdict == "observed":
        printed.append(f"observed: {clause.reason}")
    if clause.given:
        printed.append(f"{clause.verdict}, {given_words(clause.given)}")
    if printed:
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(printed))
    return case


def _whole(result: SubjectResult, problems: Sequence[Problem], *, interrupted: bool) -> ElementTree.Element:
    lines = result.message.splitlines() or [problem.title for problem in problems] or [result.verdict]
    return _case(result.name, "subject", "error" if problems or interrupted else "skipped", [*lines, result.hint])


def _case(subject: str, name: str, tag: str, lines: Sequence[str]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _text(subject), "name": name})
    ElementTree.SubElement(case, tag, {"message": _text(lines[0])}).text = _text("\n".join(lines).strip())
    return case


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
