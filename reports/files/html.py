"""The report as one HTML page: no script, nothing loaded from elsewhere, light or dark as the reader's system is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from rmspec.oracles.dialects import statement
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.record import Record
from rmspec.reports.terminal.failure_block import count
from rmspec.reports.terminal.table import clause_sum, tallies
from rmspec.reports.text import (
    clause_note,
    dialect_lines,
    evidence_lines,
    explanation_lines,
    measured_lines,
    number,
    other_path_lines,
    plain,
    program_lines,
    script_note,
    spot,
)

__all__ = ["page_environment", "render"]


def render(record: Record) -> str:
    """The report as the text of an HTML page; everything from outside is escaped."""
    return _template().render(record=record, results=[(result, tallies(result)) for result in record.results])


def page_environment(*, autoescape: bool = True, finalize: Callable[[object], object] | None = None) -> Environment:
    """Make the environment of the templates: HTML is escaped, and deviations and numbers have their filters.

    ``finalize`` is called for every value that a template prints.
    """
    # autoescape for every template, whatever its name ends with: names and messages of subjects are not to be trusted.
    environment = Environment(
        loader=PackageLoader("rmspec.reports", "templates"),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["verdicts"] = VERDICTS
    environment.filters.update(
        count=count,
        clause_sum=clause_sum,
        dialect_lines=dialect_lines,
        evidence_lines=evidence_lines,
        figures=_figures,
        note=clause_note,
        number=number,
        other_path_lines=other_path_lines,
        plain=plain,
        program=lambda deviation: "\n".join(program_lines(deviation.program, mark=deviation.call)),
        script=standalone_script,
        script_note=script_note,
        statement=statement,
        versions=lambda versions: ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
    )
    return environment


@cache
def _template() -> Template:
    return page_environment().get_template("report.html.jinja")


def _figures(deviation: Deviation, gap: str = "\n") -> str:
    heading = [plain(deviation.summary), spot(deviation), *(plain(line) for line in explanation_lines(deviation))]
    return "\n".join(heading) + gap + "\n" + "\n".join(measured_lines(deviation))
