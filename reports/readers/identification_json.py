"""An identification as JSON, schema ``rmspec.identification/1``; the JSON Schema is ``schemas/identification-1.json``.

What was observed is given in hexadecimal as well. The same subject and versions give the same bytes, ``seconds`` aside.
"""

from __future__ import annotations

from typing import Any

from rmspec.impl.arithmetic.amendments import spell_amendment
from rmspec.oracles.program.program import hexadecimal
from rmspec.properties.identify.answer import Contradiction, Difference, Evidence, Identification, Remainder, Switch
from rmspec.reports.documents import as_data, json_text, select_keys
from rmspec.reports.environment import version

__all__ = ["SCHEMA", "document", "render"]

SCHEMA = "rmspec.identification/1"


def render(found: Identification) -> str:
    """The identification as the text of a JSON document."""
    return json_text(document(found))


def document(found: Identification) -> dict[str, Any]:
    """The identification as JSON data."""
    own = {
        "schema": SCHEMA,
        "rmspec": version(),
        "dialects": list(found.named),
        "nearest": [{"dialect": each.name, "differs": list(each.differs)} for each in found.nearest],
        "versions": dict(sorted(found.versions.items())),
        "seconds": round(found.seconds, 3),
        "switches": [_switch(each) for each in found.switches],
        "contradictions": [_measured("contradiction", each) for each in found.contradictions],
        "differences": [_difference(difference) for difference in found.differences],
        "remainders": [_remainder(remainder) for remainder in found.remainders],
    }
    return select_keys("identification-1", "", {**as_data(found), **own})


def _switch(switch: Switch) -> dict[str, Any]:
    values = dict.fromkeys((*switch.left, *switch.ruled_out))
    return {
        "name": switch.name,
        "value": switch.value,
        "answers": [{"value": value, "answer": switch.answer(value)} for value in values],
        "reason": switch.reason,
        "evidence": [_measured("evidence", each) for each in switch.evidence],
    }


def _difference(difference: Difference) -> dict[str, Any]:
    amendment = difference.amendment
    return {
        "clause": amendment.clause,
        "words": amendment.words(),
        "amendment": spell_amendment(amendment),
        "ties": [{"words": tie.words(), "amendment": spell_amendment(tie)} for tie in difference.ties],
        **_evidence(difference.evidence),
    }


def _remainder(remainder: Remainder) -> dict[str, Any]:
    return {
        "words": remainder.words(),
        "role": remainder.role,
        "branch": dict(remainder.branch),
        "formats": list(remainder.formats),
        **_evidence(remainder.evidence),
    }


def _evidence(evidence: Contradiction | None) -> dict[str, Any]:
    return {} if evidence is None else {"evidence": _measured("contradiction", evidence)}


def _measured(definition: str, each: Evidence | Contradiction) -> dict[str, Any]:
    return select_keys("identification-1", definition, {**as_data(each), "observed_hex": hexadecimal(each.observed)})
