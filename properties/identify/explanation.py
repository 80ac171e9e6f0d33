"""Explanations: a dialect's predictions for a probe, step by step, against the observations.

A hypothesis predicts an interval for the parameter after each step from the parameter that was seen before it; state is
taken to be hidden, and is carried along as bounds. So parameters alone suffice, and nothing is compared with a tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Scalars
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES as ROWS
from rmspec.properties.identify.probes import Moment, Trace

__all__ = [
    "SWITCHES",
    "WIDEST",
    "Hypothesis",
    "Prediction",
    "Value",
    "alternatives",
    "expand",
    "explains",
    "predictions",
]

Value = str | float | bool
"""One position of a switch."""

SWITCHES = tuple(row.name for row in ROWS.values() if row.questions)
"""The switches of ``Dialect`` that observations tell apart, in the order in which they are found out."""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A dialect, with supposed values for the options missing from a subject.

    ``ignored`` are options whose given value is supposed to be passed over for the one in ``fixed``.
    """

    dialect: Dialect
    fixed: Mapping[str, float] = field(default_factory=dict)
    ignored: frozenset[str] = frozenset()

    def value(self, switch: str) -> Value:
        """The position of a switch."""
        found: Value = getattr(self.dialect, switch)
        return found

    def with_switch(self, switch: str, value: Value) -> Hypothesis:
        """The same, with one switch in another position."""
        changes: dict[str, Any] = {switch: value}
        return replace(self, dialect=replace(self.dialect, **changes))

    def hyper(self, moment: Moment) -> Hyperparameters:
        """The options of a step."""
        given = {name: value for name, value in moment.options.items() if name not in self.ignored}
        options: dict[str, Any] = {**self.fixed, **given}
        return Hyperparameters(**options)


@dataclass(frozen=True, slots=True)
class Prediction:
    """A hypothesis's prediction after one step: ``role`` between ``lo`` and ``hi``; ``fits`` tells of the observation."""

    call: int
    role: str
    observed: float
    lo: float
    hi: float
    fits: bool

    @property
    def bounded(self) -> bool:
        """Whether anything is excluded."""
        return math.isfinite(self.lo) and math.isfinite(self.hi)


WIDEST: Scalars = "float32-storage"
"""The rounding of hyperparameters that allows all that any other does."""


def alternatives(switch: str) -> tuple[Value, ...]:
    """List the positions of a switch with distinct observations."""
    return ROWS[switch].questions  # type: ignore[return-value]


def expand(hypotheses: Iterable[Hypothesis], switch: str, values: Iterable[Value] | None = None) -> list[Hypothesis]:
    """Every hypothesis with the switch in each of these positions (all, when none are named)."""
    chosen = alternatives(switch) if values is None else tuple(values)
    return [each.with_switch(switch, value) for each in hypotheses for value in chosen]


def explains(hypothesis: Hypothesis, trace: Trace, **how: Any) -> bool:
    """Tell whether every observation lies inside the prediction, and the last one is bounded."""
    last: Prediction | None = None
    for each in predictions(hypothesis, trace, **how):
        if not each.fits:
            return False
        last = each
    return last is not None and last.bounded


def predictions(
    hypothesis: Hypothesis,
    trace: Trace,
    *,
    scalars: Scalars = WIDEST,
    roles: tuple[str, ...] = ("param",),
) -> Iterator[Prediction]:
    """Pair prediction and observation for each step of a probe and each visible role of ``roles``.

    ``scalars`` is how far hyperparameters may have been rounded: for all but the question itself, as far as in any dialect.
    """
    fmt, dialect = FORMATS[trace.format], hypothesis.dialect
    state: dict[str, Any] = {}
    for t, moment in enumerate(trace.moments, 1):
        hyper = hypothesis.hyper(moment)
        for role in STATE_ROLES:
            state.setdefault(role, np.full(1, dialect.initial(role, hyper)))
        before = Before(
            np.full(1, moment.before),
            np.full(1, moment.grad),
            state["square_avg"],
            state["grad_avg"],
            state["momentum_buffer"],
        )
        bounds = envelope(before, fmt, hyper, dialect, scalars=scalars, t=t)
        seen = {**moment.state, "param": moment.after}
        for role in roles:
            interval = bounds.get(role)
            if interval is None or role not in seen:
                continue
            inside = bool(interval.contains(np.full(1, seen[role])).reshape(-1)[0])
            yield Prediction(moment.call, role, seen[role], _end(interval.lo), _end(interval.hi), inside)
        for role, interval in bounds.items():
            if role != "param":
                state[role] = tuple(
                    None if part is None else np.broadcast_to(part, (1,))
                    for part in (interval.lo, interval.hi, interval.nan)
                )


def _end(values: Any) -> float:
    return float(np.asarray(values).reshape(-1)[0])
