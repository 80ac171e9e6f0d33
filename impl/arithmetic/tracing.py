"""Recording numbers: run on them, the pseudocode lists the symbols behind each of its results.

Nothing is calculated. A number is the set of the symbols that went into it, so the graph of quantities follows from the
pseudocode and the switches in force, and nobody writes it down by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Self

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate

__all__ = ["trace"]


@dataclass(frozen=True, slots=True)
class _Recorder:
    symbols: frozenset[str]

    def __add__(self, operand: Self | int, /) -> Self:
        return self if isinstance(operand, int) else type(self)(self.symbols | operand.symbols)

    __sub__ = __mul__ = __truediv__ = __rsub__ = __add__

    def __neg__(self, /) -> Self:
        return self


@lru_cache(maxsize=256)
def trace(hyper: Hyperparameters, dialect: Dialect, format: str = "float32") -> MappingProxyType[str, frozenset[str]]:
    """Map ``param`` and each role of the state set by a step to the names behind its new value.

    The names are those of the values before the step (``param``, ``grad`` and the roles) and of the options. A state that
    is set in this step counts by what it is computed from itself. Where the dialect has amendments, each line is read as they say.
    """
    readings = line_readings(dialect, hyper, format)
    results = {reading: _results(*reading) for reading in set(readings.values())}
    lines = {role: results[reading].get(role) for role, reading in readings.items()}
    return MappingProxyType({role: symbols for role, symbols in lines.items() if symbols is not None})


def _results(dialect: Dialect, hyper: Hyperparameters) -> dict[str, frozenset[str]]:
    def symbol(name: str) -> _Recorder:
        return _Recorder(frozenset({name}))

    result = iterate(
        symbol("param"),
        symbol("grad"),
        symbol("square_avg"),
        symbol("grad_avg"),
        symbol("momentum_buffer"),
        Symbols(symbol("lr"), symbol("alpha"), symbol("eps"), symbol("weight_decay"), symbol("momentum")),
        hyper=hyper,
        dialect=dialect,
        sqrt=lambda number: number,
        power=lambda number, _: number,
    )
    roles = {
        "square_avg": result.v,
        "grad_avg": result.g_ave,
        "momentum_buffer": result.b,
        "param": result.theta,
    }
    return {role: number.symbols for role, number in roles.items() if number is not None}
