"""The source of a standalone script."""

from __future__ import annotations

from typing import Protocol

from rmspec.oracles.program.program import Program


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
    def state_name(self) -> str:
        """The subject's own name for the role."""
