"""Helpers of the tests of the command line: run it as a user does, and small subjects that need no framework."""

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rmspec.reports.cli.main import main

# In a job on GitHub rmspec says more than elsewhere: a test that wants that says so.
for _name in [name for name in os.environ if name.startswith("GITHUB_")]:
    del os.environ[_name]

COMMAND = (sys.executable, "-m", "rmspec.reports.cli")

SUBJECTS = '''
"""Subjects over the reference: one that conforms, and some that are troubled."""

import ctypes
import os
import sys
import time

from rmspec.impl.spec.dialect import dialect_named
from rmspec.oracles.numpy.subject import ReferenceSubject


class Troubled(ReferenceSubject):
    """After twenty programs, trouble."""

    def __init__(self, trouble):
        super().__init__()
        self.trouble = trouble
        self.programs = 0

    def session(self, params):
        self.programs += 1
        if self.programs > 20:
            self.trouble()
        return super().session(params)


def exits():
    print("about to end")
    sys.stdout.flush()
    os._exit(7)


def hangs():
    while True:
        pass


def raises():
    raise RuntimeError("as it likes")


def prints():
    print("{ not JSON")
    os.write(1, b"nor this")


class Wrong(ReferenceSubject):
    """Claims the specification, and does as TensorFlow does."""

    def __init__(self):
        super().__init__(dialect_named("tensorflow"))
        self.dialect = "torch"


class WrongThenExits(Wrong):
    """Deviates from the first program on, and ends the interpreter later."""

    programs = 0

    def session(self, params):
        self.programs += 1
        if self.programs > 60:
            os._exit(7)
        return super().session(params)


class Later(ReferenceSubject):
    """Does as TensorFlow does, once there were twenty programs in its process."""

    programs = 0

    def session(self, params):
        Later.programs += 1
        if Later.programs > 20:
            return ReferenceSubject(dialect_named("tensorflow")).session(params)
        return super().session(params)


class Slow(ReferenceSubject):
    """Conforms, takes a twentieth of a second for a program, and leaves a file when there were forty."""

    programs = 0

    def session(self, params):
        time.sleep(0.05)
        Slow.programs += 1
        if Slow.programs == 40:
            open("forty", "w").close()
        return super().session(params)


slow = Slow()
later = Later()
good = ReferenceSubject()
crash = Troubled(exits)
segfault = Troubled(lambda: ctypes.string_at(0))
hang = Troubled(hangs)
globals().update({f"hang{number}": Troubled(hangs) for number in range(10)})
error = Troubled(raises)
leaves = Troubled(lambda: sys.exit(3))
noisy = Troubled(prints)
wrong = Wrong()
wrong_then_exits = WrongThenExits()
number = 3
'''


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def rmspec(folder: Path, *arguments: str) -> Ran:
    """Run ``rmspec`` in a folder, without a terminal, in this process: its imports are not made again."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with (
        contextlib.chdir(folder),
        pytest.MonkeyPatch.context() as patch,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        warnings.simplefilter("default")
        patch.setenv("COLUMNS", "80")
        code = main(arguments)
    return Ran(int(code), *(stream.buffer.getvalue().decode() for stream in (out, err)))  # type: ignore[attr-defined]


def start_rmspec(folder: Path, *arguments: str, **variables: str) -> Ran:
    """Run ``rmspec`` in a process of its own, for what is special about one: as ``rmspec``, with these variables."""
    environment = {**os.environ, "COLUMNS": "80", **variables}
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=folder, env=environment, capture_output=True, check=False, timeout=300
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


MARK = "RMSPEC_TEST_FOLDER"
"""A variable of the environment, for ``marked_processes``."""


def marked_processes(folder: Path) -> list[str]:
    """The command lines of the running processes with this folder under ``MARK`` in the environment that they started with."""
    mark, lines = f"{MARK}={folder}\0".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (place / "environ").read_bytes():
                lines.append((place / "cmdline").read_text())
    return lines


def heed_interrupts() -> None:
    """Let SIGINT end the process, whatever it inherits: what a shell starts in the background ignores it.

    For ``preexec_fn`` of a process that is to be interrupted.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def interrupt(folder: Path, *arguments: str, at: str, until: Path | None = None) -> Ran:
    """Run ``rmspec``, and press Ctrl-C as often as a terminal does, behind a line that starts with ``at``.

    With ``until`` it waits for this file besides. What was printed before the line and the line itself are left out.
    """
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=heed_interrupts,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            if line.startswith(at):
                break
        while until is not None and not until.exists() and process.poll() is None:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
        return Ran(process.wait(300), out, err)


def report(path: Path) -> dict[str, Any]:
    """The JSON report in a file."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def without_seconds(data: object) -> object:
    """JSON data without the values that hold times."""
    if isinstance(data, dict):
        return {key: without_seconds(value) for key, value in data.items() if not key.startswith("seconds")}
    return [without_seconds(value) for value in data] if isinstance(data, list) else data


def subject(data: dict[str, Any], name: str) -> dict[str, Any]:
    """The result of one subject in a report."""
    [found] = [each for each in data["subjects"] if each["name"] == name]
    result: dict[str, Any] = found
    return result


def lines_over(text: str, width: int) -> Sequence[str]:
    """The lines that are longer than ``width``, but for those that hold a command, a script, or one long word."""
    return [line for line in text.splitlines() if len(line) > width and re.search(r"\S\s+\S", line[width - 20 :])]
