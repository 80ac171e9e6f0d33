"""Solving for a number that a subject does not tell: the values with which a hypothesis explains what was seen.

A prediction moves one way as the number grows, so those values form a range, whose ends are found by bisection; the
number itself is then the shortest decimal in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.envelope import Before, envelope
from rmspec.impl.formats import FORMATS
from rmspec.properties.explanation import Hypothesis, explains, predictions
from rmspec.properties.probes import Trace

__all__ = ["option", "shortest", "starting"]

_HALVINGS = 80
_POINTS = 65


def shortest(lo: float, hi: float) -> float:
    """The decimal of fewest digits from ``lo`` to ``hi``, both of which are at least 0."""
    if lo <= 0 <= hi:
        return 0.0
    middle = lo + (hi - lo) / 2
    for digits in range(1, 18):
        value = float(f"{middle:.{digits - 1}e}")
        if lo <= value <= hi:
            return value
    return middle


def option(hypothesis: Hypothesis, name: str, lo: float, hi: float, trace: Trace) -> Hypothesis | None:
    """The hypothesis with the option ``name`` at the number between ``lo`` and ``hi`` that explains a trace, if there is one."""

    def supposed(value: float) -> Hypothesis:
        return replace(
            hypothesis, fixed={**hypothesis.fixed, name: value}, ignored=hypothesis.ignored | frozenset({name})
        )

    for step in range(len(trace.moments)):

        def side(value: float, step: int = step) -> int:
            found = list(predictions(supposed(value), trace))[step]
            return 0 if found.fits else 1 if found.observed > found.hi else -1

        bounds = _range(side, lo, hi)
        if bounds is not None:
            found = supposed(shortest(*bounds))
            if explains(found, trace):
                return found
    return None


def _range(side: Callable[[float], int], lo: float, hi: float) -> tuple[float, float] | None:
    """The first and last number whose ``side`` is 0, between two whose sides differ; ``None`` where that is not so."""
    first, last = side(lo), side(hi)
    if first == last or 0 in (first, last):
        return None
    inside = _bisected(lambda x: side(x) != first, lo, hi)[1]
    if side(inside) != 0:
        return None
    return inside, _bisected(lambda x: side(x) == last, inside, hi)[0]


def _bisected(beyond: Callable[[float], bool], lo: float, hi: float) -> tuple[float, float]:
    """Neighbours between ``lo`` and ``hi`` of which only the second is ``beyond``."""
    for _ in range(_HALVINGS):
        middle = math.sqrt(lo * hi) if lo > 0 and hi / lo > 4 else lo + (hi - lo) / 2
        if not lo < middle < hi:
            break
        lo, hi = (lo, middle) if beyond(middle) else (middle, hi)
    return lo, hi


def starting(hypothesis: Hypothesis, trace: Trace) -> Hypothesis | None:
    """The hypothesis with the initial square average that explains the first step and the others, if there is one."""
    moment, fmt = trace.moments[0], FORMATS[trace.format]
    hyper = hypothesis.hyper(moment)

    def sides(values: NDArray[np.float64]) -> NDArray[np.int_]:
        like = np.ones_like(values)
        before = Before(like * moment.before, like * moment.grad, values, like * 0, like * 0)
        bounds = envelope(before, fmt, hyper, hypothesis.dialect, scalars="storage")["param"]
        return np.where(moment.after > bounds.hi, 1, np.where(moment.after < bounds.lo, -1, 0))

    values = np.concatenate([[0.0], 2.0 ** np.arange(-60.0, 61.0)])
    for _ in range(12):
        found = sides(values)
        if found[0] == found[-1]:
            return None
        inside = np.flatnonzero(found == 0)
        first = int(inside[0]) if inside.size else int(np.argmax(found != found[0]))
        last = int(inside[-1]) if inside.size else first - 1
        low, high = max(first - 1, 0), min(last + 1, len(values) - 1)
        parts = [np.linspace(values[low], values[first], _POINTS), np.linspace(values[last], values[high], _POINTS)]
        values = np.unique(np.concatenate(parts))
    inside = np.flatnonzero(sides(values) == 0)
    if not inside.size:
        return None
    supposed = hypothesis.with_switch(
        "initial_square_avg", shortest(float(values[inside[0]]), float(values[inside[-1]]))
    )
    return supposed if explains(supposed, trace) else None
