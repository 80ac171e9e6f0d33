"""``rmspec check`` from the options to the exit code."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rmspec.reports import html, jsonreport, junit, markdown
from rmspec.reports.checking import Checking
from rmspec.reports.config import read_config
from rmspec.reports.gate import ExitCode, exit_code
from rmspec.reports.options import CheckOptions, resolve
from rmspec.reports.outputs import write
from rmspec.reports.problems import internal_message
from rmspec.reports.reporter import Document, Reporter
from rmspec.reports.stored import Programs
from rmspec.reports.terminal import Terminal, console

__all__ = ["check", "merged"]

_RENDERERS = {
    "--json": jsonreport.render,
    "--junit": junit.render,
    "--html": html.render,
    "--markdown": markdown.render,
}


def check(typed: Mapping[str, Any], folder: Path) -> ExitCode:
    """Check what the command line (``typed``, by option) and the configuration of ``folder`` ask for."""
    options = merged(typed, folder)
    settings = resolve(options)
    signal.signal(signal.SIGTERM, _interrupt)
    checking = Checking(options.subjects, settings, _reporters(options), call_timeout=options.call_timeout)
    outcome = checking.run()
    if outcome.trace:
        print(internal_message(outcome.trace), file=sys.stderr)
    return exit_code(
        outcome.results,
        complete=outcome.complete,
        internal=bool(outcome.trace),
        fail_on_hazards=options.fail_on == "hazards",
    )


def merged(typed: Mapping[str, Any], folder: Path) -> CheckOptions:
    """The options: as typed, else as configured, else the default. Raises ``BadOption``."""
    values: dict[str, Any] = {**read_config(folder)}
    # One of two that exclude each other: what is typed replaces what is configured.
    for name, other in (("known", "no_known"), ("no_known", "known")):
        if name in typed:
            values.pop(other, None)
    values.update(typed)
    for name in ("subjects", "dtype", "without"):
        values[name] = tuple(values.get(name, ()))
    for name in ("time_budget", "call_timeout"):
        if values.get(name) is not None:
            values[name] = float(values[name])
    return CheckOptions(**values)


def _reporters(options: CheckOptions) -> list[Reporter]:
    """The reporters of a run, files first: a terminal that ends the run early must not cost them."""
    outputs = options.outputs()
    reporters: list[Reporter] = [Programs(options.repro_dir)] if options.repro_dir is not None else []
    reporters += [Document(_RENDERERS[option], partial(write, path)) for option, path in outputs.items()]
    out = console(error="-" in outputs.values())
    return [*reporters, Terminal(out, quiet=options.quiet, repro_dir=options.repro_dir)]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
