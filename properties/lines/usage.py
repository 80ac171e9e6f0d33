"""How much of its envelopes a subject uses: a histogram by format in ulp, and the element closest to its limit.

One step in ``EVERY`` is sampled, at most ``ELEMENTS`` elements of it, and measured with the intervals themselves: the
filter in front of them has no exact ends. Which steps these are depends on the programs alone, so the same seed gives the
same histogram.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS, ulp
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.properties.lines.batch import Case

__all__ = ["EDGES", "ELEMENTS", "EVERY", "Usage", "UseCounts", "UsedElement", "exact_usage", "sample", "used_element"]

EVERY = 32
"""Of so many steps of a group one is sampled, the last."""

ELEMENTS = 256
"""The most elements of a step that are sampled, evenly spread."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Usage:
    """How much of its envelope one element used, estimated; ``exact`` once the intervals themselves were asked."""

    fraction: float
    exact: bool
    role: str
    observed: float
    case: Case


EDGES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, math.inf)
"""The bins of the histograms in ulp: from one edge up to the next, which is not in it."""


@dataclass(slots=True)
class UseCounts:
    """Of one format, how many results lay so many ulp from the middle of their envelope, and how far its ends are from it.

    ``used`` and ``allowed`` count by the bins of ``EDGES``; each sums up to ``results``.
    """

    results: int = 0
    used: list[int] = field(default_factory=lambda: [0] * (len(EDGES) - 1))
    allowed: list[int] = field(default_factory=lambda: [0] * (len(EDGES) - 1))

    def add(self, addend: UseCounts) -> None:
        """Add the counts of a second histogram."""
        self.results += addend.results
        self.used = [one + two for one, two in zip(self.used, addend.used, strict=True)]
        self.allowed = [one + two for one, two in zip(self.allowed, addend.allowed, strict=True)]


@dataclass(frozen=True, slots=True)
class UsedElement:
    """The element closest to its limit: the inputs of the step, its result, and the permitted interval.

    ``before`` maps ``param``, ``grad`` and the state to the values before the step; state that is hidden is not there.
    """

    role: str
    format: str
    observed: float
    allowed: tuple[float, float]
    before: Mapping[str, float]
    options: Mapping[str, float | bool]
    step: int


def sample(
    counts: dict[str, UseCounts],
    before: Before,
    after: Mapping[str, Floats],
    name: str,
    hyper: Hyperparameters,
    dialect: Dialect,
    policy: Policy,
    t: int,
) -> None:
    """Count the elements of one step in the format ``name``; leave out those with an unbounded or exceeded envelope."""
    fmt = FORMATS[name]
    total = int(np.shape(before.param)[0])
    index = np.unique(np.linspace(0, total - 1, min(total, ELEMENTS)).astype(np.intp))
    bounds = envelope(before.at(index), fmt, hyper, dialect, policy=policy, t=t)
    held = counts.setdefault(name, UseCounts())
    with np.errstate(all="ignore"):
        for role, values in after.items():
            found = np.asarray(values, dtype=np.float64)[index]
            lo, hi = (np.broadcast_to(np.asarray(end, np.float64), found.shape) for end in _ends(bounds[role]))
            kept = np.isfinite(lo) & np.isfinite(hi) & (found >= lo) & (found <= hi)
            lo, hi, found = lo[kept], hi[kept], found[kept]
            half = hi / 2 - lo / 2
            middle = lo + half
            unit = ulp(np.maximum(np.abs(found), np.abs(middle)), fmt)
            held.add(UseCounts(len(found), _binned(np.abs(found - middle) / unit), _binned(half / unit)))


def used_element(usage: Usage, dialect: Dialect, policy: Policy) -> UsedElement:
    """The element behind the largest use of an envelope, with its exact ends."""
    case = usage.case
    bounds = envelope(case.before, FORMATS[case.format], case.hyper, dialect, policy=policy, t=case.t)
    low, high = (float(np.asarray(end).reshape(-1)[0]) for end in _ends(bounds[usage.role]))
    values = {role: getattr(case.before, role) for role in ("param", "grad", *STATE_ROLES)}
    return UsedElement(
        usage.role,
        case.format,
        usage.observed,
        (low, high),
        {role: float(each[0]) for role, each in values.items() if not isinstance(each, tuple)},
        asdict(case.hyper),
        case.t,
    )


def exact_usage(usage: Usage, dialect: Dialect, policy: Policy) -> float:
    """Measure an element in its envelope by the intervals themselves, from 0 in the middle to 1 at an end."""
    if usage.exact:
        return usage.fraction
    low, high = used_element(usage, dialect, policy).allowed
    half = (high - low) / 2
    return abs(usage.observed - (low + half)) / half if half > 0 and math.isfinite(half) else 0.0


def _ends(interval: Any) -> tuple[Any, Any]:
    return interval.lo, interval.hi


def _binned(values: Floats) -> list[int]:
    places = np.searchsorted(EDGES, values, side="right") - 1
    return [int(each) for each in np.bincount(np.clip(places, 0, len(EDGES) - 2), minlength=len(EDGES) - 1)]
