"""The source of a standalone script."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rmspec.oracles.program.program import Program, hexadecimal, real


class Counterexample(Protocol):
    """A deviation, as far as a script shows it: the broken clause, the program, and the observation after a call.

    ``kind`` says what was compared, ``call`` is the index of the call after which it was; ``optimizer``, ``param``, ``role``
    and ``element`` name the number that ``observed`` and ``allowed`` speak of, ``state_name`` what the subject calls the role.
    """

    @property
    def clause(self) -> str:
        """The id of the clause."""

    @property
    def summary(self) -> str:
        """The deviation in one sentence."""

    @property
    def program(self) -> Program:
        """The program, with the name of its subject."""

    @property
    def kind(self) -> str:
        """The kind of comparison: a value, a frame, a load, ..."""

    @property
    def call(self) -> int:
        """The index of the call just before the observation."""

    @property
    def optimizer(self) -> str:
        """The optimizer, or empty."""

    @property
    def param(self) -> str:
        """The parameter, or empty."""

    @property
    def role(self) -> str:
        """The role of the value: ``param``, ``grad``, a role of the state, an option."""

    @property
    def element(self) -> int:
        """The flat index of the element, or of the group."""

    @property
    def allowed(self) -> tuple[float, float] | None:
        """The two ends of the allowed interval, or ``None``."""

    @property
    def plain(self) -> tuple[float, float] | None:
        """The two ends allowed by the page itself, under amendments, or ``None``."""

    @property
    def hazard(self) -> bool:
        """Whether the formula itself admits it."""

    @property
    def framework(self) -> str:
        """The name of the subject's framework."""

    @property
    def passing(self) -> bool:
        """Whether it was seen in the first step of a process alone, so that no script shows it."""

    @property
    def state_name(self) -> str:
        """The subject's own name for the role."""


@dataclass(frozen=True, slots=True)
class StoredCounterexample:
    """A counterexample from the file of a program: ``shows`` of the schema ``rmspec.program/1``."""

    program: Program
    kind: str
    call: int
    summary: str = ""
    optimizer: str = ""
    param: str = ""
    role: str = ""
    element: int = 0
    allowed: tuple[float, float] | None = None
    plain: tuple[float, float] | None = None
    hazard: bool = False
    framework: str = ""
    state_name: str = ""
    passing: bool = False

    @property
    def clause(self) -> str:
        """The clause of the program."""
        return self.program.clause


_WORDS = (
    "kind",
    "call",
    "summary",
    "optimizer",
    "param",
    "role",
    "element",
    "hazard",
    "framework",
    "state_name",
    "passing",
)
_ENDS = ("allowed", "plain")


def shows(counterexample: Counterexample) -> dict[str, Any]:
    """Write the facts of a counterexample as JSON data, for the file of its program."""
    ends = {name: getattr(counterexample, name) for name in _ENDS}
    return {
        **{name: getattr(counterexample, name) for name in _WORDS},
        **{name: [hexadecimal(end) for end in pair] for name, pair in ends.items() if pair is not None},
    }


def stored_counterexample(program: Program, data: Mapping[str, Any]) -> StoredCounterexample:
    """Read the data of ``shows``, after the schema. Raises ``ValueError`` for a call beyond the last."""
    if data["call"] >= len(program.calls):
        raise ValueError(f"shows/call: {data['call']} is beyond the last call")
    given: dict[str, Any] = {name: data[name] for name in _WORDS if name in data}
    given |= {name: (real(data[name][0]), real(data[name][1])) for name in _ENDS if name in data}
    return StoredCounterexample(program, **given)
