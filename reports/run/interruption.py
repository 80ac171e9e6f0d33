"""Ending a run by signals: SIGTERM counts as a Ctrl-C, and neither interrupts the writing of reports.

What a process inherits as ignored stays ignored, as in other programs: a job in the background of a shell ignores SIGINT.
Every handler is put back at the end, however that comes. Outside of the main thread, where Python handles no signals,
nothing is changed.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["handlers_restored", "ignore_interrupts", "terminated_as_interrupted"]

_ENDING = (signal.SIGINT, signal.SIGTERM)

_Handler = Callable[[int, FrameType | None], object] | int


@contextmanager
def handlers_restored() -> Iterator[None]:
    """Put back the handlers of SIGINT and SIGTERM."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            _handle(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at SIGTERM, the end of a job in a CI, so that the reports are still written."""
    with handlers_restored():
        if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
            _handle(signal.SIGTERM, _interrupt)
        yield


def ignore_interrupts() -> None:
    """Let no further signal interrupt the run, until ``handlers_restored`` ends."""
    for number in _ENDING:
        _handle(number, signal.SIG_IGN)


def _handle(number: signal.Signals, handler: _Handler | None) -> None:
    # None is a handler that was not installed from Python, and that Python cannot put back.
    foreign = handler is None or signal.getsignal(number) is None
    if not foreign and threading.current_thread() is threading.main_thread():
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
