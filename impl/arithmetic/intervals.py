"""Intervals around every legal floating-point evaluation of an expression.

An ``Interval`` holds, for each element, a lower and an upper end in float64 with outward rounding, and whether the value
may be NaN. Every operation widens its result by what the subject's format may lose in it: the unit roundoff, relatively,
and half the smallest subnormal, absolutely. A fused or wider evaluation loses less, so it is inside as well.

Three rules make the result independent of the order in which somebody else evaluates:

- A product is kept as a list of factors and divisors until it is needed as a number; then the hull is taken over every
  order of multiplying and dividing: ``(lr*g)/d``, ``lr*(g/d)``, ``(lr/d)*g``, ``g/(d/lr)``, with ``1/d`` first, and so on.
- A sum ``a*x + (1-a)*y`` is a weighted mean, and may be written ``x + (1-a)*(y-x)``, and where ``a <= 1/2`` also
  ``y - a*(y-x)``: hull of the forms.
- A hyperparameter is a real number that may have been rounded to float32 (formats up to float32) or float64.

The code is written against the array API standard: the ends may be NumPy arrays or torch tensors, on any device.
Source: docs/explanation/envelope.md; the standard model of floating-point arithmetic with underflow (Higham, Accuracy and
Stability, 2.2 and 2.8).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from array_api_compat import device

from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.arithmetic.namespace import namespace_of
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.switches import ROUNDINGS

__all__ = ["Arithmetic", "Coefficient", "Interval", "Product", "Scalars"]

Array = Any
"""An array of the array API standard: the standard defines no common static type."""

Scalars = Literal["double", "float32", "cast", "storage", "float32-storage"]

_SLACK = 1 + 2.0**-18
"""Covers the float64 rounding of the ends themselves, for formats up to float32 (2**-42 relative against 2**-53)."""


class Arithmetic:
    """The rounding rules of one format under one policy, and the namespace of the arrays in use.

    ``like`` is any array: results live in its namespace and on its device. ``scalars`` is how far hyperparameters may be
    rounded (``Dialect.scalars``).
    """

    def __init__(self, fmt: Format, like: Array, *, policy: Policy = STRICT, scalars: Scalars = "double") -> None:
        self.fmt = fmt.part
        self.policy = policy
        self._rounding = ROUNDINGS[scalars]
        self.xp = namespace_of(like)
        self.device = device(like)
        # To count costs NumPy a fifth of a reduction, which is done several times an operation.
        self._all: Callable[[Array], Any] = _holds_everywhere if self.xp is np else self.xp.all
        self._some: Callable[[Array], Any] = np.count_nonzero if self.xp is np else self.xp.any
        self._down, self._zero, self._up = self._constant(-math.inf), self._constant(0.0), self._constant(math.inf)
        self._double = self.fmt.unit_roundoff == 2.0**-53
        self._largest = self._constant(self.fmt.max_finite)
        self._least = self._constant(-self.fmt.max_finite)
        self._tiny = self._constant(
            (self.fmt.smallest_normal if policy.flush_subnormals else self.fmt.smallest_subnormal / 2) * _SLACK
        )
        self._relative: dict[float, Array] = {}
        self._division_ulps = policy.ulps("divide", self.fmt.name)
        self._sqrt_ulps = policy.ulps("sqrt", self.fmt.name)

    def _constant(self, number: float) -> Array:
        """A number as an array: operations with one cost less than with a number of Python."""
        return self.xp.asarray(number, dtype=self.xp.float64, device=self.device)

    # -- making values

    def point(self, values: Array) -> Interval:
        """The numbers ``values`` (float64), known exactly. NaN means: anything."""
        xp = self.xp
        unknown = xp.isnan(values)
        if self._any(unknown):
            return Interval(self, xp.where(unknown, -math.inf, values), xp.where(unknown, math.inf, values), unknown)
        return Interval(self, values, values, None)

    def between(self, lo: Array, hi: Array, nan: Array | None = None) -> Interval:
        """The numbers from ``lo`` to ``hi`` (float64 arrays), and NaN for the elements with ``nan`` true."""
        return Interval(self, lo, hi, nan)

    def coefficient(self, value: float, *, single: bool = False) -> Coefficient:
        """The hyperparameter ``value``, as far as it may be rounded; with ``single`` it may be held in float32."""
        nearby = {float(np.float32(value))} if single else set()
        return self._coefficient(self._roundings(value) | nearby, float(value), None)

    def complement(self, of: Coefficient) -> Coefficient:
        """``1 - of``, formed before it is rounded (unless the dialect's scalars say otherwise)."""
        if not math.isfinite(of.value):
            return self._coefficient({1 - of.value}, 1 - of.value, of)
        exact = 1 - Fraction(of.value)
        nearest = float(exact)
        values = {nearest, *self._roundings(nearest)}
        values |= {math.nextafter(nearest, -math.inf)} if Fraction(nearest) > exact else set()
        values |= {math.nextafter(nearest, math.inf)} if Fraction(nearest) < exact else set()
        single, rounding = float(np.float32(of.value)), self._rounding
        if rounding.stored and rounding.to_format:
            values |= {self.fmt.round(1 - self.fmt.round(of.value)), self.fmt.round(1 - self.fmt.round(single))}
        if rounding.stored and (rounding.single or not self._double):
            values |= {float(np.float32(1 - single)), 1 - single}
        return self._coefficient(values, nearest, of)

    def _roundings(self, value: float) -> set[float]:
        nearby = {value, float(np.float32(value))} if self._rounding.single or not self._double else {value}
        if not self._rounding.to_format:
            return nearby
        return nearby | {self.fmt.round(number) for number in (nearby if self._rounding.single else {value})}

    def _coefficient(self, values: set[float], value: float, of: Coefficient | None) -> Coefficient:
        lo, hi = min(values), max(values)
        return Coefficient(self, self._constant(lo), self._constant(lo if lo == hi else hi), value, of)

    # -- operations, each on settled intervals

    def add(self, x: Interval, y: Interval) -> Interval:
        """x + y, widened."""
        lo = x.lo + y.lo
        hi = lo if x.hi is x.lo and y.hi is y.lo else x.hi + y.hi
        nan = _either(x.nan, y.nan)
        ordinary = self._ordinary(lo, hi, nan)
        if ordinary is not None:
            return ordinary
        if not self._finite(lo, hi):
            xp = self.xp
            clash = ((x.hi == math.inf) & (y.lo == -math.inf)) | ((x.lo == -math.inf) & (y.hi == math.inf))
            nan = _either(nan, clash)
            lo = xp.where(xp.isnan(lo), -math.inf, lo)
            hi = xp.where(xp.isnan(hi), math.inf, hi)
        return self._widened(lo, hi, nan)

    def negated(self, x: Interval) -> Interval:
        """-x, exactly."""
        lo = -x.hi
        return Interval(self, lo, lo if x.hi is x.lo else -x.lo, x.nan)

    def multiply(self, x: Interval, y: Interval) -> Interval:
        """x * y, widened; a square when both are the same object."""
        nan = _either(x.nan, y.nan)
        if x is y:
            magnitude = self._magnitude(x)
            lo = magnitude.lo * magnitude.lo
            hi = lo if magnitude.hi is magnitude.lo else magnitude.hi * magnitude.hi
            square = self._widened(lo, hi, nan, self._lost(lo, hi, [lo, hi], [(magnitude.lo,), (magnitude.hi,)]))
            return Interval(self, self.xp.where(square.lo < 0, 0.0, square.lo), square.hi, nan)
        ends = [(x.lo, y.lo)]
        ends += [(x.lo, y.hi)] if y.hi is not y.lo else []
        ends += [(x.hi, y.lo)] if x.hi is not x.lo else []
        ends += [(x.hi, y.hi)] if x.hi is not x.lo and y.hi is not y.lo else []
        corners = [one * operand for one, operand in ends]
        lo, hi = self._extremes(corners)
        lost = self._lost(lo, hi, corners, ends)
        ordinary = self._ordinary(lo, hi, nan, lost)
        if ordinary is not None:
            return ordinary if lost is None else self._signed(ordinary, x, y)
        if not self._finite(lo, hi):
            zero_x, zero_y = (x.lo <= 0) & (x.hi >= 0), (y.lo <= 0) & (y.hi >= 0)
            endless_x, endless_y = self._endless(x), self._endless(y)
            nan = _either(nan, (zero_x & endless_y) | (zero_y & endless_x))
            corners = [self.xp.where(self.xp.isnan(corner), 0.0, corner) for corner in corners]
            # The NaN corner 0*inf stands for 0; the finite part of an endless factor can reach it as well.
            lo, hi = self._extremes(corners)
        product = self._widened(lo, hi, nan, lost)
        return product if lost is None else self._signed(product, x, y)

    def divide(self, x: Interval, y: Interval) -> Interval:
        """x / y, widened, for y >= 0; division by an interval with 0 is unbounded."""
        xp = self.xp
        nan = _either(x.nan, y.nan)
        y_lo = xp.abs(y.lo) if y.hi is y.lo else xp.where(y.lo > 0, y.lo, 0.0)
        y_hi = y_lo if y.hi is y.lo else y.hi
        ends = [(x.lo, y_lo)]
        ends += [(x.lo, y_hi)] if y_hi is not y_lo else []
        ends += [(x.hi, y_lo)] if x.hi is not x.lo else []
        ends += [(x.hi, y_hi)] if x.hi is not x.lo and y_hi is not y_lo else []
        corners = [one / operand for one, operand in ends]
        lo, hi = self._extremes(corners)
        lost = self._lost(lo, hi, corners, [(one,) for one, _ in ends])
        divisor = Interval(self, y_lo, y_hi, None)
        ordinary = self._ordinary(lo, hi, nan, lost, ulps=self._division_ulps) if y.nan is None else None
        if ordinary is not None:
            return ordinary if lost is None else self._signed(ordinary, x, divisor)
        if not self._finite(lo, hi):
            zero = (y_lo == 0) & (x.lo <= 0) & (x.hi >= 0)
            nan = _either(nan, zero | (self._endless(x) & (y_hi == math.inf)))
            lo, hi = self._extremes([xp.where(xp.isnan(corner), 0.0, corner) for corner in corners])
        quotient = self._widened(lo, hi, nan, lost, ulps=self._division_ulps)
        if lost is not None:
            quotient = self._signed(quotient, x, divisor)
        if y.nan is not None:
            # Where the divisor may have come from below zero, it may be -0.0.
            negative = y.nan & (y_lo == 0)
            either = xp.maximum(xp.abs(quotient.lo), xp.abs(quotient.hi))
            lo, hi = xp.where(negative, -either, quotient.lo), xp.where(negative, either, quotient.hi)
            quotient = Interval(self, lo, hi, quotient.nan)
        return quotient

    def root(self, x: Interval) -> Interval:
        """sqrt(x), widened; NaN is possible for x partly below zero, and unbounded for x wholly below."""
        xp = self.xp
        below = x.lo < self._zero
        nan = x.nan
        if self._any(below):
            nan = _either(nan, below)
            hopeless = x.hi < 0
            lo = xp.sqrt(xp.where(below, 0.0, x.lo))
            hi = xp.sqrt(xp.where(hopeless, 0.0, x.hi))
            lo, hi = xp.where(hopeless, -math.inf, lo), xp.where(hopeless, math.inf, hi)
            return self._widened(lo, hi, nan, ulps=self._sqrt_ulps)
        lo = xp.sqrt(x.lo)
        return self._widened(lo, lo if x.hi is x.lo else xp.sqrt(x.hi), nan, ulps=self._sqrt_ulps)

    def hull(self, first: Interval, *remaining: Interval) -> Interval:
        """The smallest interval around all of these."""
        xp = self.xp
        lo, hi, nan = first.lo, first.hi, first.nan
        for interval in remaining:
            lo, hi, nan = xp.minimum(lo, interval.lo), xp.maximum(hi, interval.hi), _either(nan, interval.nan)
        return Interval(self, lo, hi, nan)

    def mean(self, a: Coefficient, complement: Coefficient, x: Interval, y: Interval, plain: Interval) -> Interval:
        """``a*x + (1-a)*y`` in its incremental forms and in the ``plain`` one: the hull."""
        forward = self.add(x, self.multiply(complement, self.add(y, self.negated(x))))
        if a.value > 0.5:
            return self.hull(plain, forward)
        xp = self.xp
        # 1 - (1 - a) is what an implementation has that was given the weight 1 - a (torch.lerp).
        again_lo, again_hi = 1 - complement.hi, 1 - complement.lo
        back = Interval(self, xp.minimum(a.lo, again_lo), xp.maximum(a.hi, again_hi), None)
        backward = self.add(y, self.negated(self.multiply(back, self.add(y, self.negated(x)))))
        return self.hull(plain, forward, backward)

    # -- helpers

    def _magnitude(self, x: Interval) -> Interval:
        xp = self.xp
        if x.hi is x.lo:
            absolute = xp.abs(x.lo)
            return Interval(self, absolute, absolute, x.nan)
        a, b = xp.abs(x.lo), xp.abs(x.hi)
        crosses = (x.lo < 0) & (x.hi > 0)
        return Interval(self, xp.where(crosses, 0.0, xp.minimum(a, b)), xp.maximum(a, b), x.nan)

    def _finite(self, lo: Array, hi: Array) -> bool:
        return self._holds(self.xp.isfinite(lo)) and (hi is lo or self._holds(self.xp.isfinite(hi)))

    def _holds(self, marks: Array) -> bool:
        """Whether all of these are true."""
        return bool(self._all(marks))

    def _any(self, marks: Array) -> bool:
        """Whether any of these is true."""
        return bool(self._some(marks))

    def _put(self, where: Array, new: Array, values: Array) -> Array:
        """The ``values`` with ``new`` ones in some places, in the array itself if possible."""
        if type(values) is np.ndarray:
            np.copyto(values, new, where=where)
            return values
        return self.xp.where(where, new, values)

    def _endless(self, x: Interval) -> Array:
        return (x.hi == math.inf) | (x.lo == -math.inf)

    def _lost(self, lo: Array, hi: Array, corners: list[Array], ends: list[tuple[Array, ...]]) -> Array | None:
        """The elements with a corner lost to zero by underflow of float64, or ``None``.

        ``lo`` and ``hi`` are the extremes of the corners; ``ends`` are, for each corner, the numbers one of which must be zero for
        the corner to be zero exactly.
        """
        if self._holds(lo) and (hi is lo or self._holds(hi)):
            return None
        lost = corners[0] != corners[0]
        for corner, numbers in zip(corners, ends, strict=True):
            zero = corner == 0
            for number in numbers:
                zero = zero & (number != 0)
            lost = lost | zero
        return lost if self._any(lost) else None

    def _signed(self, result: Interval, x: Interval, y: Interval) -> Interval:
        """A product or quotient of numbers >= 0, its lower end moved up to 0 after underflow."""
        positive = (x.lo >= 0) & (y.lo >= 0)
        lo = self.xp.where(positive & (result.lo < 0), 0.0, result.lo)
        return Interval(self, lo, result.hi, result.nan)

    def _extremes(self, corners: list[Array]) -> tuple[Array, Array]:
        """The smallest and the largest of the corners; a NaN among them is both, and one corner is one array."""
        lo = hi = corners[0]
        for corner in corners[1:]:
            lo, hi = self.xp.minimum(lo, corner), self.xp.maximum(hi, corner)
        return lo, hi

    def _widened(
        self, lo: Array, hi: Array, nan: Array | None, lost: Array | None = None, *, ulps: float = 0.5
    ) -> Interval:
        xp = self.xp
        if self._double:
            # The ends are rounded to nearest in the subject's own format: one number further out bounds the exact
            # result and its rounding alike. Rounding never crosses zero, and zero is exact unless it was underflow.
            wide_lo, wide_hi = lo, hi
            for _ in range(max(1, math.ceil(2 * ulps))):
                wide_lo = xp.nextafter(wide_lo, self._down)
                wide_hi = xp.nextafter(wide_hi, self._up)
            if self.policy.flush_subnormals:
                wide_lo, wide_hi = wide_lo - self._tiny, wide_hi + self._tiny
            keeps_lo, keeps_hi = lo >= self._zero, hi <= self._zero
            if lost is not None:
                keeps_lo, keeps_hi = keeps_lo & ~lost, keeps_hi & ~lost
            low = self._put(keeps_lo & (wide_lo < self._zero), self._zero, wide_lo)
            high = self._put(keeps_hi & (wide_hi > self._zero), self._zero, wide_hi)
            low = self._put(low == self._up, self._largest, low)
            high = self._put(high == self._down, self._least, high)
            return Interval(self, low, high, nan)
        low, high = self._ends(lo, hi, lost, ulps)
        if not self._within(low, high):
            low = xp.where(low < self._least, -math.inf, low)
            high = xp.where(high > self._largest, math.inf, high)
            # inf may also be the finite number of a wider format, which is anything from here on.
            low = xp.where(lo == math.inf, 0.0, low)
            high = xp.where(hi == -math.inf, 0.0, high)
        return Interval(self, low, high, nan)

    def _ordinary(
        self, lo: Array, hi: Array, nan: Array | None, lost: Array | None = None, *, ulps: float = 0.5
    ) -> Interval | None:
        """The interval, widened, in a narrower format than float64; ``None`` if an end is NaN, infinite, or overflows."""
        if self._double:
            return None
        low, high = self._ends(lo, hi, lost, ulps)
        return Interval(self, low, high, nan) if self._within(low, high) else None

    def _ends(self, lo: Array, hi: Array, lost: Array | None, ulps: float) -> tuple[Array, Array]:
        """The ends, moved out by the rounding of a narrower format than float64; overflow is left aside."""
        xp, zero = self.xp, self._zero
        relative = self._relative.get(ulps)
        if relative is None:
            unit = self.fmt.unit_roundoff
            relative = self._relative[ulps] = self._constant(max(unit, 2 * ulps * unit) * _SLACK)
        loss = relative * xp.abs(lo) + self._tiny
        low = lo - loss
        high = hi + (loss if hi is lo else relative * xp.abs(hi) + self._tiny)
        # Rounding never crosses zero, and zero is exact unless it was underflow.
        keeps_lo, keeps_hi = lo >= zero, hi <= zero
        if lost is not None:
            keeps_lo, keeps_hi = keeps_lo & ~lost, keeps_hi & ~lost
        return (
            self._put(keeps_lo, xp.maximum(low, zero), low),
            self._put(keeps_hi, xp.minimum(high, zero), high),
        )

    def _within(self, low: Array, high: Array) -> bool:
        """Whether these are numbers of the format's range."""
        return bool(self._all((low >= self._least) & (high <= self._largest)))


class Interval:
    """All numbers from ``lo`` to ``hi`` (float64 arrays of one shape), and NaN for the elements with ``nan`` true.

    ``nan`` is ``None`` where NaN is possible nowhere. ``lo`` and ``hi`` are the same object when the value is exact.
    The operators work on ``Interval`` and ``Product`` alike.
    """

    __slots__ = ("arithmetic", "hi", "lo", "nan")

    def __init__(self, arithmetic: Arithmetic, lo: Array, hi: Array, nan: Array | None) -> None:
        self.arithmetic = arithmetic
        self.lo = lo
        self.hi = hi
        self.nan = nan

    def settle(self) -> Interval:
        """This value as one interval."""
        return self

    def factors(self) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
        """This value as (factors, divisors)."""
        return (self,), ()

    def __add__(self, operand: Interval | Product) -> Interval:
        return _sum(self, operand)

    def __sub__(self, operand: Interval | Product) -> Interval:
        plain = self.arithmetic.add(self.settle(), self.arithmetic.negated(operand.settle()))
        if (
            isinstance(operand, Product)
            and not operand.factors()[1]
            and any(interval is self for interval in operand.factors()[0])
        ):
            # x - c*x may be written x*(1 - c).
            return self.arithmetic.hull(plain, self.arithmetic.multiply(self.settle(), 1 - operand.without(self)))
        return plain

    def __neg__(self) -> Interval:
        return self.arithmetic.negated(self.settle())

    def __mul__(self, operand: Interval | Product) -> Product:
        (a, b), (c, d) = self.factors(), operand.factors()
        return Product(self.arithmetic, a + c, b + d)

    def __truediv__(self, operand: Interval | Product) -> Product:
        a, b = self.factors()
        return Product(self.arithmetic, a, (*b, operand.settle()))

    def __rsub__(self, one: int) -> Interval:
        x = self.settle()
        ones = self.arithmetic.xp.ones_like(x.lo) * float(one)
        return self.arithmetic.add(Interval(self.arithmetic, ones, ones, None), self.arithmetic.negated(x))

    def sqrt(self) -> Interval:
        """The square root."""
        return self.arithmetic.root(self.settle())

    def contains(self, values: Array) -> Array:
        """A boolean array: the elements with ``values`` (float64; NaN counts) inside."""
        inside = (values >= self.lo) & (values <= self.hi)
        if self.nan is None:
            return inside
        return inside | (self.nan & self.arithmetic.xp.isnan(values))

    def bounded(self) -> Array:
        """A boolean array: the elements with two finite ends."""
        xp = self.arithmetic.xp
        return xp.isfinite(self.lo) & xp.isfinite(self.hi)


class Coefficient(Interval):
    """A hyperparameter: a scalar interval with its exact ``value``, and for ``1 - alpha`` the alpha it is ``of``."""

    __slots__ = ("of", "value")

    def __init__(self, arithmetic: Arithmetic, lo: Array, hi: Array, value: float, of: Coefficient | None) -> None:
        super().__init__(arithmetic, lo, hi, None)
        self.value = value
        self.of = of

    def __rsub__(self, one: int) -> Interval:
        if one != 1:
            return super().__rsub__(one)
        return self.arithmetic.complement(self)


class Product(Interval):
    """A product, evaluated on demand: its value is the hull over every order of evaluation."""

    __slots__ = ("_divisors", "_factors", "_settled")

    def __init__(self, arithmetic: Arithmetic, factors: tuple[Interval, ...], divisors: tuple[Interval, ...]) -> None:
        self.arithmetic = arithmetic
        self._factors = factors
        self._divisors = divisors
        self._settled: Interval | None = None

    def factors(self) -> tuple[tuple[Interval, ...], tuple[Interval, ...]]:
        """The factors and divisors as they were written."""
        return self._factors, self._divisors

    def settle(self) -> Interval:
        """The hull over every order of evaluation."""
        if self._settled is None:
            first, *remaining = _orders(self.arithmetic, self._factors, self._divisors)
            self._settled = self.arithmetic.hull(first, *remaining) if remaining else first
        return self._settled

    def without(self, coefficient: Interval) -> Interval:
        """The product less one factor."""
        rest = [factor for factor in self._factors if factor is not coefficient]
        return (
            rest[0]
            if len(rest) == 1 and not self._divisors
            else Product(self.arithmetic, tuple(rest), self._divisors).settle()
        )

    def __neg__(self) -> Interval:
        return self.arithmetic.negated(self.settle())

    def __add__(self, operand: Interval | Product) -> Interval:
        return _sum(self, operand)


def _sum(x: Interval, y: Interval) -> Interval:
    arithmetic = x.arithmetic
    plain = arithmetic.add(x.settle(), y.settle())
    if isinstance(x, Product) and isinstance(y, Product) and not x.factors()[1] and not y.factors()[1]:
        for complement in y.factors()[0]:
            if isinstance(complement, Coefficient) and complement.of is not None:
                a = complement.of
                if any(factor is a for factor in x.factors()[0]):
                    return arithmetic.mean(a, complement, x.without(a), y.without(complement), plain)
    return plain


def _orders(
    arithmetic: Arithmetic, factors: tuple[Interval, ...], divisors: tuple[Interval, ...]
) -> Iterator[Interval]:
    """The value of the product in every order of multiplying and dividing, reciprocals included."""
    if len(factors) == 2 and not divisors:
        yield arithmetic.multiply(*factors)
        return
    if len(factors) == 3 and not divisors and factors[1] is factors[2]:
        # c*g*g: with |g| for g, since every order has the sign of c.
        c, g = factors[0], arithmetic._magnitude(factors[1])
        yield arithmetic.multiply(c, arithmetic.multiply(g, g))
        yield arithmetic.multiply(arithmetic.multiply(c, g), g)
        return
    yield from _Orders(arithmetic).values(factors, divisors)


class _Orders:
    """Every order of one product; partial products and quotients shared by several orders are evaluated once."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic
        self._known: dict[tuple[str, int, int], Interval] = {}
        self._seen: set[tuple[tuple[int, ...], tuple[int, ...]]] = set()

    def values(self, factors: tuple[Interval, ...], divisors: tuple[Interval, ...]) -> Iterator[Interval]:
        """The values of the factors and divisors left to combine; each state is visited once."""
        state = (tuple(sorted(map(id, factors))), tuple(sorted(map(id, divisors))))
        if state in self._seen:
            return
        self._seen.add(state)
        if len(factors) == 1 and not divisors:
            yield factors[0]
            return
        for i in range(len(factors)):
            for j in range(i + 1, len(factors)):
                rest = tuple(factor for k, factor in enumerate(factors) if k not in (i, j))
                yield from self.values((self._product(factors[i], factors[j]), *rest), divisors)
        for j, divisor in enumerate(divisors):
            remaining = divisors[:j] + divisors[j + 1 :]
            for i, factor in enumerate(factors):
                rest = factors[:i] + factors[i + 1 :]
                yield from self.values((self._quotient(factor, divisor), *rest), remaining)
                if isinstance(factor, Coefficient) and factor.value > 0 and rest:
                    yield from self.values(rest, (self._quotient(divisor, factor), *remaining))
            if not remaining:
                yield from self.values((self._reciprocal(divisor), *factors), remaining)

    def _product(self, x: Interval, y: Interval) -> Interval:
        low, high = sorted((id(x), id(y)))
        return self._once(("*", low, high), lambda: self._arithmetic.multiply(x, y))

    def _quotient(self, x: Interval, y: Interval) -> Interval:
        return self._once(("/", id(x), id(y)), lambda: self._arithmetic.divide(x, y))

    def _reciprocal(self, x: Interval) -> Interval:
        one = self._arithmetic.xp.ones_like(x.lo)
        return self._once(
            ("1/", 0, id(x)), lambda: self._arithmetic.divide(Interval(self._arithmetic, one, one, None), x)
        )

    def _once(self, key: tuple[str, int, int], evaluate: Callable[[], Interval]) -> Interval:
        if key not in self._known:
            self._known[key] = evaluate()
        return self._known[key]


def _holds_everywhere(marks: Array) -> bool:
    return bool(np.count_nonzero(marks) == marks.size)


def _either(x: Array | None, y: Array | None) -> Array | None:
    if x is None:
        return y
    return x if y is None else x | y
