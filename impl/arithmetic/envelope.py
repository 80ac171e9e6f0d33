"""The envelope: for one step of every element, all results of the legal evaluations of the pseudocode.

``envelope`` runs the pseudocode on intervals; ``accepted`` runs it on balls and says cheaply which observations are
inside for certain. Both take flat float64 arrays (NumPy, torch, anything of the array API standard) of the values before
the step, exactly as the subject stored them; a complex element is two of them (``formats.as_reals``).
Source: docs/explanation/envelope.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.arithmetic.balls import Ball, shrunk
from rmspec.impl.arithmetic.bounds import (
    Reach,
    Scale,
    bounded_divisor,
    least_divisor,
    reach_of,
    reach_symbols,
    root_above,
    scale_symbols,
    symbols_of,
    unasked,
)
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval, Scalars
from rmspec.impl.arithmetic.namespace import namespace_of
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Iterate, Symbols, iterate
from rmspec.impl.spec.switches import ROUNDINGS, has_filter

__all__ = [
    "ROLES",
    "STATE_ROLES",
    "Before",
    "See",
    "accepted",
    "envelope",
    "estimate",
    "line_by_line",
    "misses_by_far",
    "power_of",
]

Array = Any

See = Callable[[str, Interval], Interval]
"""Given a role and its interval after a step, what the lines below it use."""

STATE_ROLES = ("square_avg", "grad_avg", "momentum_buffer")
"""The observables of a parameter's state, by the field's names: v, g_ave and b of the page."""

ROLES = (*STATE_ROLES, "param")
"""Every observable of a parameter, in the order in which one step computes them."""

_BLOCK = 16384
"""Elements per block of the filter: its dozen float64 temporaries then stay in a core's cache."""


@dataclass(frozen=True, slots=True)
class Before:
    """The elements before a step: flat float64 arrays of shape ``(n,)``; a state role may be an ``(lo, hi, nan)`` triple.

    A triple stands for hidden state that is known only to lie between two arrays; ``envelope`` takes one for the parameter and
    the gradient as well.
    """

    param: Array
    grad: Array
    square_avg: Array | tuple[Array, Array, Array | None]
    grad_avg: Array | tuple[Array, Array, Array | None]
    momentum_buffer: Array | tuple[Array, Array, Array | None]

    def at(self, index: Array) -> Before:
        """The elements at ``index`` (an index or boolean array)."""

        def pick(values: Any) -> Any:
            if isinstance(values, tuple):
                return tuple(None if part is None else part[index] for part in values)
            return values[index]

        return Before(
            pick(self.param), pick(self.grad), pick(self.square_avg), pick(self.grad_avg), pick(self.momentum_buffer)
        )


def envelope(
    before: Before,
    fmt: Format,
    hyper: Hyperparameters,
    dialect: Dialect = SPECIFICATION,
    *,
    policy: Policy = STRICT,
    scalars: Scalars | None = None,
    t: int = 1,
    see: See | None = None,
) -> Mapping[str, Interval]:
    """The interval of every element after a step, for each role set by the step (``ROLES`` names the roles).

    ``scalars`` widens the precision in which hyperparameters may be held (default: the dialect's); ``t`` counts the steps
    from 1, for dialects with bias correction. Elements with a NaN on input have an unbounded interval. ``see`` is asked for
    each role of the state what the lines below it use, given its interval: the mapping still has the interval itself.
    Where the dialect has amendments, each line is read as they say.
    """
    readings = line_readings(dialect, hyper, fmt.name)
    lines = line_by_line(
        readings, lambda reading, hook: _iterate(before, fmt, reading, policy, scalars, t, hook), see, Interval.settle
    )
    return {role: value.settle() for role, value in lines.items()}


def estimate(
    before: Before, fmt: Format, hyper: Hyperparameters, dialect: Dialect, *, t: int = 1
) -> Mapping[str, Array]:
    """Evaluate a step once, in float64: near the envelope, at a hundredth of its cost, and no bound of anything."""

    def run(reading: tuple[Dialect, Hyperparameters], hook: Hook | None) -> Iterate[Any]:
        read, options = reading
        symbols: Symbols[Any] = Symbols(
            *(np.float64(options.option(name)) for name in ("lr", "alpha", "eps", "weight_decay", "momentum"))
        )
        with np.errstate(all="ignore"):
            return iterate(
                before.param,
                before.grad,
                before.square_avg,
                before.grad_avg,
                before.momentum_buffer,
                symbols,
                hyper=options,
                dialect=read,
                sqrt=np.sqrt,
                power=lambda alpha, n: alpha**n,
                t=t,
                see=hook,
            )

    return line_by_line(line_readings(dialect, hyper, fmt.name), run, None, lambda value: value)


def misses_by_far(
    observed: float,
    width: float,
    role: str,
    before: Before,
    fmt: Format,
    hyper: Hyperparameters,
    dialect: Dialect,
    *,
    t: int = 1,
) -> bool:
    """Whether an observed value is a hundred times ``width`` away from one evaluation of its line, for one element.

    Spares the envelope of a rule that cannot explain it. ``width`` is that of a plain envelope; false where nothing is finite, and
    where an option may be held in float32 beside numbers in float64, since one evaluation knows nothing of that.
    """
    if fmt.part.unit_roundoff == 2.0**-53 and (dialect.single or ROUNDINGS[dialect.scalars].single):
        return False
    if not (math.isfinite(width) and math.isfinite(observed)) or any(
        isinstance(getattr(before, name), tuple) for name in STATE_ROLES
    ):
        return False
    centre = estimate(before, fmt, hyper, dialect, t=t).get(role)
    if centre is None or not math.isfinite(centre[0]):
        return False
    return bool(
        abs(observed - centre[0]) > 100 * width + 64 * fmt.unit_roundoff * max(abs(float(centre[0])), abs(observed))
    )


Hook = Callable[[str, Any], Any]


def line_by_line(
    readings: Mapping[str, tuple[Dialect, Hyperparameters]],
    run: Callable[[tuple[Dialect, Hyperparameters], Hook | None], Iterate[Any]],
    see: Hook | None,
    settle: Callable[[Any], Any],
) -> dict[str, Any]:
    """The value of each role, every line read as ``readings`` has it; lines read alike are run together."""
    handed: dict[str, Any] = {}
    computed: dict[str, Any] = {}
    for reading, alike in groupby(ROLES, readings.__getitem__):
        roles = tuple(alike)

        def hand_on(role: str, value: Any, roles: tuple[str, ...] = roles) -> Any:
            if role in roles:
                computed[role] = settle(value)
                handed[role] = computed[role] if see is None else see(role, computed[role])
            return handed.get(role, value)

        result = run(reading, None if see is None and roles == ROLES else hand_on)
        for role, value in _roles(result):
            if role in roles and value is not None:
                computed.setdefault(role, value)
    return computed


def _iterate(
    before: Before,
    fmt: Format,
    reading: tuple[Dialect, Hyperparameters],
    policy: Policy,
    scalars: Scalars | None,
    t: int,
    see: See | None,
) -> Iterate[Any]:
    """One iteration on intervals."""
    dialect, hyper = reading
    like = before.param[0] if isinstance(before.param, tuple) else before.param
    arithmetic = Arithmetic(fmt, like, policy=policy, scalars=scalars or dialect.scalars)

    def interval(values: Any) -> Interval:
        return arithmetic.between(*values) if isinstance(values, tuple) else arithmetic.point(values)

    symbols: Symbols[Any] = symbols_of(arithmetic, hyper, dialect)
    with np.errstate(all="ignore"):
        return iterate(
            interval(before.param),
            interval(before.grad),
            interval(before.square_avg),
            interval(before.grad_avg),
            interval(before.momentum_buffer),
            symbols,
            hyper=hyper,
            dialect=dialect,
            sqrt=Interval.sqrt,
            power=lambda alpha, n: power_of(arithmetic, alpha, n),
            t=t,
            see=see,
        )


def accepted(
    before: Before, after: Mapping[str, Array], fmt: Format, hyper: Hyperparameters, dialect: Dialect = SPECIFICATION
) -> Mapping[str, tuple[Array, Array]] | None:
    """The elements certainly inside the envelope, and the fraction of the ball they use, for each role in ``after``.

    ``after`` maps roles to flat float64 arrays. Boolean and float64 arrays of shape ``(n,)``; the second is the distance
    from the centre over the radius, an upper estimate of the fraction of the envelope used (NaN where nothing is known).
    ``None`` where the filter does not apply: float64, hidden state, bias correction, or numbers so large or small that
    some order of evaluation might overflow. Never true where the envelope is unbounded.
    """
    hidden = any(isinstance(getattr(before, role), tuple) for role in STATE_ROLES)
    readings = line_readings(dialect, hyper, fmt.name)
    if hidden or fmt.unit_roundoff < 2.0**-24 or not all(has_filter(read) for read, _ in readings.values()):
        return None
    xp = namespace_of(before.param)
    n = before.param.shape[0]
    if n <= _BLOCK:
        return _accepted_block(before, after, fmt, readings)
    inside = {role: xp.empty_like(values, dtype=xp.bool) for role, values in after.items()}
    used = {role: xp.empty_like(values) for role, values in after.items()}
    for start in range(0, n, _BLOCK):
        block = slice(start, min(n, start + _BLOCK))
        values = {role: array[block] for role, array in after.items()}
        part = _accepted_block(before.at(block), values, fmt, readings)
        for role in after:
            inside[role][block] = False if part is None else part[role][0]
            used[role][block] = float("nan") if part is None else part[role][1]
    return {role: (inside[role], used[role]) for role in after}


def _accepted_block(
    before: Before,
    after: Mapping[str, Array],
    fmt: Format,
    readings: Mapping[str, tuple[Dialect, Hyperparameters]],
) -> Mapping[str, tuple[Array, Array]] | None:
    xp = namespace_of(before.param)
    with np.errstate(all="ignore"):
        balls = _balls(before, fmt, readings) if before.param.shape[0] else {}
        if balls is None:
            return None
        decided: dict[str, tuple[Array, Array]] = {}
        for role, ball in balls.items():
            if role in after:
                distance = abs(after[role] - ball.c)
                radius = shrunk(ball)
                decided[role] = (distance <= radius, distance / radius)
        for role, observed in after.items():
            decided.setdefault(role, (xp.zeros_like(observed, dtype=xp.bool), xp.full_like(observed, float("nan"))))
    return decided


def _balls(
    before: Before, fmt: Format, readings: Mapping[str, tuple[Dialect, Hyperparameters]]
) -> Mapping[str, Ball] | None:
    """Balls for each role, NaN for elements possibly divided by 0; ``None`` if some order of evaluation may overflow."""
    xp, u = namespace_of(before.param), fmt.unit_roundoff

    def largest(*arrays: Array) -> float:
        return max(float(xp.max(xp.abs(array))) for array in arrays)

    values = largest(before.param, before.square_avg, before.grad_avg, before.momentum_buffer)
    g = largest(before.grad)
    if not (math.isfinite(values) and math.isfinite(g)):
        return None

    steps: list[Iterate[Scale]] = []

    def scale(reading: tuple[Dialect, Hyperparameters], hook: Hook | None) -> Iterate[Any]:
        dialect, hyper = reading
        state, symbols = Scale(values), scale_symbols(fmt.name, hyper, dialect)
        numbers = (state, Scale(g), state, state, state)
        steps.append(iterate(*numbers, symbols, hyper=hyper, dialect=dialect, sqrt=Scale.sqrt, see=hook))
        return steps[-1]

    line_by_line(readings, scale, None, _itself)
    divisors = [least_divisor(fmt, step) for step in steps]
    if math.inf in divisors:
        return None
    reaches: list[Reach] = []

    def reach(reading: tuple[Dialect, Hyperparameters], hook: Hook | None) -> Iterate[Any]:
        def root(radicand: Reach) -> Reach:
            reaches.append(radicand)
            return unasked(fmt)

        dialect, hyper = reading
        return iterate(
            reach_of(fmt, before.param, values),
            reach_of(fmt, before.grad, g),
            reach_of(fmt, before.square_avg, values),
            reach_of(fmt, before.grad_avg, values),
            unasked(fmt),
            reach_symbols(fmt.name, hyper, dialect),
            hyper=hyper,
            dialect=dialect,
            sqrt=root,
            see=hook,
        )

    if any(step.d.low < least for step, least in zip(steps, divisors, strict=True)):
        line_by_line(readings, reach, None, _itself)
    bounds = iter(zip(divisors, reaches, strict=True)) if reaches else None
    bounded = True

    def ball(reading: tuple[Dialect, Hyperparameters], hook: Hook | None) -> Iterate[Any]:
        nonlocal bounded
        dialect, hyper = reading
        options = (hyper.lr, hyper.alpha, hyper.eps, hyper.weight_decay, hyper.momentum)
        result = iterate(
            Ball(before.param, 0.0, u),
            Ball(before.grad, 0.0, u),
            Ball(before.square_avg, 0.0, u),
            Ball(before.grad_avg, 0.0, u),
            Ball(before.momentum_buffer, 0.0, u),
            Symbols(*(Ball(option, 0.0, u) for option in options)),
            hyper=hyper,
            dialect=dialect,
            sqrt=Ball.sqrt if bounds is None else lambda radicand: root_above(radicand, *next(bounds)),
            see=hook,
        )
        d = result.d.c
        bounded = bounded and bounded_divisor(fmt, hyper, float(xp.max(xp.where(xp.isnan(d), 0.0, d))))
        return result

    balls = line_by_line(readings, ball, None, _itself)
    return balls if bounded else None


def _itself(number: Any) -> Any:
    return number


def _roles(result: Iterate[Any]) -> tuple[tuple[str, Any], ...]:
    return (
        ("square_avg", result.v),
        ("grad_avg", result.g_ave),
        ("momentum_buffer", result.b),
        ("param", result.theta),
    )


def power_of(arithmetic: Arithmetic, alpha: Interval, n: int) -> Interval:
    """alpha^n as a pow function may return it: within an ulp of the format, or as n - 1 products."""
    value = math.pow(getattr(alpha, "value", float("nan")), n)
    slack = (n + 2) * 2 * arithmetic.fmt.unit_roundoff
    like = alpha.lo
    return arithmetic.between(like * 0 + value * (1 - slack), like * 0 + min(1.0, value * (1 + slack)))
