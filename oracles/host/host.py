"""A subject in a process of its own: programs go in, transcripts come out.

A host starts the process, which loads the subject and describes it; each program is one round trip; ``close`` ends the process from
outside. One that ends, is silent for too long, uses too much memory, or writes what is no reply is its subject's failure alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.machinery
import importlib.util
import os
import pickle
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from rmspec.oracles.errors import CannotStart, ProtocolBroken, SubjectFailed, SubjectHung
from rmspec.oracles.host.beginning import FIRST_STEP
from rmspec.oracles.host.crash import ending, last_words
from rmspec.oracles.host.descent import Descend, Trajectory
from rmspec.oracles.host.evidence import has_variants
from rmspec.oracles.host.frames import Frame, Kind, receive, send
from rmspec.oracles.host.onestep import Fit, decode_fitted, decode_stepped
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.host.requests import FirstStep, Load, Request
from rmspec.oracles.host.transcripts import decode_error, decode_transcript
from rmspec.oracles.host.zygote import Zygote, zygote
from rmspec.oracles.loader import check_name
from rmspec.oracles.names import parse_name
from rmspec.oracles.processes.descendants import Memory
from rmspec.oracles.processes.machine import default_memory_limit
from rmspec.oracles.program.program import Program
from rmspec.oracles.reading import parse_json
from rmspec.oracles.recordings.onestep import OneStep, Stepped
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.oracles.subject import CALL_TIMEOUT, IMPORT_TIMEOUT, Capabilities

if TYPE_CHECKING:
    from rmspec.oracles.wire.subject import ProcessSubject

_COMPILING = 300.0  # seconds: the first compilation builds headers
_SLICE = 0.1  # seconds between two looks at whether the process still runs, and at its memory
_LOCATING = 0.3  # seconds in which a process that hangs may write where it is
_SETTLING = 0.02  # seconds after which it has written that
_PRINTED = 1 << 24  # bytes that a process may print before they are dropped
_ENDING = 2.0  # seconds in which a process ends that has closed its connection


Opened: TypeAlias = "Host | ProcessSubject"
"""A subject in a process of its own, which ends with ``close``."""


def open_subject(
    name: str,
    *,
    framework: str | None = None,
    device: str = "cpu",
    call_timeout: float = CALL_TIMEOUT,
    memory_limit: int | None = None,
) -> Opened:
    """Load the subject of this name in a process of its own: a ``Host``, or a command on the wire protocol.

    ``memory_limit`` is in bytes, and by default what the machine allows. Raises the errors of ``rmspec.oracles.load``, and
    ``SubjectFailed`` for one that ends its process, hangs or takes too much memory.
    """
    if name.startswith("process:"):
        from rmspec.oracles.wire.subject import ProcessSubject

        check_name(name)
        return ProcessSubject(name, timeout=call_timeout, memory_limit=memory_limit)
    return Host(name, framework=framework, device=device, call_timeout=call_timeout, memory_limit=memory_limit)


class Host:
    """A subject in a process of its own, with its description; its attributes are those of ``Subject``.

    ``call_timeout`` is how many seconds it may be silent before it has hung, and ``memory_limit`` how many bytes of memory it
    may have. Its first step took ``began`` seconds, if it took one; ``texts`` tells that it writes every number as text. Raises
    what ``open_subject`` raises.
    """

    occasion = "while it was checked"
    """What it is asked for, in the message of a process that is lost."""

    def __init__(
        self,
        name: str,
        *,
        framework: str | None = None,
        device: str = "cpu",
        call_timeout: float = CALL_TIMEOUT,
        memory_limit: int | None = None,
    ) -> None:
        check_name(name)
        self.name = name
        self._patience = call_timeout
        self._memory_limit = default_memory_limit() if memory_limit is None else memory_limit
        self._process = _Process(_modules(name, device), self._memory_limit)
        variables = {**os.environ, **self._process.caches()}
        self._question = Load(name, framework, device, call_timeout, os.getcwd(), tuple(sys.path), variables)
        reply = self._reply(self._question, "while it was loaded", max(call_timeout, IMPORT_TIMEOUT))
        with self._process.trusting_nothing():
            description = parse_json(bytes(reply))
            self.framework = str(description["framework"])
            self.dialect = str(description["dialect"])
            self.baselines = tuple(map(str, description["baselines"]))
            self._capabilities = _capabilities(description["capabilities"])
            self._versions = _texts(description["versions"])
            self._state_names = _texts(description["state_names"])
            self.began = None if description["began"] is None else float(description["began"])
            self.texts = bool(description["texts"])
        if has_variants(self.framework, self._capabilities.paths):
            # A compiler takes long for the first graph, on a machine with other work.
            self._patience = max(call_timeout, _COMPILING)

    def capabilities(self) -> Capabilities:
        """The capabilities of the subject."""
        return self._capabilities

    def versions(self) -> Mapping[str, str]:
        """Versions of its foundations, by name."""
        return self._versions

    def state_names(self) -> Mapping[str, str]:
        """The subject's own names for the visible roles of its state."""
        return self._state_names

    @cached_property
    def beginning(self) -> Transcript | None:
        """The transcript of the first step of the process, ``None`` without one. Raises ``SubjectFailed``."""
        if self.began is None:
            return None
        reply = self._reply(FirstStep(), self.occasion, self._patience)
        with self._process.trusting_nothing():
            return decode_transcript(reply, FIRST_STEP)

    def perform(self, program: Program) -> Transcript:
        """The transcript of a program. Raises ``SubjectFailed``."""
        reply = self._reply(program, self.occasion, self._patience)
        with self._process.trusting_nothing():
            return decode_transcript(reply, program)

    def descend(self, ask: Descend) -> Trajectory:
        """The trajectory of the subject. Raises ``SubjectFailed``."""
        reply = self._reply(ask, self.occasion, self._patience)
        with self._process.trusting_nothing():
            theta, stopped = parse_json(bytes(reply), special=True)
            return Trajectory(tuple(map(float, theta)), str(stopped))

    def fitted(self, step: OneStep) -> OneStep:
        """A recorded step as it fits a fresh optimizer of torch. Raises ``SubjectFailed``."""
        ask = Fit(step)
        reply = self._reply(ask, self.occasion, self._patience)
        with self._process.trusting_nothing():
            return decode_fitted(bytes(reply), ask)

    def step(self, step: OneStep) -> Stepped:
        """Perform a recorded step on a fresh optimizer of torch. Raises ``SubjectFailed``."""
        reply = self._reply(step, self.occasion, self._patience)
        with self._process.trusting_nothing():
            return decode_stepped(bytes(reply))

    def fresh(self) -> Host:
        """The same subject in another process. Raises the errors of ``open_subject``."""
        ask = self._question
        return Host(
            self.name,
            framework=ask.framework,
            device=ask.device,
            call_timeout=ask.call_timeout,
            memory_limit=self._memory_limit,
        )

    def close(self) -> None:
        """End the process."""
        self._process.end()

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    @property
    def orphaned(self) -> bool:
        """Whether its parent process has ended, and this one with it."""
        return self._process.orphaned

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _reply(self, request: Request, occasion: str, patience: float) -> memoryview:
        """The payload of the reply to a request. Raises the error sent in place of one."""
        frame = self._process.ask(request, occasion, patience, self._patience)
        if frame.kind is Kind.ERROR:
            with self._process.trusting_nothing():
                error = decode_error(parse_json(bytes(frame.payload)))
            raise error
        return frame.payload


class _Process:
    """The process of a subject, seen from outside: asked for replies, found to have ended or to hang."""

    def __init__(self, modules: Sequence[str], memory_limit: int) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        # What is printed goes to its end, also after what was there is dropped.
        fcntl.fcntl(self._log, fcntl.F_SETFL, fcntl.fcntl(self._log, fcntl.F_GETFL) | os.O_APPEND)
        self._zygote = zygote(modules)
        self._channel, theirs = socket.socketpair()
        with theirs:
            self.pid = self._zygote.fork(theirs, self._log.fileno())
        self._memory = Memory(self.pid, memory_limit)
        self._number = 0
        self._waiting = False
        self._silence = self._deadline = 0.0
        self._folder = tempfile.mkdtemp(prefix="rmspec-")
        self.end = weakref.finalize(self, _end, self._channel, self._log, self._zygote, self.pid, self._folder)

    def caches(self) -> dict[str, str]:
        """The environment variables for caches of frameworks, with empty folders of its own."""
        return {name: os.path.join(self._folder, name) for framework in frameworks() for name in framework.caches}

    @property
    def orphaned(self) -> bool:
        """Whether its parent process has ended."""
        return not self._zygote.usable

    def ask(self, request: Request, occasion: str, patience: float, later: float) -> Frame:
        """Send a request and return the frame of its reply or error.

        Silence for ``patience`` seconds is a hang, and for ``later`` seconds after a sign of life.
        Raises ``SubjectFailed``: the process is ended then, as by an interrupt, which leaves a reply that nobody reads.
        """
        if not self.end.alive:
            raise SubjectFailed("its process was ended before", hint="open another one")
        self._number += 1
        begin = os.fstat(self._log.fileno()).st_size
        try:
            return self._answer(request, patience, later)
        except MemoryError:
            raise self._memory.error("it", f"{occasion}{self._located(begin)}") from None
        except TimeoutError:
            raise SubjectHung(f"it hung: no answer for {self._silence:g} s {occasion}{self._located(begin)}") from None
        except (EOFError, OSError):
            raise SubjectFailed(f"it crashed: {ending(self._code())} {occasion}{self._last_words(begin)}") from None
        finally:
            if self._waiting:
                self.end()

    def _answer(self, request: Request, patience: float, later: float) -> Frame:
        self._waiting, self._silence = True, patience
        self._channel.settimeout(patience)
        send(self._channel, Kind.REQUEST, self._number, pickle.dumps(request))
        while True:
            self._deadline = time.monotonic() + self._silence
            frame = receive(self._channel, self._wait, self._memory.limit)
            if frame is None:
                raise EOFError
            if frame.number != self._number or frame.kind is Kind.REQUEST:
                raise ProtocolBroken("its process answered what was not asked")
            if frame.kind is not Kind.BEAT:
                self._waiting = False
                return frame
            self._silence = later

    def _wait(self) -> None:
        """Wait for something to read. Raises ``TimeoutError``, ``MemoryError``, and ``EOFError`` at the end of the process."""
        self._look()
        while not wait([self._channel], max(0.0, min(_SLICE, self._deadline - time.monotonic()))):
            self._look()
            if self._zygote.status(self.pid) is not None and not wait([self._channel], 0):
                raise EOFError
            if time.monotonic() > self._deadline:
                raise TimeoutError

    def _look(self) -> None:
        """Bound the log of the process. Raises ``MemoryError`` for its memory."""
        if self._memory.exceeded():
            raise MemoryError
        if os.fstat(self._log.fileno()).st_size > _PRINTED:
            os.ftruncate(self._log.fileno(), 0)

    @contextlib.contextmanager
    def trusting_nothing(self) -> Iterator[None]:
        """Turn a malformed reply into a failure of the subject, and end the process."""
        try:
            yield
        except ProtocolBroken:
            self.end()
            raise
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
            self.end()
            raise ProtocolBroken(f"its process sent no reply: {type(error).__name__}: {error}") from None

    def _code(self) -> int | None:
        """The exit code of a process after its connection is closed, the first thing of its end."""
        deadline = time.monotonic() + _ENDING
        while (code := self._zygote.status(self.pid)) is None and time.monotonic() < deadline:
            time.sleep(0.002)
        return code

    def _located(self, begin: int) -> str:
        """The last words of a hanging process, after a request for its place in the code."""
        descriptor, deadline = self._log.fileno(), time.monotonic() + _LOCATING
        before = size = os.fstat(descriptor).st_size
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGUSR1)
            while time.monotonic() < deadline:
                time.sleep(_SETTLING)
                latest, size = size, os.fstat(descriptor).st_size
                if size == latest != before:
                    break
        return self._last_words(begin)

    def _last_words(self, begin: int) -> str:
        descriptor = self._log.fileno()
        size = os.fstat(descriptor).st_size
        begin = max(0 if size < begin else begin, size - (1 << 16))
        printed, where = last_words(os.pread(descriptor, size - begin, begin).decode("utf-8", "replace"))
        return (f", at {where}" if where else "") + (f"; it last printed:\n{printed}" if printed else "")


def _end(channel: socket.socket, log: IO[bytes], zygote: Zygote, pid: int, folder: str) -> None:
    channel.close()
    log.close()
    if zygote.usable:
        with contextlib.suppress(CannotStart):
            zygote.end(pid)
    shutil.rmtree(folder, ignore_errors=True)


def _capabilities(data: Mapping[str, Any]) -> Capabilities:
    sets = {name: frozenset(map(str, value)) for name, value in data.items() if isinstance(value, list)}
    sets.pop("formats")
    instead = {str(name): value if isinstance(value, bool) else float(value) for name, value in data["instead"].items()}
    return Capabilities(
        formats=tuple(map(str, data["formats"])),
        missing=_texts(data["missing"]),
        instead=instead,
        switches=_texts(data["switches"]),
        **sets,
    )


def _texts(data: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in data.items()}


# -- What may be imported ahead of a subject.


def _modules(name: str, device: str) -> tuple[str, ...]:
    """The modules to import before the subject: those of the frameworks of its name, or of its imports."""
    registered = registered_names().get(name)
    if device != "cpu" or (registered is not None and "cpu" not in registered.subjects[name].devices):
        return ()  # what an import may find out of a GPU does not survive a fork
    if registered is not None:
        return registered.preloaded
    source = _source(parse_name(name).place)
    if "environ" in source:
        return ()  # what a framework reads when it is imported may be set there
    return tuple(
        module
        for framework in frameworks()
        if re.search(rf"^\s*(?:import|from)\s+{re.escape(framework.requires)}\b", source, re.MULTILINE)
        for module in framework.preloaded
    )


def _source(place: str) -> str:
    """The text of the file or module of a subject, without importing it; empty if it cannot be read."""
    path: str | None = place
    with contextlib.suppress(OSError, UnicodeDecodeError, ValueError, ImportError):
        if not place.endswith(".py"):
            first, *rest = place.split(".")
            spec = importlib.util.find_spec(first) or importlib.machinery.PathFinder.find_spec(first, [os.getcwd()])
            for part in rest:
                spec = spec and importlib.machinery.PathFinder.find_spec(part, spec.submodule_search_locations)
            path = spec.origin if spec else None
        return Path(path or "").read_text("utf-8")
    return ""
