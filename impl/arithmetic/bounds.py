"""Outer bounds: steps without overflow and without a division by 0, in every order of evaluation.

Balls are inner bounds (``rmspec.impl.arithmetic.balls``), and say nothing of where the intervals around them end. An unbounded
envelope is inconclusive, never a pass, so the filter asks here as well. The pseudocode is run on two more kinds of numbers:

- ``Scale``: for all elements at once, how large a partial product or sum of any order may be (``top``), and what no state takes
  the number below (``low``). A root has the low of 0; eps outside of it adds its own, eps inside adds nothing.
- ``Reach``: for each element, how far the interval may reach from the centre of its ball: ``(growth - 1) size + loss``. It is
  asked of what is under the root, where ``Scale`` finds no sufficient low of the denominator.

Why ``Reach`` is outer. Let every x' of an interval lie within (a - 1) s + l of x, with |x| <= s; then |x'| <= a s + l. For a sum
of two, sizes and losses add up, and the larger growth holds for both. For a product, |x'y' - xy| <= |x' - x||y'| + |x||y' - y|
is at most (ab - 1) s t + l b t + m a s + l m. One rounding multiplies growth and loss by 1 + u and adds half the smallest
subnormal; the slack on u covers the float64 rounding of the centre. A weighted mean a x + (1 - a) y may be written
x + (1 - a) (y - x), whose terms are 1 + |1 - a| times x, or y - a (y - x), with 1 + |a| times y: these are the sizes of the two
weights, and the growth of both is that of the longest form.
Source: Higham, Accuracy and Stability, 3.3 (running error analysis).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.balls import Ball
from rmspec.impl.arithmetic.formats import FORMATS, Format
from rmspec.impl.arithmetic.intervals import Arithmetic, Coefficient
from rmspec.impl.arithmetic.namespace import namespace_of
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Iterate, Symbols

__all__ = [
    "Reach",
    "Scale",
    "bounded_divisor",
    "least_divisor",
    "reach_of",
    "reach_symbols",
    "root_above",
    "scale_symbols",
    "symbols_of",
    "unasked",
]

Array = Any

_SLACK = 1 + 2.0**-10
"""On the unit roundoff, for the float64 rounding of a centre and of the ends of an interval."""


class Scale:
    """The largest magnitude of a number and of all its parts, and the least value of the number.

    ``top`` is at least the product of those factors that are larger than 1, so it bounds the partial products of every order,
    and at least the ``top`` of every part. A quotient has the ``top`` of its numerator.
    """

    __slots__ = ("low", "top")

    def __init__(self, top: float, low: float = -math.inf) -> None:
        self.top = top
        self.low = low

    def __add__(self, operand: Scale) -> Scale:
        return Scale(self.top + operand.top, self.low + operand.low)

    def __sub__(self, operand: Scale) -> Scale:
        return Scale(self.top + operand.top)

    def __mul__(self, operand: Scale) -> Scale:
        top, factor = self.top, operand.top
        return Scale((top if top > 1.0 else 1.0) * (factor if factor > 1.0 else 1.0))

    def __truediv__(self, operand: Scale) -> Scale:
        return Scale(max(1.0, self.top))

    def __neg__(self) -> Scale:
        return Scale(self.top)

    def __rsub__(self, operand: int) -> Scale:
        return Scale(operand + self.top)

    def sqrt(self) -> Scale:
        """The square root of a number of any sign."""
        return Scale(max(1.0, self.top), 0.0)


@lru_cache(maxsize=512)
def scale_symbols(format: str, hyper: Hyperparameters, dialect: Dialect) -> Symbols[Scale]:
    """The options as scales, in a format."""
    part = FORMATS[format].part

    def scale(option: str) -> Scale:
        value = float(hyper.option(option))
        least = _ends(part.name, dialect.scalars, option in dialect.single, value)[0]
        # Less what the sum with it may lose.
        return Scale(abs(value), least * (1 - 4 * part.unit_roundoff) - 4 * part.smallest_subnormal)

    return Symbols(*(scale(option) for option in ("lr", "alpha", "eps", "weight_decay", "momentum")))


def symbols_of(arithmetic: Arithmetic, hyper: Hyperparameters, dialect: Dialect) -> Symbols[Any]:
    """The options as intervals, as far as a dialect lets them be rounded."""

    def coefficient(option: str) -> Coefficient:
        return arithmetic.coefficient(float(hyper.option(option)), single=option in dialect.single)

    return Symbols(
        gamma=coefficient("lr"),
        alpha=coefficient("alpha"),
        eps=coefficient("eps"),
        lambda_=coefficient("weight_decay"),
        mu=coefficient("momentum"),
    )


def least_divisor(fmt: Format, step: Iterate[Scale]) -> float:
    """The least denominator for a step without overflow in any order, or infinity.

    ``step`` is a step on scales. Each of its terms is divided once.
    """
    results = (step.theta, step.v, step.g_ave, step.b, step.g, step.d)
    least = max(result.top for result in results if result is not None) / _limit(fmt)
    return least if least < 1.0 else math.inf


def bounded_divisor(fmt: Format, hyper: Hyperparameters, largest: float) -> bool:
    """Whether a denominator of this size stays finite, divided by lr as well."""
    return largest < _limit(fmt) and (hyper.lr == 0 or largest / min(1.0, hyper.lr) < _limit(fmt))


def _limit(fmt: Format) -> float:
    return fmt.part.max_finite / 64


class Reach:
    """How far an interval reaches from the centre of its ball: ``(growth - 1) size + loss`` at most, on both sides.

    ``size`` is an array of the sums of the magnitudes of all terms, ``top`` the largest of them or more.
    """

    __slots__ = ("_complement", "fmt", "growth", "loss", "size", "top")

    def __init__(
        self, fmt: Format, size: Array, top: float, growth: float, loss: float, complement: Reach | None = None
    ) -> None:
        self.fmt = fmt
        self.size = size
        self.top = top
        self.growth = growth
        self.loss = loss
        self._complement = complement

    def _rounded(self, size: Array, top: float, growth: float, loss: float) -> Reach:
        by = 1 + self.fmt.unit_roundoff * _SLACK
        return Reach(self.fmt, size, top, growth * by, loss * by + self.fmt.smallest_subnormal)

    def __add__(self, operand: Reach) -> Reach:
        growth = max(self.growth, operand.growth)
        return self._rounded(self.size + operand.size, self.top + operand.top, growth, self.loss + operand.loss)

    __sub__ = __add__

    def __mul__(self, operand: Reach) -> Reach:
        loss = self.loss * (operand.growth * operand.top + operand.loss) + operand.loss * self.growth * self.top
        size = self.size * operand.size
        return self._rounded(size, self.top * operand.top, self.growth * operand.growth, loss)

    def __neg__(self) -> Reach:
        return self

    def __rsub__(self, operand: int) -> Reach:
        assert operand == 1
        assert self._complement is not None
        return self._complement

    def __truediv__(self, operand: Reach) -> Reach:
        """A quotient, outside of every root."""
        return unasked(self.fmt)


def reach_of(fmt: Format, values: Array, top: float) -> Reach:
    """The reach of exact numbers of magnitudes up to ``top``."""
    return Reach(fmt.part, abs(values), top, 1.0, 0.0)


def unasked(fmt: Format) -> Reach:
    """The reach of a number outside of every root."""
    return Reach(fmt.part, 0.0, 0.0, 1.0, 0.0)


@lru_cache(maxsize=512)
def reach_symbols(format: str, hyper: Hyperparameters, dialect: Dialect) -> Symbols[Reach]:
    """The options as reaches, in a format."""
    part = FORMATS[format].part

    def coefficient(value: float, lo: float, hi: float) -> tuple[float, float, float]:
        size, error = max(abs(value), abs(lo), abs(hi)), max(hi - value, value - lo)
        # A coefficient that is rounded to a subnormal number, or to 0, loses what no factor says.
        return (size, 1.0, error) if error <= part.smallest_subnormal else (size, 1 + error / size, 0.0)

    def reach(option: str) -> Reach:
        value = float(hyper.option(option))
        lo, hi, complement_lo, complement_hi = _ends(part.name, dialect.scalars, option in dialect.single, value)
        size, growth, loss = coefficient(value, lo, hi)
        if option != "alpha":
            return Reach(part, size, size, growth, loss)
        weight, weight_growth, weight_loss = coefficient(1 - value, complement_lo, complement_hi)
        growth *= weight_growth * (1 + part.unit_roundoff * _SLACK) ** 2
        loss += weight_loss
        size, weight = max(size, 1 + weight), 1 + size if value <= 0.5 else weight
        return Reach(part, size, size, growth, loss, Reach(part, weight, weight, growth, loss))

    return Symbols(*(reach(option) for option in ("lr", "alpha", "eps", "weight_decay", "momentum")))


@lru_cache(maxsize=4096)
def _ends(format: str, scalars: Any, single: bool, value: float) -> tuple[float, float, float, float]:
    """The ends of an option, as it may be rounded, and those of 1 less the option."""
    arithmetic = Arithmetic(FORMATS[format], np.zeros(()), scalars=scalars)
    interval = arithmetic.coefficient(value, single=single)
    complement = arithmetic.complement(interval)
    return float(interval.lo), float(interval.hi), float(complement.lo), float(complement.hi)


def root_above(radicand: Ball, least: float, reach: Reach) -> Ball:
    """The square root of a ball; NaN if the root of its interval may be below ``least``."""
    fmt = reach.fmt
    square = ((least + 2 * fmt.smallest_subnormal) * (1 + 4 * fmt.unit_roundoff)) ** 2
    lowest = radicand.c - ((reach.growth - 1) * reach.size + reach.loss)
    xp = namespace_of(radicand.c)
    return Ball(xp.where(lowest > square, radicand.c, float("nan")), radicand.r, radicand.u).sqrt()
