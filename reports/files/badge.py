"""The verdict as the JSON of a badge, for https://shields.io/badges/endpoint-badge."""

from __future__ import annotations

import json

from rmspec.reports.exit_codes import ExitCode, exit_code, failing
from rmspec.reports.record import Record
from rmspec.reports.terminal.table import tallies

__all__ = ["document", "render"]

_LABEL = "rmsprop spec"


def render(record: Record, *, fail_on_hazards: bool = False) -> str:
    """The badge as the text of a JSON document."""
    return json.dumps(document(record, fail_on_hazards=fail_on_hazards), ensure_ascii=False) + "\n"


def document(record: Record, *, fail_on_hazards: bool = False) -> dict[str, object]:
    """The badge: a few words, green where the gate is open, never a colour that the reader of the page can change."""
    code = exit_code(record.results, complete=record.finished.complete, fail_on_hazards=fail_on_hazards)
    message, color = _told(code, record, fail_on_hazards)
    return {
        "schemaVersion": 1,
        "label": _LABEL,
        "message": message,
        "color": color,
        "isError": code is not ExitCode.CONFORMS,
    }


def _told(code: ExitCode, record: Record, fail_on_hazards: bool) -> tuple[str, str]:
    results = record.results
    match code:
        case ExitCode.CONFORMS:
            found = [tallies(result) for result in results]
            known = sum(each["known"] + each["inherited"] for each in found)
            return (f"conforms, {known} known" if known else "conforms"), "brightgreen"
        case ExitCode.DEVIATES:
            broken = {
                deviation.clause for each in results for deviation in failing(each, fail_on_hazards=fail_on_hazards)
            }
            return f"deviates from {len(broken)} clause{'s' if len(broken) > 1 else ''}", "red"
        case ExitCode.INTERRUPTED:
            return "interrupted", "lightgrey"
        case ExitCode.STALE:
            return "stale known deviations", "orange"
        case ExitCode.SUBJECT_FAILED:
            return "could not be checked", "orange"
        case _:
            return "nothing checked", "lightgrey"
