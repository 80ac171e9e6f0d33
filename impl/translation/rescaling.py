"""Momentum buffers times or over the learning rate, rounded correctly, with a mask of the inexact elements.

A buffer that holds ``lr`` (Keras, TensorFlow, optax: b = mu b + lr g/d) is ``lr`` times one that does not (the page: b = mu b +
g/d). Product and quotient of two floating-point numbers are evaluated together with the sign of what float64 leaves over
(Dekker's product), so that they can be rounded once, to the nearest number of the buffer's format, ties to even.
Source: Dekker 1971 (the product as a sum of two numbers); Boldo and Melquiond 2008 (after rounding to odd, a second
rounding is harmless).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS, Format, as_reals

__all__ = ["Rescaled", "from_reals", "over", "rounded", "times"]

Array = NDArray[Any]
Floats = NDArray[np.float64]

_SPLIT = float(2**27 + 1)
_DOUBLE = 2.0**-53


@dataclass(frozen=True, slots=True)
class Rescaled:
    """The new array, and a mask of its real numbers off the exact result. ``inexact`` is flat (``as_reals``)."""

    values: Array
    inexact: NDArray[np.bool_]


def times(values: Array, lr: float) -> Rescaled:
    """``lr * values``, each real number rounded once."""
    return _scale(values, lr, divide=False)


def over(values: Array, lr: float) -> Rescaled:
    """``values / lr`` for lr > 0, each real number rounded once."""
    return _scale(values, lr, divide=True)


def from_reals(reals: Floats, like: Array) -> Array:
    """The inverse of ``as_reals``: numbers of the format of ``like``, in the shape of ``like``."""
    real = like.real.dtype
    flat = reals.astype(real)
    return flat.view(like.dtype).reshape(like.shape) if like.dtype.kind == "c" else flat.reshape(like.shape)


def _scale(values: Array, lr: float, *, divide: bool) -> Rescaled:
    fmt = FORMATS[values.dtype.name].part
    x = as_reals(values)
    plain = np.isfinite(x) & (x != 0)
    scale, scale_exponent = np.frexp(np.float64(lr))
    mantissa, exponent = np.frexp(np.where(plain, x, 1.0))
    if divide:
        q = mantissa / scale
        product, tail = _product(q, np.broadcast_to(scale, q.shape))
        # The sign of mantissa - q * scale, and the quotient lies on that side of q: scale > 0.
        rest = np.sign((mantissa - product) - tail)
        shift = exponent - int(scale_exponent)
    else:
        q, rest = _product(mantissa, np.broadcast_to(scale, mantissa.shape))
        rest = np.sign(rest)
        shift = exponent + int(scale_exponent)
    if lr == 0 and not divide:
        return Rescaled(np.asarray(values * values.dtype.type(0)), ~np.isfinite(x))
    result, inexact = rounded(q, rest, shift, fmt)
    # Zeros keep their sign, and so do infinities; NaN stays NaN.
    result = np.where(plain, result, x)
    return Rescaled(from_reals(result, values), inexact & plain)


def rounded(q: Floats, rest: Floats, shift: Any, fmt: Format) -> tuple[Floats, NDArray[np.bool_]]:
    """The number a little beside ``q * 2**shift``, on the side of the sign of ``rest``, rounded to ``fmt``.

    ``rest`` 0 means exactly there. float64 of the results, and where they are not exact.
    """
    if fmt.unit_roundoff == _DOUBLE:
        result = np.ldexp(q, shift)
        inexact = (rest != 0) | (np.ldexp(result, -np.asarray(shift)) != q)
        # Where float64 itself is subnormal, q has been rounded before: those few are rounded from the exact number.
        for i in np.flatnonzero((np.abs(result) < fmt.smallest_normal) & (rest != 0)):
            result[i] = _nearest_subnormal(float(q[i]), float(rest[i]), int(np.broadcast_to(shift, q.shape)[i]))
        return result, inexact
    odd = _to_odd(q, rest)
    wide = np.ldexp(odd, shift)
    precision = round(-np.log2(fmt.unit_roundoff))
    lowest = int(np.frexp(fmt.smallest_subnormal)[1]) - 1
    quantum = np.maximum(np.frexp(wide)[1] - precision, lowest)
    result = np.ldexp(np.rint(np.ldexp(wide, -quantum)), quantum)
    result = np.where(np.abs(result) > fmt.max_finite, np.copysign(np.inf, result), result)
    return result, (rest != 0) | (result != wide)


def _product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """a*b as the nearest float64 and the exact remainder, for numbers of ordinary size."""
    p = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Floats) -> tuple[Floats, Floats]:
    c = _SPLIT * a
    high = c - (c - a)
    return high, a - high


def _to_odd(q: Floats, rest: Floats) -> Floats:
    """Round to odd: with a ``rest``, the one of the two enclosing neighbours with an odd last bit."""
    even = (q.view(np.int64) & 1) == 0
    beside = np.nextafter(q, np.copysign(np.inf, rest))
    return np.where((rest != 0) & even, beside, q)


def _nearest_subnormal(q: float, rest: float, shift: int) -> float:
    # rest stands for something smaller than half a unit in the last place of q: a quarter decides every tie alike.
    tick = Fraction(float(np.spacing(abs(q)))) / 4 * int(rest)
    return float((Fraction(q) + tick) * Fraction(2) ** shift)
