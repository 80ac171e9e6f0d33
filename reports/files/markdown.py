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
    environment = page_environment(autoescape=False, finalize=_escaped)
    environment.filters.update(inline=inline, fence=fence, markup=Markup)
    return environment


class Markup(str):
    """Text of Markdown, not to be escaped again."""

    __slots__ = ()


def _escaped(value: object) -> object:
    """Escape the values printed by a template, but for Markdown and for numbers."""
    return _without_markup(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _lists(result: SubjectResult) -> dict[str, list[str]]:
    known = [deviation for deviation in result.deviations if deviation.known is not None]
    return {
        "Known and inherited deviations": [f"{item.clause} ({item.known}): {item.reason}" for item in known],
        "Hazards of the formula": [f"{item.clause}: {item.summary}" for item in result.hazards],
        "Stale known deviations": list(result.stale),
    }


def fence(text: str, language: str = "text") -> Markup:
    """Fence text as it is; the fence is longer than any in it."""
    ticks = "`" * (max([2, *(len(run) for run in re.findall(r"`+", text))]) + 1)
    return Markup("\n".join([f"{ticks}{language}", *plain(text).splitlines(), ticks]))


def inline(text: str) -> Markup:
    """Escape foreign text: no markup, no address to become a link, no end of a table's row."""
    return _without_markup(text.strip())


def _without_markup(text: str) -> Markup:
    words = re.sub(r"([\\`*_\[\]<>|#~&!$])", r"\\\1", re.sub(r"\s+", " ", plain(text)))
    words = re.sub(r"(?<=[A-Za-z])(?=://)|(?<=\bwww)(?=\.)", r"\\", words)
    # At the beginning of a line these begin a list, or underline a heading.
    return Markup(re.sub(r"^(\d*)([-+=.)])(?=\s|\2)", r"\1\\\2", words))
