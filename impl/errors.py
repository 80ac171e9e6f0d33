"""The one root of every exception that rmspec raises on purpose.

An error says what was wrong, why it matters and what to type instead; the three parts ride along as attributes, and their
rendering lives with the command line.
"""

from __future__ import annotations

__all__ = ["RmspecError"]


class RmspecError(Exception):
    """What was wrong (``what``), why that matters (``why``) and what to do instead (``hint``); both may be empty."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = why
        self.hint = hint

    def __str__(self) -> str:
        return " ".join(part.rstrip(".") + "." for part in (self.what, self.why, self.hint) if part)
