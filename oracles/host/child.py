"""The process of a subject: nothing in it but the subject, its framework, and this loop of requests and replies.

It leads a process group of its own, so that a Ctrl-C at the terminal is not its to handle, and adopts the orphans below it: what
it starts ends with it.
Whatever is printed goes to a log. It never ends by itself: whoever asks ends it, from outside, whatever it does.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import pickle
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from rmspec.oracles.errors import HostError, SubjectFailed, wording
from rmspec.oracles.host.beginning import Beginning, begin, begin_late, named
from rmspec.oracles.host.descent import Descend, descend_in_place
from rmspec.oracles.host.frames import Kind, receive, send
from rmspec.oracles.host.onestep import Fit, encode_fitted, encode_stepped
from rmspec.oracles.host.perform import perform
from rmspec.oracles.host.primitives import is_foreign, with_operations
from rmspec.oracles.host.requests import FirstStep, Load, Request
from rmspec.oracles.host.transcripts import encode_error, encode_transcript
from rmspec.oracles.host.watched import WatchedSubject
from rmspec.oracles.loader import find
from rmspec.oracles.processes.descendants import adopt_orphans, signal_with_parent
from rmspec.oracles.program.program import Program
from rmspec.oracles.recordings.onestep import OneStep
from rmspec.oracles.registry import frameworks
from rmspec.oracles.subject import Capabilities
from rmspec.oracles.wire.subject import ProcessSubject

_WATCHED = ("builtins", "json", "math", "numpy", "os", "pickle", "time")


def serve(channel: socket.socket, log: int) -> None:
    """Answer the requests from ``channel`` until its end; printed text goes to the descriptor ``log``. Never returns."""
    try:
        _detach(channel, log)
        service = _Service(channel)
        while (frame := receive(channel)) is not None:
            service.answer(frame.number, pickle.loads(frame.payload))
    finally:
        os._exit(0)


def _detach(channel: socket.socket, log: int) -> None:
    os.setsid()
    adopt_orphans()
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Files are handed over open for the programs that a process starts, too.
    channel.set_inheritable(False)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # they are text streams here
    # Whoever ends a process that hangs asks for this before: the log then says where.
    faulthandler.enable(sys.stderr, all_threads=False)
    faulthandler.register(signal.SIGUSR1, sys.stderr, all_threads=False)


def _end_with_parent() -> None:
    parent = os.getppid()
    if signal_with_parent(signal.SIGKILL):
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class _Service:
    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._process = os.getpid()
        self._number = 0
        self._subject: WatchedSubject | None = None
        self._beginning: Beginning | None = None
        self._modules = {name: dict(vars(sys.modules[name])) for name in _WATCHED}

    def answer(self, number: int, request: Request) -> None:
        """Send the reply to a request, or the error in place of one."""
        self._number = number
        try:
            kind, payload = Kind.REPLY, self._reply(request)
        except BaseException as error:
            kind, payload = Kind.ERROR, json.dumps(encode_error(self._explained(error))).encode()
        self._send(kind, payload)

    def _send(self, kind: Kind, payload: bytes = b"") -> None:
        if os.getpid() != self._process:
            os._exit(0)  # a fork that the subject made and let go on here
        send(self._channel, kind, self._number, payload)

    def _beat(self) -> None:
        self._send(Kind.BEAT)

    def _reply(self, request: Request) -> bytes:
        match request:
            case Load():
                return json.dumps(self._load(request)).encode()
            case Descend():
                trajectory = descend_in_place(self._loaded(), request)
                return json.dumps([trajectory.theta, trajectory.stopped]).encode()
            case Fit():
                return encode_fitted(self._loaded().name, request).encode()
            case FirstStep():
                assert self._beginning is not None
                return encode_transcript(self._beginning.transcript)
            case OneStep():
                return encode_stepped(self._loaded().name, request).encode()
            case Program():
                transcript = perform(request, self._loaded())
                try:
                    return encode_transcript(transcript)
                except TypeError as error:
                    raise SubjectFailed(f"its observations cannot be read: {error}") from error

    def _loaded(self) -> WatchedSubject:
        assert self._subject is not None
        return self._subject

    def _load(self, ask: Load) -> dict[str, Any]:
        os.chdir(ask.folder)
        sys.path[:] = ask.path
        _set_environment(ask.variables)
        imported = find(ask.name, framework=ask.framework, device=ask.device, call_timeout=ask.call_timeout)
        _import_rest()
        # Imports may take long; from here on it is the subject that is waited for.
        self._beat()
        self._beginning = None if imported.open_first is None else begin(imported.open_first)
        subject = self._subject = WatchedSubject(ask.name, imported(), self._beat)
        capabilities, texts = with_operations(subject), isinstance(subject.whole, ProcessSubject)
        if imported.open_first is None and not texts and not is_foreign(subject.whole):
            self._beginning = begin_late(subject, capabilities)
        elif self._beginning is not None:
            self._beginning = named(self._beginning, capabilities, subject.state_names())
        return {
            "began": None if self._beginning is None else self._beginning.seconds,
            "texts": texts,
            "framework": subject.framework,
            "dialect": subject.dialect,
            "baselines": list(subject.baselines),
            "capabilities": _capabilities(capabilities),
            "versions": dict(subject.versions()),
            "state_names": dict(subject.state_names()),
        }

    def _explained(self, error: BaseException) -> BaseException:
        """The error as one of the subject, unless it is rmspec's own."""
        if not isinstance(error, Exception):
            # SystemExit and its like come from the subject: rmspec raises none in here.
            text = wording(error)
            return SubjectFailed(f"the subject raised {type(error).__name__}{': ' if text else ''}{text}")
        replaced = [
            f"{module}.{name}"
            for module, before in self._modules.items()
            for name, value in before.items()
            if vars(sys.modules[module]).get(name) is not value
        ]
        if replaced and encode_error(error)["kind"] == HostError.__name__:
            return SubjectFailed(
                f"its process cannot go on: {type(error).__name__}: {wording(error)}",
                f"the subject replaced {', '.join(replaced[:5])}",
                "leave the modules of others as they are",
            )
        return error


def _import_rest() -> None:
    """Import the modules of frameworks otherwise imported at their first use."""
    for framework in frameworks():
        if framework.requires in sys.modules:
            for name in framework.preloaded:
                with contextlib.suppress(Exception):
                    importlib.import_module(name)


def _capabilities(capabilities: Capabilities) -> dict[str, Any]:
    return {
        name: dict(value) if isinstance(value, Mapping) else list(value)
        for name in Capabilities.__dataclass_fields__
        for value in (getattr(capabilities, name),)
    }


def _set_environment(variables: Mapping[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        del os.environ[name]
    for name, value in variables.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
