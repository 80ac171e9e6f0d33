"""Sizes and numbers: tensors beside the powers of two, groups of many tensors, one thread and several.

A kernel works in blocks, a vector loop leaves a rest, threads share what is large, and a launch takes so many tensors: what
goes wrong there shows beside a power of two, beyond it, or in the last tensors of a group. RMSprop is elementwise, so the
numbers may be few: a list repeats, and its length is prime, so that no block of a usual size meets the same numbers twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Call, Create, Group, Layout, Options, Param, Program, SetGrad, Step

__all__ = ["SPLIT", "many_tensors", "sizes", "wide_step"]

SPLIT = 2**15
"""From so many elements on torch's kernels share a tensor among threads."""

_LENGTHS = (251, 509, 127)
"""The numbers of values in the lists of the parameter and of the first and second gradients: three primes."""

_SPREAD = {"float16": (-5, 3)}
"""The exponents of the values, by format, where they are not those of most: nothing overflows, so that the fast filter judges."""

_HALVES = ("float16", "bfloat16", "complex64")
"""The formats beside float32 of large tensors; float64 has no fast filter, and is large seldom."""

_LARGEST_DOUBLE = 2**13 + 1
"""The largest tensor in float64, but for one."""

_SIZES = range(10, 18)
"""The exponents of the sizes."""

_LAUNCH = (111, 131, 337)
"""Numbers of tensors beyond the 110 that one launch of torch's foreach kernels takes, and beyond three of them."""

_THREADS = (0, 1, 3)
"""Threads of a large step: those of the process, one, and three, which share nothing evenly."""


def sizes(seed: int, formats: tuple[str, ...], *, largest: int, rounds: int = 1) -> Iterator[Program]:
    """Steps of every size up to ``largest``, each exponent ``rounds`` times in other branches, then groups of many tensors.

    In the first round of a search up to 2^17 one step more is of 2^20 elements.
    """
    halves = [name for name in _HALVES if name in formats] or list(formats)
    usual = "float32" if "float32" in formats else halves[0]
    doubles = [name for name in ("float64", "complex128") if name in formats]
    turn = 0
    for index in range(rounds):
        for exponent in _SIZES:
            for beside in (-1, 0, 1):
                size = 2**exponent + beside
                if size > largest + 1:
                    continue
                name = usual if (turn + index) % 2 else halves[turn // 2 % len(halves)]
                if turn % 7 == 3 and doubles and (size <= _LARGEST_DOUBLE or size == SPLIT + 1):
                    name = doubles[turn // 7 % len(doubles)]
                yield wide_step(seed, turn, name, size)
                turn += 1
        for number, count in enumerate(_LAUNCH if largest > SPLIT else _LAUNCH[:1]):
            yield many_tensors(seed, index * len(_LAUNCH) + number, count, formats)
    if largest >= 2**17:
        yield wide_step(seed, 1, usual, 2**20, steps=1)


def wide_step(seed: int, turn: int, dtype: str, size: int, *, steps: int = 2) -> Program:
    """One or two steps of one tensor of this size; ``turn`` chooses branches, threads and the gradients' layout."""
    generator = np.random.default_rng([seed, turn, size])
    shape: tuple[int, ...] = (size,)
    layout: Layout = "contiguous"
    if turn % 5 == 4:
        columns = next(count for count in (31, 8, 5, 3, 2, 1) if size % count == 0)
        shape, layout = (size // columns, columns), "transposed"
    numbers = [_values(generator, dtype, length) for length in _LENGTHS]
    calls: list[Call] = [Create("A", (Group(("p",)),), _options(generator, turn), "list")]
    for gradient in numbers[1 : 1 + steps]:
        calls += [SetGrad("p", gradient, layout), Step("A")]
    threads = _THREADS[turn % len(_THREADS)] if size >= SPLIT and turn else 0
    note = f"a tensor of {size} elements"
    # A fault that views a large parameter as one row is to be named by what it does to the row.
    return Program((Param("p", dtype, shape, numbers[0]),), tuple(calls), note, threads=threads)


def many_tensors(seed: int, turn: int, count: int, formats: tuple[str, ...]) -> Program:
    """Two steps of a group of so many tensors, of mixed sizes and, in every other program, formats."""
    generator = np.random.default_rng([seed, turn, count, 1])
    names = [name for name in FORMATS if name in formats]
    mixed = names if turn % 2 else names[:1]
    params: list[Param] = []
    for number in range(count):
        dtype = mixed[number % len(mixed)]
        # Two are large, so that what is shared among threads or blocks is beside what is not.
        size = int(generator.integers(1, 40)) if number not in (2, count - 2) else 4099
        params.append(Param(f"p{number}", dtype, (size,), _values(generator, dtype, 2)))
    calls: list[Call] = [
        Create("A", (Group(tuple(param.name for param in params)),), _options(generator, turn), "list")
    ]
    for step in range(2):
        # A closure sets them all in one call. In the second step some are as they were.
        named = [param for number, param in enumerate(params) if not step or number % 9]
        gradients = {param.name: _values(generator, param.dtype, 2) for param in named}
        calls.append(Step("A", "returns", gradients, 1.0))
    return Program(tuple(params), tuple(calls), f"a group of {count} tensors")


def _values(generator: np.random.Generator, dtype: str, count: int) -> tuple[float, ...]:
    """So many numbers of everyday size; rare ones have programs of their own."""
    low, high = _SPREAD.get(dtype, (-8, 4))
    values = np.ldexp(generator.integers(128, 256, count) / 256, generator.integers(low, high, count))
    return tuple(float(value) for value in values * generator.choice((-1, 1), count))


def _options(generator: np.random.Generator, turn: int) -> Options:
    """Options with room for everything to show, and with each branch on in every other turn."""

    def choose(values: Sequence[float]) -> float:
        return float(values[int(generator.integers(0, len(values)))])

    return {
        "lr": choose((0.5, 0.125, 0.01)),
        "alpha": choose((0.75, 0.9, 0.99)),
        "eps": choose((2.0**-7, 1e-5)),
        "momentum": (0.0, 0.875)[turn % 2],
        "centered": bool(turn // 2 % 2),
        "weight_decay": (0.0, 2.0**-7)[turn // 3 % 2],
    }
