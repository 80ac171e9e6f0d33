"""The verdict as the JSON of a badge, for https://shields.io/badges/endpoint-badge."""

from __future__ import annotations

import json

from rmspec.reports.exit_codes import WORDS, ExitCode
from rmspec.reports.record import Record
from rmspec.reports.terminal.table import tallies

__all__ = ["document", "render"]

_LABEL = "rmsprop spec"

_COLORS = {
    ExitCode.CONFORMS: "brightgreen",
    ExitCode.DEVIATES: "red",
    ExitCode.STALE: "orange",
    ExitCode.SUBJECT_FAILED: "orange",
    ExitCode.INTERNAL: "orange",
}
"""The colours of exit codes; grey for the others."""


def render(record: Record) -> str:
    """The badge as the text of a JSON document."""
    return json.dumps(document(record)) + "\n"


def document(record: Record) -> dict[str, object]:
    """Make the badge: a few words, green for an open gate."""
    code = record.gate.code
    return {
        "schemaVersion": 1,
        "label": _LABEL,
        "message": _message(record),
        "color": _COLORS.get(code, "lightgrey"),
        "isError": code is not ExitCode.CONFORMS,
    }


def _message(record: Record) -> str:
    gate = record.gate
    behind = f", {gate.hidden} hidden" if gate.hidden else ""
    if gate.code is ExitCode.CONFORMS:
        counts = [tallies(result) for result in record.results]
        known = sum(count["known"] + count["inherited"] for count in counts)
        return f"conforms{f', {known} known' if known else ''}{behind}"
    if gate.code is ExitCode.DEVIATES:
        broken = {problem.deviation.clause for problem in gate.problems if problem.deviation is not None}
        return f"deviates from {len(broken)} clause{'s' if len(broken) > 1 else ''}{behind}"
    return WORDS[gate.code]
