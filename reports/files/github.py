"""What a job on GitHub shows: annotations beside the code, and a summary of the job.

The limits are GitHub's: a step shows ten errors and drops the rest in silence, and a summary of more than 1 MiB is dropped
whole. So the tenth annotation says how many more there are, and a summary that would be too long ends in a line that says
how much is left out; the report files hold all. While the run prints, the runner is told to take no line for a command:
what a subject's messages say must not become one.

Source: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from rmspec.oracles.dialects import statement
from rmspec.properties.events import Event, RunFinished, SubjectResult
from rmspec.reports.exit_codes import failing
from rmspec.reports.files import markdown as markdown_report
from rmspec.reports.files.locations import Place, place
from rmspec.reports.record import Document, Record, Reporter
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import count
from rmspec.reports.text import plain

__all__ = ["ANNOTATIONS", "SUMMARY_BYTES", "annotated", "on_github", "reporters", "summary"]

ANNOTATIONS = 10
"""How many errors a step shows."""

SUMMARY_BYTES = 1024 * 1024
"""How long the summary of a step may be."""

_MESSAGE = 4000  # characters: the log has the whole
_MARGIN = 1024  # bytes that are left to whatever else the step writes


def on_github(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this runs in a job of GitHub Actions."""
    return environment.get("GITHUB_ACTIONS") == "true"


def reporters(
    others: list[Reporter],
    out: Callable[[str], None],
    *,
    repro_dir: str | None,
    fail_on_hazards: bool,
    environment: Mapping[str, str] = os.environ,
) -> list[Reporter]:
    """The ``others`` with what GitHub shows around them; ``out`` takes the lines that the runner reads."""

    def shown(record: Record) -> str:
        lines = annotated(record, Path.cwd(), repro_dir=repro_dir, fail_on_hazards=fail_on_hazards)
        return "".join(f"{line}\n" for line in lines)

    token = secrets.token_hex(16)
    found = [_Command(f"::stop-commands::{token}", out), *others, _Command(f"::{token}::", out, last=True)]
    found.append(Document(shown, out))
    if file := environment.get("GITHUB_STEP_SUMMARY"):
        found.append(_Summary(Path(file)))
    return found


def annotated(
    record: Record, folder: Path, *, repro_dir: str | None = None, fail_on_hazards: bool = False
) -> list[str]:
    """The workflow commands that annotate what fails the gate: at most ``ANNOTATIONS``, the last of which counts the rest."""
    found = list(_failures(record, folder, repro_dir, fail_on_hazards))
    if len(found) > ANNOTATIONS:
        more = f"{len(found) - ANNOTATIONS + 1:,} more are in the log, in the job summary and in the report files"
        found = [*found[: ANNOTATIONS - 1], _command(Place(""), "rmspec: and more", more)]
    return found


def summary(record: Record, budget: int = SUMMARY_BYTES) -> str:
    """The report as Markdown of at most ``budget`` bytes: as many deviations in full as there is room for."""
    new = sum(each.known is None for result in record.results for each in result.deviations)
    text = _summary(record, new, new)
    if _size(text) <= budget:
        return text
    low, high = 0, new  # what fits, and what does not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _size(_summary(record, middle, new)) <= budget else (low, middle)
    text = _summary(record, low, new)
    return text if _size(text) <= budget else _cut(text, budget)


class _Command:
    """A reporter that says one line to the runner, before all else or after the end."""

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


class _Summary(Document):
    def __init__(self, file: Path) -> None:
        self._file = file
        super().__init__(self._rendered, self._append)

    def _rendered(self, record: Record) -> str:
        held = self._file.stat().st_size if self._file.exists() else 0
        return summary(record, max(0, SUMMARY_BYTES - _MARGIN - held))

    def _append(self, text: str) -> None:
        # Other commands of the step write there as well. A verdict does not depend on it.
        try:
            with self._file.open("a", encoding="utf-8", errors="replace", newline="\n") as file:
                file.write(text)
        except OSError as error:
            print(f"rmspec: the job summary could not be written: {error}", file=sys.stderr)


def _failures(record: Record, folder: Path, repro_dir: str | None, fail_on_hazards: bool) -> Iterator[str]:
    subjects = [result.name for result in record.results]
    for result in record.results:
        where = place(result.name, folder)
        for deviation in failing(result, fail_on_hazards=fail_on_hazards):
            heading = f"{deviation.clause}: {statement(deviation.clause, deviation.program.dialect)}"
            commands = repro_commands(repro_dir, subjects, result.name, deviation)
            yield _command(where, heading, "\n".join([f"{result.name}: {deviation.summary}", *commands]))
        if result.verdict == "errored":
            yield _command(where, "rmspec: the subject could not be checked", f"{result.name}: {result.message}")
        for stale in result.stale:
            yield _command(where, "rmspec: stale known deviation", f"{result.name}: {stale}")
    if not record.finished.complete:
        yield _command(Place(""), "rmspec was interrupted", "the reports hold what was known by then")


def _command(where: Place, heading: str, message: str) -> str:
    properties = {"file": where.file, "line": str(where.line)} if where.file else {}
    properties["title"] = plain(heading)
    listed = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::error {listed}::{_data(plain(message)[:_MESSAGE])}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _summary(record: Record, kept: int, new: int) -> str:
    """The report with the first ``kept`` of its ``new`` deviations in full."""
    results: list[SubjectResult] = []
    left = kept
    for result in record.results:
        broken = [each for each in result.deviations if each.known is None]
        shown, left = broken[:left], max(0, left - len(broken))
        known = [each for each in result.deviations if each.known is not None]
        results.append(replace(result, deviations=(*shown, *known)))
    text = markdown_report.render(replace(record, results=tuple(results)))
    if kept < new:
        text += f"\n**{count(new - kept, 'deviation')} more: too long for this page. The report files hold all.**\n"
    return text


def _size(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


def _cut(text: str, budget: int) -> str:
    end = "\n\n**Too long for this page. The report files hold all.**\n"
    room = budget - len(end)
    if room <= 0:
        return ""
    kept = text.encode("utf-8", "backslashreplace")[:room].decode("utf-8", "ignore")
    return kept.rpartition("\n")[0] + end
