"""Balls: a fast filter in front of the envelope. It accepts early, and nothing outside the intervals.

A ``Ball`` is a centre and a radius, in float64, for each element. The pseudocode, run on balls, evaluates each operation
once, in the order of the page, and carries a radius that is an *inner* bound: every number of the ball lies in the
interval that ``rmspec.impl.arithmetic.intervals`` computes for the same expression. So an observation inside the ball is inside the
envelope, and only the others need the intervals.

Why the bound is inner. Let X and Y contain the balls (x, r) and (y, s), with r <= |x| and s <= |y|.

- X + Y contains the ball (x + y, r + s).
- X * Y contains (xy, |x|s + |y|r - rs): move each factor to the end of its ball that moves the product the same way.
- X / Y, with y > s, contains (x/y, (r + |x/y| s) / (y + s)), likewise.
- sqrt(X), with x >= r, contains (sqrt x, r / (2 sqrt(x + r))), because the root is concave.
- The interval then widens each end by at least u|end|, and |end| >= |z| - r_z: so the radius grows by u(|z| - r_z).

A weighted mean and a product are evaluated here in the page's order, which is one of the forms whose hull the interval is.
The centre itself carries float64 rounding; every operation that adds 2**-53 |z| of it also adds u(|z| - r_z) >= 2**-25 |z|
to the radius, so shrinking the radius by the factor ``_SHRINK`` in the end covers it. That needs u >= 2**-24: there is no
filter for float64. Where the intervals end the balls do not say: an element is accepted only where no order of evaluation can
overflow or divide by 0 (``rmspec.impl.arithmetic.bounds``), so that an unbounded, inconclusive envelope is never mistaken for a pass.
Source: issue "The main job", speed; Higham, Accuracy and Stability, 3.3 (running error analysis), turned inside out.
"""

from __future__ import annotations

from typing import Any

from rmspec.impl.arithmetic.namespace import namespace_of

__all__ = ["Ball", "shrunk"]

Array = Any

_SHRINK = 1 - 2.0**-16


class Ball:
    """Centre ``c`` and radius ``r``: float64 arrays or floats; ``u`` is the unit roundoff of the subject's format."""

    __slots__ = ("c", "r", "u")

    def __init__(self, c: Array, r: Array, u: float) -> None:
        self.c = c
        self.r = r
        self.u = u

    def _rounded(self, c: Array, r: Array) -> Ball:
        # r + u max(|c| - r, 0), written so that it costs few passes; r <= |c| is checked where it matters.
        gain = abs(c) - r
        gain *= self.u
        gain += r
        return Ball(c, gain, self.u)

    def __add__(self, operand: Ball) -> Ball:
        return self._rounded_sum(self.c + operand.c, operand)

    def __sub__(self, operand: Ball) -> Ball:
        return self._rounded_sum(self.c - operand.c, operand)

    def _rounded_sum(self, c: Array, operand: Ball) -> Ball:
        r = self.r + operand.r
        gain = abs(c) - r
        if isinstance(gain, float):
            return Ball(c, r + self.u * max(gain, 0.0), self.u)
        # After cancellation the radius can exceed the centre: then the interval gains nothing that is certain.
        gain[gain < 0] = 0.0
        gain *= self.u
        return Ball(c, r + gain, self.u)

    def __mul__(self, operand: Ball) -> Ball:
        r = abs(self.c) * operand.r + self.r * (abs(operand.c) - operand.r)
        return self._rounded(self.c * operand.c, r)

    def __truediv__(self, operand: Ball) -> Ball:
        c = self.c / operand.c
        return self._rounded(c, (self.r + abs(c) * operand.r) / (operand.c + operand.r))

    def __neg__(self) -> Ball:
        return Ball(-self.c, self.r, self.u)

    def __rsub__(self, operand: int) -> Ball:
        return Ball(operand - self.c, self.r, self.u)

    def sqrt(self) -> Ball:
        """The square root; NaN for a ball with negative numbers in it: nothing is inside of NaN."""
        xp = namespace_of(self.c)
        c = xp.where(self.c >= self.r, self.c, float("nan"))
        root = xp.sqrt(c)
        r = self.r / (2 * xp.sqrt(c + self.r))
        r = xp.where(self.r > 0, r, 0.0)
        return self._rounded(root, r)


def shrunk(ball: Ball) -> Array:
    """The radius less the float64 rounding of the centre, an array of the shape of ``ball.r``."""
    return ball.r * _SHRINK
