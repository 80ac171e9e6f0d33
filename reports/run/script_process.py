"""A process for running standalone scripts, each in a fork of its own: nothing of rmspec is in it.

The file is run by its path, with the standard library alone: ``sys.path`` as JSON, then the modules to import ahead, are its
arguments. Each line of standard input is a request (``number``, ``script``, ``seconds``), each line of standard output the answer
to one: its ``number``, and the ``end`` of the script with an ``error`` and a ``message``. It ends with its standard input, and
its scripts with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import types
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>
_NAME = "script.py"


@dataclass(frozen=True)
class _Running:
    number: int
    pid: int
    deadline: float


def main(path: str, modules: Sequence[str]) -> None:
    """Import the modules, then answer requests until standard input ends; SIGTERM ends it as well."""
    sys.path[:] = json.loads(path)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    for name in modules:
        # What is wrong with it the script finds out.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()
    running: dict[int, _Running] = {}
    try:
        _serve(running)
    finally:
        for script in running.values():
            _kill(script.pid)
        os._exit(0)  # what was imported has nothing to put in order, and takes its time


def _serve(running: dict[int, _Running]) -> None:
    rest = b""
    while True:
        patience = min((script.deadline - time.monotonic() for script in running.values()), default=None)
        ready, _, _ = select.select([0, *running], [], [], None if patience is None else max(patience, 0.0))
        for descriptor in list(running):
            if descriptor in ready:
                _answer(running.pop(descriptor), **_ending(descriptor))
            elif time.monotonic() > running[descriptor].deadline:
                os.close(descriptor)
                _answer(running.pop(descriptor), end="hung")
        if 0 in ready:
            chunk = os.read(0, 1 << 16)
            if not chunk:
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                _start(json.loads(line), running)


def _start(request: dict[str, Any], running: dict[int, _Running]) -> None:
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _run(request["script"], theirs)
    os.close(theirs)
    running[ours] = _Running(request["number"], pid, time.monotonic() + request["seconds"])


def _run(script: str, report: int) -> NoReturn:
    """Run a script as the main module, and write how it ended."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        with contextlib.suppress(AttributeError):  # Linux alone has it
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nothing, descriptor)
        sys.argv[:] = [_NAME]
        sys.modules["__main__"] = module = types.ModuleType("__main__")
        ending: dict[str, str] = {"end": "passed"}
        try:
            exec(compile(script, _NAME, "exec"), vars(module))
        except BaseException as error:
            ending = _failure(error)
        os.write(report, json.dumps(ending).encode())
    finally:
        os._exit(0)


def _failure(error: BaseException) -> dict[str, str]:
    """How a script ended with an exception: by its own assertion, or otherwise."""
    if isinstance(error, SystemExit) and not error.code:
        return {"end": "passed"}
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    own = trace is not None and trace.tb_frame.f_code.co_filename == _NAME
    # What breaks its promise by silence has nothing to assert: the script exits with a message.
    asserted = own and isinstance(error.code if isinstance(error, SystemExit) else error, AssertionError | str)
    name = type(error).__name__
    try:
        message = str(error)[:500]
    except Exception:
        message = ""
    return {"end": "asserted" if asserted else "raised", "error": name, "message": message}


def _ending(descriptor: int) -> dict[str, str]:
    """Read the ending of a script, and close the descriptor; nothing to read is a sudden death."""
    data = os.read(descriptor, 1 << 16)  # in one piece: what the script started may keep its end open
    os.close(descriptor)
    ending: dict[str, str] = json.loads(data) if data else {"end": "died"}
    return ending


def _answer(script: _Running, **ending: str) -> None:
    _kill(script.pid)
    os.write(1, json.dumps({"number": script.number, **ending}).encode() + b"\n")


def _kill(pid: int) -> None:
    """End a script and its children."""
    for send in (os.killpg, os.kill):  # it may not have begun to lead a group
        with contextlib.suppress(ProcessLookupError, PermissionError):
            send(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
