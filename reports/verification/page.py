"""The verification report as one HTML page: its style, its script and its plots are in it, and it asks no other host.

Every count of the page is a ``data`` element that names its place in ``report.json``, so that the two can be compared.
Text from outside is escaped, and the page's policy runs no script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Template
from markupsafe import Markup

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.properties.events import Deviation
from rmspec.properties.verdict_table import CLAUSE_VERDICTS, READING_ORDER, VERDICTS
from rmspec.reports.files.html import page_environment
from rmspec.reports.readers.json_reader import deviation_of, result_of
from rmspec.reports.stored import PROGRAMS, check_first_steps, file_commands, program_file
from rmspec.reports.terminal.table import clause_sum, tallies
from rmspec.reports.text import clause_note, evidence_lines, hexadecimal, number, other_path_lines
from rmspec.reports.verification.captions import PLOTS
from rmspec.reports.verification.pseudocode_lines import LINES, mathml
from rmspec.reports.verification.svg import draw

__all__ = ["at", "render", "report_parts"]

Data = dict[str, Any]


def render(document: Mapping[str, Any]) -> str:
    """Write the page of a document with its ``verification``."""
    verification = document["verification"]
    script = (files("rmspec.reports") / "templates" / "verification.js").read_text("utf-8")
    clauses = [
        {**clause, **_sortable(document, clause["id"]), "order": order}
        for order, clause in enumerate(verification["clauses"])
    ]
    return _template().render(
        **report_parts(document),
        summary=verification["summary"],
        clauses=sorted(clauses, key=lambda clause: CLAUSE_VERDICTS.index(clause["verdict"])),
        reasons=_reasons(document),
        worst={each["id"]: each["verdict"] for each in verification["clauses"]},
        texts=CLAUSES,
        kinds=list(dict.fromkeys(each["kind"] for each in verification["clauses"])),
        lines=[
            {**found, "math": Markup(mathml(line))}
            for found, line in zip(verification["pseudocode"], LINES, strict=True)
        ],
        drawings=_drawings(verification["figures"]),
        precedence=CLAUSE_VERDICTS,
        marks={word: row.mark for word, row in VERDICTS.items()},
        tiles={word: VERDICTS[word].label for word in READING_ORDER},
        n=lambda pointer: _figure(document, pointer),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def _drawings(figures: Mapping[str, Any]) -> dict[str, Markup]:
    """Draw the plots; none without matplotlib, of the extra ``report``."""
    if importlib.util.find_spec("matplotlib") is None:
        return {}
    return {name: Markup(draw(name, data)) for name, data in figures.items() if data is not None}


def report_parts(document: Mapping[str, Any]) -> Data:
    """Name the common content of the page and the Markdown of a document, as their templates do."""
    figures = document["verification"]["figures"]
    names = [each["name"] for each in document["subjects"]]

    def commands(subject: Data, deviation: Deviation) -> str:
        name = subject["data"]["name"]
        if deviation.sighting is not None:
            return check_first_steps(name)
        return "\n".join(file_commands(program_file(PROGRAMS, names, name, deviation), name))

    return {
        "document": document,
        "verification": document["verification"],
        "subjects": [_subject(index, data) for index, data in enumerate(document["subjects"])],
        "plots": {name: plot(figures[name]) for name, plot in PLOTS.items() if figures[name] is not None},
        "value": lambda pointer: at(document, pointer),
        "commands": commands,
    }


def at(document: Mapping[str, Any], pointer: str) -> Any:
    """Look up a place of the document, named as in RFC 6901; ``None`` for a key missing from an older report."""
    found: Any = document
    for part in pointer.split("/")[1:]:
        found = found[int(part)] if isinstance(found, list) else found.get(part.replace("~1", "/").replace("~0", "~"))
    return found


def _figure(document: Mapping[str, Any], pointer: str) -> Markup:
    value = at(document, pointer)
    if value is None:
        return Markup("")
    return Markup('<data value="{}" data-at="{}">{}</data>').format(value, pointer, number(value))


def _subject(index: int, data: Mapping[str, Any]) -> Data:
    data = {"message": "", "hint": "", "stale": [], "search": "", "versions": {}, **data}
    places = {each["id"]: place for place, each in enumerate(data["clauses"])}
    result = result_of(data)
    notes = [data[key] for key in ("message", "hint", "search") if data[key]]
    evidence = [*evidence_lines(result.evidence), *other_path_lines(result.other_paths)]
    return {
        "data": data,
        "deviations": [
            (f"/subjects/{index}/{kind}/{place}", deviation_of(each, hazard=kind == "hazards"))
            for kind in ("deviations", "hazards")
            for place, each in enumerate(data[kind])
        ],
        "evidence": evidence,
        "notes": [*notes, *evidence, *(f"stale: {each}" for each in data["stale"])],
        "places": {id: places.get(id) for id in CLAUSES},
        "tallies": tallies(result),
        "clause_sum": clause_sum(result) if result.clauses else "",
        "clause_notes": {clause.id: clause_note(clause) for clause in result.clauses},
    }


def _sortable(document: Mapping[str, Any], id: str) -> Data:
    found = [each for subject in document["subjects"] for each in subject["clauses"] if each["id"] == id]
    fractions = [float(each["worst_fraction"]) for each in found if each["worst_fraction"] is not None]
    return {"checks": sum(each["checks"] for each in found), "fraction": max(fractions, default=-1.0)}


def _reasons(document: Mapping[str, Any]) -> dict[str, int]:
    """Add the reasons of inconclusive checks up, over all subjects; the most frequent reason first."""
    counts: Counter[str] = Counter()
    for subject in document["subjects"]:
        counts.update(subject.get("inconclusive_reasons", {}))
    return dict(counts.most_common())


@cache
def _template() -> Template:
    environment = page_environment()
    environment.filters["hex"] = lambda value: hexadecimal(float(value))
    return environment.get_template("verification.html.jinja")
