"""Solving for a hidden number: the values to reconcile a hypothesis with the observations.

A prediction moves one way as the number grows, so those values form a range; the number itself is taken to be the
shortest decimal in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.properties.identify.explanation import WIDEST, Hypothesis, explains, predictions
from rmspec.properties.identify.probes import Trace

__all__ = ["option", "shortest", "starting"]

_TURNS = 120
_POINTS = 65


def shortest(lo: float, hi: float) -> float:
    """Find the decimal of fewest digits from ``lo`` to ``hi``, both at least 0."""
    if lo <= 0 <= hi:
        return 0.0
    middle = lo + (hi - lo) / 2
    for digits in range(1, 18):
        value = float(f"{middle:.{digits - 1}e}")
        if lo <= value <= hi:
            return value
    return middle


def option(hypothesis: Hypothesis, name: Literal["alpha", "eps"], trace: Trace) -> Hypothesis | None:
    """Solve for the number of ``name`` to reconcile the hypothesis with a trace; ``None`` if there is none."""

    def supposed(place: float) -> Hypothesis:
        # By its magnitude, or by that of 1 - alpha: so a step is nearly a power of the place.
        value = 1 - 2.0**-place if name == "alpha" else 2.0**place
        return _supposing(hypothesis, name, value)

    ends = (2.0**-20, 24.0) if name == "alpha" else (-60.0, 20.0)
    for step in range(len(trace.moments)):

        def miss(place: float, step: int = step) -> float:
            found = next(islice(predictions(supposed(place), trace), step, None))
            if found.fits and found.bounded:
                return 0.0
            return found.observed - (found.lo + (found.hi - found.lo) / 2)

        place = _root(miss, *ends)
        if place is None:
            continue
        value = supposed(place).fixed[name]
        for digits in range(17):
            found = _supposing(hypothesis, name, float(f"{value:.{digits}e}"))
            if explains(found, trace):
                return found
    return None


def _supposing(hypothesis: Hypothesis, name: str, value: float) -> Hypothesis:
    return replace(hypothesis, fixed={**hypothesis.fixed, name: value}, ignored=hypothesis.ignored | {name})


def _root(miss: Callable[[float], float], lo: float, hi: float) -> float | None:
    """Find the root of a monotone ``miss``, by false position and bisection in turns; ``None`` if its ends have one sign."""
    low, high = miss(lo), miss(hi)
    if not (math.isfinite(low) and math.isfinite(high)) or low * high >= 0:
        return None
    for turn in range(_TURNS):
        place = lo + (hi - lo) / 2 if turn % 2 else hi - high * (hi - lo) / (high - low)
        if not lo < place < hi:
            place = lo + (hi - lo) / 2
        missed = miss(place)
        if missed == 0:
            return place
        if not math.isfinite(missed):
            return None
        if missed * low > 0:
            lo, low = place, missed
        else:
            hi, high = place, missed
    return None


def starting(hypothesis: Hypothesis, trace: Trace) -> Hypothesis | None:
    """Solve for the initial square average behind the first step and the others, if there is one."""
    moment, fmt = trace.moments[0], FORMATS[trace.format]
    hyper = hypothesis.hyper(moment)

    def sides(values: NDArray[np.float64]) -> NDArray[np.int_]:
        like = np.ones_like(values)
        before = Before(like * moment.before, like * moment.grad, values, like * 0, like * 0)
        bounds = envelope(before, fmt, hyper, hypothesis.dialect, scalars=WIDEST)["param"]
        found = np.where(moment.after > bounds.hi, 1, np.where(moment.after < bounds.lo, -1, 0))
        # An unbounded step is longer than any: that is the side of an average that is too small.
        return np.where(bounds.bounded(), found, -found[-1])

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
