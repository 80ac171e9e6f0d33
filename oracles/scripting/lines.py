"""The lines of a standalone script: how many there may be, and how numbers are written on them."""

from __future__ import annotations

import math

__all__ = ["MAX_LINES", "number", "packed"]

MAX_LINES = 25
"""The most lines that a script may have (DESIGN 4.4)."""

_WIDTH = 118


def packed(statements: list[str], room: int) -> list[str]:
    """Put statements on at most ``room`` lines: simple ones share a line only if they must."""
    lines = list(statements)
    limit = _WIDTH
    while len(lines) > room:
        shorter: list[str] = []
        for line in lines:
            joinable = shorter and not _compound(line) and not _compound(shorter[-1])
            if joinable and len(shorter[-1]) + len(line) + 2 <= limit and len(lines) > room:
                shorter[-1] += "; " + line
            else:
                shorter.append(line)
        if len(shorter) == len(lines) and limit > 100_000:
            break
        lines, limit = shorter, limit * 2
    return lines


def _compound(line: str) -> bool:
    return line.startswith((" ", "for ", "try", "except", "else", "def ", "with "))


def number(value: float) -> str:
    """A number as Python source for the same float64."""
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'
