"""The log of a worker at its end: the subject's last lines, and its place in the code."""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

__all__ = ["last_words"]

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


def _place(lines: list[str]) -> str:
    frames = [found for line in lines if (found := _FRAME.match(line))]
    mine = [frame for frame in frames if not _foreign(frame["file"])]
    if not mine:
        return ""
    return f"{Path(mine[0]['file']).name}, line {mine[0]['line']}, in {mine[0]['function']}"


def _foreign(file: str) -> bool:
    room = Path(__file__).resolve().parents[1]
    path = Path(file)
    if not path.is_absolute():
        return file.startswith("<")
    resolved = path.resolve()
    return any(resolved.is_relative_to(place) for place in [room, *_LIBRARIES])
