"""The interpretations: the clauses left open by the page, and the behaviour of each subject and each oracle.

What the oracles do that are not among the subjects of a report is stored: ``data/oracles.json``, which
``python tests/bench/stored.py oracles`` makes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.reports.documents import stored_json

__all__ = ["behaviour", "interpretations"]


def behaviour(subject: Mapping[str, Any], clause: str) -> dict[str, Any]:
    """The behaviour of a subject of a report under a clause: the verdict, and the behaviour in words."""
    found = next((each for each in subject["clauses"] if each["id"] == clause), None)
    if found is None:
        return {"verdict": "not-checked", "behaviour": subject.get("message") or subject["verdict"]}
    told = [_told(each) for each in subject["deviations"] if each["clause"] == clause]
    verdict = str(found["verdict"])
    if told:
        return {"verdict": verdict, "behaviour": "; ".join(dict.fromkeys(told))}
    words = {"conforms": "as read", "inconclusive": "every check was inconclusive"}
    if found.get("hidden_by"):
        words["hidden"] = f"hidden by {', '.join(found['hidden_by'])}"
    return {"verdict": verdict, "behaviour": words.get(verdict) or found.get("reason") or verdict}


def interpretations(subjects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each interpretation with the behaviour of the subjects of a report, and of the stored oracles beside them."""
    stored: dict[str, Any] = stored_json("data/oracles.json")
    names = {each["name"] for each in subjects if each["clauses"]}
    others = [each for each in stored["oracles"] if each["name"] not in names]
    return {
        "provenance": stored["provenance"],
        "oracles": [{"name": each["name"], "versions": each["versions"]} for each in others],
        "clauses": [
            {
                "id": id,
                "gates": CLAUSES[id].gates,
                "reading": CLAUSES[id].source,
                "subjects": [{"name": each["name"], **behaviour(each, id)} for each in subjects],
                "oracles": [{"name": each["name"], **_stored(each, id)} for each in others],
            }
            for id in _ids()
        ],
    }


def _stored(oracle: Mapping[str, Any], id: str) -> dict[str, Any]:
    found: dict[str, Any] = oracle["behaviours"].get(
        id, {"verdict": "not-checked", "behaviour": "was not a clause then"}
    )
    return found


def _told(deviation: Mapping[str, Any]) -> str:
    known = f" ({deviation['known']})" if deviation["known"] else ""
    return f"{deviation.get('reason') or deviation['summary']}{known}"


def _ids() -> list[str]:
    return [id for id, clause in CLAUSES.items() if clause.kind == "interpretation"]
