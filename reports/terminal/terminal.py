"""The terminal: a header, progress on long work, each deviation as it is found, and the verdicts at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from rmspec.properties.events import (
    Deviation,
    DeviationFound,
    Event,
    Progress,
    RunFinished,
    RunStarted,
    SubjectFinished,
    SubjectResult,
    SubjectStarted,
)
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import WIDTH, block, short, wrapped
from rmspec.reports.terminal.table import verdict_lines
from rmspec.reports.text import plain

__all__ = ["Terminal", "console"]

_STYLES = {ExitCode.CONFORMS: "green", ExitCode.NOTHING_CHECKED: "yellow"}
"""The styles of verdicts, by what the gate makes of them; bold red for the others."""


def console(*, error: bool = False) -> Console:
    """A console that prints what it is given: no markup, no highlighting, no wrapping. Colours on a terminal alone."""
    return _Console(stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on in silence: a reader who went away is no reason to stop checking, nor to end with another exit code."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Terminal:
    """Prints a run to ``out``. ``quiet`` leaves the verdicts alone.

    A context manager: the progress display is gone at the end, however that comes.
    """

    def __init__(self, out: Console, *, quiet: bool = False) -> None:
        self._out = out
        self._quiet = quiet
        self._started = RunStarted((), {})
        self._results: list[SubjectResult] = []
        self._bar: Bar | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._still()

    def handle(self, event: Event) -> None:
        """Print what an event has to say."""
        if isinstance(event, Progress):
            self._progress(event)
            return
        if isinstance(event, RunFinished | SubjectFinished):
            self._still()
        if isinstance(event, RunStarted):
            self._started = event
        if isinstance(event, SubjectFinished):
            self._results.append(event.result)
        if isinstance(event, RunFinished):
            self._verdicts(event)
            return
        if self._quiet:
            return
        match event:
            case RunStarted():
                self._header(event)
            case SubjectStarted():
                self._subject(event)
            case DeviationFound() if event.deviation.known is None and not event.deviation.hazard:
                self._deviation(event.name, event.deviation)
            case SubjectFinished():
                self._details(event.result)
            case _:
                pass

    # -- parts

    def _header(self, event: RunStarted) -> None:
        found = event.environment
        self._print(
            f"rmspec {found.get('rmspec', '')}: RMSprop implementations against their specification", style="bold"
        )
        versions = [f"{name} {found[name]}" for name in ("python", "numpy", "hypothesis") if name in found]
        self._lines(wrapped(", ".join([*versions, found.get("platform", "")])))
        names = ("profile", "seed", "policy", "device", "time_budget", "dtype", "without", "baseline")
        settings = [f"{name.replace('_', ' ')} {found[name]}" for name in names if name in found]
        self._lines(wrapped(", ".join([*settings, f"programs {found.get('fingerprint', 'not generated')}"])))

    def _subject(self, event: SubjectStarted) -> None:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(event.versions.items()))
        text = (
            f"{event.name}: against the dialect {event.dialect}; {versions}; {', '.join(event.formats) or 'no format'}"
        )
        self._lines(["", *wrapped(plain(text), hang=2)])

    def _deviation(self, name: str, deviation: Deviation) -> None:
        self._print("")
        self._print(f"DEVIATION of {plain(name)}", style="bold red")
        self._lines(block(deviation, repro_commands(self._started, name, deviation)))
        self._print("")

    def _details(self, result: SubjectResult) -> None:
        known = [each for each in result.deviations if each.known and not each.known.startswith("inherited:")]
        inherited = [each for each in result.deviations if each.known and each.known.startswith("inherited:")]
        self._list("known deviations:", [short(each) for each in known])
        origin = inherited[0].known.partition(":")[2] if inherited and inherited[0].known else ""
        self._list(f"inherited ({origin} does the same):", [_summary(each) for each in inherited])
        self._list("hazards (the formula itself admits them):", [_summary(each) for each in result.hazards])
        observed = [each for each in result.clauses if each.verdict == "observed"]
        self._list(
            "observed, where the page promises nothing:",
            [wrapped(plain(f"{each.id}: {each.reason}"), indent=4, hang=6) for each in observed],
        )
        if result.complete:
            self._list("not checked:", list(_unchecked(result)))
        self._list("stale known deviations:", [wrapped(plain(each), indent=4, hang=6) for each in result.stale])
        if result.search:
            self._lines(wrapped(f"the search {result.search}", indent=2))

    def _list(self, heading: str, entries: list[list[str]]) -> None:
        if entries:
            self._print(f"  {heading}")
            for lines in entries:
                self._lines(lines)

    def _verdicts(self, event: RunFinished) -> None:
        if not self._quiet:
            self._print("")
        for line, verdict in verdict_lines(self._results):
            code = VERDICTS[verdict].exit_code if verdict else None
            self._print(line, style="" if code is None else _STYLES.get(ExitCode(code), "bold red"))
        if self._started.fail_on_hazards and any(result.hazards for result in self._results):
            self._print("hazards fail this run, as --fail-on hazards asks", style="bold red")
        if not event.complete:
            self._print("interrupted: this report holds what was known by then", style="yellow")

    # -- how it is printed

    def _progress(self, event: Progress) -> None:
        if not self._out.is_terminal or self._quiet:
            return
        if self._bar is None:
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(20),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
            )
            self._bar = Bar(*columns, console=self._out, transient=True)
            self._bar.add_task("")
            self._bar.start()
        name = plain(event.name)[-30:]
        self._bar.update(
            self._bar.task_ids[0],
            description=f"{name}: {event.phase}" if name else event.phase,
            completed=event.done,
            total=event.planned,
        )

    def _still(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._print(line)

    def _print(self, line: str, *, style: str = "") -> None:
        # As a styled text: a style of the print would spread to the progress display under it.
        self._out.print(Text(line, style))


def _summary(deviation: Deviation) -> list[str]:
    return wrapped(plain(f"{deviation.clause}: {deviation.summary}"), indent=4, hang=6, width=WIDTH)


def _unchecked(result: SubjectResult) -> Iterable[list[str]]:
    reasons: dict[str, list[str]] = {}
    for clause in result.clauses:
        if clause.verdict == "not-checked":
            reasons.setdefault(clause.reason, []).append(clause.id)
    for reason, ids in reasons.items():
        yield wrapped(plain(f"{', '.join(ids)}: {reason}"), indent=4, hang=6)
