"""The one root of the exceptions raised by rmspec on purpose, and the closest name to a mistyped one.

An error says what is wrong, why it matters and what to type instead. The three parts ride along as attributes; the command
line renders them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["RmspecError", "closest", "nearest"]


class RmspecError(Exception):
    """An error in three parts: the problem (``what``), its consequence (``why``), the way out (``hint``); two may be empty."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        parts = (part.rstrip(".") for part in (self.what, self.why, self.hint) if part)
        return " ".join(part if part.endswith("?") else f"{part}." for part in parts)


def closest(name: str, names: Iterable[str]) -> str | None:
    """The most similar of ``names``, or ``None`` if none is similar."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return near[0] if near else None


def nearest(name: str, names: Iterable[str]) -> str:
    """``; did you mean X?`` for the closest of ``names``, or nothing."""
    near = closest(name, names)
    return f"; did you mean {near}?" if near else ""
