"""The report as Markdown: for a pull request, a wiki or a release note."""

from __future__ import annotations

import re
from functools import cache

from jinja2 import Environment

from rmspec.properties.events import SubjectResult
from rmspec.reports.files.html import page_environment
from rmspec.reports.record import Record
from rmspec.reports.terminal.table import tallies
from rmspec.reports.text import plain

__all__ = ["fence", "inline", "markdown_environment", "render"]


def render(record: Record) -> str:
    """The report as Markdown text; text from outside has no markup in it."""
    results = [(result, tallies(result), _lists(result)) for result in record.results]
    text = markdown_environment().get_template("report.md.jinja").render(record=record, results=results)
    return text.rstrip() + "\n"


@cache
def markdown_environment() -> Environment:
    """Make the environment of Markdown templates: ``inline`` and ``fence`` are for text from outside."""
    environment = page_environment(autoescape=False)
    environment.filters.update(inline=inline, fence=fence)
    return environment


def _lists(result: SubjectResult) -> dict[str, list[str]]:
    known = [deviation for deviation in result.deviations if deviation.known is not None]
    return {
        "Known and inherited deviations": [f"{item.clause} ({item.known}): {item.reason}" for item in known],
        "Hazards of the formula": [f"{item.clause}: {item.summary}" for item in result.hazards],
        "Stale known deviations": list(result.stale),
    }


def fence(text: str, language: str = "text") -> str:
    """Fence text as it is; the fence is longer than any in it."""
    ticks = "`" * (max([2, *(len(run) for run in re.findall(r"`+", text))]) + 1)
    return "\n".join([f"{ticks}{language}", *plain(text).splitlines(), ticks])


def inline(text: str) -> str:
    """Escape foreign text: no markup, no end of a table's row."""
    return re.sub(r"([\\`*_\[\]<>|#~&!])", r"\\\1", " ".join(plain(text).split()))
