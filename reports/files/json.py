"""The report as JSON, schema ``rmspec.report/1``; the JSON Schema is ``schemas/report-1.json``. Source: DESIGN 4.3.

The same run gives the same bytes, apart from the values of keys that begin with ``seconds``. Numbers are JSON numbers
where they are finite, and the strings ``"nan"``, ``"inf"``, ``"-inf"`` where they are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from rmspec.oracles.program.program import to_json
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import ClauseResult, Deviation, SubjectResult
from rmspec.properties.judge.usage import EDGES, EVERY, UseCounts, UsedElement
from rmspec.properties.trajectory import FORMAT, HYPER, OBJECTIVE, Trajectory
from rmspec.reports.record import Record
from rmspec.reports.text import element_count

__all__ = [
    "SCHEMA",
    "deviation_document",
    "document",
    "json_evidence",
    "json_number",
    "render",
    "result_document",
    "schema",
]

SCHEMA = "rmspec.report/1"


def render(record: Record) -> str:
    """The report as the text of a JSON document."""
    return json.dumps(document(record), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of the report."""
    data: dict[str, Any] = json.loads((files("rmspec.reports") / "schemas" / "report-1.json").read_text("utf-8"))
    return data


def document(record: Record) -> dict[str, Any]:
    """The report as JSON data."""
    return {
        "schema": SCHEMA,
        "complete": record.finished.complete,
        "exit_code": record.gate.code.value,
        "seconds": round(record.finished.seconds, 3),
        "environment": dict(sorted(record.started.environment.items())),
        "subjects": [result_document(result) for result in record.results],
    }


def result_document(result: SubjectResult) -> dict[str, Any]:
    """One subject of the report as JSON data."""
    return {
        "name": result.name,
        "verdict": result.verdict,
        "complete": result.complete,
        "dialect": result.dialect,
        "policy": result.policy,
        "framework": result.framework,
        "versions": dict(sorted(result.versions.items())),
        "formats": list(result.formats),
        "state_visible": list(result.state_visible),
        "seconds": round(result.seconds, 3),
        "programs": result.programs,
        "steps": result.steps,
        "element_checks": result.element_checks,
        "inconclusive_checks": result.inconclusive_checks,
        "inconclusive_reasons": dict(result.inconclusive_reasons),
        "message": result.message,
        "hint": result.hint,
        "search": result.search,
        "stale": list(result.stale),
        "clauses": [_clause(item) for item in result.clauses],
        "hazards": [deviation_document(item) for item in result.hazards],
        "deviations": [deviation_document(item) for item in result.deviations],
        "envelope_use": _use(result.envelope_use),
        "trajectory": None if result.trajectory is None else _trajectory(result.trajectory),
    }


def _clause(clause: ClauseResult) -> dict[str, Any]:
    return {
        "id": clause.id,
        "checks": clause.checks,
        "inconclusive": clause.inconclusive,
        "verdict": clause.verdict,
        "worst_fraction": None if clause.worst_fraction is None else json_number(clause.worst_fraction),
        "reason": clause.reason,
        "worst": None if clause.worst is None else _worst(clause.worst),
    }


def _worst(worst: UsedElement) -> dict[str, Any]:
    return {
        "role": worst.role,
        "format": worst.format,
        "observed": json_number(worst.observed),
        "allowed": [json_number(end) for end in worst.allowed],
        "before": {name: json_number(value) for name, value in worst.before.items()},
        "options": {
            name: value if isinstance(value, bool) else json_number(value) for name, value in worst.options.items()
        },
        "step": worst.step,
    }


def _use(use: Mapping[str, UseCounts]) -> dict[str, Any]:
    return {
        "every": EVERY,
        "edges_ulp": [json_number(edge) for edge in EDGES],
        "formats": {
            name: {"results": counts.results, "used": list(counts.used), "allowed": list(counts.allowed)}
            for name, counts in use.items()
        },
    }


def _trajectory(trajectory: Trajectory) -> dict[str, Any]:
    options = {name: HYPER.option(name) for name in ("lr", "alpha", "eps")}
    return {
        "objective": OBJECTIVE,
        "format": FORMAT,
        "options": options,
        "theta": [json_number(value) for value in trajectory.theta],
        "stopped": trajectory.stopped,
    }


def deviation_document(deviation: Deviation) -> dict[str, Any]:
    """One deviation or hazard of the report as JSON data."""
    return {
        "clause": deviation.clause,
        "summary": deviation.summary,
        "known": deviation.known,
        "reason": deviation.reason,
        "seconds_to_first": round(deviation.seconds_to_first, 3),
        "kind": deviation.kind,
        "call": deviation.call,
        "param": deviation.param,
        "role": deviation.role,
        "element": deviation.element,
        "occurrences": deviation.occurrences,
        "calls": len(deviation.program.calls),
        "elements": element_count(deviation.program),
        **json_evidence(deviation),
        "program": to_json(deviation.program),
        "script": standalone_script(deviation),
    }


def json_number(value: float) -> float | str:
    """A number as JSON has it: ``"nan"``, ``"inf"`` and ``"-inf"`` are strings."""
    return float(value) if math.isfinite(value) else str(float(value))


def json_evidence(deviation: Deviation) -> dict[str, Any]:
    """The observed value of a deviation and the allowed interval, as JSON data."""
    observed = deviation.observed
    return {
        "observed": observed if observed is None or isinstance(observed, str) else json_number(observed),
        "allowed": None if deviation.allowed is None else [json_number(end) for end in deviation.allowed],
    }
