"""eps inside or outside the root: two choices of the other eps, and bounds on the distance of the denominators.

With s = sqrt(v~) >= 0, e > 0 the eps outside and q > 0 the eps inside, the denominators are d_out = s + e and
d_in = sqrt(s^2 + q). An update is g/d times a factor that both have, so d_out/d_in says by what factor an update made
inside is larger than one made outside. Two choices of the other eps are worth a name.

*moved*: q = e^2. Then for every s >= 0

    1 <= d_out/d_in = sqrt(1 + 2se / (s^2 + e^2)) <= sqrt 2.

Proof: (s + e)^2 = s^2 + e^2 + 2se. The term x = 2se/(s^2 + e^2) is >= 0, is <= 1 because (s - e)^2 >= 0, and is 1 at s = e
alone. It grows with s up to s = e and falls from there on, since it depends on r = s/e through 2/(r + 1/r). So over s >= a
the largest ratio is sqrt 2 where a <= e, and the ratio at s = a otherwise. Also ratio - 1 <= x/2 <= min(e/s, s/e), as
sqrt(1 + x) <= 1 + x/2. QED.

*kept*: q = e. Then

    d_out - d_in increases with s from e - sqrt e (at s = 0) towards e (never reached), and
    min(sqrt e, 1) <= d_out/d_in <= sqrt(1 + e).

Proof: the derivative of the difference is 1 - s/sqrt(s^2 + e) > 0; at s = 0 it is e - sqrt e; its limit is e. The logarithm
of the ratio has the derivative 1/(s + e) - s/(s^2 + e), whose sign is that of (s^2 + e) - s(s + e) = e(1 - s): the ratio
rises from sqrt e at s = 0 to (1 + e)/sqrt(1 + e) = sqrt(1 + e) at s = 1 and falls from there towards 1. QED.

Neither is nearer at every s, so the bound, which is that of the worst s, does not say which is nearer for most (``nearer``
counts). At s = 0 *moved* is exact. With an eps below 1 and s >= 1/2 it is *kept*: then s^2 + 2se + e^2 >= s^2 + e, so d_out >= d_in
with eps kept, and moving it makes d_in smaller (e^2 < e) or d_out larger (sqrt q > q), away from the source's.

With momentum each increment of the buffer is changed by the factor of its step, so a buffer differs by at most the largest
factor times the same sum of absolute increments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import Format

__all__ = ["GENERAL_BOUND", "EpsChoice", "choices", "kept_range", "moved_range", "nearer", "worst_change"]

Place = Literal["outside", "inside"]
Floats = NDArray[np.float64]

GENERAL_BOUND = math.sqrt(2) - 1
"""The most by which an update changes, relatively, when eps is moved: 41.5 %, at s = eps."""

_SLACK = 1 + 2.0**-40
"""Covers the float64 rounding of the few operations that evaluate a bound."""


@dataclass(frozen=True, slots=True)
class EpsChoice:
    """One way of choosing the target's eps.

    ``bound`` is on ``|u_target / u_source - 1|``, the relative change of an update, where every s is at least the given
    root; ``anywhere`` holds for any s >= 0.
    """

    kind: Literal["moved", "kept"]
    eps: float
    bound: float
    anywhere: float


def choices(eps: float, source: Place, root: float, fmt: Format) -> tuple[EpsChoice, ...]:
    """The choices for an eps > 0 at ``source``, with every s at least ``root``.

    First comes the one whose bound is better at every step, whatever becomes of v.

    A choice whose eps is not a positive number of the format is left out: the denominator could become zero. The bounds
    cover the rounding of both eps to the format.
    """
    e = eps if source == "outside" else math.sqrt(eps)
    usable = []
    options: tuple[tuple[Literal["moved", "kept"], float], ...] = (
        ("moved", eps * eps if source == "outside" else e),
        ("kept", eps),
    )
    for kind, candidate in options:
        # A rounded eps changes its denominator by no more than its own relative error.
        error = _relative(fmt.round(candidate), candidate) + _relative(fmt.round(eps), eps)
        if not 0 < fmt.round(candidate) < math.inf or not error < 0.5:
            continue
        at, anywhere = (
            max(map(abs, moved_range(e, low, source) if kind == "moved" else kept_range(eps, low, source)))
            for low in (root, 0.0)
        )
        usable.append(EpsChoice(kind, candidate, _widened(at, error), _widened(anywhere, error)))
    return tuple(sorted(usable, key=lambda choice: (choice.anywhere, choice.bound)))


def nearer(one: EpsChoice, candidate: EpsChoice, eps: float, source: Place, roots: Floats) -> int:
    """For how many of the s in ``roots`` the update with ``one`` differs less from the source's than with ``other``."""
    changes = [_changes(eps, choice.eps, source, roots) for choice in (one, candidate)]
    return int(np.count_nonzero(changes[0] < changes[1]))


def worst_change(choice: EpsChoice, eps: float, source: Place, roots: Floats) -> float:
    """The largest relative change of an update over the s in ``roots``."""
    return float(np.max(np.nan_to_num(_changes(eps, choice.eps, source, roots), nan=0.0)))


def _changes(eps: float, candidate: float, source: Place, roots: Floats) -> Floats:
    """``|d_source/d_target - 1|`` at each s. The square of d_out/d_in less 1 is (2se + e^2 - q) / (s^2 + q)."""
    e, q = (eps, candidate) if source == "outside" else (candidate, eps)
    with np.errstate(all="ignore"):  # an infinite s makes NaN, which is nearer to nothing
        x = (2 * roots * e + (e * e - q)) / (roots * roots + q)
        out = x / (np.sqrt(1 + x) + 1)
        return np.asarray(np.abs(out if source == "outside" else out / (1 + out)))


def moved_range(e: float, root: float, source: Place) -> tuple[float, float]:
    """The smallest and the largest d_source/d_target - 1 over s >= ``root`` with eps moved: q = e^2."""
    r = min(1.0, e / root) if root > 0 else 1.0
    x = 2 * r / (1 + r * r)
    return (0.0, _root_less_one(x)) if source == "outside" else (_inverse(_root_less_one(x)), 0.0)


def kept_range(eps: float, root: float, source: Place) -> tuple[float, float]:
    """The smallest and the largest d_source/d_target - 1 over s >= ``root`` with eps kept: q = e."""
    far = root if root > 1 else 1.0
    if source == "outside":
        return min(_kept_change(eps, root), 0.0), _kept_change(eps, far)
    return _inverse(_kept_change(eps, far)), max(_inverse_kept(eps, root), 0.0)


def _kept_change(eps: float, s: float) -> float:
    """d_out/d_in - 1. The square of the ratio less 1 is e (2s + e - 1) / (s^2 + e)."""
    x = eps * (2 * s + eps - 1) / (s * s + eps)
    return _root_less_one(x) if x > -0.5 else (s + eps) / math.hypot(s, math.sqrt(eps)) - 1


def _inverse_kept(eps: float, s: float) -> float:
    """d_in/d_out - 1."""
    x = eps * (1 - 2 * s - eps) / (s + eps) ** 2
    return _root_less_one(x) if x > -0.5 else math.hypot(s, math.sqrt(eps)) / (s + eps) - 1


def _inverse(ratio: float) -> float:
    """1 / (1 + ratio) - 1."""
    return -ratio / (1 + ratio)


def _root_less_one(x: float) -> float:
    """sqrt(1 + x) - 1 without cancellation, for x >= -1/2."""
    return x / (math.sqrt(1 + x) + 1)


def _relative(rounded: float, value: float) -> float:
    return abs(rounded - value) / value if value > 0 else math.inf


def _widened(bound: float, error: float) -> float:
    error = error / (1 - error)
    return (bound + error + bound * error) * _SLACK
