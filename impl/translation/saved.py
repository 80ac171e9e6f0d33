"""A saved optimizer in neutral form: the hyperparameters of each group, and the state of each parameter.

Whatever file or framework it came from, the roles are the field's names (``square_avg``, ``grad_avg``,
``momentum_buffer``) and the buffer has the sign of the pseudocode (theta moves by its negative).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.dialect import Dialect, Hyperparameters

__all__ = ["IncompleteState", "Saved", "SavedGroup", "SavedParam", "check_saved", "formats_of", "needed_roles"]

Array = NDArray[Any]


class IncompleteState(RmspecError):
    """A saved state lacks an entry, or has an unfitting one, or one of a run gone wrong (NaN, a negative square)."""


@dataclass(frozen=True, slots=True)
class SavedParam:
    """The state of one parameter: arrays of one shape and format by role, none before its first step.

    ``steps`` is how many steps it has made, ``None`` where the file does not say.
    """

    name: str
    arrays: Mapping[str, Array] = field(default_factory=dict)
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class SavedGroup:
    """One parameter group: its variant of RMSprop, its options, its parameters in order.

    ``lr_changed`` says how it is known that the learning rate was not always ``hyper.lr``; empty where nothing shows it.
    """

    dialect: Dialect
    hyper: Hyperparameters
    params: tuple[SavedParam, ...] = ()
    lr_changed: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """A whole saved optimizer."""

    groups: tuple[SavedGroup, ...]

    def params(self) -> tuple[SavedParam, ...]:
        """Every parameter, group after group."""
        return tuple(param for group in self.groups for param in group.params)


def needed_roles(dialect: Dialect, hyper: Hyperparameters) -> tuple[str, ...]:
    """The roles of the state read by a step of a group with these options."""
    used = {"square_avg": True, "grad_avg": dialect.centered(hyper), "momentum_buffer": dialect.reads_momentum(hyper)}
    return tuple(role for role in STATE_ROLES if used[role])


def formats_of(saved: Saved) -> tuple[str, ...]:
    """The formats of the state by name, the coarsest first; float32 without a state."""
    names = {array.dtype.name for param in saved.params() for array in param.arrays.values()}
    return tuple(sorted(names or {"float32"}, key=lambda name: (-FORMATS[name].unit_roundoff, name)))


def check_saved(saved: Saved) -> None:
    """Raise ``IncompleteState`` for missing or unfitting entries, a NaN, a negative square or a negative count."""
    for param in saved.params():
        if param.steps is not None and param.steps >= 2**63:
            raise IncompleteState(
                f"parameter {param.name} has made more than 2^63 steps",
                "no framework counts so far",
                "the file is damaged: save it again",
            )
    for group in saved.groups:
        needed = needed_roles(group.dialect, group.hyper)
        for param in group.params:
            if param.arrays:
                _check_param(param, needed)


def _check_param(param: SavedParam, needed: tuple[str, ...]) -> None:
    for role in needed:
        if role not in param.arrays:
            raise IncompleteState(
                f"parameter {param.name} has no {role}",
                f"with these options every parameter that has been stepped has {', '.join(needed)}",
                "save the whole state, or say which options it was trained with (--momentum 0, --no-centered)",
            )
    first = param.arrays["square_avg"] if "square_avg" in param.arrays else next(iter(param.arrays.values()))
    for role, values in param.arrays.items():
        if values.dtype.name not in FORMATS:
            raise IncompleteState(
                f"{role} of parameter {param.name} is {values.dtype.name}",
                "the state of an optimizer is floating-point numbers",
                f"it can be {', '.join(FORMATS)}",
            )
        if values.shape != first.shape or values.dtype != first.dtype:
            raise IncompleteState(
                f"{role} of parameter {param.name} is {_kind(values)}, but square_avg is {_kind(first)}",
                "the state of a parameter has one shape and one format",
                "the file does not hold the state of one optimizer: save it again",
            )
        # Infinities stay: an average that overflowed is what the source would go on with as well.
        if (place := _first(values, np.isnan(as_reals(values)))) is not None:
            raise IncompleteState(
                f"{role} of parameter {param.name} has a NaN{place}",
                "a NaN is never averaged away: the run that saved it had failed, and the parameter is NaN or will be",
                "take a state from before the first NaN",
            )
    if "square_avg" in param.arrays:
        values = param.arrays["square_avg"]
        if (place := _first(values, as_reals(values) < 0)) is not None:
            raise IncompleteState(
                f"square_avg of parameter {param.name} has a negative number{place}",
                "an average of squares has none, and its root would be NaN",
                "the file does not hold the state of RMSprop under these names",
            )
    if param.steps is not None and param.steps < 0:
        raise IncompleteState(f"parameter {param.name} has made {param.steps} steps", "a count is not negative")


def _first(values: Array, selected: NDArray[np.bool_]) -> str | None:
    """Describe the place of the first selected real number, and the count of the others; ``None`` for none."""
    positions = np.flatnonzero(selected)
    if not positions.size:
        return None
    index = np.unravel_index(int(positions[0]) // FORMATS[values.dtype.name].parts, values.shape)
    place = f" at [{', '.join(map(str, map(int, index)))}]" if index else ""
    return place + (f" and {positions.size - 1:,} more" if positions.size > 1 else "")


def _kind(values: Array) -> str:
    return f"{values.dtype.name} of shape {values.shape}"
