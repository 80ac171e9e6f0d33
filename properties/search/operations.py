"""Programs of elementary operations, one for each real number format."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence

from rmspec.impl.arithmetic.accuracy import OPERATIONS
from rmspec.impl.arithmetic.formats import FORMATS, Format
from rmspec.oracles.program.program import Operate, Param, Program

__all__ = ["INPUTS", "operation_alone", "operation_programs"]

INPUTS = 100_000
"""So many inputs are asked of each operation in each format."""

_TINY = 8
"""So many of the factors of x are about as small as the smallest normal number."""


def operation_programs(formats: Sequence[str]) -> Iterator[Program]:
    """Make the program for each real format among these.

    x is a product: two short lists of different prime lengths repeat to fill it, and no pair of their numbers comes twice.
    """
    for name in formats:
        fmt = FORMATS[name]
        if fmt.parts != 1:
            continue
        source = random.Random(f"operations in {name}")
        small = math.frexp(fmt.smallest_normal)[1]
        first = [
            *(_number(source, fmt, small - 2, small + 1) for _ in range(_TINY)),
            *(_number(source, fmt, -3, 4) for _ in range(401 - _TINY)),
        ]
        source.shuffle(first)
        second = [_number(source, fmt, -2, 3) for _ in range(257)]
        third = [source.choice((-1, 1)) * _number(source, fmt, -2, 3) for _ in range(509)]
        fourth = [source.choice((-1, 1)) * _number(source, fmt, -2, 3) for _ in range(311)]
        operands = {"a": first, "b": second, "y": third, "z": fourth}
        results = {operation: f"r{index}" for index, operation in enumerate(OPERATIONS)}
        shape = (INPUTS,)
        yield Program(
            (
                *(Param(place, name, shape, tuple(values)) for place, values in operands.items()),
                *(Param(place, name, shape, (0.0,)) for place in ("x", *results.values())),
            ),
            (Operate(("a", "b", "z"), {"multiply": "x"}), Operate(("x", "y", "z"), results)),
            note=f"the elementary operations in {name}",
        )


def operation_alone(program: Program, call: int, param: str, operands: Sequence[float]) -> Program:
    """Cut a program down to one operation on one number, the result of a call in a parameter."""
    operate = program.calls[call]
    assert isinstance(operate, Operate)
    operation = next(name for name, result in operate.results.items() if result == param)
    dtype = program.param(param).dtype
    named = dict(zip("x" if operation == "sqrt" else "xy", operands, strict=False))
    params = (
        *(Param(name, dtype, (1,), (value,)) for name, value in named.items()),
        Param("result", dtype, (1,), (0.0,)),
    )
    *_, last = named
    return Program(params, (Operate(("x", last, last), {operation: "result"}),))


def _number(source: random.Random, fmt: Format, low: int, high: int) -> float:
    """A positive number of the format, with a random significand and an exponent in this range."""
    digits = round(-math.log2(fmt.unit_roundoff)) - 1
    significand = (1 << digits) | source.getrandbits(digits)
    return math.ldexp(significand, source.randint(low, high) - digits - 1)
