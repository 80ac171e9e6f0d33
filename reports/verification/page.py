"""The verification report as one HTML page: its style, its script and its plots are in it, and it asks no other host.

Every count of the page is a ``data`` element that names its place in ``report.json``, so that the two can be compared.
Text from outside is escaped, and the page's policy runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.properties.events import Deviation
from rmspec.properties.verdict_table import CLAUSE_VERDICTS, READING_ORDER, VERDICTS
from rmspec.reports.files.html import page_environment
from rmspec.reports.readers.json_reader import deviation_of, result_of
from rmspec.reports.stored import PROGRAMS, file_commands, program_file
from rmspec.reports.terminal.table import tallies
from rmspec.reports.text import hexadecimal
from rmspec.reports.verification.captions import PLOTS
from rmspec.reports.verification.pseudocode_lines import LINES, mathml
from rmspec.reports.verification.svg import DRAWINGS, draw

__all__ = ["at", "number", "render"]

Data = dict[str, Any]


def render(document: Mapping[str, Any]) -> str:
    """Write the page of a document with its ``verification``."""
    verification = document["verification"]
    script = _script()
    subjects = [_subject(document, index) for index in range(len(document["subjects"]))]
    environment = _environment()
    template = environment.get_template("verification.html.jinja")
    return template.render(
        document=document,
        summary=verification["summary"],
        subjects=subjects,
        clauses=sorted(
            (
                {**clause, **_sortable(document, clause["id"]), "order": order}
                for order, clause in enumerate(verification["clauses"])
            ),
            key=lambda clause: CLAUSE_VERDICTS.index(clause["verdict"]),
        ),
        reasons=_reasons(document),
        worst={each["id"]: each["verdict"] for each in verification["clauses"]},
        texts=CLAUSES,
        kinds=list(dict.fromkeys(each["kind"] for each in verification["clauses"])),
        lines=[
            {**found, "math": Markup(mathml(line))}
            for found, line in zip(verification["pseudocode"], LINES, strict=True)
        ],
        plots=_plots(verification["figures"]),
        readings=verification["interpretations"],
        blind_spots=verification["blind_spots"],
        strength=verification["strength"],
        precedence=CLAUSE_VERDICTS,
        marks={word: row.mark for word, row in VERDICTS.items()},
        tiles={word: VERDICTS[word].label for word in READING_ORDER},
        n=lambda pointer: _figure(document, pointer),
        value=lambda pointer: at(document, pointer),
        commands=lambda subject, deviation: "\n".join(
            file_commands(
                program_file(
                    PROGRAMS, [each["name"] for each in document["subjects"]], subject["data"]["name"], deviation
                )
            )
        ),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def at(document: Mapping[str, Any], pointer: str) -> Any:
    """Look up a place of the document, named as in RFC 6901; ``None`` for a key missing from an older report."""
    found: Any = document
    for part in pointer.split("/")[1:]:
        found = found[int(part)] if isinstance(found, list) else found.get(part.replace("~1", "/").replace("~0", "~"))
    return found


def number(value: Any) -> str:
    """A number of the document as it is printed; nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{float(value):.4g}" if math.isfinite(float(value)) else str(value)


def _figure(document: Mapping[str, Any], pointer: str) -> Markup:
    value = at(document, pointer)
    if value is None:
        return Markup("")
    return Markup('<data value="{}" data-at="{}">{}</data>').format(value, pointer, number(value))


def _subject(document: Mapping[str, Any], index: int) -> Data:
    data = document["subjects"][index]
    told: dict[str, list[tuple[str, Deviation]]] = {}
    for kind in ("deviations", "hazards"):
        for place, each in enumerate(data[kind]):
            deviation = deviation_of(each, hazard=kind == "hazards")
            told.setdefault(each["clause"], []).append((f"/subjects/{index}/{kind}/{place}", deviation))
    places = {each["id"]: place for place, each in enumerate(data["clauses"])}
    return {
        "data": {"message": "", "hint": "", "stale": [], "search": "", "versions": {}, **data},
        "told": told,
        "places": {id: places.get(id) for id in CLAUSES},
        "tallies": tallies(result_of(data)),
    }


def _sortable(document: Mapping[str, Any], id: str) -> Data:
    found = [each for subject in document["subjects"] for each in subject["clauses"] if each["id"] == id]
    fractions = [float(each["worst_fraction"]) for each in found if each["worst_fraction"] is not None]
    return {"checks": sum(each["checks"] for each in found), "fraction": max(fractions, default=-1.0)}


def _reasons(document: Mapping[str, Any]) -> dict[str, int]:
    """Add the reasons of inconclusive checks up, over all subjects; the most frequent reason first."""
    counts: dict[str, int] = {}
    for subject in document["subjects"]:
        for reason, checks in subject.get("inconclusive_reasons", {}).items():
            counts[reason] = counts.get(reason, 0) + checks
    return dict(sorted(counts.items(), key=lambda pair: -pair[1]))


def _plots(figures: Mapping[str, Any]) -> Data:
    return {
        name: {**PLOTS[name](figures[name]), "svg": Markup(draw(name, figures[name]))}
        for name in DRAWINGS
        if figures[name] is not None
    }


@cache
def _environment() -> Environment:
    environment = page_environment()
    environment.filters["hex"] = lambda value: hexadecimal(float(value))
    return environment


@cache
def _script() -> str:
    return (files("rmspec.reports") / "templates" / "verification.js").read_text("utf-8")
