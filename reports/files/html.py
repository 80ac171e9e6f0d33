"""The report as one HTML page: no script, nothing loaded from elsewhere, light or dark as the reader's system is."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from rmspec.oracles.dialects import statement
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.record import Record
from rmspec.reports.terminal.table import tallies
from rmspec.reports.text import allowed_lines, observed_line, plain, program_lines, spot

__all__ = ["page_environment", "render"]


def render(record: Record) -> str:
    """The report as the text of an HTML page; everything from outside is escaped."""
    return _template().render(record=record, results=[(result, tallies(result)) for result in record.results])


def page_environment() -> Environment:
    """Make the environment of the pages: everything is escaped, and deviations have their filters."""
    # autoescape for every template, whatever its name ends with: names and messages of subjects are not to be trusted.
    environment = Environment(
        loader=PackageLoader("rmspec.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["verdicts"] = VERDICTS
    environment.filters.update(plain=plain, statement=statement, script=standalone_script)
    environment.filters["figures"] = _figures
    environment.filters["program"] = lambda deviation: "\n".join(program_lines(deviation.program, mark=deviation.call))
    return environment


@cache
def _template() -> Template:
    return page_environment().get_template("report.html.jinja")


def _figures(deviation: Deviation) -> str:
    lines = [plain(deviation.summary), spot(deviation), "", f"observed  {observed_line(deviation)}"]
    lines += [f"{'allowed' if not index else '':<9} {line}" for index, line in enumerate(allowed_lines(deviation))]
    return "\n".join(lines)
