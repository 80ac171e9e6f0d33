"""One evaluation of a step with subnormal numbers replaced by 0, for steps without bounds for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.pseudocode import Symbols, iterate
from rmspec.properties.lines.batch import Case

__all__ = ["flushed_value"]


@dataclass(frozen=True, slots=True)
class _Flushing:
    """A number of a format; a subnormal result of an operation is 0."""

    value: float
    fmt: Format

    def _of(self, operate: Callable[[], float]) -> _Flushing:
        try:
            value = self.fmt.round(operate())
        except (ArithmeticError, ValueError):
            value = math.nan
        return _Flushing(0.0 if abs(value) < self.fmt.smallest_normal else value, self.fmt)

    def __add__(self, operand: _Flushing) -> _Flushing:
        return self._of(lambda: self.value + operand.value)

    def __sub__(self, operand: _Flushing) -> _Flushing:
        return self._of(lambda: self.value - operand.value)

    def __mul__(self, operand: _Flushing) -> _Flushing:
        return self._of(lambda: self.value * operand.value)

    def __truediv__(self, operand: _Flushing) -> _Flushing:
        return self._of(lambda: self.value / operand.value)

    def __neg__(self) -> _Flushing:
        return _Flushing(-self.value, self.fmt)

    def __rsub__(self, operand: int) -> _Flushing:
        return self._of(lambda: operand - self.value)

    def sqrt(self) -> _Flushing:
        return self._of(lambda: math.sqrt(self.value))


def flushed_value(case: Case, role: str, fmt: Format, dialect: Dialect) -> float:
    """The value of a role after a step without subnormal numbers, in the order of the page; NaN without one."""
    if dialect.bias_correction or any(isinstance(getattr(case.before, name), tuple) for name in STATE_ROLES):
        return math.nan
    part = fmt.part
    theta, g, v, g_ave, b = (
        _Flushing(float(getattr(case.before, name)[0]), part) for name in ("param", "grad", *STATE_ROLES)
    )
    options = [
        _Flushing(float(case.hyper.option(name)), part) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")
    ]
    symbols = Symbols(*options)
    result = iterate(theta, g, v, g_ave, b, symbols, hyper=case.hyper, dialect=dialect, sqrt=_Flushing.sqrt)
    roles = {"square_avg": result.v, "grad_avg": result.g_ave, "momentum_buffer": result.b, "param": result.theta}
    value = roles.get(role)
    return math.nan if value is None else value.value
