"""The verdict table: what came out for each subject, and what that rests on."""

from __future__ import annotations

from collections.abc import Sequence

from rmspec.properties.events import SubjectResult
from rmspec.reports.terminal.failure_block import count, wrapped
from rmspec.reports.text import plain

__all__ = ["tallies", "verdict_lines"]

_HEADINGS = ("subject", "verdict", "dialect", "policy", "seconds")


def tallies(result: SubjectResult) -> dict[str, int]:
    """How many deviations a result has that are ``new``, ``known`` and ``inherited``, and how many ``hazards``."""
    inherited = sum((each.known or "").startswith("inherited:") for each in result.deviations)
    new = sum(each.known is None for each in result.deviations)
    known = len(result.deviations) - new - inherited
    return {"new": new, "known": known, "inherited": inherited, "hazards": len(result.hazards)}


def verdict_lines(results: Sequence[SubjectResult]) -> list[tuple[str, str]]:
    """The table's lines, each with the verdict that it tells (or nothing); 80 columns where the names allow it."""
    rows = [
        (plain(each.name), each.verdict, each.dialect or "-", each.policy, f"{each.seconds:.1f}") for each in results
    ]
    widths = [max(len(row[i]) for row in [_HEADINGS, *rows]) for i in range(len(_HEADINGS))]
    # A long path keeps its own line, so that the columns stay within the page.
    widths[0] = min(widths[0], 78 - sum(widths[1:]) - 8)
    lines = [(_row(_HEADINGS, widths), "")]
    for row, result in zip(rows, results, strict=True):
        if len(row[0]) > widths[0]:
            lines.append((row[0], result.verdict))
            row = ("", *row[1:])
        lines.append((_row(row, widths), result.verdict))
        lines += [(line, "") for line in _below(result)]
    return lines


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    *left, last = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return "  ".join([*left, cells[-1].rjust(widths[-1]) if last else ""]).rstrip()


def _below(result: SubjectResult) -> list[str]:
    lines: list[str] = []
    if result.message:
        lines += wrapped(plain(result.message), indent=2, hang=4)
    if result.hint:
        lines += wrapped(plain(result.hint), indent=2, hang=4)
    if result.programs:
        found = tallies(result)
        parts = [
            f"deviations: {found['new']} new, {found['known']} known, {found['inherited']} inherited",
            count(found["hazards"], "hazard"),
        ]
        lines += wrapped("; ".join(parts), indent=2, hang=4)
        checks = [count(result.programs, "program")]
        if result.steps:
            checks += [count(result.steps, "step"), count(result.element_checks, "element check")]
            checks.append(f"{result.inconclusive_checks:,} inconclusive")
        lines += wrapped(", ".join(checks), indent=2, hang=4)
    if result.stale:
        lines += wrapped(
            f"stale known deviations: {', '.join(each.split(':')[0] for each in result.stale)}", indent=2, hang=4
        )
    return lines
