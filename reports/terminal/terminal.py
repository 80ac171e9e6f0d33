"""The terminal: a header, the progress of the run, each new deviation in full, and the verdicts at the end."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from rich.console import Console
from rich.text import Text

from rmspec.properties import events
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import back_reference, block, wrapped
from rmspec.reports.terminal.progress import ProgressDisplay
from rmspec.reports.terminal.summary import Summaries
from rmspec.reports.terminal.table import verdict_lines
from rmspec.reports.text import plain, spoken_lines

__all__ = ["Terminal", "console"]

_STYLES = {ExitCode.CONFORMS: "green", ExitCode.NOTHING_CHECKED: "yellow"}
"""The styles of verdicts, by what the gate makes of them; bold red for the others."""


def console(*, error: bool = False) -> Console:
    """Make a plain console: no markup, no highlighting, no wrapping. Colours on a terminal alone."""
    return _Console(stderr=error, markup=False, highlight=False, emoji=False, soft_wrap=True)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Continue in silence: a closed pipe is no reason to stop checking, nor to end with another exit code."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Terminal:
    """Prints a run to ``out``: ``quiet`` the verdicts alone, ``verbose`` also the non-failing entries in full.

    A context manager: the progress display is gone at the end, however that comes.
    """

    def __init__(self, out: Console, *, quiet: bool = False, verbose: bool = False) -> None:
        self._out = out
        self._quiet = quiet
        self._started = events.RunStarted((), {})
        self._results: list[events.SubjectResult] = []
        self._progress = ProgressDisplay(out)
        self._summaries = Summaries(verbose=verbose)
        self._owners: dict[str, str] = {}

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def handle(self, event: events.Event) -> None:
        """Print an event."""
        match event:
            case events.RunStarted():
                self._started = event
            case events.SubjectFinished():
                self._results.append(event.result)
            case events.RunFinished():
                self._progress.stop()
                self._verdicts(event)
        if not self._quiet:
            self._follow(event)

    def _follow(self, event: events.Event) -> None:
        match event:
            case events.Progress():
                self._progress.update(event)
            case events.RunStarted():
                self._header(event)
            case events.SubjectStarted():
                self._subject(event)
            case events.DialectFound():
                self._print("")
                first, *commands = spoken_lines(event.name, event.speaks)
                self._lines(
                    [*wrapped(plain(f"{event.name}: {first}"), hang=2), *(f"  {command}" for command in commands)]
                )
            case events.DeviationFound() if event.deviation.known is None and not event.deviation.hazard:
                self._deviation(event.name, event.deviation)
            case events.SubjectFinished():
                if any(deviation.known is None for deviation in event.result.deviations):
                    self._print("")
                self._lines(self._summaries.lines(event.result))

    # -- parts

    def _header(self, event: events.RunStarted) -> None:
        environment = event.environment
        self._print(
            f"rmspec {environment.get('rmspec', '')}: RMSprop implementations against their specification", style="bold"
        )
        versions = [f"{name} {environment[name]}" for name in ("python", "numpy", "hypothesis") if name in environment]
        self._lines(wrapped(", ".join([*versions, environment.get("platform", "")])))
        names = ("profile", "seed", "policy", "device", "time_budget", "dtype", "without", "baseline")
        settings = [f"{name.replace('_', ' ')} {environment[name]}" for name in names if name in environment]
        self._lines(wrapped(", ".join([*settings, f"programs {environment.get('fingerprint', 'not generated')}"])))

    def _subject(self, event: events.SubjectStarted) -> None:
        versions = ", ".join(f"{name} {version}" for name, version in sorted(event.versions.items()))
        text = (
            f"{event.name}: against the dialect {event.dialect}; {versions}; {', '.join(event.formats) or 'no format'}"
        )
        self._lines(["", *wrapped(plain(text), hang=2)])

    def _deviation(self, name: str, deviation: events.Deviation) -> None:
        self._print("")
        self._print(f"DEVIATION of {plain(name)}", style="bold red")
        commands = repro_commands(self._started, name, deviation)
        owner = self._owners.setdefault(_identity(deviation), name)
        self._lines(block(deviation, commands) if owner == name else back_reference(deviation, plain(owner), commands))

    def _verdicts(self, event: events.RunFinished) -> None:
        if not self._quiet:
            self._print("")
        hazards = self._started.fail_on_hazards
        for line, verdict in verdict_lines(
            self._results, lambda name, new: repro_commands(self._started, name, new), fail_on_hazards=hazards
        ):
            code = VERDICTS[verdict].exit_code if verdict else None
            self._print(line, style="" if code is None else _STYLES.get(ExitCode(code), "bold red"))
        if hazards and any(result.hazards for result in self._results):
            self._print("hazards fail this run, as --fail-on hazards asks", style="bold red")
        if not event.complete:
            self._print("interrupted: this report holds the results up to then", style="yellow")

    # -- how it is printed

    def _lines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._print(line)

    def _print(self, line: str, *, style: str = "") -> None:
        # As a styled text: a style of the print would spread to the progress display under it.
        self._out.print(Text(plain(line), style))


def _identity(deviation: events.Deviation) -> str:
    """Describe a deviation but for its subject: two subjects with one description deviate alike."""
    program = replace(deviation.program, subject="", framework="", dialect="", device="")
    return repr(replace(deviation, program=program, framework="", seconds_to_first=0.0, occurrences=1))
