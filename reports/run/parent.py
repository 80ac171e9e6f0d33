"""The parent's side of the worker process: starts it, asks it, notices when it crashed, ends it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rmspec.impl.errors import RmspecError
from rmspec.oracles.host.crash import ending, last_words
from rmspec.oracles.processes.descendants import end_tree
from rmspec.reports.run.jobs import Answer, Done, Failed, Job

__all__ = ["Overseer", "WorkerLost"]


class WorkerLost(RmspecError):
    """The worker crashed: ``what`` happened, the lines last ``printed``, ``where`` in the code it was."""

    def __init__(self, what: str, printed: str, where: str) -> None:
        super().__init__(what)
        self.args = (what, printed, where)
        self.printed = printed
        self.where = where

    def told(self, when: str) -> str:
        """Format the loss for a report; ``when`` names the job."""
        place = f", at {self.where}" if self.where else ""
        printed = f"; it last printed:\n{self.printed}" if self.printed else ""
        return f"{self.what} {when}{place}{printed}"


_LOOKING = 1.0  # seconds between two looks after a worker that says nothing

_starting = threading.Lock()
"""One start at a time: a fork beside another start would keep the ends of its pipes open."""


class Overseer:
    """Asks a worker process for jobs; starts it when it is needed, and a fresh one after a crash.

    With ``forks`` the worker is a fork of this process, which spares it all imports; else a fresh interpreter.
    A context manager: the worker and its log are gone at the end.
    """

    def __init__(self, *, forks: bool = False) -> None:
        self._forks = forks
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._folder = ""
        self._log = Path()
        self._offset = 0

    def __enter__(self) -> Overseer:
        self._folder = tempfile.mkdtemp(prefix="rmspec-worker-")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def ask(self, job: Job) -> Iterator[Answer]:
        """Send a job and yield its answers: see ``post`` and ``answers``."""
        self.post(job)
        return self.answers()

    def do(self, job: Job) -> Any:
        """Send a job and return its result. Raises ``Failed`` and ``WorkerLost``."""
        self.post(job)
        return self.result()

    def result(self) -> Any:
        """Wait for the result of the posted job. Raises ``Failed`` and ``WorkerLost``."""
        *_, last = self.answers()
        if isinstance(last, Failed):
            raise last
        assert isinstance(last, Done)
        return last.result

    def post(self, job: Job) -> None:
        """Send a job, and do not wait for its answers."""
        connection = self._started()
        self._offset = self._log.stat().st_size if self._log.exists() else 0
        # Where the worker is gone already, the answers will tell.
        with contextlib.suppress(OSError):
            connection.send(job)

    def answers(self) -> Iterator[Answer]:
        """Yield the answers to the posted job, up to ``Done`` or ``Failed``. Raises ``WorkerLost``."""
        connection = self._connection
        assert connection is not None
        try:
            while True:
                answer = self._receive(connection)
                yield answer
                if isinstance(answer, Done | Failed):
                    return
        except (EOFError, OSError, pickle.UnpicklingError):
            raise self._crashed() from None

    def _receive(self, connection: Connection) -> Answer:
        process = self._process
        assert process is not None
        while not (ready := wait([connection, process.sentinel], _LOOKING)):
            # A subject may have stopped it.
            _kill(process, signal.SIGCONT)
        if process.sentinel in ready and not connection.poll(0):
            raise EOFError
        answer: Answer = connection.recv()
        return answer

    def _started(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._connection is not None:
            return self._connection
        self.close()
        # Imported by name in a fresh interpreter: what runs as __main__ in this one plays no part.
        from rmspec.reports.run.worker import serve

        context: BaseContext = multiprocessing.get_context("fork" if self._forks else "spawn")
        self._log = Path(self._folder) / f"{time.monotonic_ns()}.log"
        if not self._forks:
            # Else the start of the first process starts it on the way, which lets a Ctrl-C through again.
            resource_tracker.ensure_running()
        with _starting, _no_interrupt():
            ours, theirs = context.Pipe()
            self._process = context.Process(  # type: ignore[attr-defined]  # of each context, and not of their base
                target=serve, args=(theirs, str(self._log)), name="rmspec-worker"
            )
            self._process.start()
            theirs.close()
        self._connection = ours
        return ours

    def _crashed(self) -> WorkerLost:
        process = self._process
        code: int | None = None
        if process is not None:
            process.join(5)
            code = process.exitcode
        printed, where = self._printed()
        self.close()
        return WorkerLost(f"it crashed: {ending(code)}", printed, where)

    def _printed(self) -> tuple[str, str]:
        try:
            with self._log.open("rb") as file:
                file.seek(self._offset)
                return last_words(file.read().decode("utf-8", "replace"))
        except OSError:
            return "", ""

    def close(self) -> None:
        """End the worker and its children."""
        process, connection = self._process, self._connection
        self._process = self._connection = None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.send(None)
            connection.close()
        if process is None:
            return
        process.join(0.2)
        if process.is_alive():
            _kill(process, signal.SIGTERM)
            process.join(1)
        if process.is_alive():
            assert process.pid is not None
            end_tree(process.pid)
            process.join(5)
        with contextlib.suppress(ValueError):
            process.close()


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Block Ctrl-C and SIGTERM while a process is started; the new process inherits the block.

    The parent alone handles them, also while the other process is still importing.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _kill(process: BaseProcess, number: int) -> None:
    """Signal the worker and its children: it leads a process group."""
    pid = process.pid
    assert pid is not None
    with contextlib.suppress(OSError):
        # Before it leads one, it is in ours.
        send = os.killpg if os.getpgid(pid) == pid else os.kill
        send(pid, number)
