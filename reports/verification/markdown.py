"""The verification report as Markdown: the content of the page, with its plots as words and numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmspec.properties.verdict_table import READING_ORDER, VERDICTS
from rmspec.reports.files.markdown import fence, inline, table, told
from rmspec.reports.readers.json_reader import deviation_of, result_of
from rmspec.reports.stored import PROGRAMS, file_commands, program_file
from rmspec.reports.terminal.failure_block import count
from rmspec.reports.terminal.table import tallies
from rmspec.reports.verification.captions import PLOTS
from rmspec.reports.verification.page import number

__all__ = ["render"]

Data = Mapping[str, Any]


def render(document: Data) -> str:
    """Write a document with its ``verification`` as Markdown."""
    verification = document["verification"]
    lines = ["# RMSprop verification report", ""]
    if not document["complete"]:
        lines += ["**Incomplete: the run was interrupted. This report holds what was known by then.**", ""]
    lines += [inline(verification["summary"]["sentence"]), ""]
    counts = verification["summary"]["counts"]
    lines += table(
        ("verdict", "clauses by subjects"),
        [(f"{VERDICTS[n].mark} {VERDICTS[n].label}", f"{counts[n]:,}") for n in READING_ORDER],
    )
    lines += _subjects(document)
    environment = "; ".join(f"{name} {text}" for name, text in document["environment"].items())
    lines += [inline(environment), "", "A search that finds no deviation is no proof that there is none.", ""]
    lines += _matrix(document)
    lines += _pseudocode(verification)
    for index, subject in enumerate(document["subjects"]):
        lines += _evidence(document, index, subject)
    lines += _plots(verification["figures"])
    lines += _interpretations(verification["interpretations"])
    lines += [
        "## Blind spots",
        "",
        "rmspec does not check:",
        "",
        *(f"- {inline(e)}" for e in verification["blind_spots"]),
        "",
    ]
    lines += _strength(verification["strength"])
    return "\n".join(lines).rstrip() + "\n"


def _subjects(document: Data) -> list[str]:
    rows = []
    notes = []
    for subject in document["subjects"]:
        found = tallies(result_of(subject))
        versions = ", ".join(f"{name} {version}" for name, version in sorted(subject.get("versions", {}).items()))
        keys = ("programs", "steps", "element_checks", "inconclusive_checks")
        rows.append(
            (
                inline(subject["name"]),
                f"**{subject['verdict']}**",
                inline(subject["dialect"] or "-"),
                subject["policy"],
                inline(versions),
                *(f"{found[name]:,}" for name in ("new", "known", "inherited", "hazards")),
                *(f"{subject[key]:,}" for key in keys),
            )
        )
        parts = [subject.get(key, "") for key in ("message", "hint", "search")]
        told_of = [*(part for part in parts if part), *(f"stale: {each}" for each in subject.get("stale", ()))]
        notes += [f"- {inline(subject['name'])}: {inline(each)}" for each in told_of]
    head = (
        "subject",
        "verdict",
        "against",
        "policy",
        "versions",
        "new",
        "known",
        "inherited",
        "hazards",
        "programs",
        "steps",
    )
    return [*table((*head, "element checks", "inconclusive"), rows), *notes, *([""] if notes else [])]


def _matrix(document: Data) -> list[str]:
    subjects = document["subjects"]
    checks = [{each["id"]: each["checks"] for each in subject["clauses"]} for subject in subjects]
    rows = [
        (
            clause["id"],
            inline(clause["title"]),
            clause["kind"],
            *(
                f"{VERDICTS[verdict].mark} {verdict}"
                + (f" ({held[clause['id']]:,})" if clause["id"] in held else "")
                + (f": {inline(stated)}" if stated else "")
                for verdict, held, stated in zip(clause["verdicts"], checks, clause["stated"], strict=True)
            ),
        )
        for clause in document["verification"]["clauses"]
    ]
    head = ("clause", "statement", "kind", *(inline(each["name"]) for each in subjects))
    return ["## Clauses by subjects", "", "In brackets the number of checks.", "", *table(head, rows)]


def _pseudocode(verification: Data) -> list[str]:
    rows: list[tuple[str, ...]] = [
        (
            "&nbsp;" * (4 * line["indent"]) + inline(line["text"]),
            f"{VERDICTS[line['verdict']].mark} {line['verdict']}",
            ", ".join(line["clauses"]),
        )
        for line in verification["pseudocode"]
    ]
    return ["## Pseudocode", "", *table(("line", "gravest verdict", "clauses"), rows)]


def _evidence(document: Data, index: int, subject: Data) -> list[str]:
    lines = [f"## {inline(subject['name'])}", ""]
    names = [each["name"] for each in document["subjects"]]
    for kind in ("deviations", "hazards"):
        for data in subject[kind]:
            deviation = deviation_of(data, hazard=kind == "hazards")
            known = f" ({deviation.known})" if deviation.known else ""
            word = "Hazard of the formula" if deviation.hazard else "Deviation"
            lines += [f"### {word}: {deviation.clause}{inline(known)}", ""]
            lines += [inline(deviation.reason), ""] if deviation.reason else []
            lines += told(deviation)
            met = (
                f"first met after {number(deviation.seconds_to_first)} s, in {count(deviation.occurrences, 'program')}"
            )
            lines += [met, ""]
            commands = file_commands(program_file(PROGRAMS, names, subject["name"], deviation))
            lines += ["Reproduce it, from the folder of this report:", "", *fence("\n".join(commands), "sh"), ""]
            if data["script"]:
                lines += ["Or with this script:", "", *fence(data["script"].rstrip(), "python"), ""]
    if subject["clauses"]:
        rows = [_clause(each) for each in subject["clauses"]]
        head = ("clause", "verdict", "checks", "inconclusive", "largest share of an envelope", "by the element", "note")
        lines += [f"### Clauses of {inline(subject['name'])}", "", *table(head, rows)]
    return lines


def _clause(clause: Data) -> tuple[str, ...]:
    worst = clause.get("worst")
    element = (
        "" if worst is None else f"{worst['role']} {worst['observed']!r} ({worst['format']}) in {worst['allowed']!r}"
    )
    return (
        clause["id"],
        clause["verdict"],
        f"{clause['checks']:,}",
        f"{clause['inconclusive']:,}",
        number(clause["worst_fraction"]),
        inline(element),
        inline(clause.get("reason", "")),
    )


def _plots(figures: Data) -> list[str]:
    lines = [
        "## Plots",
        "",
        "Drawn in `report.html`; their numbers are in `report.json`, under `verification/figures`.",
        "",
    ]
    for name, plot in PLOTS.items():
        if figures[name] is not None:
            found = plot(figures[name])
            lines += [f"- {inline(found['title'])}. {inline(found['caption'])}"]
    return [*lines, ""]


def _interpretations(found: Data) -> list[str]:
    lines = ["## Interpretations", "", "What the page leaves open, and what each subject and each oracle does.", ""]
    if found["oracles"]:
        stored = found["provenance"]
        lines += [f"Oracles in italics are stored, of {stored['date']}, by `{stored['command']}`.", ""]
    rows: list[tuple[str, ...]] = []
    for clause in found["clauses"]:
        pairs = [(inline(each["name"]), each) for each in clause["subjects"]]
        pairs += [(f"*{inline(each['name'])}*", each) for each in clause["oracles"]]
        rows += [(clause["id"], name, each["verdict"], inline(each["behaviour"])) for name, each in pairs]
    return [*lines, *table(("clause", "who", "verdict", "behaviour"), rows)]


def _strength(strength: Data) -> list[str]:
    keys = ("faults", "caught", "named", "seconds_median", "seconds_slowest", "calls_median", "calls_longest")
    rows = [
        (str(row["class"]), inline(row["title"]), *(number(row[key]) for key in keys)) for row in strength["classes"]
    ]
    rows.append(("", "**all**", *(number(strength["total"][key]) for key in keys)))
    head = (
        "class",
        "what goes wrong",
        "faults",
        "caught",
        "named",
        "median, s",
        "slowest, s",
        "median calls",
        "most calls",
    )
    told_of = "; ".join(f"{name} {text}" for name, text in strength["provenance"].items())
    return [
        "## Strength of the suite",
        "",
        *table(head, rows),
        f"Measured beforehand, not in this run: {inline(told_of)}.",
    ]
