"""The verification of a report: its claim in one sentence, the matrix, the pseudocode, figures and the rest.

Plain data, added to the JSON document of a run as ``verification``; the page and the Markdown are rendered from that
document alone. Every count in it is a count of what the document holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.dialects import statement
from rmspec.properties.verdict_table import READING_ORDER, VERDICTS, first_verdict
from rmspec.reports.verification.blindspots import blind_spots
from rmspec.reports.verification.figures import figures
from rmspec.reports.verification.interpretations import interpretations
from rmspec.reports.verification.pseudocode_lines import LINES
from rmspec.reports.verification.strength import strength

__all__ = ["verified"]

Data = dict[str, Any]


def verified(document: Mapping[str, Any]) -> Data:
    """The document of a run with its ``verification``."""
    subjects: list[Data] = document["subjects"]
    return {
        **document,
        "verification": {
            "summary": _summary(document),
            "clauses": [_clause(id, subjects) for id in CLAUSES],
            "pseudocode": [
                {
                    "text": line.text,
                    "latex": line.latex,
                    "indent": line.indent,
                    "clauses": list(line.clauses),
                    "verdict": first_verdict([_verdict(each, id) for each in subjects for id in line.clauses]),
                    "verdicts": [first_verdict([_verdict(each, id) for id in line.clauses]) for each in subjects],
                }
                for line in LINES
            ],
            "figures": figures(subjects),
            "interpretations": interpretations(subjects),
            "blind_spots": list(blind_spots()),
            "strength": strength(),
        },
    }


def _summary(document: Mapping[str, Any]) -> Data:
    subjects: list[Data] = document["subjects"]
    by_subject = [{"name": each["name"], **_counts([_verdict(each, id) for id in CLAUSES])} for each in subjects]
    counts = _counts([_verdict(each, id) for each in subjects for id in CLAUSES])
    totals = {
        key: sum(each[key] for each in subjects)
        for key in ("programs", "steps", "element_checks", "inconclusive_checks")
    }
    return {
        "sentence": _sentence(document, counts, totals),
        "clauses": len(CLAUSES),
        "verdicts": sum(counts.values()),
        "counts": counts,
        "subjects": by_subject,
        "new": [
            {"subject": index, "clause": deviation["clause"], "summary": deviation["summary"]}
            for index, subject in enumerate(subjects)
            for deviation in sorted(subject["deviations"], key=lambda deviation: int(deviation["calls"]))
            if deviation["known"] is None
        ],
        "totals": {
            **totals,
            "hazards": sum(len(each["hazards"]) for each in subjects),
            "stale": sum(len(each.get("stale", ())) for each in subjects),
        },
    }


def _sentence(document: Mapping[str, Any], counts: Mapping[str, int], totals: Mapping[str, int]) -> str:
    subjects = document["subjects"]
    names = _listed([each["name"] for each in subjects])
    told = "; ".join(
        f"{counts[word]:,} {VERDICTS[word].one if counts[word] == 1 else VERDICTS[word].many}" for word in READING_ORDER
    )
    cut = "" if document["complete"] else ", in a run that was interrupted before its end,"
    whom = "the subject" if len(subjects) == 1 else f"each of the {len(subjects)} subjects"
    spoken = [
        f"{each['dialect']} for {each['name']}" for each in subjects if each["dialect"] not in ("", SPECIFICATION.name)
    ]
    stated = f" as these dialects state it ({_listed(spoken)})" if spoken else ""
    return (
        f"rmspec {document['environment']['rmspec']} compared {whom} {names}{cut} with the {len(CLAUSES)} clauses of the RMSprop "
        f"specification{stated}, in {totals['programs']:,} runs of programs with {totals['steps']:,} steps and "
        f"{totals['element_checks']:,} checks of elements under the policy {document['environment']['policy']}; "
        f"of the {sum(counts.values()):,} pairs of a clause and a subject, {told}."
    )


def _clause(id: str, subjects: Sequence[Mapping[str, Any]]) -> Data:
    clause = CLAUSES[id]
    return {
        "id": id,
        "title": clause.title,
        "kind": clause.kind,
        "text": clause.text,
        "source": clause.source,
        "gates": clause.gates,
        "verdict": first_verdict([_verdict(each, id) for each in subjects]),
        "verdicts": [_verdict(each, id) for each in subjects],
        # What the clause states in the dialect that the subject is compared with, where that is not what the page states.
        "stated": [_stated(id, each) for each in subjects],
    }


def _stated(id: str, subject: Mapping[str, Any]) -> str:
    told = statement(id, subject["dialect"])
    return "" if told == CLAUSES[id].title else told.removesuffix(f" ({subject['dialect']})")


def _verdict(subject: Mapping[str, Any], id: str) -> str:
    return next((str(each["verdict"]) for each in subject["clauses"] if each["id"] == id), "not-checked")


def _counts(verdicts: Sequence[str]) -> dict[str, int]:
    return {word: verdicts.count(word) for word in READING_ORDER}


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
