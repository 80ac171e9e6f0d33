"""What an identification says, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rmspec.oracles.program.program import Program
from rmspec.properties.identify.explanation import Value

__all__ = ["Answer", "Contradiction", "Evidence", "Identification", "Neighbour", "Standing", "Switch"]

Standing = Literal["dialect", "unexplained", "other", "unknown"]
"""An RMSprop ``dialect``, named or not; an RMSprop at heart that no dialect explains; some ``other`` optimizer; nothing known."""

Answer = Literal["yes", "no", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A program that rules out one position of a switch: ``observed`` is not in what that position ``predicted``.

    ``expected`` is what the positions that were found predict. ``role`` says of which number, after call ``call``.
    """

    value: Value
    program: Program
    call: int
    role: str
    observed: float
    expected: tuple[float, float]
    predicted: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch of ``Dialect``: the positions that are left, those that are ruled out, and the evidence for that.

    One position left is an answer; ``reason`` says why it is not one, or what else there is to know.
    """

    name: str
    left: tuple[Value, ...]
    ruled_out: tuple[Value, ...]
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def value(self) -> Value | None:
        """The position, where that was decided."""
        return self.left[0] if len(self.left) == 1 else None

    def answer(self, value: Value) -> Answer:
        """Whether the switch is in this position."""
        if value not in self.left:
            return "no"
        return "yes" if len(self.left) == 1 else "cannot tell"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A named dialect, and the switches in which it differs from what was observed."""

    name: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something that no dialect of RMSprop allows: the clause that it breaks, and the program after whose last call it shows."""

    clause: str
    summary: str
    program: Program
    observed: float
    allowed: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Identification:
    """Which RMSprop a subject is. ``options`` are values that were found out since they cannot be chosen.

    ``named`` are the dialects that agree in every switch that was decided; where there is none, ``nearest`` are those that
    differ in the fewest. ``family`` names an optimizer that is no RMSprop, where it is known.
    """

    name: str
    standing: Standing
    framework: str = ""
    format: str = ""
    named: tuple[str, ...] = ()
    nearest: tuple[Neighbour, ...] = ()
    family: str = ""
    switches: tuple[Switch, ...] = ()
    options: Mapping[str, float] = field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    message: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    programs: int = 0
    seconds: float = 0.0
