"""Messages on problems: the problem, its consequence, the remedy; one message, never a traceback."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback

import click

from rmspec.impl.errors import RmspecError, nearest
from rmspec.oracles.errors import BadOption, choose
from rmspec.reports.escapes import plain

__all__ = ["BadOption", "InternalError", "choose", "click_message", "internal_message", "message", "nearest"]


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
    with tempfile.NamedTemporaryFile(
        "w", prefix="rmspec-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
    ) as log:
        log.write(f"{' '.join(sys.argv)}\n{trace}")
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
