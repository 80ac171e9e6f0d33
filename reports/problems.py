"""Messages on problems: the problem, its consequence, the remedy; one message, never a traceback."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
import traceback

import click

from rmspec.impl.errors import RmspecError, nearest
from rmspec.oracles.errors import BadOption, choose
from rmspec.reports.escapes import commands_stopped, plain, say
from rmspec.reports.exit_codes import PRECEDENCE, ExitCode

__all__ = [
    "BadOption",
    "InternalError",
    "choose",
    "click_message",
    "internal_message",
    "message",
    "nearest",
    "tell_failure",
]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class InternalError(RmspecError):
    """rmspec itself failed; ``trace`` is the traceback as text."""

    def __init__(self, trace: str) -> None:
        super().__init__(_last_line(trace), "this is a fault of rmspec, not of the subject", "please report it")
        self.args = (trace,)
        self.trace = trace


def message(error: RmspecError) -> str:
    """Format an error of rmspec: a line each for the problem, its consequence and the remedy."""
    lines = [f"rmspec: {error.what}", *(f"  {part}" for part in (error.why, error.hint) if part)]
    return "\n".join(map(plain, lines))


def click_message(error: click.ClickException) -> str:
    """An error of the option parser in the same form."""
    command = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "rmspec"
    if isinstance(error, click.NoSuchOption):
        what = f"unknown option {error.option_name}{_nearest_option(error)}"
    else:
        text = error.format_message().rstrip(".")
        what = text[:1].lower() + text[1:]
    return f"rmspec: {plain(what)}\n  {command} --help lists what it takes"


def _nearest_option(error: click.NoSuchOption) -> str:
    params = error.ctx.command.params if error.ctx else []
    names = [name for param in params for name in (*param.opts, *param.secondary_opts) if name.startswith("--")]
    begun = [name for name in names if name.startswith(error.option_name)]
    return f"; did you mean {begun[0]}?" if len(begun) == 1 else nearest(error.option_name, names)


def internal_message(trace: str) -> str:
    """A failure of rmspec itself: a short message, and the traceback in a file (or here, with ``RMSPEC_DEBUG=1``)."""
    last = plain(_last_line(trace))
    if os.environ.get("RMSPEC_DEBUG") == "1":
        return f"rmspec: internal error: {last}\n{plain(trace.rstrip())}"
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="rmspec-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as log:
            log.write(f"{' '.join(sys.argv)}\n{trace}")
    except OSError:  # there is no place for it
        return f"rmspec: internal error: {last}\n{plain(trace.rstrip())}"
    return (
        f"rmspec: internal error: {last}\n"
        "  this is a fault of rmspec, not of the subject; please report it with the traceback\n"
        f"  the traceback is in {log.name}; RMSPEC_DEBUG=1 prints it"
    )


def _last_line(trace: str) -> str:
    return trace.strip().splitlines()[-1] if trace.strip() else "no reason given"


def trace_of(error: BaseException) -> str:
    """The traceback of an exception as text."""
    return "".join(traceback.format_exception(error))


def tell_failure(error: Exception, code: ExitCode) -> ExitCode:
    """Print an error on standard error, and return the exit code of a command with ``code`` as its result.

    A fault of rmspec stands above a verdict, and a report that cannot be written below it: that turns 0 alone into 2. A
    pipe that nobody reads is no failure.
    """
    if isinstance(error, BrokenPipeError):
        silence_output()
        return code
    if isinstance(error, InternalError):
        text, unwritten = internal_message(error.trace), ExitCode.INTERNAL
    elif isinstance(error, RmspecError):
        text, unwritten = message(error), ExitCode.BAD_INPUT
    elif isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
        silence_output()
        problem = f"rmspec: cannot write to standard output: {error.strerror}"
        text, unwritten = f"{problem}\n  free some space, or write to another place", ExitCode.BAD_INPUT
    else:
        text, unwritten = internal_message(trace_of(error)), ExitCode.INTERNAL
    with contextlib.suppress(OSError), commands_stopped():
        say(text, error=True)
    return min(code, unwritten, key=_rank)


def _rank(code: ExitCode) -> int:
    """The place of a code in the order of precedence; bad output is the last but conformance."""
    failing = [failure for failure in PRECEDENCE if failure is not ExitCode.CONFORMS]
    return [*failing, ExitCode.BAD_INPUT, ExitCode.CONFORMS].index(code)


def silence_output() -> None:
    """Send further output to nowhere, once standard output takes no more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
