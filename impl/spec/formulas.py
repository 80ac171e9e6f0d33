"""The formulas of a dialect as text, read off the pseudocode: ``iterate`` is run on expressions in place of numbers.

So no formula is written a second time: a branch of the pseudocode that a switch adds changes the words as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rmspec.impl.spec.clauses import Quantity
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate

__all__ = ["formula"]

_SUM, _PRODUCT, _ATOM = range(3)


@dataclass(frozen=True, eq=False, slots=True)
class _Expression:
    """A symbol (``symbol``), or an operator with its operands; ``sqrt`` and powers print as one symbol does."""

    symbol: str
    operands: tuple[_Expression, ...] = ()

    def __add__(self, term: _Expression) -> _Expression:
        return _Expression("+", (self, term))

    def __sub__(self, term: _Expression) -> _Expression:
        return _Expression("-", (self, term))

    def __rsub__(self, number: int) -> _Expression:
        return _Expression("-", (_Expression(str(number)), self))

    def __mul__(self, factor: _Expression) -> _Expression:
        return _Expression("^2", (self,)) if factor is self else _Expression("*", (self, factor))

    def __truediv__(self, divisor: _Expression) -> _Expression:
        return _Expression("/", (self, divisor))

    def __neg__(self) -> _Expression:
        return _Expression("*", (_Expression("-1"), self))

    def sqrt(self) -> _Expression:
        return _Expression("sqrt", (self,))

    def power(self, exponent: int) -> _Expression:
        return _Expression("^t", (self,))

    def text(self, names: Mapping[int, str], binding: int = _SUM) -> str:
        """The expression, in parentheses if it binds less than ``binding``; ``names`` has symbols for parts, by ``id``."""
        name = names.get(id(self), "" if self.operands else self.symbol)
        if name:
            return name
        first, last = self.operands[0], self.operands[-1]
        match self.symbol:
            case "+" | "-":
                text, own = f"{first.text(names)} {self.symbol} {last.text(names, _PRODUCT)}", _SUM
            case "*":
                text, own = f"{first.text(names, _PRODUCT)} {last.text(names, _PRODUCT)}", _PRODUCT
            case "/":
                text, own = f"{first.text(names, _PRODUCT)} / {last.text(names, _ATOM)}", _PRODUCT
            case "sqrt":
                text, own = f"sqrt({first.text(names)})", _ATOM
            case power:
                text, own = f"{first.text(names, _ATOM)}{power}", _ATOM
        return text if own >= binding else f"({text})"


def formula(quantity: Quantity, dialect: Dialect) -> str:
    """The assignment of a quantity in a dialect's pseudocode, as text: ``theta_t = theta_{t-1} - gamma b_t``.

    The branch with momentum is taken for ``b`` and ``theta with b``, and no other: neither weight decay nor a centered variance.
    """
    moves = quantity in ("b", "theta with b")
    theta, g, v, g_ave, b = map(_Expression, ("theta_{t-1}", "g_t", "v_{t-1}", "g_ave_{t-1}", "b_{t-1}"))
    result = iterate(
        theta,
        g,
        v,
        g_ave,
        b,
        Symbols(*map(_Expression, ("gamma", "alpha", "eps", "lambda", "mu"))),
        hyper=Hyperparameters(momentum=0.5 if moves else 0.0),
        dialect=replace(dialect, centered_form="never", momentum_form="always" if moves else "never"),
        sqrt=_Expression.sqrt,
        power=_Expression.power,
    )
    if quantity == "v":
        return f"v_t = {result.v.text({id(result.g): 'g_t'})}"
    names = {id(result.g): "g_t", id(result.v): "v~_t"}
    if quantity == "b":
        assert result.b is not None
        return f"b_t = {result.b.text(names)}"
    return f"theta_t = {result.theta.text({**names, id(result.b): 'b_t'})}"
