"""The result of an identification, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rmspec.impl.arithmetic.amendments import Amendment, limited
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Program
from rmspec.properties.identify.explanation import Value

__all__ = [
    "Answer",
    "Contradiction",
    "Difference",
    "Evidence",
    "Identification",
    "Neighbour",
    "Remainder",
    "Standing",
    "Switch",
]

Standing = Literal["dialect", "unexplained", "other", "unknown"]
"""An RMSprop ``dialect``, named or not; an RMSprop at heart that no dialect explains; some ``other`` optimizer; nothing known."""

Answer = Literal["yes", "no", "cannot tell"]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A program against one position of a switch: ``observed`` lies outside of the position's ``predicted``.

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
    """One switch of ``Dialect``: its remaining positions, its excluded ones, and the evidence.

    One position left is an answer; ``reason`` says why it is not one, or what else there is to know.
    """

    name: str
    left: tuple[Value, ...]
    ruled_out: tuple[Value, ...]
    reason: str = ""
    evidence: tuple[Evidence, ...] = ()

    @property
    def value(self) -> Value | None:
        """The position, once decided."""
        return self.left[0] if len(self.left) == 1 else None

    def answer(self, value: Value) -> Answer:
        """Whether the switch is in this position."""
        if value not in self.left:
            return "no"
        return "yes" if len(self.left) == 1 else "cannot tell"


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A named dialect, and the switches in conflict with the observations."""

    name: str
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An observation outside of every dialect of RMSprop: the broken clause, and a program with it at the last call.

    ``role`` is the number that was observed, the parameter if it is empty.
    """

    clause: str
    summary: str
    program: Program
    observed: float
    allowed: tuple[float, float]
    role: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """A stated difference from a dialect, shown by ``evidence``; its ``ties`` explain as much."""

    amendment: Amendment
    ties: tuple[Amendment, ...] = ()
    evidence: Contradiction | None = None


@dataclass(frozen=True, slots=True)
class Remainder:
    """Values without any explanation: of one ``role``, in ``formats``, under the conditions of ``branch``."""

    role: str
    branch: tuple[tuple[str, bool], ...]
    formats: tuple[str, ...]
    evidence: Contradiction | None = None

    @property
    def complex_alone(self) -> bool:
        """Whether real numbers conform."""
        return all(FORMATS[name].parts == 2 for name in self.formats)

    def words(self) -> str:
        """The remainder as a sentence without its end: ``nothing explains its momentum_buffer, with momentum, in float32``."""
        if self.complex_alone:
            return limited(f"complex numbers are not pairs of reals in its {self.role}", branch=self.branch)
        return limited(f"nothing explains its {self.role}", branch=self.branch, formats=self.formats)


@dataclass(frozen=True, slots=True)
class Identification:
    """The RMSprop of a subject. ``options`` are inferred values of options closed to the caller.

    ``named`` are the dialects that agree in every switch that was decided; where there is none, ``nearest`` are those that
    differ in the fewest. ``family`` names an optimizer that is no RMSprop, where it is known.

    ``differences`` are those from the dialect ``base`` (one without a name, if it is empty) in a fixed set of sharp programs,
    ``remainders`` what they leave without an explanation. Other defaults are differences as well, and no other dialect.
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
    base: str = ""
    differences: tuple[Difference, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    message: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    programs: int = 0
    seconds: float = 0.0
