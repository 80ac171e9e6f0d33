"""A process with a framework imported and nothing of a subject, forked for one subject after the other.

Importing torch costs more than a second of a processor; a fork costs milliseconds. The life of one: the first host that needs
its framework starts it, each host asks it for a fork with a connection of its own, and later how that fork ended; it ends
when the process that started it does, and the forks with it, and whatever they started. It runs no operation of the framework:
what starts threads or opens a device would not survive a fork.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from rmspec.oracles.errors import CannotStart
from rmspec.oracles.processes.descendants import adopt_orphans, end_descendants, end_tree, signal_with_parent

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from rmspec.oracles.host.zygote import main; main(int(sys.argv[1]), sys.argv[3:])"
)
_HINT = "see whether memory ran out, or whether the subject kills the process that it was started by"
_FORK, _STATUS, _END = b"f", b"s", b"e"
_NUMBER = struct.Struct("!q")
_RUNNING = 1 << 32
_GRACE = 5.0  # seconds that a fork may take to end, once it was killed
_IMPORTING = 120.0  # seconds for its first answer, which its imports precede
_ANSWERING = 30.0  # seconds for any later one


class Zygote:
    """The side of the host. ``modules`` are imported ahead; a broken one is left to the subject."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._control, theirs = socket.socketpair()
        self._control.settimeout(_IMPORTING)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(theirs.fileno()), json.dumps(sys.path), *modules],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    @property
    def usable(self) -> bool:
        """Whether it can be asked: it runs, and this process started it."""
        return self._owner == os.getpid() and self._process.poll() is None

    def fork(self, channel: socket.socket, log: int) -> int:
        """Fork a process to serve ``channel`` and print to ``log``; its id. Raises ``CannotStart``."""
        return self._ask(_FORK, [channel.fileno(), log])

    def status(self, pid: int) -> int | None:
        """The exit code of a fork, negative for a signal; ``None`` while it runs. Raises ``CannotStart``."""
        return self._code(_STATUS, pid)

    def end(self, pid: int) -> int | None:
        """Kill a fork and its children; as ``status``."""
        return self._code(_END, pid)

    def _code(self, question: bytes, pid: int) -> int | None:
        code = self._ask(question + _NUMBER.pack(pid), [])
        return None if code == _RUNNING else code

    def _ask(self, message: bytes, descriptors: list[int]) -> int:
        try:
            with self._lock:
                # A subject may have stopped it.
                self._process.send_signal(signal.SIGCONT)
                socket.send_fds(self._control, [message], descriptors)
                reply = self._control.recv(_NUMBER.size, socket.MSG_WAITALL)
                self._control.settimeout(_ANSWERING)
            (number,) = _NUMBER.unpack(reply)
        except (OSError, struct.error):
            self.close()
            raise CannotStart("the process that starts subjects has ended", hint=_HINT) from None
        if number == -1 and message[:1] == _FORK:
            raise CannotStart("no process can be started for the subject", hint="see whether there are too many")
        return int(number)

    def close(self) -> None:
        """End it, its forks and their children, from the process of its start alone."""
        if self._owner == os.getpid() and self._process.returncode is None:
            end_tree(self._process.pid)
            self._process.wait()
        self._control.close()


_zygotes: dict[tuple[str, ...], Zygote] = {}
_starting = threading.Lock()


@atexit.register
def close_zygotes() -> None:
    """End those of this process. A fork ends without functions of ``atexit``, and calls this itself."""
    while _zygotes:
        _zygotes.popitem()[1].close()


def zygote(modules: Sequence[str]) -> Zygote:
    """The one with these modules, started when it is asked for first."""
    key = tuple(modules)
    with _starting:
        if key in _zygotes and not _zygotes[key].usable:
            _zygotes.pop(key).close()
        if key not in _zygotes:
            _zygotes[key] = Zygote(key)
        return _zygotes[key]


def main(descriptor: int, modules: Sequence[str]) -> None:
    """Import the modules, then fork on demand until nobody can ask any more."""
    from rmspec.oracles.host.child import serve

    adopt_orphans()
    # It may have been stopped: then it goes on, and ends at the end of the connection.
    signal_with_parent(signal.SIGCONT)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    for name in modules:
        # What is wrong with it the subject finds out, where somebody reads what it says.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    forks = _Forks(serve)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 + _NUMBER.size, 2)
        question, pids = message[:1], _NUMBER.iter_unpack(message[1:])
        if question == _FORK:
            reply = forks.start(control, *descriptors)
        elif question == _STATUS:
            reply = forks.status(*next(pids))
        elif question == _END:
            reply = forks.end(*next(pids))
        else:
            end_descendants(os.getpid())
            os._exit(0)
        control.sendall(_NUMBER.pack(reply))


class _Forks:
    """The forks of a zygote, with their exit codes until somebody ends them.

    A fork adopts the orphans below it. So what the zygote adopts was left behind by a fork that has ended.
    """

    def __init__(self, serve: Callable[[socket.socket, int], None]) -> None:
        self._serve = serve
        self._running: set[int] = set()
        self._codes: dict[int, int] = {}

    def start(self, control: socket.socket, channel: int, log: int) -> int:
        """Fork a process to serve ``channel`` and print to ``log``; its id, or -1."""
        try:
            pid = os.fork()
        except OSError:
            pid = -1
        if not pid:
            control.close()
            self._serve(socket.socket(fileno=channel), log)
        os.close(channel)
        os.close(log)
        if pid > 0:
            self._running.add(pid)
        return pid

    def status(self, pid: int) -> int:
        """The exit code of a fork, or ``_RUNNING``."""
        ended = {child: status for child, status in _reaped() if child in self._running}
        if ended:
            self._running -= ended.keys()
            self._codes |= {child: os.waitstatus_to_exitcode(status) for child, status in ended.items()}
            # What they started in turn would keep their connections open.
            end_descendants(os.getpid(), self._running)
        return self._codes.get(pid, _RUNNING)

    def end(self, pid: int) -> int:
        """Kill a fork and all processes below it, and forget it."""
        if pid in self._running:
            end_tree(pid)
            deadline = time.monotonic() + _GRACE
            while self.status(pid) == _RUNNING and time.monotonic() < deadline:
                time.sleep(0.001)
        return self._codes.pop(pid, _RUNNING)


def _reaped() -> Iterator[tuple[int, int]]:
    """The ended children, adopted ones too, with their wait statuses."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended
