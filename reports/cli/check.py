"""``rmspec check`` from the options to the exit code."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from rmspec.oracles.errors import InputProblem
from rmspec.reports.cli.options import CheckOptions, any_own, resolve
from rmspec.reports.cli.pyproject import KEYS, read_config
from rmspec.reports.exit_codes import ExitCode, exit_code
from rmspec.reports.files import badge, github, junit, sarif
from rmspec.reports.files import html as html_report
from rmspec.reports.files import json as json_report
from rmspec.reports.files import markdown as markdown_report
from rmspec.reports.files.ndjson import EventLog
from rmspec.reports.files.programs import Programs
from rmspec.reports.files.reporter import Document, Record, Reporter
from rmspec.reports.outputs import write
from rmspec.reports.problems import internal_message
from rmspec.reports.run.checking import Checking
from rmspec.reports.terminal.terminal import Terminal, console

__all__ = ["KEYS", "check", "merged"]


def check(typed: Mapping[str, Any], folder: Path, *, also: Sequence[Reporter] = ()) -> ExitCode:
    """Check what the command line (``typed``, by option) and the configuration of ``folder`` ask for; ``also`` hear of it."""
    options = merged(typed, folder)
    try:
        settings = resolve(options)
    except InputProblem as problem:
        raise _located(problem, options, set(read_config(folder)) - set(typed)) from None
    with _terminated_as_interrupted(), _terminal(options) as terminal:
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


def merged(typed: Mapping[str, Any], folder: Path) -> CheckOptions:
    """The options: as typed, else as configured, else the default. Raises ``BadOption``."""
    values: dict[str, Any] = {**read_config(folder)}
    # One of two that exclude each other: what is typed replaces what is configured.
    for name, other in (("known", "no_known"), ("no_known", "known")):
        if name in typed:
            values.pop(other, None)
    # What the classes of a project are built on says nothing of other subjects.
    if "subjects" in typed and "framework" not in typed and not any_own(typed["subjects"]):
        values.pop("framework", None)
    values.update(typed)
    for name in ("subjects", "dtype", "without"):
        values[name] = tuple(values.get(name, ()))
    for name in ("time_budget", "call_timeout"):
        if values.get(name) is not None:
            values[name] = float(values[name])
    return CheckOptions(**values)


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
