"""The report as Markdown: for a pull request, a wiki or a release note."""

from __future__ import annotations

import re

from rmspec.oracles.dialects import statement
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.record import Record
from rmspec.reports.terminal.failure_block import count
from rmspec.reports.terminal.table import tallies
from rmspec.reports.text import allowed_lines, observed_line, plain, program_lines, spot

__all__ = ["fence", "inline", "render", "table", "told"]


def render(record: Record) -> str:
    """The report as Markdown text."""
    lines = ["# rmspec report", ""]
    if not record.finished.complete:
        lines += ["**Interrupted: this report holds what was known by then.**", ""]
    sentence = record.gate.sentence
    lines += [f"**{sentence[:1].upper()}{sentence[1:]}.**", ""]
    lines += [", ".join(f"{name} {inline(text)}" for name, text in record.started.environment.items()), ""]
    lines += table(
        (
            "subject",
            "verdict",
            "dialect",
            "policy",
            "new",
            "known",
            "inherited",
            "hazards",
            "element checks",
            "inconclusive",
        ),
        [_row(result) for result in record.results],
    )
    for result in record.results:
        lines += _subject(result)
    return "\n".join(lines).rstrip() + "\n"


def _row(result: SubjectResult) -> tuple[str, ...]:
    counts = tallies(result)
    numbers = (counts["new"], counts["known"], counts["inherited"], counts["hazards"])
    checks = (result.element_checks, result.inconclusive_checks)
    named = (inline(result.name), f"**{result.verdict}**", inline(result.dialect or "-"), result.policy)
    return (*named, *(f"{number:,}" for number in (*numbers, *checks)))


def _subject(result: SubjectResult) -> list[str]:
    lines = ["", f"## {inline(result.name)}: {result.verdict}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.versions.items()))
    facts = [versions, ", ".join(result.formats), count(result.programs, "program"), count(result.steps, "step")]
    lines += [inline("; ".join(fact for fact in facts if fact)), ""]
    if result.message:
        lines += [*fence(result.message), ""]
    if result.hint:
        lines += [inline(result.hint), ""]
    for deviation in result.deviations:
        if deviation.known is None:
            lines += _deviation(deviation)
    known = [item for item in result.deviations if item.known is not None]
    lines += _list("Known and inherited deviations", [f"{item.clause} ({item.known}): {item.reason}" for item in known])
    lines += _list("Hazards of the formula", [f"{item.clause}: {item.summary}" for item in result.hazards])
    lines += _list("Stale known deviations", list(result.stale))
    if result.clauses:
        lines += ["### Clauses", ""]
        lines += table(
            ("clause", "verdict", "checks", "inconclusive", "largest share of an envelope", "note"),
            [
                (
                    item.id,
                    item.verdict,
                    f"{item.checks:,}",
                    f"{item.inconclusive:,}",
                    "" if item.worst_fraction is None else f"{item.worst_fraction:.3f}",
                    inline(item.reason),
                )
                for item in result.clauses
            ],
        )
    return lines


def _deviation(deviation: Deviation) -> list[str]:
    lines = [
        f"### Deviation: {deviation.clause}",
        "",
        f"{statement(deviation.clause, deviation.program.dialect)}.",
        "",
        *told(deviation),
    ]
    script = standalone_script(deviation)
    if script is not None:
        lines += ["Standalone script:", "", *fence(script.rstrip(), "python"), ""]
    return lines


def told(deviation: Deviation) -> list[str]:
    """Format the observed and the allowed values of a deviation, and its program."""
    lines = [plain(deviation.summary), spot(deviation), f"observed  {observed_line(deviation)}"]
    lines += [f"{'allowed' if not index else '':<9} {line}" for index, line in enumerate(allowed_lines(deviation))]
    program = program_lines(deviation.program, mark=deviation.call)
    return [*fence("\n".join(lines)), "", *fence("\n".join(program)), ""]


def _list(heading: str, entries: list[str]) -> list[str]:
    return [f"### {heading}", "", *(f"- {inline(entry)}" for entry in entries), ""] if entries else []


def table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table, and the empty line after it; text from outside has gone through ``inline``."""
    rule = "|".join("---" for _ in headings)
    return [f"| {' | '.join(headings)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def fence(text: str, language: str = "") -> list[str]:
    """Fence text as it is; the fence is longer than any in it."""
    ticks = max([2, *(len(run) for run in re.findall(r"`+", text))]) + 1
    return [f"{'`' * ticks}{language or 'text'}", *plain(text).splitlines(), "`" * ticks]


def inline(text: str) -> str:
    """Escape foreign text: no markup, no end of a table's row."""
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", " ".join(plain(text).split()))
