"""The processes below a process: their list, their end, and their memory.

A process that adopts orphans stays an ancestor of whatever is started below it, in whichever session and behind however many
forks; so its descendants are all there is to end. Linux alone has this, and shows the tree under ``/proc``: elsewhere the
list is empty, and a process group is what can be ended. Nothing here raises for a process that has ended meanwhile.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from rmspec.oracles.errors import TooMuchMemory
from rmspec.oracles.processes.machine import format_size

__all__ = ["Memory", "adopt_orphans", "descendants_ended", "end_descendants", "end_tree", "signal_with_parent"]

_SET_SIGNAL, _SET_ADOPTING = 1, 36  # PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of <linux/prctl.h>
_PATIENCE = 5.0  # seconds for processes that were killed to be gone
_INTERVAL = 0.1  # seconds between two looks at the memory of a process
_SHARE = 0.005  # of the time, at most, is for looking at all processes of the machine


def adopt_orphans(adopting: bool = True) -> None:
    """Become the parent of every orphan below this process, or of no further one."""
    _prctl(_SET_ADOPTING, int(adopting))


def signal_with_parent(number: signal.Signals) -> bool:
    """Ask for a signal at the end of the parent (of its thread, to be exact); whether there will be one."""
    return _prctl(_SET_SIGNAL, number)


def _prctl(option: int, value: int) -> bool:
    with contextlib.suppress(AttributeError):  # Linux alone has it
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    return False


class _Process(NamedTuple):
    id: int
    parent: int
    group: int
    running: bool


def _descendants(pid: int, spared: Collection[int] = (), table: Collection[_Process] | None = None) -> dict[int, int]:
    """The running processes below a process, with their groups; none of those ``spared``, nor below them."""
    below: dict[int, list[_Process]] = {}
    for process in _processes() if table is None else table:
        below.setdefault(process.parent, []).append(process)
    places, running = [pid], {}
    while places:
        for child in below.pop(places.pop(), ()):
            if child.id not in spared:
                places.append(child.id)
                if child.running:
                    running[child.id] = child.group
    return running


def _processes() -> list[_Process]:
    """All processes of the machine."""
    table = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and (line := _content(f"/proc/{name}/stat")):
                state, parent, group, *rest = line[line.rfind(b")") + 2 :].split()
                # A thread may outlive the first one of its process, which is dead then.
                table.append(_Process(int(name), int(parent), int(group), state not in b"ZX" or int(rest[14]) > 1))
    return table


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def end_descendants(pid: int, spared: Collection[int] = ()) -> None:
    """Kill the processes below a process and their new children, without those in ``spared`` and below them."""
    own, deadline = os.getpgrp(), time.monotonic() + _PATIENCE
    killed: set[int] = set()
    while time.monotonic() < deadline:
        table = _processes()
        running = _descendants(pid, spared, table)
        # A group ends at one blow, and cannot fork away from it. The process itself may be in it, and leave its orphans.
        for group in {*running.values()} - {own}:
            _send(os.killpg, group, signal.SIGKILL)
        for child in running:
            _send(os.kill, child, signal.SIGKILL)
        killed.update(running)
        if not any(process.running for process in table if process.id in killed):
            return
        time.sleep(0.001)


@contextlib.contextmanager
def descendants_ended() -> Iterator[None]:
    """Kill at the end all new processes below this one, orphans too."""
    adopt_orphans()
    before = _descendants(os.getpid())
    try:
        yield
    finally:
        end_descendants(os.getpid(), before)


def end_tree(pid: int) -> None:
    """Kill a process and all below it."""
    # It stands still first: its end would make orphans of the others.
    _send(os.kill, pid, signal.SIGSTOP)
    end_descendants(pid)
    _send(os.killpg, pid, signal.SIGKILL)  # where it leads a group
    _send(os.kill, pid, signal.SIGKILL)


def _send(send: Callable[[int, int], None], pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        send(pid, number)


class Memory:
    """The resident memory of a process and of all below it, compared with a ``limit`` in bytes now and then.

    What several processes share is counted once. A look at one process costs microseconds; one at those below it reads
    the whole table of processes, and is the rarer the longer that takes.
    """

    def __init__(self, pid: int, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self._pid = pid
        self._next = self._next_below = 0.0

    def exceeded(self) -> bool:
        """Look again, unless the last look is too recent; whether the bytes ``used`` exceed the limit."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + _INTERVAL
        self.used = _resident(self._pid)
        if self.used <= self.limit and now >= self._next_below:
            pids = [self._pid, *_descendants(self._pid)]
            self._next_below = now + max(1.0, (time.monotonic() - now) / _SHARE)
            if sum(map(_resident, pids)) > self.limit:
                self.used = sum(map(_proportional, pids))
        return self.used > self.limit

    def error(self, name: str, occasion: str) -> TooMuchMemory:
        """Make the error of a subject beyond its limit; ``occasion`` says when it was."""
        return TooMuchMemory(
            f"{name} used {format_size(self.used)} of memory {occasion}",
            f"it may use {format_size(self.limit)}",
            "raise --memory-limit if it needs so much",
        )


def _resident(pid: int) -> int:
    fields = _content(f"/proc/{pid}/statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def _proportional(pid: int) -> int:
    """The resident memory of a process, with its part of all shared memory."""
    for line in _content(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    return _resident(pid)
