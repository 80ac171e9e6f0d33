"""``rmspec check`` from the options to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rmspec.oracles.errors import InputProblem
from rmspec.reports.config.effective import locate, merged
from rmspec.reports.config.options import CheckOptions, resolve
from rmspec.reports.config.pyproject import read_config
from rmspec.reports.exit_codes import ExitCode, exit_code
from rmspec.reports.files import badge, github, junit, sarif
from rmspec.reports.files import html as html_report
from rmspec.reports.files import json as json_report
from rmspec.reports.files import markdown as markdown_report
from rmspec.reports.files.ndjson import EventLog
from rmspec.reports.files.programs import Programs
from rmspec.reports.outputs import write
from rmspec.reports.problems import internal_message
from rmspec.reports.record import Document, Record, Reporter
from rmspec.reports.run.checking import Checking
from rmspec.reports.run.interruption import terminated_as_interrupted
from rmspec.reports.terminal.terminal import Terminal, console

__all__ = ["check"]


def check(typed: Mapping[str, Any], folder: Path, *, also: Sequence[Reporter] = ()) -> ExitCode:
    """Check what the command line (``typed``, by option) and the configuration of ``folder`` ask for; ``also`` hear of it."""
    options = merged(typed, folder)
    try:
        settings = resolve(options)
    except InputProblem as problem:
        raise locate(problem, options, set(read_config(folder)) - set(typed)) from None
    with terminated_as_interrupted(), _terminal(options) as terminal:
        reporters = [*_reporters(options, terminal), *also]
        outcome = Checking(options.subjects, settings, reporters, call_timeout=options.call_timeout).run()
    if outcome.trace:
        print(internal_message(outcome.trace), file=sys.stderr)
    return exit_code(
        outcome.results,
        complete=outcome.complete,
        internal=bool(outcome.trace),
        fail_on_hazards=options.fail_on == "hazards",
    )


def _reporters(options: CheckOptions, terminal: Terminal) -> list[Reporter]:
    """Everyone who hears of the run: the files, the terminal, and around them what GitHub shows, in a job there."""
    found: list[Reporter] = [*_files(options), terminal]
    if not github.on_github():
        return found
    stream = sys.stderr if "-" in options.outputs().values() else sys.stdout

    def out(text: str) -> None:
        stream.write(text)
        stream.flush()

    return github.reporters(found, out, repro_dir=options.repro_dir, fail_on_hazards=options.fail_on == "hazards")


def _files(options: CheckOptions) -> list[Reporter]:
    """The reporters that write files."""
    hazards, folder = options.fail_on == "hazards", options.repro_dir
    renderers: dict[str, Callable[[Record], str]] = {
        "--json": json_report.render,
        "--junit": partial(junit.render, repro_dir=folder),
        "--sarif": partial(sarif.render, repro_dir=folder, fail_on_hazards=hazards),
        "--badge": partial(badge.render, fail_on_hazards=hazards),
        "--html": html_report.render,
        "--markdown": markdown_report.render,
    }
    found: list[Reporter] = [Programs(folder)] if folder is not None else []
    if options.ndjson is not None:
        found.append(EventLog(options.ndjson))
    return found + [
        Document(renderers[option], partial(write, path))
        for option, path in options.outputs().items()
        if option in renderers
    ]


def _terminal(options: CheckOptions) -> Terminal:
    """The terminal; on standard error where standard output is for a report."""
    out = console(error="-" in options.outputs().values())
    return Terminal(out, quiet=options.quiet, repro_dir=options.repro_dir)
