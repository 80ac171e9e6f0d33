"""The requests to the process of a subject, pickled: a subject trusts rmspec, never the reverse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rmspec.oracles.host.descent import Descend
from rmspec.oracles.host.onestep import Fit
from rmspec.oracles.program.program import Program
from rmspec.oracles.recordings.onestep import OneStep


@dataclass(frozen=True, slots=True)
class Load:
    """Load the subject of this ``name``, and describe it.

    ``folder``, ``path`` and ``variables`` are the current directory, the search path and the environment of whoever asks.
    """

    name: str
    framework: str | None
    device: str
    call_timeout: float
    folder: str
    path: tuple[str, ...]
    variables: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FirstStep:
    """Return the transcript of the first step of the process."""


Request = Load | Program | FirstStep | Descend | Fit | OneStep
"""A program asks for its transcript."""
