"""A process at its end: its exit, its last printed lines, and its place in the code."""

from __future__ import annotations

import re
import signal
import sys
import sysconfig
from pathlib import Path

import rmspec.impl

_LINES = 6
_STACK = re.compile(r"^(Stack|Current thread|Thread) .*\(most recent call first\):$")
_FRAME = re.compile(r'^  File "(?P<file>.*)", line (?P<line>\d+) in (?P<function>.*)$')
# Frames that lead to the fault and are not it: rmspec's own, and those of the libraries that the subject called.
_LIBRARIES = [
    Path(place).resolve() for place in (sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), sys.prefix)
]


def last_words(text: str) -> tuple[str, str]:
    """Find the last printed lines, and the last place in the subject's code; both may be empty.

    ``faulthandler`` wrote the place. Addresses are left out: they differ from run to run.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    stack = next((i for i in range(len(lines) - 1, -1, -1) if _STACK.match(lines[i])), None)
    where = "" if stack is None else _place(lines[stack + 1 :])
    first = next((i for i, line in enumerate(lines) if _STACK.match(line)), len(lines))
    printed = [re.sub(r"0x[0-9a-fA-F]{6,}", "0x...", line) for line in lines[:first][-_LINES:]]
    return "\n".join(printed), where


def ending(code: int | None) -> str:
    """Describe the end of an interpreter with this exit code, negative for a signal, ``None`` if unknown."""
    if code is None:
        return "its interpreter closed the connection"
    if code < 0:
        try:
            return f"its interpreter was ended by {signal.Signals(-code).name}"
        except ValueError:
            return f"its interpreter was ended by signal {-code}"
    return f"its interpreter ended with exit status {code}"


def _place(lines: list[str]) -> str:
    frames = [match for line in lines if (match := _FRAME.match(line))]
    mine = [frame for frame in frames if not _foreign(frame["file"])]
    if not mine:
        return ""
    return f"{Path(mine[0]['file']).name}, line {mine[0]['line']}, in {mine[0]['function']}"


def _foreign(file: str) -> bool:
    oracles = Path(__file__).resolve().parents[1]
    impl = Path(rmspec.impl.__file__).resolve().parent
    path = Path(file)
    if not path.is_absolute():
        return file.startswith("<")
    try:
        resolved = path.resolve()
    except (OSError, ValueError):  # a subject may print the like of a place
        return True
    return any(resolved.is_relative_to(place) for place in [impl, oracles, *_LIBRARIES])
