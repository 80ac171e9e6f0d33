"""A momentum buffer recovered across changes of the learning rate, from states saved at each change.

Let x be the source's buffer and y the target's; both start at zero and obey x <- mu x + c_x u, y <- mu y + c_y u with the same
u = g/d, where one of c_x, c_y is lr and the other 1. While lr is constant, with f = c_y / c_x and w = mu^n,

    y_n = w y_0 + f (x_n - w x_0),

since both sides obey the recurrence of y and agree at n = 0. Applied from one saved state to the next this gives y now,
whatever lr did in between.

The stored x carry rounding: each step rounds the product and the sum, so it adds at most 2u M (u the unit roundoff, M the largest
buffer of the segment), which decays with mu afterwards: at most 2u M G in all, with G = 1 + mu + ... + mu^(n-1). The bound below
adds the float64 rounding of this formula. Where x_n and w x_0 cancel, the bound is large beside y: that is the price, and it
is reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.translation.rescaling import from_reals, rounded

__all__ = ["Point", "Recovered", "recovered"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Point:
    """The buffer after ``steps`` steps, and the learning rate since the point before."""

    steps: int
    buffer: Array
    lr: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """The target's buffer, and for each real number a bound on its absolute error. ``bound`` is flat (``as_reals``)."""

    values: Array
    bound: NDArray[np.float64]


def recovered(points: Sequence[Point], momentum: float, *, divide: bool) -> Recovered:
    """The target's buffer at the last point; the first is reached from a zero buffer with its own lr.

    ``divide`` is true where the source's buffer holds lr (f = 1/lr), else f = lr. The bound holds while no buffer between two
    points was larger than the larger of the two.
    """
    last = points[-1].buffer
    fmt = FORMATS[last.dtype.name].part
    unit = fmt.unit_roundoff
    x_before = np.zeros_like(as_reals(last))
    y = np.zeros_like(x_before)
    bound = np.zeros_like(x_before)
    steps = 0
    for point in points:
        x = as_reals(point.buffer)
        n = point.steps - steps
        weight, total = _weights(momentum, n)
        factor = 1 / point.lr if divide else point.lr
        largest = np.maximum(np.abs(x), np.abs(x_before))
        stored = 2 * total * (unit * largest + fmt.smallest_subnormal)
        # A power of n factors in float64 is off by at most 2n roundings, each other operation by one.
        evaluated = (2 * n + 8) * 2.0**-53 * (np.abs(x) + weight * np.abs(x_before))
        bound = weight * bound + (stored + evaluated) * factor + (2 * n + 8) * 2.0**-53 * weight * np.abs(y)
        y = weight * y + factor * (x - weight * x_before)
        x_before, steps = x, point.steps
    values, _ = rounded(y, np.zeros_like(y), 0, fmt)
    bound = (bound + unit * np.abs(y) + fmt.smallest_subnormal) * (1 + 2.0**-20)
    return Recovered(from_reals(values, last), bound)


def _weights(momentum: float, n: int) -> tuple[float, float]:
    """mu^n and 1 + mu + ... + mu^(n-1); the sum is bounded from above."""
    weight = float(np.float64(momentum) ** n)
    total = (1 - weight) / (1 - momentum) if momentum < 1 else n * max(1.0, weight)
    return weight, total * (1 + 2.0**-40)
