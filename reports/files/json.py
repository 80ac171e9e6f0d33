"""The report as JSON, schema ``rmspec.report/1``; the JSON Schema is ``schemas/report-1.json``.

The same run gives the same bytes, apart from the values of keys that begin with ``seconds``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.lines.usage import EDGES, EVERY, UseCounts
from rmspec.properties.trajectory import FORMAT, HYPER, OBJECTIVE, Trajectory
from rmspec.reports.documents import as_data, json_text, select_keys
from rmspec.reports.record import Record
from rmspec.reports.terminal.table import clause_counts
from rmspec.reports.text import element_count

__all__ = ["SCHEMA", "deviation_document", "document", "render", "result_document"]

SCHEMA = "rmspec.report/1"


def render(record: Record) -> str:
    """The report as the text of a JSON document."""
    return json_text(document(record))


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
    data = as_data(replace(result, clauses=(), deviations=(), hazards=()))
    own = {
        "versions": dict(sorted(result.versions.items())),
        "seconds": round(result.seconds, 3),
        "clauses": [select_keys("report-1", "clause", as_data(item)) for item in result.clauses],
        "hazards": [deviation_document(item) for item in result.hazards],
        "deviations": [deviation_document(item) for item in result.deviations],
        "clause_counts": clause_counts(result),
        "envelope_use": _use(result.envelope_use),
        "trajectory": None if result.trajectory is None else _trajectory(result.trajectory),
    }
    for key in ("speaks", "evidence"):
        if data[key] is None:
            del data[key]
    return select_keys("report-1", "subject", {**data, **own})


def _use(use: Mapping[str, UseCounts]) -> dict[str, Any]:
    return {"every": EVERY, "edges_ulp": as_data(EDGES), "formats": as_data(use)}


def _trajectory(trajectory: Trajectory) -> dict[str, Any]:
    options = {name: HYPER.option(name) for name in ("lr", "alpha", "eps")}
    return {"objective": OBJECTIVE, "format": FORMAT, "options": options, **as_data(trajectory)}


def deviation_document(deviation: Deviation) -> dict[str, Any]:
    """One deviation or hazard of the report as JSON data."""
    own = {
        "seconds_to_first": round(deviation.seconds_to_first, 3),
        "amendment": dict(deviation.amendment) or None,
        "calls": len(deviation.program.calls),
        "elements": element_count(deviation.program),
        "script": standalone_script(deviation),
    }
    return select_keys("report-1", "deviation", {**as_data(deviation), **own})
