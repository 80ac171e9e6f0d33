"""The report as SARIF 2.1.0, for code hosts with a memory of findings.

Each clause is a rule, each deviation a result with a fingerprint that stays (see ``fingerprint``) and a place in the
project (see ``locations``). Results that close the gate are errors, others notes; what is known or inherited is suppressed,
with its reason. What else closes the gate is a notification of the invocation, which holds the exit code. The same run
gives the same bytes, and no path is in them but those that were typed.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from rmspec.impl.spec.clauses import CLAUSES, Clause
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.documents import json_text
from rmspec.reports.files.fingerprint import NAME, fingerprints
from rmspec.reports.files.json import deviation_document
from rmspec.reports.files.locations import Place, place
from rmspec.reports.record import Record
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block
from rmspec.reports.terminal.table import clause_sum
from rmspec.reports.text import clause_note, plain

__all__ = ["SCHEMA", "document", "render"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(record: Record) -> str:
    """The report as the text of a SARIF log."""
    return json_text(document(record, Path.cwd()))


def document(record: Record, folder: Path) -> dict[str, Any]:
    """The report as a SARIF log; subjects are looked for in ``folder``."""
    places = {result.name: place(result.name, folder) for result in record.results}
    rules = list(CLAUSES)
    results = []
    for result, deviation, fingerprint in fingerprints(record.results):
        commands = repro_commands(record.started, result.name, deviation)
        finding: dict[str, Any] = {
            "ruleId": deviation.clause,
            "level": "error" if record.gate.fails(deviation) else "note",
            "kind": "fail",
            "message": {"text": _message(result, deviation, commands)},
            "locations": [_location(result.name, places[result.name])],
            "partialFingerprints": {NAME: fingerprint},
            "properties": _properties(deviation),
        }
        if deviation.clause in CLAUSES:
            finding["ruleIndex"] = rules.index(deviation.clause)
        if deviation.known is not None:
            finding["suppressions"] = [{"kind": "external", "justification": f"{deviation.known}: {deviation.reason}"}]
        results.append(finding)
    run = {
        "tool": {"driver": _driver(record)},
        "invocations": [_invocation(record, places)],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {
            "complete": record.finished.complete,
            "environment": dict(sorted(record.started.environment.items())),
            "verdicts": {result.name: result.verdict for result in record.results},
            "clauses": {result.name: clause_sum(result) for result in record.results if result.clauses},
            "unjudged": {result.name: _unjudged(result) for result in record.results if result.clauses},
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _unjudged(result: SubjectResult) -> dict[str, str]:
    return {clause.id: clause_note(clause) for clause in result.clauses if VERDICTS[clause.verdict].case == "skip"}


def _driver(record: Record) -> dict[str, Any]:
    return {
        "name": "rmspec",
        "version": record.started.environment.get("rmspec", "0+unknown"),
        "rules": [_rule(clause) for clause in CLAUSES.values()],
    }


def _rule(clause: Clause) -> dict[str, Any]:
    help_text = f"{clause.text}\n\nSource: {clause.source}. This rule is of the kind {clause.kind}."
    return {
        "id": clause.id,
        "shortDescription": {"text": clause.title},
        "fullDescription": {"text": clause.text},
        "help": {"text": help_text},
        "defaultConfiguration": {"level": "error" if clause.gates else "none"},
        "properties": {"tags": ["rmsprop", clause.kind]},
    }


def _message(result: SubjectResult, deviation: Deviation, commands: list[str]) -> str:
    heading = f"{result.name}: {deviation.summary.splitlines()[0] if deviation.summary else deviation.clause}"
    return plain("\n".join([heading, "", *block(deviation, commands)]))


def _properties(deviation: Deviation) -> dict[str, Any]:
    return {key: value for key, value in deviation_document(deviation).items() if not key.startswith("seconds")}


def _location(name: str, where: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(where.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": where.line},
        },
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "type"}],
    }


def _invocation(record: Record, places: dict[str, Place]) -> dict[str, Any]:
    """Describe the run; a problem without a finding is a notification of level ``error``."""
    gate = record.gate
    notes: list[dict[str, Any]] = []
    for problem in gate.problems:
        if problem.deviation is None:
            notes.append(_note("error", f"{problem.title}: {problem.text}", problem.subject, places))
    for result in record.results:
        # What the gate lets pass, because other subjects were checked.
        if result.message and not VERDICTS[result.verdict].checked and not gate.of(result.name):
            notes.append(_note("warning", "\n".join(filter(None, (result.message, result.hint))), result.name, places))
    errored = any(VERDICTS[result.verdict].case == "error" for result in record.results)
    return {
        "executionSuccessful": record.finished.complete and not errored,
        "exitCode": gate.code.value,
        "exitCodeDescription": gate.sentence,
        "toolExecutionNotifications": notes,
    }


def _note(level: str, text: str, subject: str, places: dict[str, Place]) -> dict[str, Any]:
    if not subject:
        return {"level": level, "message": {"text": plain(text)}}
    return {
        "level": level,
        "message": {"text": plain(f"{subject}: {text}")},
        "locations": [_location(subject, places[subject])],
    }
