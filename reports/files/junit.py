"""The report as JUnit XML: one test suite a subject, one test case a clause, for a CI that shows tests.

A clause with a deviation that nothing excuses is a failure, with what reproduces it; one that was not checked is
skipped; a subject that could not be driven is an error, and so is one whose check was interrupted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree

from rmspec.oracles.dialects import statement
from rmspec.properties.events import ClauseResult, SubjectResult
from rmspec.reports.record import Record
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block

__all__ = ["render"]

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(record: Record, *, repro_dir: str | None = None) -> str:
    """The report as the text of an XML document; ``repro_dir`` is where the run stored its programs."""
    root = ElementTree.Element("testsuites", {"name": "rmspec"})
    subjects = [result.name for result in record.results]
    for result in record.results:
        root.append(_suite(result, subjects, record, repro_dir))
    for attribute in ("tests", "failures", "errors"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{record.finished.seconds:.3f}")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(result: SubjectResult, subjects: list[str], record: Record, repro_dir: str | None) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", {"name": _text(f"rmspec {result.name}"), "time": f"{result.seconds:.3f}"})
    cases = [_case(clause, result, subjects, repro_dir, record.started.environment) for clause in result.clauses]
    if not result.complete or not result.clauses:
        cases.append(_whole(result, interrupted=not record.finished.complete))
    facts = {"complete": str(record.finished.complete and result.complete).lower(), "verdict": result.verdict}
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in {**facts, **dict(sorted(record.started.environment.items()))}.items():
        ElementTree.SubElement(properties, "property", {"name": _text(name), "value": _text(value)})
    suite.extend(cases)
    children = [child.tag for case in cases for child in case]
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    suite.set("tests", str(len(cases)))
    for attribute, tag in counts.items():
        suite.set(attribute, str(children.count(tag)))
    return suite


def _case(
    clause: ClauseResult,
    result: SubjectResult,
    subjects: list[str],
    repro_dir: str | None,
    environment: Mapping[str, str],
) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _text(result.name), "name": clause.id})
    broken = [each for each in result.deviations if each.clause == clause.id]
    new = [each for each in broken if each.known is None]
    printed: list[str] = []
    if new:
        failure = ElementTree.SubElement(case, "failure", {"type": clause.id, "message": _text(new[0].summary)})
        failure.text = _text(statement(clause.id, result.dialect))
        for each in new:
            printed += [*block(each, repro_commands(repro_dir, subjects, result.name, each, environment)), ""]
    elif clause.verdict in ("not-checked", "inconclusive"):
        reason = clause.reason or "every check was inconclusive"
        ElementTree.SubElement(case, "skipped", {"message": _text(reason)})
    printed += [f"{each.known}: {each.reason}" for each in broken if each.known is not None]
    if clause.verdict == "observed":
        printed.append(f"observed: {clause.reason}")
    if printed:
        ElementTree.SubElement(case, "system-out").text = _text("\n".join(printed))
    return case


def _whole(result: SubjectResult, *, interrupted: bool) -> ElementTree.Element:
    case = ElementTree.Element("testcase", {"classname": _text(result.name), "name": "subject"})
    lines = result.message.splitlines() or [result.verdict]
    tag = "error" if interrupted or result.verdict == "errored" else "skipped"
    found = ElementTree.SubElement(case, tag, {"message": _text(lines[0])})
    found.text = _text("\n".join([*lines, result.hint]).strip())
    return case


def _text(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
