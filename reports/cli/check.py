"""``rmspec check`` from the options to the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmspec.oracles.errors import InputProblem
from rmspec.reports.config.effective import locate, merged
from rmspec.reports.config.options import CheckOptions, resolve
from rmspec.reports.config.pyproject import read_config
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.files import github
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.outputs import make_folder
from rmspec.reports.problems import internal_message, tell_failure
from rmspec.reports.record import Guarded, Recorder, Reporter
from rmspec.reports.run.checking import Checking
from rmspec.reports.run.interruption import terminated_as_interrupted
from rmspec.reports.terminal.terminal import Terminal, console

__all__ = ["check"]


def check(typed: Mapping[str, Any], folder: Path, *, also: Sequence[Reporter] = ()) -> ExitCode:
    """Check with the options of the command line (``typed``) and of the configuration of ``folder``; ``also`` hear of it."""
    options = merged(typed, folder)
    try:
        settings = resolve(options)
    except InputProblem as problem:
        raise locate(problem, options, set(read_config(folder)) - set(typed)) from None
    if options.reports is not None:
        make_folder(options.reports)
    recorder = Recorder()
    out = console(error=_to_stdout(options))
    with terminated_as_interrupted(), Terminal(out, quiet=options.quiet, verbose=options.verbose) as terminal:
        reporters = [Guarded(reporter) for reporter in (*_reporters(options, terminal), *also)]
        outcome = Checking(
            options.subjects,
            settings,
            [*reporters, recorder],
            fail_on_hazards=options.fail_on == "hazards",
            repro_dir=options.destinations().get("repro-dir"),
            forks=True,
            run_scripts=not options.quiet,
        ).run()
    if outcome.trace:
        print(internal_message(outcome.trace), file=sys.stderr)
    assert recorder.record is not None  # a run that ends in no exception is recorded
    code = recorder.record.gate.code
    for reporter in reporters:
        if reporter.failure is not None:
            code = tell_failure(reporter.failure, code)
    return code


def _reporters(options: CheckOptions, terminal: Terminal) -> list[Reporter]:
    """List the reporters of a run: the files, the terminal, and GitHub's around them in a job there."""
    reporters: list[Reporter] = [
        *(FORMATS[name].reporter(path) for name, path in options.destinations().items()),
        terminal,
    ]
    if not github.on_github():
        return reporters
    stream = sys.stderr if _to_stdout(options) else sys.stdout

    def out(text: str) -> None:
        stream.write(text)
        stream.flush()

    return github.reporters(reporters, out)


def _to_stdout(options: CheckOptions) -> bool:
    """Whether standard output is for a report; the terminal's lines go to standard error then."""
    return "-" in dict(options.files).values()
