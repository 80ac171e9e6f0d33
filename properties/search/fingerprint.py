"""The fingerprint of generated programs, apart from their generation: it needs no Hypothesis."""

from __future__ import annotations

import hashlib
import json

from rmspec.oracles.program.program import Program, to_json

__all__ = ["fingerprint"]


def fingerprint(programs: tuple[Program, ...]) -> str:
    """A short digest of programs: two runs with one fingerprint had the same cases."""
    digest = hashlib.sha256()
    for program in programs:
        digest.update(json.dumps(to_json(program), sort_keys=True).encode())
    return digest.hexdigest()[:16]
