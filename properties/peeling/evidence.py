"""Evidence: the findings on values in stored transcripts, and whether an amendment explains them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.amendments import Amendment, Branch, amend, branch_of
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope, misses_by_far
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Transcript
from rmspec.properties.judge.findings import Case, Finding

__all__ = ["PRECISE_FIRST", "Effort", "Witnessed", "amended", "branch_at", "carried", "fits"]

PRECISE_FIRST = (("float32", "float64"), ("float16", "bfloat16"), ("complex64", "complex128"))
"""Formats, those first whose numbers coincide least."""

_ESTIMATE, _ENVELOPE = 0.5, 4.0
"""What it costs to try an amendment on one element, in judged calls: to find it far away, and to tell exactly."""


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
        """The finding of the earliest call; later ones may be its consequences."""
        return min(self.findings, key=lambda finding: finding.call, default=None)

    @property
    def until(self) -> int | None:
        """The call of the first finding."""
        return None if self.first is None else self.first.call


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
    starts: dict[str, Any] = {role: np.full(count, read.initial(role, hyper)) for role in STATE_ROLES}
    before = Before(case.before.param, case.before.grad, **starts)
    return replace(case, before=before, hyper=hyper)


def branch_at(finding: Finding, dialect: Dialect) -> Branch:
    """The branch of the step with a finding."""
    assert finding.case is not None
    return branch_of(replace(dialect, amendments=()), finding.case.hyper)
