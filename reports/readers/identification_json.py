"""An identification as JSON, schema ``rmspec.identification/1``; the JSON Schema is ``schemas/identification-1.json``.

Numbers are JSON numbers where they are finite, and the strings ``"nan"``, ``"inf"``, ``"-inf"`` where they are not; what
was observed is given in hexadecimal as well. The same subject and versions give the same bytes, ``seconds`` aside.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from rmspec.oracles.program.program import hexadecimal, to_json
from rmspec.properties.identify.answer import Contradiction, Evidence, Identification, Switch
from rmspec.reports.environment import version
from rmspec.reports.files.json import json_number

__all__ = ["SCHEMA", "document", "render", "schema"]

SCHEMA = "rmspec.identification/1"


def render(found: Identification) -> str:
    """The identification as the text of a JSON document."""
    return json.dumps(document(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    text = (files("rmspec.reports") / "schemas" / "identification-1.json").read_text("utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def document(found: Identification) -> dict[str, Any]:
    """The identification as JSON data."""
    return {
        "schema": SCHEMA,
        "rmspec": version(),
        "name": found.name,
        "standing": found.standing,
        "dialects": list(found.named),
        "nearest": [{"dialect": each.name, "differs": list(each.differs)} for each in found.nearest],
        "family": found.family,
        "framework": found.framework,
        "versions": dict(sorted(found.versions.items())),
        "format": found.format,
        "options": {name: json_number(value) for name, value in found.options.items()},
        "message": found.message,
        "programs": found.programs,
        "seconds": round(found.seconds, 3),
        "switches": [_switch(each) for each in found.switches],
        "contradictions": [_contradiction(each) for each in found.contradictions],
    }


def _switch(switch: Switch) -> dict[str, Any]:
    values = dict.fromkeys((*switch.left, *switch.ruled_out))
    return {
        "name": switch.name,
        "value": switch.value,
        "answers": [{"value": value, "answer": switch.answer(value)} for value in values],
        "reason": switch.reason,
        "evidence": [_evidence(each) for each in switch.evidence],
    }


def _evidence(each: Evidence) -> dict[str, Any]:
    return {
        "value": each.value,
        "role": each.role,
        "call": each.call,
        "observed": json_number(each.observed),
        "observed_hex": hexadecimal(each.observed),
        "expected": _ends(each.expected),
        "predicted": _ends(each.predicted),
        "program": to_json(each.program),
    }


def _contradiction(each: Contradiction) -> dict[str, Any]:
    return {
        "clause": each.clause,
        "summary": each.summary,
        "observed": json_number(each.observed),
        "observed_hex": hexadecimal(each.observed),
        "allowed": _ends(each.allowed),
        "program": to_json(each.program),
    }


def _ends(bounds: tuple[float, float]) -> list[float | str]:
    return [json_number(end) for end in bounds]
