"""The report as Markdown: for a pull request, a wiki or a release note."""

from __future__ import annotations

import re

from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.block import count, title
from rmspec.reports.readable import allowed_lines, observed_line, plain, program_lines, spot
from rmspec.reports.reporter import Record
from rmspec.reports.script import standalone_script
from rmspec.reports.verdicts import tallies

__all__ = ["render"]


def render(record: Record) -> str:
    """The report as Markdown text."""
    lines = ["# rmspec report", ""]
    if not record.finished.complete:
        lines += ["**Interrupted: this report holds what was known by then.**", ""]
    lines += [", ".join(f"{name} {_inline(text)}" for name, text in record.started.environment.items()), ""]
    lines += _table(
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
    found = tallies(result)
    numbers = (found["new"], found["known"], found["inherited"], found["hazards"])
    checks = (result.element_checks, result.inconclusive_checks)
    named = (_inline(result.name), f"**{result.verdict}**", _inline(result.dialect or "-"), result.policy)
    return (*named, *(f"{number:,}" for number in (*numbers, *checks)))


def _subject(result: SubjectResult) -> list[str]:
    lines = ["", f"## {_inline(result.name)}: {result.verdict}", ""]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(result.versions.items()))
    facts = [versions, ", ".join(result.formats), count(result.programs, "program"), count(result.steps, "step")]
    lines += [_inline("; ".join(fact for fact in facts if fact)), ""]
    if result.message:
        lines += [*_fence(result.message), ""]
    if result.hint:
        lines += [_inline(result.hint), ""]
    for deviation in result.deviations:
        if deviation.known is None:
            lines += _deviation(deviation)
    known = [each for each in result.deviations if each.known is not None]
    lines += _list("Known and inherited deviations", [f"{each.clause} ({each.known}): {each.reason}" for each in known])
    lines += _list("Hazards of the formula", [f"{each.clause}: {each.summary}" for each in result.hazards])
    lines += _list("Stale known deviations", list(result.stale))
    if result.clauses:
        lines += ["### Clauses", ""]
        lines += _table(
            ("clause", "verdict", "checks", "inconclusive", "largest share of an envelope", "note"),
            [
                (
                    each.id,
                    each.verdict,
                    f"{each.checks:,}",
                    f"{each.inconclusive:,}",
                    "" if each.worst_fraction is None else f"{each.worst_fraction:.3f}",
                    _inline(each.reason),
                )
                for each in result.clauses
            ],
        )
    return lines


def _deviation(deviation: Deviation) -> list[str]:
    lines = [f"### Deviation: {deviation.clause}", "", f"{title(deviation.clause)}.", ""]
    told = [plain(deviation.summary), spot(deviation), f"observed  {observed_line(deviation)}"]
    told += [f"{'allowed' if not index else '':<9} {line}" for index, line in enumerate(allowed_lines(deviation))]
    lines += [
        *_fence("\n".join(told)),
        "",
        *_fence("\n".join(program_lines(deviation.program, mark=deviation.call))),
        "",
    ]
    script = standalone_script(deviation)
    if script is not None:
        lines += ["Standalone script:", "", *_fence(script.rstrip(), "python"), ""]
    return lines


def _list(heading: str, entries: list[str]) -> list[str]:
    return [f"### {heading}", "", *(f"- {_inline(entry)}" for entry in entries), ""] if entries else []


def _table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    rule = "|".join("---" for _ in headings)
    return [f"| {' | '.join(headings)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows), ""]


def _fence(text: str, language: str = "") -> list[str]:
    """Text as it is; the fence is longer than any that the text holds."""
    ticks = max([2, *(len(run) for run in re.findall(r"`+", text))]) + 1
    return [f"{'`' * ticks}{language or 'text'}", *plain(text).splitlines(), "`" * ticks]


def _inline(text: str) -> str:
    """Text from outside that must not become markup, nor end a table's row."""
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", " ".join(plain(text).split()))
