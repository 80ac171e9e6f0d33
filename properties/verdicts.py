"""Verdicts on clauses and subjects, from counts and deviations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.subject import FEATURES, Capabilities
from rmspec.properties.events import ClauseResult, Deviation, Verdict
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.usage import exact_usage, used_element

__all__ = ["ClauseVerdicts", "broken_verdict", "inconclusive_reasons", "subject_verdict"]


@dataclass(frozen=True, slots=True)
class ClauseVerdicts:
    """The verdicts of a search on clauses; ``search`` is the place of an early stop, or empty."""

    capabilities: Capabilities
    dialect: Dialect
    policy: Policy
    tally: Tally
    search: str = ""

    def of(self, id: str, deviations: tuple[Deviation, ...]) -> ClauseResult:
        """Judge one clause; ``deviations`` are those of the subject, from any clause."""
        clause, tally = CLAUSES[id], self.tally
        checks, inconclusive = tally.checks.get(id, 0), tally.inconclusive.get(id, 0)
        broken = [deviation for deviation in deviations if deviation.clause == id]
        worst = tally.worst.get(id)
        fraction = None if worst is None else exact_usage(worst, self.dialect, self.policy)
        element = None if worst is None else used_element(worst, self.dialect, self.policy)
        if broken:
            return ClauseResult(id, max(checks, 1), inconclusive, broken_verdict(broken), fraction, "", element)
        if clause.feature in FEATURES and clause.feature not in self.capabilities.features:
            # What a program without the feature happens to touch is no check of it.
            return ClauseResult(id, 0, 0, "not-checked", None, self._unchecked(id))
        if not clause.gates:
            counts = sorted((behaviour, n) for (name, behaviour), n in tally.observed.items() if name == id)
            reason = "; ".join(f"{behaviour} ({n})" for behaviour, n in counts)
            if counts:
                return ClauseResult(id, sum(n for _, n in counts), 0, "observed", None, reason)
            return ClauseResult(id, 0, 0, "not-checked", None, self._unexercised())
        if not checks:
            return ClauseResult(id, 0, 0, "not-checked", None, self._unchecked(id))
        if inconclusive == checks:
            return ClauseResult(id, checks, inconclusive, "inconclusive", fraction, self._doubts(id), element)
        return ClauseResult(id, checks, inconclusive, "conforms", fraction, worst=element)

    def _doubts(self, id: str) -> str:
        return "; ".join(f"{reason} ({n})" for (clause, reason), n in sorted(self.tally.doubts.items()) if clause == id)

    def _unchecked(self, id: str) -> str:
        clause = CLAUSES[id]
        if clause.switch and not getattr(self.dialect, clause.switch):
            return f"the dialect {self.dialect.name} {clause.absent}"
        if clause.feature and clause.feature in self.capabilities.missing:
            return self.capabilities.missing[clause.feature]
        if clause.feature in FEATURES and clause.feature not in self.capabilities.features:
            return f"the subject has no {clause.feature.replace('_', ' ')}"
        role, roles = clause.needs_role, self.capabilities.roles
        if role and (role not in roles if role != "any" else not roles):
            return "its state is hidden" if not roles else f"it shows no {role}"
        if clause.option and getattr(self.dialect.defaults, clause.option) is None:
            return f"the dialect {self.dialect.name} documents no default"
        return self._unexercised()

    def _unexercised(self) -> str:
        return f"the search {self.search} before a program exercised it" if self.search else "no program exercised it"


def inconclusive_reasons(tally: Tally) -> dict[str, int]:
    """Why checks of elements could not be judged, with the number of checks for each reason, the most first."""
    counts: dict[str, int] = {}
    for (_, reason), count in tally.doubts.items():
        counts[reason] = counts.get(reason, 0) + count
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def broken_verdict(deviations: Sequence[Deviation]) -> Literal["deviates", "known", "inherited"]:
    """The verdict on a clause with these deviations."""
    if any(deviation.known is None for deviation in deviations):
        return "deviates"
    inherited = all((deviation.known or "").startswith("inherited:") for deviation in deviations)
    return "inherited" if inherited else "known"


def subject_verdict(deviations: Sequence[Deviation], tally: Tally) -> Verdict:
    """The verdict on a subject with these deviations, hazards left out."""
    if deviations and broken_verdict(deviations) == "deviates":
        return "deviates"
    if not tally.element_checks or tally.inconclusive_checks == tally.element_checks:
        return "inconclusive"
    return "known" if deviations else "conforms"
