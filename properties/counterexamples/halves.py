"""Variants of a program for a half just outside of its envelope: they tell a cause from chance."""

from __future__ import annotations

import math
from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.changes import Values, change_options
from rmspec.oracles.program.program import Program
from rmspec.properties.counterexamples.variants import PLAIN_OPTIONS

__all__ = ["in_format", "many_elements", "short_options"]


def in_format(program: Program, name: str) -> Program:
    """The program with every parameter in the number format ``name``."""
    return replace(program, params=tuple(replace(param, dtype=name) for param in program.params))


def many_elements(program: Program, count: int = 64) -> Program:
    """The program with ``count`` elements in place of each parameter of one, and other plain numbers in every gradient of it."""
    single = {param.name for param in program.params if math.prod(param.shape) == 1 and FORMATS[param.dtype].parts == 1}

    def numbers(seed: int) -> Values:
        return tuple(
            math.ldexp((64 + (place * 37 + seed * 11) % 64) * (-1 if (place + seed) % 3 else 1), (place + seed) % 5 - 9)
            for place in range(count)
        )

    calls = (
        replace(call, values=numbers(index))
        if isinstance(call, vocabulary.SetGrad)
        and call.param in single
        and call.values is not None
        and call.rows is None
        and not call.bad
        else call
        for index, call in enumerate(program.calls, 1)
    )
    params = (
        replace(param, shape=(count,), values=numbers(0)) if param.name in single else param for param in program.params
    )
    return replace(program, params=tuple(params), calls=tuple(calls))


def short_options(program: Program) -> Program:
    """Give every option a number of few bits near its own, so that it, and 1 minus it, is one of any format.

    What a program does not name is given as well, near torch's default.
    """

    def change(options: vocabulary.Options) -> vocabulary.Options:
        return {
            name: _short(name, value) if name in PLAIN_OPTIONS and isinstance(value, float) else value
            for name, value in options.items()
        }

    calls = (change_options(call, change) for call in program.calls)
    return replace(
        program,
        calls=tuple(
            replace(call, options={"lr": 0.0078125, "alpha": 0.984375, **call.options})
            if isinstance(call, vocabulary.Create)
            else call
            for call in calls
        ),
    )


def _short(name: str, value: float) -> float:
    """A number of two significant bits; between one half and 1 its distance from 1 has them."""
    if name in ("alpha", "momentum") and 0.5 < value < 1:
        return 1 - _short("", 1 - value)
    if not math.isfinite(value) or not value:
        return value
    mantissa, exponent = math.frexp(value)
    return math.ldexp(round(mantissa * 4) / 4, exponent)
