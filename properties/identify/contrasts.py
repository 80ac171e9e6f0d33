"""Contrasts: behaviour impossible for an RMSprop of any dialect and hyperparameters; each is one short program, or two.

They decide by what is seen, not by names: an update that grows with the gradient (nothing normalizes it), one that goes on
after the gradient is gone (the numerator is an average), one that does not know how large a gradient was, and
an average that never forgets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.properties.identify.answer import Contradiction
from rmspec.properties.identify.probes import Trace
from rmspec.properties.identify.questions import Questions

__all__ = ["contrasts"]


def contrasts(questions: Questions) -> Iterator[Contradiction]:
    """Find behaviour impossible for an RMSprop: in the update, or else in the average of squares."""
    found = [each for contrast in (_unnormalized, _lasting) if (each := contrast(questions)) is not None]
    if not found:
        found = [each for contrast in (_sizeless, _unforgetting) if (each := contrast(questions)) is not None][:1]
    yield from found


def _unnormalized(questions: Questions) -> Contradiction | None:
    """Two steps proportional to the gradient: v grows with it, so an RMSprop's steps grow by less."""
    once, more = questions.seen(4.0, 4.0, theta=0.0), questions.seen(16.0, 16.0, theta=0.0)
    if not (_whole(once, 2) and _whole(more, 2)):
        return None
    near, far = once.moments[1].after, more.moments[1].after
    if near == 0 or abs(far) < abs(4 * near):
        return None
    least = math.nextafter(4 * near, 0.0)
    return Contradiction(
        "update",
        f"the steps grow with the gradient, from {near!r} for gradients of 4 to {far!r} for gradients of 16: nothing "
        "divides them by the root of an average of squares",
        more.program,
        far,
        (min(least, near), max(least, near)),
    )


def _lasting(questions: Questions) -> Contradiction | None:
    """A step with a gradient of 0, without momentum and weight decay, and still a change."""
    trace = questions.seen(1.0, 0.0)
    if not _whole(trace, 2):
        return None
    before, after = trace.moments[1].before, trace.moments[1].after
    if before == after:
        return None
    return Contradiction(
        "update",
        "it goes on with a gradient of 0, without momentum: what it divides is an average of gradients, not the gradient",
        trace.program,
        after,
        (before, before),
    )


def _sizeless(questions: Questions) -> Contradiction | None:
    """A second step of one size for gradients of 1, 4 and 1/16, after a first one of 1."""
    same, larger, smaller = (questions.seen(1.0, second) for second in (1.0, 4.0, 0.0625))
    if not all(_whole(each, 2) for each in (same, larger, smaller)):
        return None
    before, after = same.moments[1].before, same.moments[1].after
    if after == before or {larger.moments[1].after, smaller.moments[1].after} != {after}:
        return None
    return Contradiction(
        "square-avg",
        "after a gradient of 1 it moves as far for one of 4, or of 1/16, as for another of 1: the size of a gradient "
        "does not count",
        larger.program,
        after,
        _beyond(after, before, larger),
    )


def _unforgetting(questions: Questions) -> Contradiction | None:
    """A third, small step of one size with and without a gradient of 0 before it: nothing decayed meanwhile."""
    direct, late = questions.seen(1.0, 1.0, 0.0625), questions.seen(1.0, 1.0, 0.0, 0.0625)
    if not (_whole(direct, 3) and _whole(late, 4)) or late.moments[3].before != direct.moments[2].before:
        return None
    before, after = direct.moments[2].before, direct.moments[2].after
    if after == before or after != late.moments[3].after:
        return None
    return Contradiction(
        "square-avg",
        "a step with a gradient of 0 in between changes nothing: its sum of squares does not decay",
        late.program,
        after,
        _beyond(after, before, late),
    )


def _whole(trace: Trace, steps: int) -> bool:
    return len(trace.moments) == steps and all(math.isfinite(moment.after) for moment in trace.moments)


def _beyond(after: float, before: float, trace: Trace) -> tuple[float, float]:
    """The next number farther from ``before`` than ``after``, in the trace's format."""
    step = 2 * FORMATS[trace.format].unit_roundoff * abs(after)
    return (after + step, math.inf) if after > before else (-math.inf, after - step)
