"""The report as SARIF 2.1.0, for code hosts that track findings from run to run.

Each clause is a rule, each deviation a result with a fingerprint that stays (see ``fingerprint``) and a place in the
project (see ``places``). What is known or inherited is suppressed, with its reason; a hazard is a note unless it fails
the gate; trouble with a subject, stale entries and an interruption are notifications of the invocation. The same run
gives the same bytes, and no path is in them but those that were typed.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rmspec.impl.spec.clauses import CLAUSES, Clause
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.files.fingerprint import NAME, fingerprints
from rmspec.reports.files.json import deviation_document
from rmspec.reports.files.locations import Place, place
from rmspec.reports.record import Record
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block
from rmspec.reports.text import plain

__all__ = ["SCHEMA", "document", "render"]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(record: Record, *, repro_dir: str | None = None, fail_on_hazards: bool = False) -> str:
    """The report as the text of a SARIF log; ``repro_dir`` is where the run stored its programs."""
    found = document(record, Path.cwd(), repro_dir=repro_dir, fail_on_hazards=fail_on_hazards)
    return json.dumps(found, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def document(
    record: Record, folder: Path, *, repro_dir: str | None = None, fail_on_hazards: bool = False
) -> dict[str, Any]:
    """The report as a SARIF log; subjects are looked for in ``folder``."""
    subjects = [result.name for result in record.results]
    places = {name: place(name, folder) for name in subjects}
    rules = list(CLAUSES)
    results = []
    for result, deviation, fingerprint in fingerprints(record.results):
        commands = repro_commands(repro_dir, subjects, result.name, deviation)
        found: dict[str, Any] = {
            "ruleId": deviation.clause,
            "level": _level(deviation, fail_on_hazards),
            "kind": "fail",
            "message": {"text": _message(result, deviation, commands)},
            "locations": [_location(result.name, places[result.name])],
            "partialFingerprints": {NAME: fingerprint},
            "properties": _properties(deviation),
        }
        if deviation.clause in CLAUSES:
            found["ruleIndex"] = rules.index(deviation.clause)
        if deviation.known is not None:
            found["suppressions"] = [{"kind": "external", "justification": f"{deviation.known}: {deviation.reason}"}]
        results.append(found)
    run = {
        "tool": {"driver": _driver(record)},
        "invocations": [_invocation(record, places)],
        "results": results,
        "columnKind": "unicodeCodePoints",
        "properties": {
            "complete": record.finished.complete,
            "environment": dict(sorted(record.started.environment.items())),
            "verdicts": {result.name: result.verdict for result in record.results},
        },
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _driver(record: Record) -> dict[str, Any]:
    return {
        "name": "rmspec",
        "version": record.started.environment.get("rmspec", "0+unknown"),
        "rules": [_rule(each) for each in CLAUSES.values()],
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


def _level(deviation: Deviation, fail_on_hazards: bool) -> str:
    if deviation.known is not None or (deviation.hazard and not fail_on_hazards):
        return "note"
    return "error"


def _message(result: SubjectResult, deviation: Deviation, commands: list[str]) -> str:
    heading = f"{result.name}: {deviation.summary.splitlines()[0] if deviation.summary else deviation.clause}"
    return plain("\n".join([heading, "", *block(deviation, commands)]))


def _properties(deviation: Deviation) -> dict[str, Any]:
    """The deviation as in the JSON report, without what differs from run to run."""
    return {key: value for key, value in deviation_document(deviation).items() if not key.startswith("seconds")}


def _location(name: str, found: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(found.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": found.line},
        },
        "logicalLocations": [{"fullyQualifiedName": name, "kind": "type"}],
    }


def _invocation(record: Record, places: dict[str, Place]) -> dict[str, Any]:
    notes: list[dict[str, Any]] = []
    if not record.finished.complete:
        text = "The run was interrupted: this log holds what was known by then."
        notes.append({"level": "error", "message": {"text": text}})
    for result in record.results:
        where = [_location(result.name, places[result.name])]
        if result.message and result.verdict in ("errored", "unsupported"):
            level = "error" if result.verdict == "errored" else "warning"
            text = plain("\n".join(part for part in (f"{result.name}: {result.message}", result.hint) if part))
            notes.append({"level": level, "message": {"text": text}, "locations": where})
        for stale in result.stale:
            text = plain(f"{result.name}: stale known deviation {stale}")
            notes.append({"level": "error", "message": {"text": text}, "locations": where})
    errored = any(result.verdict == "errored" for result in record.results)
    return {
        "executionSuccessful": record.finished.complete and not errored,
        "toolExecutionNotifications": notes,
    }
