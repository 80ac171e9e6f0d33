"""Dual numbers: run on them, the pseudocode gives bounds of the derivatives of its results.

The value of a ``Dual`` is an interval of the envelope: all that a legal evaluation may have there. Its derivative with respect to a
source is a sum over the paths from the source, of the product of the factors on each. A ``Tangent`` bounds what any program that
computes this sum may get, in forward or in reverse mode:

- ``lo`` and ``hi`` are the ends of the sum of the products, each factor anywhere in the interval of its value: whatever was
  saved for the derivative, and rounded before.
- ``size`` is the sum of the magnitudes of the products. Whichever way the sum is bracketed and its factors are taken in or out, a
  product is rounded at most once for each factor and once for each product that it is added to. So the result lies within
  ``((1 + u)**(factors + terms) - 1) * size`` of some point between the ends.
- ``top`` bounds every partial product: each rounding below the smallest normal number loses at most half of the smallest
  subnormal, times the factors that follow.

A division by d is at worst one by d/lr, with a reciprocal of its own. A weighted mean may be written in its incremental forms,
where a weight is a difference: the sizes of the weights are those of ``rmspec.impl.arithmetic.bounds``. The float64 rounding of the
bounds themselves is that of one more such evaluation.
Source: Griewank and Walther, Evaluating Derivatives, 3.4 (the error of the reverse mode is that of the sum over paths); Higham,
Accuracy and Stability, 3.1 and 3.4 (products of 1 + delta).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.arithmetic.bounds import symbols_of
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, line_by_line, power_of
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.arithmetic.intervals import Arithmetic, Coefficient, Interval
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Iterate, Symbols, iterate

__all__ = ["CUTS", "Move", "bound_derivatives"]

Floats = NDArray[np.float64]
Bounds = Mapping[str, tuple[Floats, Floats]]

CUTS: Mapping[str, str] = {
    "square_avg": "v_t is a constant",
    "grad_avg": "g_ave_t is a constant",
    "momentum_buffer": "b_t is a constant",
    "state": "the state before each step is a constant",
    "decay": "theta is a constant in weight decay",
    "grad": "the gradients are constants",
    "lr": "lr is a constant",
    "step": "nothing of a step is differentiated",
}
"""What may be cut off from the derivatives, in words."""


@dataclass(frozen=True, slots=True)
class Move:
    """One step of one parameter, from the numbers seen before it.

    ``source`` is the name of its gradient among the sources of derivatives, empty for one that is none.
    """

    before: Before
    hyper: Hyperparameters
    source: str
    t: int


@dataclass(frozen=True, slots=True)
class Tangent:
    """Bounds of a derivative, for each element: see the module."""

    lo: Floats
    hi: Floats
    size: Floats
    top: Floats
    factors: int = 0
    terms: int = 1

    def __add__(self, operand: Tangent) -> Tangent:
        return Tangent(
            self.lo + operand.lo,
            self.hi + operand.hi,
            self.size + operand.size,
            self.top + operand.top,
            max(self.factors, operand.factors),
            self.terms + operand.terms,
        )

    def __neg__(self) -> Tangent:
        return Tangent(-self.hi, -self.lo, self.size, self.top, self.factors, self.terms)

    def times(self, lo: Floats, hi: Floats, size: Floats, roundings: int = 1) -> Tangent:
        """Take in a factor between two ends, of a magnitude up to ``size``, with so many ``roundings``."""
        corners = (self.lo * lo, self.lo * hi, self.hi * lo, self.hi * hi)
        return Tangent(
            np.minimum.reduce(corners),
            np.maximum.reduce(corners),
            self.size * size,
            self.top * np.maximum(size, 1.0),
            self.factors + roundings,
            self.terms,
        )

    def total(self) -> Tangent:
        """The sum over the elements."""
        count = max(len(self.lo), 1)
        lo, hi, size, top = (np.array([part.sum()]) for part in (self.lo, self.hi, self.size, self.top))
        return Tangent(lo, hi, size, top, self.factors, self.terms * count)

    def ends(self, fmt: Format, unit: float) -> tuple[Floats, Floats]:
        """The least and the largest result; infinity or NaN for one without a bound."""
        count = self.factors + self.terms
        if 4 * count * unit > 1:
            endless = np.full_like(self.lo, math.inf)
            return -endless, endless
        growth = math.expm1(count * (math.log1p(unit) + 4 * 2.0**-53))
        loss = growth * self.size + count * fmt.smallest_subnormal * self.top
        loss = np.where(self.top < fmt.max_finite, loss, math.inf)
        return self.lo - loss, self.hi + loss


class Dual:
    """A number of the pseudocode with its derivatives by source.

    ``size`` is the magnitude of a weight of a mean, which may be a difference; ``None`` for any other number.
    """

    __slots__ = ("size", "tangents", "value")

    def __init__(self, value: Any, tangents: Mapping[str, Tangent], size: float | None = None) -> None:
        self.value = value
        self.tangents = tangents
        self.size = size

    def constant(self) -> Dual:
        """The number, differentiated no further."""
        return Dual(self.value, {}, self.size)

    def __add__(self, operand: Dual) -> Dual:
        return Dual(self.value + operand.value, _merged(self.tangents, operand.tangents))

    def __sub__(self, operand: Dual) -> Dual:
        return Dual(self.value - operand.value, _merged(self.tangents, (-operand).tangents))

    def __neg__(self) -> Dual:
        return Dual(-self.value, {source: -tangent for source, tangent in self.tangents.items()})

    def __rsub__(self, one: int) -> Dual:
        size = None
        if isinstance(self.value, Coefficient):
            size = max(abs(one - self.value.value), 1 + abs(self.value.value) if self.value.value <= 0.5 else 0.0)
        return Dual(one - self.value, (-self).tangents, size)

    def __mul__(self, operand: Dual) -> Dual:
        tangents = _merged(_times(self.tangents, operand), _times(operand.tangents, self))
        return Dual(self.value * operand.value, tangents)

    def __truediv__(self, operand: Dual) -> Dual:
        divisor = operand.value.settle()
        once = 2 + 2 * math.ceil(2 * divisor.arithmetic.policy.ulps("divide", divisor.arithmetic.fmt.name))
        numerator = {source: _over(tangent, divisor, once) for source, tangent in self.tangents.items()}
        below = _times(operand.tangents, self)
        denominator = {
            source: -_over(_over(tangent, divisor, once), divisor, 2 * once) for source, tangent in below.items()
        }
        return Dual(self.value / operand.value, _merged(numerator, denominator))

    def sqrt(self) -> Dual:
        """The square root; without bounds of the derivative for an interval around 0."""
        root = self.value.sqrt()
        once = 2 + 2 * math.ceil(2 * root.arithmetic.policy.ulps("divide", root.arithmetic.fmt.name))
        half = np.array(0.5)
        halves = {source: tangent.times(half, half, half, 0) for source, tangent in self.tangents.items()}
        return Dual(root, {source: _over(tangent, root, once) for source, tangent in halves.items()})


def _merged(first: Mapping[str, Tangent], second: Mapping[str, Tangent]) -> dict[str, Tangent]:
    merged = dict(first)
    for source, tangent in second.items():
        merged[source] = merged[source] + tangent if source in merged else tangent
    return merged


def _times(tangents: Mapping[str, Tangent], number: Dual) -> dict[str, Tangent]:
    if not tangents:
        return {}
    value = number.value.settle()
    if number.size is None:
        size, roundings = np.maximum(abs(value.lo), abs(value.hi)), 1
    else:
        size, roundings = np.array(number.size), 3  # the difference, and the sum that it comes from
    return {source: tangent.times(value.lo, value.hi, size, roundings) for source, tangent in tangents.items()}


def _over(tangent: Tangent, divisor: Interval, roundings: int) -> Tangent:
    """Divide by a positive number with a square in the range of its format; NaN for any other."""
    fmt = divisor.arithmetic.fmt
    usual = (divisor.lo > 0) & (divisor.lo**2 > fmt.smallest_normal) & (divisor.hi**2 < fmt.max_finite)
    if divisor.nan is not None:
        usual = usual & ~divisor.nan
    most, least = np.where(usual, 1 / divisor.lo, math.nan), np.where(usual, 1 / divisor.hi, math.nan)
    return tangent.times(least, most, most, roundings)


def bound_derivatives(
    moves: Sequence[Move],
    weights: Floats,
    fmt: Format,
    dialect: Dialect,
    *,
    policy: Policy = STRICT,
    lr: bool = False,
    cuts: Collection[str] = (),
) -> Bounds:
    """Bound the derivatives of the weighted sum of a parameter after these steps.

    By source: ``start``, the gradients of the steps, and ``lr``, as a float32 number, where it is asked for. ``cuts`` (of ``CUTS``)
    are left out. What is infinite or NaN has no bound. The weights are numbers of the format.
    """
    one = np.ones_like(weights)
    unit = Tangent(one, one, one, one)
    theta: Mapping[str, Tangent] = {"start": unit}
    state: dict[str, Mapping[str, Tangent]] = {}
    with np.errstate(all="ignore"):
        for move in moves:
            after = _step(move, theta, {} if "state" in cuts else state, unit, fmt, dialect, policy, lr, cuts)
            theta = after.pop("param").tangents
            state |= {role: number.tangents for role, number in after.items()}
        bounds: dict[str, tuple[Floats, Floats]] = {}
        for source in ("start", *(move.source for move in moves if move.source), *(("lr",) if lr else ())):
            tangent = theta.get(source, unit.times(0 * one, 0 * one, 0 * one, 0)).times(weights, weights, abs(weights))
            if source == "lr":
                bounds[source] = tangent.total().ends(fmt, max(fmt.unit_roundoff, 2.0**-24))
            else:
                bounds[source] = tangent.ends(fmt, fmt.unit_roundoff)
    return bounds


def _step(
    move: Move,
    theta: Mapping[str, Tangent],
    state: Mapping[str, Mapping[str, Tangent]],
    unit: Tangent,
    fmt: Format,
    dialect: Dialect,
    policy: Policy,
    lr: bool,
    cuts: Collection[str],
) -> dict[str, Dual]:
    """One step on dual numbers, each line read as the dialect says: the number of each role after it."""

    def run(reading: tuple[Dialect, Hyperparameters], see: Callable[[str, Any], Any] | None) -> Iterate[Dual]:
        read, hyper = reading
        like = move.before.param if not isinstance(move.before.param, tuple) else move.before.param[0]
        arithmetic = Arithmetic(fmt, like, policy=policy, scalars=read.scalars)

        def number(name: str, tangents: Mapping[str, Tangent]) -> Dual:
            values = getattr(move.before, name)
            return Dual(
                arithmetic.between(*values) if isinstance(values, tuple) else arithmetic.point(values), tangents
            )

        options = symbols_of(arithmetic, hyper, read)
        alpha = options.alpha.value
        symbols = Symbols(
            Dual(options.gamma, {"lr": unit} if lr and "lr" not in cuts else {}),
            Dual(options.alpha, {}, max(abs(alpha), 1 + abs(1 - alpha))),
            *(Dual(option, {}) for option in (options.eps, options.lambda_, options.mu)),
        )
        v, g_ave, b = (number(role, state.get(role, {})) for role in STATE_ROLES)
        known = move.source and "grad" not in cuts
        return iterate(
            number("param", {} if "decay" in cuts else theta),
            number("grad", {move.source: unit} if known else {}),
            v,
            g_ave,
            b,
            symbols,
            hyper=hyper,
            dialect=read,
            sqrt=Dual.sqrt,
            power=lambda alpha, n: Dual(power_of(arithmetic, alpha.value, n), {}),
            t=move.t,
            see=see,
        )

    def cut(role: str, number: Dual) -> Dual:
        return number.constant() if role in cuts else number

    readings = line_readings(dialect, move.hyper, fmt.name)
    after = line_by_line(readings, run, cut, lambda number: number)
    after |= {role: number.constant() for role, number in after.items() if role in cuts or "step" in cuts}
    if "step" in cuts or "decay" in cuts:
        # What is left of the parameter itself.
        after["param"] = Dual(after["param"].value, _merged(after["param"].tangents, theta))
    return after
