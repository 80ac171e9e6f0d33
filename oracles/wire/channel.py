"""A running process on the wire protocol: requests go in, checked replies come out."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping
from typing import IO, Any

from rmspec.oracles.errors import (
    CannotStart,
    MalformedProgram,
    ProtocolBroken,
    SubjectFailed,
    SubjectHung,
    TooMuchMemory,
)
from rmspec.oracles.processes.descendants import Memory, end_tree
from rmspec.oracles.reading import parse_json
from rmspec.oracles.wire.schema import PROTOCOL, violation

LONGEST_LINE = 1 << 28
"""Bytes of a reply beyond which it is no reply: a wide program needs about a hundredth of it."""

_SLICE = 0.1  # seconds between two looks at the memory of a process that is silent

_GRACE = 2.0
"""Seconds that a process has to end, once it was told to or has closed its output."""


class WireProcess:
    """A running process: requests go in, replies come out, and it cannot block the suite.

    A thread each writes, reads, and drains standard error; none of them holds this object, so it can be collected,
    which kills the process, as does the end of the interpreter.
    """

    def __init__(self, name: str, command: tuple[str, ...], variables: Mapping[str, str], memory_limit: int) -> None:
        self.name = name
        self.over = False
        self.sessions = 0
        self._greeted = False
        self._id = 0
        self._line = b""
        try:
            # A session of its own, so that what the command starts in turn is killed with it, and an interrupt from the
            # keyboard reaches rmspec alone.
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **variables} if variables else None,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise CannotStart(
                f"{name} cannot be started: {command[0]}: {reason}",
                "the command is run as it is, without a shell, in the current directory",
                "check that it runs in a terminal",
            ) from None
        self.pid = self._popen.pid
        self._memory = Memory(self.pid, memory_limit)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._lines: queue.Queue[bytes] = queue.Queue(maxsize=1)  # a line may be long
        self._ended = threading.Event()
        self._tail: deque[bytes] = deque(maxlen=8)
        self._stderr = _thread(_drain, self._popen.stderr, self._tail)
        _thread(_write, self._popen.stdin, self._requests)
        _thread(_read, self._popen.stdout, self._lines, self._ended)
        self._kill = weakref.finalize(self, _kill, self._popen, self._requests, self._lines, self._ended, os.getpid())

    def hello(self, timeout: float) -> dict[str, Any]:
        """The first question and its reply. Raises ``CannotStart`` if the process ends, or declines."""
        try:
            announced = self.ask({"request": "hello", "protocol": PROTOCOL}, "hello", timeout)
        except SubjectFailed as error:
            self.end()
            if type(error) is SubjectFailed:
                raise CannotStart(error.what, error.why, error.hint) from None
            raise
        self._greeted = True
        return announced

    def ask(self, request: Mapping[str, Any], expected: str, timeout: float) -> dict[str, Any]:
        """The reply to a request, checked. Raises ``SubjectFailed`` if the process declines it."""
        self._id += 1
        problem = violation({"id": self._id, **request}, f"request_{request['request']}")
        if problem:
            raise MalformedProgram(
                f"{self.name} cannot be asked this: {problem}",
                f"it is not a request of {PROTOCOL}",
                "see rmspec.program/1",
            )
        self._requests.put(json.dumps({"id": self._id, **request}).encode() + b"\n")
        try:
            self._line = self._next_line(timeout)
        except queue.Empty:
            raise self._hung(request["request"], timeout) from None
        except MemoryError:
            raise self._too_large(request["request"]) from None
        except BaseException:
            # An interrupt leaves a reply behind that nobody will read.
            self.end()
            raise
        return self._checked(expected)

    def _next_line(self, timeout: float) -> bytes:
        """Wait for a line. Raises ``queue.Empty`` at the end of the time, and ``MemoryError`` for too much memory."""
        deadline = time.monotonic() + timeout
        while True:
            if self._memory.exceeded():
                raise MemoryError
            left = deadline - time.monotonic()
            try:
                return self._lines.get(timeout=max(0.0, min(left, _SLICE)))
            except queue.Empty:
                if left <= 0:
                    raise

    def _checked(self, expected: str) -> dict[str, Any]:
        if not self._line:
            raise self._ending_error(expected)
        if len(self._line) >= LONGEST_LINE:
            raise self.broken(f"it wrote a line of more than {LONGEST_LINE >> 20} MiB")
        try:
            reply = parse_json(self._line.decode("utf-8"))
        except ValueError:
            raise self.broken("it wrote a line that is not JSON") from None
        if not isinstance(reply, dict):
            raise self.broken("it wrote JSON that is not an object")
        if reply.get("id") != self._id or isinstance(reply.get("id"), bool):
            raise self.broken(f"it replied to request {reply.get('id')!r}, not to request {self._id}")
        kind = "failed" if reply.get("reply") == "failed" else expected
        problem = violation(reply, f"reply_{kind}")
        if problem:
            raise self.broken(f"its reply is not a {kind!r} of {PROTOCOL}: {problem}")
        if kind == "failed":
            raise SubjectFailed(f"{self.name} failed: {reply['message']}", self._last_words(), reply.get("hint", ""))
        return reply

    def part(self, timeout: float) -> None:
        """Say bye, wait a little, and make sure of its end."""
        if not self.over:
            with contextlib.suppress(SubjectFailed):
                self.ask({"request": "bye"}, "bye", min(timeout, _GRACE))
                self._requests.put(None)
                self._status()
        self.end()

    def end(self) -> None:
        """Kill the process, if it still runs."""
        self.over = True
        self._kill()

    def broken(self, problem: str) -> ProtocolBroken:
        """The error on the last line from the process; the process is killed."""
        self.end()
        excerpt = ascii(self._line[:200].decode("utf-8", "backslashreplace").rstrip("\n"))
        return ProtocolBroken(
            f"{self.name} broke the wire protocol: {problem}",
            f"it wrote {excerpt}{' ...' if len(self._line) > 200 else ''}{self._last_words('; ')}",
            "standard output is for replies alone, one JSON object a line, of the form in oracles/schemas/wire-1.json",
        )

    def _ending_error(self, expected: str) -> SubjectFailed:
        status = self._status()
        self.end()
        if status is None:
            closed = f"{self.name} broke the wire protocol: it closed its standard output when {expected!r} was due"
            return ProtocolBroken(closed, self._last_words() or "its standard error is empty")
        ending = f"status {status}" if status >= 0 else f"signal {_signal(-status)}"
        if not self._greeted:
            return CannotStart(
                f"{self.name} ended with {ending} before it said hello",
                self._last_words() or "its standard error is empty",
                "run the command in a terminal; it must read requests from its standard input until that ends",
            )
        return ProtocolBroken(
            f"{self.name} broke the wire protocol: it ended with {ending} when {expected!r} was due",
            self._last_words() or "its standard error is empty",
        )

    def _hung(self, request: str, timeout: float) -> SubjectHung:
        self.end()
        return SubjectHung(
            f"{self.name} did not reply to {request!r} within {timeout:g} s and was killed",
            self._last_words(),
            "" if self._greeted else "it must flush its standard output after each line",
        )

    def _too_large(self, request: str) -> TooMuchMemory:
        self.end()
        return self._memory.error(self.name, f"before it replied to {request!r}")

    def _status(self) -> int | None:
        try:
            return self._popen.wait(_GRACE)
        except subprocess.TimeoutExpired:
            return None

    def _last_words(self, before: str = "") -> str:
        if self.over:
            self._stderr.join(_GRACE)
        text = b"".join(self._tail).decode("utf-8", "backslashreplace")
        lines = [ascii(line.strip())[1:-1] for line in text.splitlines() if line.strip()]
        return f"{before}its standard error ends: {' | '.join(lines[-5:])[-600:]}" if lines else ""


def _thread(target: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, name=f"rmspec{target.__name__}", daemon=True)
    thread.start()
    return thread


def _write(stream: IO[bytes], requests: queue.SimpleQueue[bytes | None]) -> None:
    """Write requests until there is a ``None``; a process no longer reading shows at its other end."""
    with contextlib.suppress(OSError), stream:
        while (line := requests.get()) is not None:
            stream.write(line)
            stream.flush()


def _read(stream: IO[bytes], lines: queue.Queue[bytes], ended: threading.Event) -> None:
    """Hand over lines, an empty one at the end of the stream."""
    with contextlib.suppress(OSError, ValueError), stream:
        while not ended.is_set():
            line = stream.readline(LONGEST_LINE)
            lines.put(line)
            if not line:
                return


def _drain(stream: IO[bytes], tail: deque[bytes]) -> None:
    """Read all there is, so that the process never waits for a reader, and keep the end of it."""
    with contextlib.suppress(OSError, ValueError), stream:
        while chunk := stream.read1(4096):  # type: ignore[attr-defined] # a pipe of Popen is buffered
            tail.append(chunk)


def _kill(
    popen: subprocess.Popen[bytes],
    requests: queue.SimpleQueue[bytes | None],
    lines: queue.Queue[bytes],
    ended: threading.Event,
    owner: int,
) -> None:
    if os.getpid() != owner:
        return  # a fork of the process that started it
    ended.set()
    if popen.returncode is None:
        end_tree(popen.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(_GRACE)
    requests.put(None)
    with contextlib.suppress(queue.Empty):
        while True:
            lines.get_nowait()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
