"""Batches: the parameters of one group, of one format and one age, joined, with their values before and after a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before
from rmspec.impl.arithmetic.formats import FORMATS, Format, as_reals
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.clauses import CLAUSE_OF_ROLE
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.properties.lines.by_line import Ends, Question, see

__all__ = ["Batch", "Carry", "Case", "SteppedParam", "join_params", "line_clause", "stepped_roles"]

Array = NDArray[Any]
Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

Carry = Array | tuple[Array, Array, Array | None] | None
"""Knowledge of one state role of a parameter: its array as seen, bounds on its reals (float64), or ``None``: initial."""


@dataclass(frozen=True, slots=True)
class Case:
    """The one element behind a value finding: every input of the step, as arrays of one element.

    ``first`` tells that the parameter's state had never been seen before; ``t`` counts its steps from 1; ``skipped`` that
    an earlier step passed it over; ``sources`` where each option of its group came from (``LedgerGroup``); ``seen`` which
    roles of its state can be seen; ``still`` that nothing of the element moved at all. ``handed`` is what earlier lines,
    which fail themselves, gave to the line at fault.
    """

    before: Before
    format: str
    hyper: Hyperparameters
    first: bool
    t: int
    skipped: bool
    sources: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    still: bool = False
    handed: Mapping[str, Ends] = field(default_factory=dict)

    def see(self, role: str, computed: Interval) -> Interval:
        """The interval used by the lines below, handed on or else computed."""
        return see(self.handed, role, computed)


@dataclass(slots=True)
class SteppedParam:
    """One parameter in a step: its arrays before and after, and its expected state.

    ``after_state`` maps the roles that can be seen after the step; ``carry`` is replaced by what is known then.
    ``circumstances`` are those of its cell, ``topics`` marks reals of rare kinds; ``blocked`` counts the reals whose last line
    could not be judged.
    """

    name: str
    format: str
    param: NDArray[Any]
    grad: NDArray[Any]
    after: NDArray[Any]
    before_state: Mapping[str, Carry]
    after_state: Mapping[str, NDArray[Any]]
    t: int
    first: bool
    skipped: bool
    circumstances: frozenset[str] = frozenset()
    topics: Mapping[str, Booleans] = field(default_factory=dict)
    blocked: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Parameters of one group, of one format and one age, joined: their values before and after a step.

    ``offsets`` are the places of each parameter's first real; ``visible`` and ``hidden`` the roles that the step sets and
    that can, or cannot, be seen after it; ``sources`` where each option of the group came from.
    """

    params: list[SteppedParam]
    before: Before
    after: Mapping[str, Floats]
    offsets: NDArray[np.intp]
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    question: Question
    sources: Mapping[str, str]

    @property
    def format(self) -> Format:
        """The format of every parameter."""
        return self.question.format

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines to judge, by their roles."""
        return (*self.visible, "param")

    @property
    def total(self) -> int:
        """The number of reals."""
        return int(self.offsets[-1])

    def clause(self, role: str) -> str:
        """The clause on how a role is computed."""
        return line_clause(role, self.question.hyper, self.question.dialect, self.format.name)

    def owner(self, position: int) -> int:
        """The number of the parameter with the real at ``position``."""
        return int(np.searchsorted(self.offsets, position, side="right")) - 1

    def case(self, position: int, handed: Mapping[str, Ends] | None = None) -> Case:
        """The step of one real."""
        param = self.params[self.owner(position)]
        return Case(
            self.before.at(slice(position, position + 1)),
            param.format,
            self.question.hyper,
            param.first,
            param.t,
            param.skipped,
            self.sources,
            self.visible,
            self._still(position),
            handed or {},
        )

    def _still(self, position: int) -> bool:
        """Tell whether every visible role of an element is unchanged."""
        for role, values in self.after.items():
            was = getattr(self.before, role)
            if isinstance(was, tuple) or was[position] != values[position]:
                return False
        return True


def line_clause(role: str, hyper: Hyperparameters, dialect: Dialect, format: str = "float32") -> str:
    """Name the clause for the computation of a role."""
    if role != "param":
        return CLAUSE_OF_ROLE[role]
    read, options = line_readings(dialect, hyper, format)[role]
    return "momentum-update" if read.momentum(options) else "update"


def stepped_roles(hyper: Hyperparameters, dialect: Dialect, format: str = "float32") -> tuple[str, ...]:
    """List the roles of the state set by a step, each as its line is read."""
    readings = line_readings(dialect, hyper, format)

    def is_set(role: str) -> bool:
        read, options = readings[role]
        return {"grad_avg": read.centered, "momentum_buffer": read.momentum}.get(role, lambda _: True)(options)

    return tuple(role for role in STATE_ROLES if is_set(role))


def join_params(
    params: list[SteppedParam], hyper: Hyperparameters, dialect: Dialect, policy: Policy, sources: Mapping[str, str]
) -> Batch:
    """Join parameters of one group, of one format and one age."""
    name = params[0].format
    before, counts = _before(params, hyper, dialect)
    roles = stepped_roles(hyper, dialect, name)
    visible = tuple(role for role in roles if all(role in param.after_state for param in params))
    after = {role: _joined([as_reals(param.after_state[role]) for param in params]) for role in visible}
    after["param"] = _joined([as_reals(param.after) for param in params])
    hidden = tuple(role for role in roles if role not in visible)
    question = Question(FORMATS[name], hyper, dialect, policy, params[0].t)
    return Batch(params, before, after, np.cumsum([0, *counts]), visible, hidden, question, sources)


def _before(params: list[SteppedParam], hyper: Hyperparameters, dialect: Dialect) -> tuple[Before, list[int]]:
    values = [as_reals(param.param) for param in params]
    counts = [len(reals) for reals in values]

    def role(name: str) -> Any:
        parts: list[Any] = []
        for param, count in zip(params, counts, strict=True):
            carry = param.before_state.get(name)
            if carry is None:
                # State is kept in the format: an eps that it starts at is rounded to it.
                parts.append(np.full(count, FORMATS[param.format].round(dialect.initial(name, hyper))))
            else:
                parts.append(carry if isinstance(carry, tuple) else as_reals(carry))
        if any(isinstance(part, tuple) for part in parts):
            triples = [part if isinstance(part, tuple) else (part, part, None) for part in parts]
            nans = [
                np.zeros(count, dtype=bool) if nan is None else nan
                for (_, _, nan), count in zip(triples, counts, strict=True)
            ]
            return (
                np.concatenate([lo for lo, _, _ in triples]),
                np.concatenate([hi for _, hi, _ in triples]),
                np.concatenate(nans),
            )
        return _joined(parts)

    grads = _joined([as_reals(param.grad) for param in params])
    return Before(_joined(values), grads, role("square_avg"), role("grad_avg"), role("momentum_buffer")), counts


def _joined(parts: list[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
