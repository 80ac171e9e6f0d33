"""Ladders: programs with all decades of one hyperparameter, or all exponents of a number format.

A rung is a group of its own, so that one program has a whole ladder; its numbers are chosen where the option shows on that
rung: a parameter of 0 for lr, a gradient of 0 for the others, one about as large as eps. What holds on a rung holds for its
decade, with a mantissa of the seed's choice: a threshold that lies anywhere in the range has rungs on either side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Call, Create, Group, Options, Param, Program, SetGrad, Step
from rmspec.properties.search.builder import DECADES, decade_value, exponents

__all__ = ["CLIMBED", "ladder", "ladders", "scan"]

CLIMBED = ("lr", "alpha", "eps", "weight_decay", "momentum")
"""The options with a ladder, in their order."""

_SHARP: Options = {"lr": 0.5, "alpha": 0.75, "eps": 2.0**-7}
"""The options that are not climbed: nothing of them is rounded."""

_THIRD = 3
"""Of a ladder in another format than float32 a program has one rung in so many, of each program others."""

_STEP = 3
"""The exponents of a scan are so far apart in float64."""


def ladders(seed: int, formats: tuple[str, ...], *, branches: int) -> Iterator[Program]:
    """The ladders and scans of a seed, with so many choices of the branches; of each choice one ladder in a format but the first."""
    names = [name for name in FORMATS if name in formats]
    for turn in range(branches):
        for place, name in enumerate(names):
            climbed = CLIMBED if not place else (CLIMBED[(turn + place + seed) % len(CLIMBED)],)
            yield from (ladder(seed, turn, option, name) for option in climbed)
            yield scan(seed, turn, name)


def ladder(seed: int, turn: int, option: str, dtype: str) -> Program:
    """The ladder of one option in a format, in float32 with every rung; ``turn`` chooses the branches."""
    place = [*FORMATS].index(dtype) + 7 * CLIMBED.index(option)
    generator = np.random.default_rng([seed, turn, place])
    branches = _branches(turn + place, option)
    params: list[Param] = []
    groups: list[Group] = []
    first: list[SetGrad] = []
    rungs = _rungs(option, generator)
    for number, value in enumerate(rungs if dtype == "float32" else rungs[(place + turn) % _THIRD :: _THIRD]):
        name = f"p{number}"
        theta, gradient = (_finite(numbers, dtype) for numbers in _numbers(option, value, generator))
        params.append(Param(name, dtype, (len(theta),), theta))
        groups.append(Group((name,), {option: value}))
        first.append(SetGrad(name, gradient))
    nothing = [SetGrad(param.name, (0.0,)) for param in params]
    # A decay shows where nothing else moves, and nothing has before; alpha and momentum where something has.
    steps = (nothing, first) if option == "weight_decay" else (first, nothing)
    create = Create("A", tuple(groups), {**_SHARP, **branches}, "groups")
    calls: list[Call] = [create]
    for grads in steps:
        calls += [*grads, Step("A")]
    return Program(tuple(params), tuple(calls), f"every decade of {option}")


def _rungs(option: str, generator: np.random.Generator) -> list[float]:
    def mantissa() -> float:
        return float(generator.integers(10, 100)) / 10

    if option in ("alpha", "momentum"):
        decades = range(DECADES.start, 0)
        return [decade_value(option, k, mantissa(), near_one=near) for near in (False, True) for k in decades]
    return [decade_value(option, k, mantissa()) for k in DECADES]


def _branches(turn: int, option: str) -> Options:
    """The branches of the pseudocode: each of them on in every other turn, but for the climbed one."""
    # A step with a gradient of 0 leaves nothing of the variance where alpha is small.
    branches: Options = {"centered": bool(turn % 2) and option != "alpha"}
    if option != "momentum":
        branches["momentum"] = 0.875 if turn // 2 % 2 else 0.0
    if option not in ("weight_decay", "momentum"):
        branches["weight_decay"] = 0.5 if turn // 3 % 2 else 0.0
    return branches


def _numbers(option: str, value: float, generator: np.random.Generator) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The parameter and the gradient of one rung, to show an option of this value."""
    factors = [float(factor) for factor in generator.integers(9, 16, 4) / 8 * (-1) ** generator.integers(0, 2, 4)]
    if option == "lr":
        return (0.0, value * factors[0], -value, factors[1]), tuple(factors)
    if option == "eps":
        return (0.0, 0.0, factors[0], 0.0), (2 * value, value * factors[1], value / 4 * factors[2], 16 * value)
    if option == "weight_decay":
        return (factors[0], factors[1] / value, 8 * factors[2], factors[3] / value), tuple(factors)
    return (0.0, factors[0], 0.0, factors[1]), tuple(8 * factor for factor in factors)


def _finite(numbers: tuple[float, ...], dtype: str) -> tuple[float, ...]:
    """The numbers, none too large for its square to be one of the format."""
    most = math.sqrt(FORMATS[dtype].max_finite) / 16
    return tuple(min(max(number, -most), most) for number in numbers)


def scan(seed: int, turn: int, dtype: str) -> Program:
    """One step from every exponent of a format, then one with the gradients in another order: state meets gradients of all sizes.

    The landmarks are among them: where squares overflow, become subnormal, or underflow.
    """
    generator = np.random.default_rng([seed, turn, [*FORMATS].index(dtype), 99])
    low, high = exponents(dtype)
    fmt = FORMATS[dtype].part
    powers = np.arange(low, high, _STEP if fmt.name == "float64" else 1)
    values = np.ldexp(generator.integers(4, 8, (2, powers.size)) / 8, powers + 1)
    # At alpha = 0.75 the new square average overflows at twice the root.
    roots = [math.sqrt(place) for place in (fmt.max_finite, fmt.smallest_normal, fmt.smallest_subnormal)]
    landmarks = [root * factor for root in (*roots, 2 * roots[0]) for factor in (0.999, 1.001)]
    gradients = [*np.minimum(values.reshape(-1), fmt.max_finite).tolist(), *landmarks]
    gradients = [float(value) * (-1) ** index for index, value in enumerate(gradients)]
    count = len(gradients) // FORMATS[dtype].parts
    shuffled = generator.permutation(gradients).tolist()
    # Of every other element the parameter is 0, so that the smallest update shows.
    theta = tuple(0.0 if index % 2 else value for index, value in enumerate(generator.permutation(gradients).tolist()))
    options = {**_SHARP, **_branches(turn, ""), "eps": (2.0**-7, 0.0, 1e-8)[turn % 3]}
    return Program(
        (Param("p", dtype, (count,), theta),),
        (
            Create("A", (Group(("p",)),), options, "list"),
            SetGrad("p", tuple(gradients)),
            Step("A"),
            SetGrad("p", tuple(shuffled)),
            Step("A"),
        ),
        f"every exponent of {dtype}",
    )
