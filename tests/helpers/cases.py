"""Random elements and hyperparameters for the tests of the envelope: exponents first, special values often."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from legal import DTYPES, cast

from rmspec.impl.arithmetic.envelope import Before
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.spec.dialect import Hyperparameters

MODES = ("tame", "wild", "repeated", "tiny", "huge")


def stored(values: Any, fmt: Format) -> Any:
    """``values`` rounded to ``fmt``, as float64."""
    with np.errstate(all="ignore"):
        return cast(np.asarray(values, dtype=np.float64), DTYPES[fmt.part.name]).astype(np.float64)


def numbers(rng: np.random.Generator, fmt: Format, n: int, low: int, high: int) -> Any:
    """Numbers of ``fmt``, exponents from ``low`` to ``high``: few or many mantissa bits, both signs, zeros."""
    part = fmt.part
    bits = rng.choice([0, 1, 3, 60], n)
    mantissa = 1 + np.floor(rng.random(n) * 2.0**bits) / 2.0**bits
    with np.errstate(all="ignore"):
        values = np.ldexp(mantissa, rng.integers(low, high + 1, n)) * rng.choice([-1.0, 1.0], n)
    special = np.array([0.0, 0.0, 0.0, part.smallest_subnormal, -3 * part.smallest_subnormal, part.smallest_normal])
    values = np.where(rng.random(n) < 0.08, rng.choice(special, n), values)
    values = stored(np.clip(values, -part.max_finite, part.max_finite), fmt)
    return np.clip(values, -part.max_finite, part.max_finite)


def before(rng: np.random.Generator, fmt: Format, n: int, mode: str) -> Before:
    """``n`` elements before a step, as float64: exponents of daily work, of the whole range, or of one of its ends.

    ``repeated`` has v near g squared and g_ave near g, where the centered variance cancels.
    """
    part = fmt.part
    bottom, top = int(np.log2(part.smallest_subnormal)), int(np.log2(part.max_finite))
    low, high = {
        "tame": (-8, 4),
        "wild": (bottom, top),
        "repeated": (-10, 6),
        "tiny": (bottom, bottom // 2 + 3),
        "huge": (top // 2 - 3, top),
    }[mode]
    param, grad, square_avg, grad_avg, buffer = (numbers(rng, fmt, n, low, high) for _ in range(5))
    square_avg = np.abs(square_avg)
    if mode == "repeated":
        nearly = 1 + rng.choice([0.0, 0.0, 1.0, -1.0, 2.0], n) * 2 * part.unit_roundoff
        square_avg, grad_avg = stored(grad * grad * nearly, fmt), grad
    if mode == "tame" and rng.random() < 0.5:
        square_avg = stored(grad * grad, fmt)
    return Before(param, grad, square_avg, grad_avg, buffer)


def hyperparameters(rng: random.Random, fmt: Format) -> Hyperparameters:
    """The options of a group: the usual ones, dyadic ones, and the ends of their domains."""
    tiny_eps = 1e-300 if fmt.part.name == "float64" else 1e-30
    return Hyperparameters(
        lr=rng.choice([1e-2, 1e-2, 2.0**-7, 0.1, 1.0, 1e-8, 100.0, 0.0]),
        alpha=rng.choice([0.99, 0.99, 0.9, 0.5, 0.999, 1.0, 0.0, 0.1, 0.3, 0.75, 1 - 2.0**-10]),
        eps=rng.choice([1e-8, 1e-8, 1e-3, 2.0**-7, 1.0, 0.0, tiny_eps]),
        weight_decay=rng.choice([0.0, 0.0, 0.1, 2.0**-7, 1e-4, 3.0]),
        momentum=rng.choice([0.0, 0.0, 0.9, 0.5, 1.0]),
        centered=rng.random() < 0.4,
    )


def elements(before: Before, index: int | None = None) -> tuple[Any, Any, Any, Any, Any]:
    """The arrays in the order of the pseudocode's arguments, or the numbers at ``index``."""
    arrays: tuple[Any, ...] = (
        before.param,
        before.grad,
        before.square_avg,
        before.grad_avg,
        before.momentum_buffer,
    )
    if index is not None:
        arrays = tuple(float(each[index]) for each in arrays)
    return arrays  # type: ignore[return-value]
