"""Evidence: the findings on values in stored transcripts, and whether an amendment explains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from rmspec.impl.arithmetic.amendments import Amendment, Branch, amend, branch_of
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope, misses_by_far
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES, Policy
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.program.program import Program, Step
from rmspec.properties.judge.findings import Case, Finding
from rmspec.properties.judge.runner import judge
from rmspec.properties.peeling.flushing import flushed_value

__all__ = [
    "PRECISE_FIRST",
    "Effort",
    "Witnessed",
    "amended",
    "branch_at",
    "carried",
    "coarseness",
    "explicable",
    "fits",
    "flushed",
    "judge_until",
    "spread",
    "stops_at_first_steps",
]

T = TypeVar("T")

PRECISE_FIRST = (("float32", "float64"), ("float16", "bfloat16"), ("complex64", "complex128"))
"""Formats, those first whose numbers coincide least."""

_ESTIMATE, _ENVELOPE = 0.5, 4.0
"""What it costs to try an amendment on one element, in judged calls: to find it far away, and to tell exactly."""


def coarseness(program: Program) -> int:
    """How coarse the formats of a program are: the place of the coarsest one in ``PRECISE_FIRST``."""
    return max(
        (rank for rank, formats in enumerate(PRECISE_FIRST) for param in program.params if param.dtype in formats),
        default=0,
    )


@dataclass(slots=True)
class Effort:
    """How much more may be tried, counted in judged calls: a number, not a time, so that a slow machine finds the same.

    ``late`` tells whether a time limit from outside has passed.
    """

    left: float
    late: Callable[[], bool] = lambda: False

    def spend(self, calls: float) -> None:
        """Note so many calls as judged."""
        self.left -= calls

    @property
    def spent(self) -> bool:
        """Whether nothing more may be tried."""
        return self.left <= 0 or self.late()


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A transcript with its findings to be explained, under the specification in force."""

    transcript: Transcript
    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding | None:
        """The finding of the earliest call; later ones may be its consequences. Of several alike a finite one tells more."""
        earliest = min(self.findings, key=lambda finding: finding.call, default=None)
        if earliest is None:
            return None
        alike = (finding for finding in self.findings if (finding.call, finding.role) == (earliest.call, earliest.role))
        return next((finding for finding in alike if _is_finite(finding)), earliest)

    @property
    def until(self) -> int | None:
        """The call of the first finding."""
        return None if self.first is None else self.first.call


def _is_finite(finding: Finding) -> bool:
    return isinstance(finding.observed, float) and math.isfinite(finding.observed)


def stops_at_first_steps(record: Sequence[Witnessed], judged: Sequence[Witnessed], line: str) -> bool:
    """Whether amendments explain no more than first steps of a line: most of these transcripts go on to deviate in it.

    ``record`` has the findings without the amendments, ``judged`` those left, of the same transcripts.
    """
    ends: list[bool] = []
    for plain, now in zip(record, judged, strict=True):
        began, left = plain.first, now.first
        if began is None or began.role != line or (left is not None and left.call <= began.call):
            continue
        later = any(isinstance(call, Step) for call in plain.transcript.program.calls[began.call + 1 :])
        if later or began.case is None or not began.case.first:
            ends.append(left is not None and left.role == line)
    return 2 * sum(ends) > len(ends)


def amended(dialect: Dialect, amendments: Iterable[Amendment]) -> Dialect:
    """The dialect with these amendments, in their order."""
    for amendment in amendments:
        dialect = amend(dialect, amendment)
    return dialect


def fits(
    finding: Finding, dialect: Dialect, amendments: tuple[Amendment, ...], policy: Policy, effort: Effort
) -> bool | None:
    """Whether the value of a finding lies in its envelope under these amendments as well.

    ``None`` where one element does not tell: its state is hidden and was carried under the rule to be amended, or the envelope
    has no ends.
    """
    case = finding.case
    if case is None or not isinstance(finding.observed, float):
        return None
    read = amended(dialect, amendments)
    case = _restarted(case, read)
    if _hides(case.before):
        return None
    fmt, (lo, hi) = FORMATS[case.format], finding.allowed or (-np.inf, np.inf)
    rounded = any(name == "scalars" for amendment in amendments for name, _ in amendment.switches)
    effort.spend(_ESTIMATE)
    if not (rounded or case.handed) and misses_by_far(
        finding.observed, hi - lo, finding.role, case.before, fmt, case.hyper, read, t=case.t
    ):
        return False
    effort.spend(_ENVELOPE)
    bounds = envelope(case.before, fmt, case.hyper, read, policy=policy, t=case.t, see=case.see).get(finding.role)
    if bounds is None:
        return False
    inside = bool(bounds.contains(np.array([finding.observed]))[0])
    return None if inside and not bool(bounds.bounded()[0]) else inside


def carried(finding: Finding) -> bool:
    """Whether the value was computed from hidden state, carried along."""
    return finding.case is not None and _hides(finding.case.before)


def _hides(before: Before) -> bool:
    return any(isinstance(getattr(before, role), tuple) for role in STATE_ROLES)


def _restarted(case: Case, read: Dialect) -> Case:
    """The case with the defaults and the initial values of an amended dialect."""
    defaults: dict[str, Any] = {
        option: value
        for amendment in read.amendments
        for option, value in amendment.defaults
        if case.sources.get(option) == "default"
    }
    hyper = replace(case.hyper, **defaults)
    if not case.first:
        return replace(case, hyper=hyper)
    count = len(case.before.param)
    fmt = FORMATS[case.format]
    starts: dict[str, Any] = {role: np.full(count, fmt.round(read.initial(role, hyper))) for role in STATE_ROLES}
    before = Before(case.before.param, case.before.grad, **starts)
    return replace(case, before=before, hyper=hyper)


def explicable(finding: Finding, dialect: Dialect) -> bool:
    """Whether an amendment may explain a finding: a value, no hazard, not explained by flushing."""
    return (
        finding.kind == "value"
        and finding.case is not None
        and not finding.hazard
        and not CLAUSES[finding.clause].decided
        and not flushed(finding, dialect)
    )


def judge_until(
    transcript: Transcript,
    dialect: Dialect,
    policy: Policy,
    concerns: Callable[[Finding], bool],
    effort: Effort,
    until: int | None,
) -> tuple[Finding, ...]:
    """Judge a transcript up to a call, or else up to the first with findings of concern, and return these."""
    concerned: list[Finding] = []

    def enough(index: int, findings: Sequence[Finding]) -> bool:
        concerned.extend(finding for finding in findings if concerns(finding))
        return bool(concerned) if until is None else index >= until

    effort.spend(judge(transcript, dialect, policy=policy, enough=enough).calls)
    return tuple(concerned)


_NEAR = 8
"""An evaluation in another order is at most so many units of roundoff away, where nothing cancels."""


def flushed(finding: Finding, dialect: Dialect) -> bool:
    """Tell whether replacing subnormal numbers by 0 explains the observed value."""
    case = finding.case
    if finding.kind != "value" or case is None or finding.hazard or not isinstance(finding.observed, float):
        return False
    fmt = FORMATS[case.format]
    small = fmt.smallest_normal
    coarse = case.format == "float16"
    if coarse and finding.observed != 0:
        # In float16 numbers of daily use are subnormal: what is allowed without them explains other rounding as well.
        return False
    # An input of its own may be flushed before it is used.
    inputs = {name: getattr(case.before, name) for name in ("param", "grad", *STATE_ROLES)}
    if any(isinstance(values, tuple) for values in inputs.values()):
        return False
    if _far_from_subnormal(case, inputs):
        return False
    if finding.half:
        # An option of 3e-8 is 0 once it is rounded to float16: that says nothing of what becomes of subnormal numbers.
        narrow = envelope(case.before, fmt, case.hyper, dialect, scalars="storage", t=case.t, see=case.see)
        if finding.role in narrow and bool(narrow[finding.role].contains(np.array([0.0]))[0]):
            return False
    zeroed = replace(case.before, **{name: np.where(np.abs(x) < small, 0.0, x) for name, x in inputs.items()})
    for before in (case.before, zeroed):
        bounds = envelope(before, fmt, case.hyper, dialect, policy=POLICIES["flush-subnormals"], t=case.t, see=case.see)
        interval = bounds.get(finding.role)
        observed = np.array([finding.observed])
        # A NaN that a number makes which became 0 (0 times an infinity) has no bounds to lie in.
        fits = interval is not None and interval.contains(observed) & (interval.bounded() | np.isnan(observed))
        if fits is not False and bool(fits[0]):
            return True
    if coarse or finding.allowed is None:
        return False
    # Where a difference of small numbers is divided by, those bounds hold anything: one evaluation is asked instead.
    near, (lo, hi) = flushed_value(case, finding.role, fmt, dialect), finding.allowed
    slack = _NEAR * fmt.unit_roundoff * max(abs(near), abs(finding.observed))
    return abs(finding.observed - near) <= slack and (near < lo - slack or near > hi + slack)


def _far_from_subnormal(case: Case, inputs: Mapping[str, Any]) -> bool:
    """Whether no number of the step can be subnormal, unless it is 0.

    With every number between the fourth root of the smallest normal one and its inverse, a product of three and a quotient are
    above the smallest normal one, and so is a difference of two of them, since it is a multiple of their last places.
    """
    least = FORMATS[case.format].smallest_normal ** 0.25
    options = (float(case.hyper.option(option)) for option in ("lr", "alpha", "eps", "weight_decay", "momentum"))
    numbers = (*options, 1 - case.hyper.alpha, *(float(values[0]) for values in inputs.values()))
    return all(number == 0 or least < abs(number) < 1 / least for number in numbers)


def branch_at(finding: Finding, dialect: Dialect) -> Branch:
    """The branch of the step with a finding."""
    assert finding.case is not None
    return branch_of(replace(dialect, amendments=()), finding.case.hyper)


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most so many of the items, evenly spread."""
    if len(items) <= most:
        return items
    return [items[index * len(items) // most] for index in range(most)]
