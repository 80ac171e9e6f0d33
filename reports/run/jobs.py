"""The jobs of a worker process, and its answers: plain data for a pipe.

The life of a job: the parent sends one, the worker answers with events, beats and at most one result, and ends with
``Done`` or ``Failed``. A worker that ends without either has crashed; one that is silent for too long has hung.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rmspec.oracles.program.program import Program
from rmspec.oracles.recordings.onestep import Reproduction
from rmspec.properties.events import Deviation, Event
from rmspec.properties.identify.answer import Identification
from rmspec.properties.recordings.reproduction import Question
from rmspec.properties.settings import Settings

__all__ = [
    "Answer",
    "Beat",
    "Check",
    "Done",
    "Failed",
    "Generate",
    "Generated",
    "Identified",
    "Identify",
    "Job",
    "Load",
    "Replay",
    "Replayed",
    "Reproduce",
    "Reproduced",
]


@dataclass(frozen=True, slots=True)
class Generate:
    """Generate the programs of these settings, in a worker without any subject."""

    settings: Settings


@dataclass(frozen=True, slots=True)
class Load:
    """Load a subject and ask for its capabilities, and keep it."""

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Check:
    """Check a subject, and load it first if need be."""

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Replay:
    """Run one stored program on a subject."""

    name: str
    program: Program
    settings: Settings


@dataclass(frozen=True, slots=True)
class Identify:
    """Find the dialect of a subject."""

    name: str
    settings: Settings


@dataclass(frozen=True, slots=True)
class Reproduce:
    """Perform a step of a recording on a fresh optimizer, and make it short."""

    name: str
    question: Question


Job = Generate | Load | Check | Replay | Identify | Reproduce


@dataclass(frozen=True, slots=True)
class Generated:
    """The programs; ``fingerprint`` tells them from others."""

    programs: tuple[Program, ...]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """The deviations of a replay; ``exercised`` is true if it made a check of its program's clause."""

    deviations: tuple[Deviation, ...]
    exercised: bool = True


@dataclass(frozen=True, slots=True)
class Identified:
    """The result of an identification."""

    identification: Identification


@dataclass(frozen=True, slots=True)
class Reproduced:
    """The deviation of a recorded step on a fresh optimizer, or ``None``."""

    reproduction: Reproduction | None


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life."""


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The job could not be done: bad ``input``, an ``unsupported`` or a ``failed`` subject, or a fault of rmspec."""

    kind: Literal["input", "unsupported", "failed", "internal"]
    what: str
    why: str = ""
    hint: str = ""
    trace: str = ""


Answer = Event | Generated | Replayed | Identified | Reproduced | Beat | Done | Failed
