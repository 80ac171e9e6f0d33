"""The schema of the wire protocol, ``schemas/wire-1.json``, and a message's violation of it."""

from __future__ import annotations

from rmspec.oracles.validators import validator_of

PROTOCOL = "rmspec.wire/1"


def violation(message: object, definition: str) -> str:
    """A message's violation of a definition of the schema (``request``, ``reply_performed``, ...), or ``""``."""
    validator = validator_of("wire-1", definition)
    worst = max(validator.iter_errors(message), key=lambda error: len(error.absolute_path), default=None)
    if worst is None:
        return ""
    while worst.context:
        worst = max(reversed(worst.context), key=lambda error: len(error.absolute_path))
    place = "/".join(str(part) for part in worst.absolute_path) or "the top level"
    return f"at {place[:200]}: {worst.message[:200]}"
