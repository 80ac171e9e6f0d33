"""The jobs of a worker process, and its answers: plain data for a pipe.

The life of a job: the parent sends one, the worker answers with events, and ends with ``Done``, which holds the result, or
``Failed``. A worker that ends without either has crashed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from rmspec.impl.errors import RmspecError
from rmspec.properties.events import Event
from rmspec.properties.settings import Settings

__all__ = ["Answer", "Check", "Done", "Failed", "Generate", "Job", "Load"]


@dataclass(frozen=True, slots=True)
class Generate:
    """Generate the programs of these settings, in a worker without any subject; the result has their fingerprint too."""

    settings: Settings


@dataclass(frozen=True)
class _SubjectJob:
    name: str
    settings: Settings


class Load(_SubjectJob):
    """Load a subject and keep it; the result is its other execution paths, with the reasons against them."""


@dataclass(frozen=True)
class Check(_SubjectJob):
    """Check a subject, and load it first if need be; ``run_scripts``: those of its first new deviations."""

    run_scripts: bool = False


Job = Generate | Load | Check


@dataclass(frozen=True, slots=True)
class Done:
    """The job is done; its result, or ``None`` for a job without one."""

    result: Any = None


class Failed(RmspecError):
    """The job could not be done: bad ``input``, a ``refused``, ``unsupported`` or ``failed`` subject, or a fault of rmspec."""

    def __init__(
        self,
        kind: Literal["input", "refused", "unsupported", "failed", "internal"],
        what: str,
        why: str = "",
        hint: str = "",
        trace: str = "",
    ) -> None:
        super().__init__(what, why, hint)
        self.args = (kind, what, why, hint, trace)
        self.kind = kind
        self.trace = trace


Answer = Event | Done | Failed
