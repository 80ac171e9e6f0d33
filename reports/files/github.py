"""A job on GitHub: annotations beside the code, and a summary of the job.

The limits are GitHub's: a step shows ten errors and drops the rest in silence, and a summary of more than 1 MiB is dropped
whole. So the tenth annotation says how many more there are, and a summary that would be too long ends in a line that says
how much is left out; the report files hold all. While the run prints, the runner is told to take no line for a command:
what a subject's messages say must not become one.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import bisect
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from rmspec.oracles.dialects import statement
from rmspec.properties.events import Event, RunFinished, SubjectResult
from rmspec.reports.escapes import on_github, plain
from rmspec.reports.files import markdown as markdown_report
from rmspec.reports.files.locations import Place, place
from rmspec.reports.gate import Problem
from rmspec.reports.record import Document, Record, Reporter
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import count
from rmspec.reports.text import explanation_lines

__all__ = ["ANNOTATIONS", "SUMMARY_BYTES", "annotation_lines", "on_github", "reporters", "summary"]

ANNOTATIONS = 10
"""How many errors a step shows."""

SUMMARY_BYTES = 1024 * 1024
"""How long the summary of a step may be."""

_MESSAGE = 4000  # characters: the log has the whole
_MARGIN = 1024  # bytes that are left to whatever else the step writes


def reporters(
    others: list[Reporter],
    out: Callable[[str], None],
    *,
    environment: Mapping[str, str] = os.environ,
) -> list[Reporter]:
    """Put GitHub's reporters around those of the run; ``out`` takes the lines for the runner."""

    def render(record: Record) -> str:
        return "".join(f"{line}\n" for line in annotation_lines(record, Path.cwd()))

    token = secrets.token_hex(16)
    around = [_Command(f"::stop-commands::{token}", out), *others, _Command(f"::{token}::", out, last=True)]
    around.append(Document(render=render, write=out))
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        path = Path(file)
        around.append(Document(render=partial(_summary_for, path), write=partial(_append, path)))
    return around


def annotation_lines(record: Record, folder: Path) -> list[str]:
    """List the workflow commands for the problems of a run: at most ``ANNOTATIONS``, the last with a count of the rest."""
    problems = record.gate.problems
    if len(problems) <= ANNOTATIONS:
        return [_annotation(problem, record, folder) for problem in problems]
    more = f"{len(problems) - ANNOTATIONS + 1:,} more are in the log, in the job summary and in the report files"
    shown_first = [_annotation(problem, record, folder) for problem in problems[: ANNOTATIONS - 1]]
    return [*shown_first, _command(Place(""), "rmspec: and more", more)]


def summary(record: Record, budget: int = SUMMARY_BYTES) -> str:
    """The report as Markdown of at most ``budget`` bytes: as many deviations in full as there is room for."""
    new = sum(deviation.known is None for result in record.results for deviation in result.deviations)
    text = _summary(record, new, new)
    if _size(text) <= budget:
        return text
    fitting = bisect.bisect_right(range(new), budget, key=lambda limit: _size(_summary(record, limit, new)))
    text = _summary(record, max(fitting - 1, 0), new)
    return text if _size(text) <= budget else _cut(text, budget)


class _Command:
    """A reporter with one line for the runner, before all else or after the end."""

    def __init__(self, line: str, out: Callable[[str], None], *, last: bool = False) -> None:
        self._line = line
        self._out = out
        self._last = last
        self._said = False

    def handle(self, event: Event) -> None:
        """Say it at the first event, or at the last."""
        if not self._said and (isinstance(event, RunFinished) or not self._last):
            self._said = True
            self._out(f"{self._line}\n")


def _summary_for(file: Path, record: Record) -> str:
    size = file.stat().st_size if file.exists() else 0
    return summary(record, max(0, SUMMARY_BYTES - _MARGIN - size))


def _append(path: Path, text: str) -> None:
    # Other commands of the step write there as well. A verdict does not depend on it.
    try:
        with path.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
            file.write(text)
    except OSError as error:
        print(f"rmspec: the job summary could not be written: {error}", file=sys.stderr)


def _annotation(problem: Problem, record: Record, folder: Path) -> str:
    where = place(problem.subject, folder) if problem.subject else Place("")
    text = f"{problem.subject}: {problem.text}" if problem.subject else problem.text
    if problem.deviation is None:
        return _command(where, problem.title if not problem.subject else f"rmspec: {problem.title}", text)
    heading = f"{problem.title}: {statement(problem.title, problem.deviation.program.dialect)}"
    commands = repro_commands(record.started, problem.subject, problem.deviation)
    return _command(where, heading, "\n".join([text, *explanation_lines(problem.deviation), *commands]))


def _command(where: Place, heading: str, message: str) -> str:
    properties = {"file": where.file, "line": str(where.line)} if where.file else {}
    properties["title"] = heading
    listed = ",".join(f"{name}={_property(plain(value))}" for name, value in properties.items())
    return f"::error {listed}::{_data(plain(message)[:_MESSAGE])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(record: Record, limit: int, new: int) -> str:
    """The report with the first ``limit`` of its ``new`` deviations in full."""
    results: list[SubjectResult] = []
    left = limit
    for result in record.results:
        broken = [deviation for deviation in result.deviations if deviation.known is None]
        whole, left = broken[:left], max(0, left - len(broken))
        known = [deviation for deviation in result.deviations if deviation.known is not None]
        results.append(replace(result, deviations=(*whole, *known)))
    text = markdown_report.render(replace(record, results=tuple(results)))
    if limit < new:
        text += f"\n**{count(new - limit, 'deviation')} more: too long for this page. The report files hold all.**\n"
    return text


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _cut(text: str, budget: int) -> str:
    end = "\n\n**Too long for this page. The report files hold all.**\n"
    room = budget - len(end)
    if room <= 0:
        return ""
    beginning = text.encode("utf-8", "backslashreplace")[:room].decode("utf-8", "ignore")
    return beginning.rpartition("\n")[0] + end
