"""The scripts of deviations, run before they are printed: each in a process of its own, with the framework alone.

The life of a run: ``ScriptRuns.begin`` hands the script over, several run side by side, and ``ScriptRun.outcome`` tells what
became of it. A script loads the class that the command line named, and nothing else. The processes end with this one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from rmspec.oracles.framework import Framework
from rmspec.oracles.processes.descendants import end_tree
from rmspec.oracles.registry import framework_named
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation, ScriptOutcome
from rmspec.properties.settings import Settings

__all__ = ["ScriptRun", "ScriptRuns"]

_START = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"
_IMPORT_SECONDS = 120.0  # a framework may take long to import on a cold machine
_ENDING = 2.0  # seconds for a process to end its scripts
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
_LONG = 120


class ScriptRuns:
    """Runs scripts, and keeps a process for each of their frameworks. A context manager."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, ...], _Process] = {}

    def __enter__(self) -> ScriptRuns:
        return self

    def __exit__(self, *error: object) -> None:
        while self._processes:
            self._processes.popitem()[1].close()

    def begin(self, deviation: Deviation, settings: Settings) -> ScriptRun | None:
        """Start the script of a deviation; ``None`` without a script, or without a process for it."""
        script = standalone_script(deviation)
        return None if script is None else self.begin_script(script, deviation, settings)

    def begin_script(self, script: str, deviation: Deviation, settings: Settings) -> ScriptRun | None:
        """Start a script for a deviation; ``None`` without a process for it."""
        framework = framework_named(deviation.framework)
        if framework is None:
            return None
        ahead = _imported_ahead(framework, settings.device)
        seconds = settings.call_timeout if ahead else max(settings.call_timeout, _IMPORT_SECONDS)
        if ahead in self._processes and not self._processes[ahead].usable:
            self._processes.pop(ahead).close()
        try:
            if ahead not in self._processes:
                self._processes[ahead] = _Process(ahead)
            return ScriptRun(self._processes[ahead], self._processes[ahead].send(script, seconds), deviation, seconds)
        except OSError:
            return None


@dataclass(frozen=True, slots=True)
class ScriptRun:
    """A script at work in ``process``, as its request ``number``: for ``seconds`` at most."""

    process: _Process
    number: int
    deviation: Deviation
    seconds: float

    @property
    def done(self) -> bool:
        """Whether its outcome is there, or will never be."""
        return self.process.answered(self.number, 0.0) or not self.process.usable

    def outcome(self) -> ScriptOutcome | None:
        """Wait for the outcome; ``None`` of a lost process."""
        if not self.process.answered(self.number, self.seconds + _IMPORT_SECONDS):
            return None
        return _outcome(self.process.answers[self.number], self.deviation, self.seconds)


def _outcome(answer: dict[str, Any], deviation: Deviation, seconds: float) -> ScriptOutcome:
    error = " ".join(_ADDRESS.sub("0x...", str(answer.get("message", ""))).split())
    error = f"{answer.get('error', '')}: {error}" if error else str(answer.get("error", ""))
    match answer["end"]:
        case "asserted" if deviation.kind != "raised":
            return ScriptOutcome(True, "")
        case "passed":
            return ScriptOutcome(False, "it passes")
        case "hung":
            return ScriptOutcome(False, f"it did not end within {seconds:g} s")
        case "raised" | "asserted":
            name = str(deviation.observed).partition(":")[0].rpartition(".")[2]
            expected = deviation.kind == "raised" and name == answer.get("error")
            return ScriptOutcome(expected, "" if expected else f"it ends in {error[:_LONG]}")
        case _:
            return ScriptOutcome(False, "it ends its own process")


def _imported_ahead(framework: Framework, device: str) -> tuple[str, ...]:
    """The modules of a framework to import ahead of a fork for a script; none on a device."""
    if not framework.preloaded or device != "cpu":
        return ()
    return (framework.requires, *(name for name in framework.preloaded if not name.startswith("rmspec.")))


class _Process:
    """The asking side of ``script_process``."""

    def __init__(self, modules: tuple[str, ...]) -> None:
        self.answers: dict[int, dict[str, Any]] = {}
        self._number = 0
        self._read = b""
        path = json.dumps([*sys.path, *([] if os.getcwd() in sys.path else [os.getcwd()])])
        program = str(Path(__file__).with_name("script_process.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _START, program, path, *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    @property
    def usable(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def send(self, script: str, seconds: float) -> int:
        """Ask for a script to be run; the number of the request. Raises ``OSError``."""
        self._number += 1
        request = json.dumps({"number": self._number, "script": script, "seconds": seconds}).encode() + b"\n"
        assert self._process.stdin is not None
        while request:
            request = request[self._process.stdin.write(request) :]
        return self._number

    def answered(self, number: int, patience: float) -> bool:
        """Whether a request is answered, after waiting for so many seconds at most."""
        deadline = time.monotonic() + patience
        assert self._process.stdout is not None
        while number not in self.answers:
            if not wait([self._process.stdout.fileno()], max(0.0, deadline - time.monotonic())):
                return False
            chunk = os.read(self._process.stdout.fileno(), 1 << 16)
            if not chunk:
                self._process.wait()
                return False
            *lines, self._read = (self._read + chunk).split(b"\n")
            for answer in map(json.loads, lines):
                self.answers[answer["number"]] = answer
        return True

    def close(self) -> None:
        """End it, and its scripts with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ENDING)
        if self._process.returncode is None:
            end_tree(self._process.pid)
            self._process.wait()
        self._process.stdout.close()
