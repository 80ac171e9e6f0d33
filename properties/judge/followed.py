"""The state of a run so far: the specification's view of its optimizers, and the findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import as_reals
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.program.program import (
    Program,
)
from rmspec.oracles.subject import Outcome
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.ledger import OptimizerLedger, SavedLedger, count_reals

__all__ = ["Followed", "difference", "same", "sized"]

Array = NDArray[Any]


@dataclass(slots=True)
class Followed:
    """One run of a program against a dialect.

    ``ledgers`` and ``slots`` are what optimizers and saved states must hold, by name; ``skipped`` the pairs of optimizer and
    parameter that a step has passed over. ``index`` is the call at hand; ``over``: the run can no longer be followed; ``live``:
    state dicts hold the tensors of the state, and ``load_state_dict`` keeps those that it is given.
    """

    program: Program
    dialect: Dialect
    policy: Policy
    tally: Tally
    carried: frozenset[str]
    ledgers: dict[str, OptimizerLedger] = field(default_factory=dict)
    slots: dict[str, SavedLedger] = field(default_factory=dict)
    skipped: set[tuple[str, str]] = field(default_factory=set)
    index: int = 0
    over: bool = False
    live: bool = False

    def finding(
        self,
        kind: Any,
        clause: str,
        summary: str,
        optimizer: str = "",
        param: str = "",
        role: str = "",
        element: int = 0,
        observed: float | str | None = None,
        allowed: tuple[float, float] | None = None,
    ) -> Finding:
        """A finding of the call at hand."""
        return Finding(
            kind, clause, self.index, summary, optimizer, param, role, element, observed=observed, allowed=allowed
        )

    def raised(self, clause: str, outcome: Outcome, optimizer: str) -> Finding:
        """Make the finding for a forbidden exception from a call."""
        assert outcome.raised is not None
        text = f"{outcome.raised.type}: {outcome.raised.message}"
        return self.finding("raised", clause, f"it raised {text}", optimizer, observed=text)

    def initial_value(self, ledger: OptimizerLedger, name: str, role: str) -> float:
        """Give the initial value of a role of a parameter's state."""
        for group in ledger.groups:
            if name in group.params:
                hyper = group.hyper()
                return self.dialect.initial(role, hyper) if hyper is not None else 0.0
        return 0.0


def same(x: Array, y: Array) -> bool:
    """Whether two arrays are the same bit by bit."""
    return x is y or (x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes())


def sized(param: Array, *states: Mapping[str, Any]) -> dict[str, Any]:
    """The state of a parameter, later ones before earlier ones, without arrays of another size.

    They are no state of its elements, and count as hidden.
    """
    reals = count_reals(param)
    return {
        role: value
        for state in states
        for role, value in state.items()
        if not isinstance(value, np.ndarray) or count_reals(value) == reals
    }


def difference(x: Array | None, y: Array | None) -> tuple[int, float | None]:
    """Find the first real to differ between two arrays, and its value in the second."""
    if x is None or y is None or x.shape != y.shape:
        return 0, None
    a, b = as_reals(x), as_reals(y)
    wrong = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
    index = int(wrong[0]) if wrong.size else 0
    return index, float(b[index]) if b.size else None
