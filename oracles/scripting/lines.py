"""The lines of a standalone script: how many there may be, how numbers are written on them, and how the last ones assert."""

from __future__ import annotations

import math

from rmspec.impl.spec.clauses import CLAUSES, UNNAMED
from rmspec.oracles.scripting.counterexample import Counterexample

MAX_LINES = 25
"""The most lines that a script may have."""

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


def quoted(text: str) -> str:
    """A text as Python source."""
    simple = text.isprintable() and text.isascii() and not {'"', "\\"} & set(text)
    return f'"{text}"' if simple else repr(text)


def bounds_check(
    expression: str, allowed: tuple[float, float], *, plain: tuple[float, float] | None = None, finite: bool = False
) -> list[str]:
    """Write the assertion of an ``expression`` within the ``allowed`` bounds, and on request below infinity.

    The ``plain`` bounds are allowed as well: those of an optimizer without the other faults, among which it was found.
    """
    lo, hi = (number(end) for end in allowed)
    below = " and abs(value) < float('inf')" if finite else ""
    also = f" or {number(plain[0])} <= value <= {number(plain[1])}" if plain else ""
    return [
        f"value = {expression}",
        f'print("observed", value, value.hex(), "allowed from", {lo}, "to", {hi})',
        f"assert {lo} <= value <= {hi}{below}{also}, value",
    ]


def final_call(deviation: Counterexample, statements: list[str], after: list[str]) -> list[str]:
    """Write the ``statements`` of the last call, in a ``try`` for one to be refused, and those ``after`` it."""
    refusal = CLAUSES.get(deviation.clause, UNNAMED).refusal
    attempt = [*statements[:-1], "try:", f"    {statements[-1]}"]
    if deviation.kind == "silent":
        caught = ["except Exception as error:", f'    print("{refusal}:", error)']
        return [*attempt, *caught, "else:", f"    raise SystemExit({deviation.summary!r})"]
    if deviation.kind == "frame" and refusal:
        return [*attempt, "except Exception: pass", *after]
    return [*statements, *after]
