"""``rmspec check`` from the options to the exit code."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rmspec.oracles.errors import InputProblem
from rmspec.reports import html, jsonreport, junit, markdown
from rmspec.reports.checking import Checking
from rmspec.reports.config import KEYS, read_config
from rmspec.reports.gate import ExitCode, exit_code
from rmspec.reports.options import CheckOptions, resolve
from rmspec.reports.outputs import write
from rmspec.reports.problems import internal_message
from rmspec.reports.reporter import Document, Reporter
from rmspec.reports.stored import Programs
from rmspec.reports.terminal import Terminal, console

__all__ = ["KEYS", "check", "merged"]

_RENDERERS = {
    "--json": jsonreport.render,
    "--junit": junit.render,
    "--html": html.render,
    "--markdown": markdown.render,
}


def check(typed: Mapping[str, Any], folder: Path) -> ExitCode:
    """Check what the command line (``typed``, by option) and the configuration of ``folder`` ask for."""
    options = merged(typed, folder)
    try:
        settings = resolve(options)
    except InputProblem as problem:
        raise _located(problem, options, set(read_config(folder)) - set(typed)) from None
    with _terminated_as_interrupted(), _terminal(options) as terminal:
        reporters = [*_files(options), terminal]
        outcome = Checking(options.subjects, settings, reporters, call_timeout=options.call_timeout).run()
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


def _located(problem: InputProblem, options: CheckOptions, configured: set[str]) -> InputProblem:
    """A problem with what the configuration says, told by the key of its table, not by an option that nobody typed."""
    for name in sorted(configured & {field.name for field in fields(options)}):
        key, value = name.replace("_", "-"), getattr(options, name)
        values = [str(each) for each in (value if isinstance(value, tuple) else (value,))]
        option = re.compile(rf"--{key}(?![\w-])")
        if not option.search(problem.what) and not any(repr(each) in problem.what for each in values):
            continue
        why = f"{key} is set in [tool.rmspec] of pyproject.toml" + (f"; {problem.why}" if problem.why else "")
        hint = re.sub(rf"--{key} (\S+)", rf"{key} = \1", problem.hint)
        return type(problem)(option.sub(key, problem.what), why, option.sub(key, hint))
    return problem


def _files(options: CheckOptions) -> list[Reporter]:
    """The reporters that write files."""
    programs: list[Reporter] = [Programs(options.repro_dir)] if options.repro_dir is not None else []
    return programs + [Document(_RENDERERS[option], partial(write, path)) for option, path in options.outputs().items()]


def _terminal(options: CheckOptions) -> Terminal:
    """The terminal; on standard error where standard output is for a report."""
    out = console(error="-" in options.outputs().values())
    return Terminal(out, quiet=options.quiet, repro_dir=options.repro_dir)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM, with which a CI ends a job, for a Ctrl-C: what is known by then is still written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    held = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
