"""Line by line: each line of the pseudocode, from the results of the lines before it.

A line that is wrong says nothing about the lines below it. So where a line fails, the pseudocode is run once more on those
elements: a line that passed hands on its computed interval, one that failed the value that was *seen* of it, widened. A line
below is accused only if it fails by itself and given what was seen. Where nothing failed nothing is handed on, so a correct
subject is judged by its plain envelope, by construction.

**The width around a seen value.** The value that was used need not be the one that was stored: it may be another
evaluation of the same line. Let ``[l, h]`` be the interval of the line, ``m`` the smallest magnitude in it, ``s`` the
stored value, ``w`` the one used, ``u`` the unit roundoff and ``e`` the smallest subnormal number. Where the wrong line is a
legal evaluation of the right one with something *added* to it, or *multiplied* by a factor, the same both times, and
rounded once more, ``|w - s| <= c (h - l) (1 + u) + 2 u |s| / (1 - u) + 2 e`` with ``c`` the larger of 1 and
``(|s| + e) / (m (1 - u))``: two evaluations ``x1``, ``x2`` in ``[l, h]`` are ``h - l`` apart, the factor is at most
``(|s| + e/2) / (m (1 - u))`` in size since ``s`` was made with it from a number of size at least ``m``, and each of the two
values was rounded once. ``widen`` takes that, with its ``1 + u`` rounded up. Where the interval reaches zero no factor can be
bounded, and what is handed on is anything: no line below is accused there. For other wrong lines (a difference that cancels,
say) the bound is not proved; it is then as wide, relative to the value, as the right line's own interval is.

**The gradient of the page** (g with weight decay, or negated) is never seen. A line that fails where an earlier one has
failed may be right and the gradient wrong. It is accused only where a line that reads the gradient passed and tells the
decay, and the sign where the dialect turns it, and where no single other gradient explains both failures.
Where an earlier line fails on other elements of the same step, that holds of elements on which it passes, too: it may not
show the gradient there.

**A step not taken** makes every line wrong at once, and accuses the first alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import Amendment, Use, amend, line_readings
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters

__all__ = ["Ends", "Line", "Question", "disjoint", "judge_lines", "pick", "see", "widen"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

Ends = tuple[Floats, Floats, Booleans | None]
"""An interval as plain arrays: its lower ends, its upper ends, and where it may be NaN."""


@dataclass(frozen=True, slots=True)
class Question:
    """The rules for a step of some elements."""

    format: Format
    hyper: Hyperparameters
    dialect: Dialect
    policy: Policy
    t: int

    def envelope(self, before: Before, handed: Mapping[str, Ends] | None = None) -> Mapping[str, Interval]:
        """The interval of each line; lines in ``handed`` give the numbers there."""
        hook = None if handed is None else lambda role, computed: see(handed, role, computed)
        return envelope(before, self.format, self.hyper, self.dialect, policy=self.policy, t=self.t, see=hook)

    def amended(self, amendment: Amendment) -> Question:
        """The question under one more amendment."""
        return replace(self, dialect=amend(self.dialect, amendment))


@dataclass(slots=True)
class Line:
    """One line on some elements: its interval from the values seen, and its standing, element by element.

    ``accused``: it fails as the first, or as a later line that fails by itself and given what was seen (``by_line``);
    ``blocked``: it fails by itself, and nothing can be said of it. Where it is neither, it passes. ``handed`` is what earlier
    lines gave, and ``failed`` where they fail.
    """

    interval: Interval
    accused: Booleans
    by_line: Booleans
    blocked: Booleans
    handed: Mapping[str, Ends]
    failed: Mapping[str, Booleans]


def judge_lines(
    before: Before,
    observed: Mapping[str, Floats],
    failed: Mapping[str, Booleans],
    question: Question,
    plain: Mapping[str, Interval],
) -> Mapping[str, Line]:
    """Judge the lines in ``observed``, in their order, each from the values before the step and those seen of earlier lines.

    ``failed`` marks, for each line in ``observed``, the elements outside of its interval in ``plain``, the plain envelope.
    """
    handed: dict[str, Ends] = {}
    intervals = plain
    failing = [role for role in observed if failed[role].any()]
    doubt: Mapping[str, Booleans] = dict.fromkeys(observed, np.zeros(before.param.shape, dtype=bool))
    # A last line that fails alone hands nothing on, and no line is in doubt of which no earlier one fails.
    if failing != [*observed][-1:]:
        intervals = _given_what_was_seen(before, observed, failed, question, plain, handed)
    if len(failing) > 1:
        doubt = _gradient_in_doubt(before, observed, intervals, handed, question)
    passed = {role: ~failed[role] | intervals[role].contains(values) for role, values in observed.items()}
    wrong = {role: failed[role] & ~passed[role] for role in observed}
    still = _still(before, observed)
    earlier = np.zeros(before.param.shape, dtype=bool)
    lines: dict[str, Line] = {}
    for role in observed:
        later = wrong[role] & earlier
        blocked = (later & (doubt[role] | still)) | (failed[role] & ~earlier & doubt[role] & bool(earlier.any()))
        if bool((later & ~blocked).any()):
            blocked |= later & _other_gradient(before, observed, failed, question, plain, handed, role)
        # An interval without ends holds everything: that a later line lies in it says nothing.
        blocked |= failed[role] & earlier & ~wrong[role] & ~intervals[role].bounded()
        first = failed[role] & ~earlier & ~blocked
        lines[role] = Line(
            intervals[role],
            first | (later & ~blocked),
            later & ~blocked,
            blocked,
            {name: handed[name] for name in lines if name in handed},
            {name: failed[name] for name in lines},
        )
        earlier = earlier | failed[role]
    return lines


def see(handed: Mapping[str, Ends], role: str, computed: Interval) -> Interval:
    """The interval used by the lines below, handed on or else computed."""
    return computed.arithmetic.between(*handed[role]) if role in handed else computed


def widen(observed: Floats, interval: Interval, fmt: Format, policy: Policy) -> Ends:
    """The numbers possibly used by a line with this interval after it stored ``observed``."""
    lo, hi, _ = pick(interval, len(observed))
    unit = fmt.unit_roundoff
    tiny = fmt.part.smallest_normal if policy.flush_subnormals else fmt.part.smallest_subnormal
    with np.errstate(all="ignore"):
        smallest = np.where((lo <= 0) & (hi >= 0), 0.0, np.minimum(np.abs(lo), np.abs(hi)))
        factor = np.maximum(1.0, (np.abs(observed) + tiny) / smallest)
        width = np.where(hi == lo, 0.0, factor * (hi - lo))
        reach = (1 + 8 * unit) * (width + 2 * unit * np.abs(observed)) + 2 * tiny
        low, high = observed - reach, observed + reach
    lost = ~(np.isfinite(low) & np.isfinite(high))
    nan = np.isnan(observed) | np.isinf(observed)
    return np.where(lost, -np.inf, low), np.where(lost, np.inf, high), nan if nan.any() else None


def pick(interval: Interval, count: int, index: Any = slice(None)) -> Ends:
    """The ends of an interval on ``count`` elements, at ``index``."""
    nan = None if interval.nan is None else np.broadcast_to(interval.nan, (count,))[index]
    return np.broadcast_to(interval.lo, (count,))[index], np.broadcast_to(interval.hi, (count,))[index], nan


def disjoint(one: Interval, rival: Interval) -> Booleans:
    """Mark the elements without a value in both of two bounded intervals."""
    both = np.asarray(one.bounded() & rival.bounded() & ((one.hi < rival.lo) | (rival.hi < one.lo)))
    for interval in (one, rival):
        both = both if interval.nan is None else both & ~interval.nan
    return np.asarray(both)


def _given_what_was_seen(
    before: Before,
    observed: Mapping[str, Floats],
    failed: Mapping[str, Booleans],
    question: Question,
    plain: Mapping[str, Interval],
    handed: dict[str, Ends],
) -> Mapping[str, Interval]:
    """Run the pseudocode on the values seen of lines in error; fill ``handed`` with the result of each line."""
    count = len(before.param)

    def hand_on(role: str, computed: Interval) -> Interval:
        if role not in observed or not failed[role].any():
            return computed
        # What passes by itself or given what was seen hands on the interval that it passed in.
        passing = pick(computed, count)
        for holds, ends in (
            (~failed[role] & ~computed.contains(observed[role]), pick(plain[role], count)),
            (
                failed[role] & ~computed.contains(observed[role]),
                widen(observed[role], computed, question.format, question.policy),
            ),
        ):
            passing = _where(holds, ends, passing)
        handed[role] = passing
        return computed.arithmetic.between(*passing)

    return envelope(
        before,
        question.format,
        question.hyper,
        question.dialect,
        policy=question.policy,
        t=question.t,
        see=hand_on,
    )


def _still(before: Before, observed: Mapping[str, Floats]) -> Booleans:
    """Mark the elements left as they were."""
    still = np.ones(before.param.shape, dtype=bool)
    for role, after in observed.items():
        was = getattr(before, role)
        still &= False if isinstance(was, tuple) else after == was
    return still


def _where(holds: Booleans, one: Ends, rival: Ends) -> Ends:
    nan = None
    if one[2] is not None or rival[2] is not None:
        nan = np.where(holds, False if one[2] is None else one[2], False if rival[2] is None else rival[2])
    return np.where(holds, one[0], rival[0]), np.where(holds, one[1], rival[1]), nan


_NO_DECAY = Amendment("weight-decay", uses=(("weight_decay", Use("is", 0.0)),))
_NOT_NEGATED = Amendment("maximize", switches=(("maximize", False),))


def _gradient_in_doubt(
    before: Before,
    observed: Mapping[str, Floats],
    intervals: Mapping[str, Interval],
    handed: Mapping[str, Ends],
    question: Question,
) -> Mapping[str, Booleans]:
    """Mark the elements, by line, with a gradient of unproved decay or sign in use."""
    doubt = {role: np.zeros(before.param.shape, dtype=bool) for role in observed}
    for amendment in _doubts(question):
        rival = question.amended(amendment).envelope(before, handed)
        evidence = np.zeros(before.param.shape, dtype=bool)
        for role in observed:
            evidence |= np.asarray(intervals[role].contains(observed[role])) & disjoint(intervals[role], rival[role])
        for role in observed:
            reads = ~((intervals[role].lo == rival[role].lo) & (intervals[role].hi == rival[role].hi))
            doubt[role] |= reads & ~evidence
    return doubt


def _doubts(question: Question) -> list[Amendment]:
    readings = line_readings(question.dialect, question.hyper, question.format.name).values()
    decays = any(hyper.weight_decay != 0 and dialect.decay == "l2" for dialect, hyper in readings)
    turned = any(dialect.maximize for dialect, _ in readings)
    return [*([_NO_DECAY] if decays else []), *([_NOT_NEGATED] if turned else [])]


def _other_gradient(
    before: Before,
    observed: Mapping[str, Floats],
    failed: Mapping[str, Booleans],
    question: Question,
    plain: Mapping[str, Interval],
    handed: Mapping[str, Ends],
    role: str,
) -> Booleans:
    """Mark the elements with another gradient, computed back from an earlier line in error, to explain this line as well."""
    explained = np.zeros(before.param.shape, dtype=bool)
    undecayed = question
    for amendment in _doubts(question):
        undecayed = undecayed.amended(amendment)
    for earlier, source in _SOURCES.items():
        if earlier == role or earlier not in observed or isinstance(getattr(before, earlier), tuple):
            continue
        _, hyper = line_readings(question.dialect, question.hyper, question.format.name)[earlier]
        alpha = float(hyper.alpha)
        if alpha >= 1 or not failed[earlier].any():
            continue
        lo, hi, _ = widen(observed[earlier], plain[earlier], question.format, question.policy)
        with np.errstate(all="ignore"):
            was = alpha * getattr(before, earlier)
            low, high = (lo - was) / (1 - alpha), (hi - was) / (1 - alpha)
        for ends in source(low, high):
            usable = failed[earlier] & np.isfinite(ends[0]) & np.isfinite(ends[1])
            grads = (np.where(usable, ends[0], 0.0), np.where(usable, ends[1], 0.0), None)
            rival = undecayed.envelope(replace(before, grad=grads), handed)[role]
            explained |= usable & np.asarray(rival.contains(observed[role]) & rival.bounded())
    return explained


def _from_square(low: Floats, high: Floats) -> list[tuple[Floats, Floats]]:
    with np.errstate(all="ignore"):
        size = np.sqrt(np.where(low > 0, low, 0.0)), np.sqrt(np.where(high >= 0, high, np.nan))
    return [size, (-size[1], -size[0])]


def _from_mean(low: Floats, high: Floats) -> list[tuple[Floats, Floats]]:
    return [(low, high)]


_SOURCES = {"square_avg": _from_square, "grad_avg": _from_mean}
assert set(_SOURCES) < set(STATE_ROLES)
