"""Verdicts on clauses and subjects, from counts and deviations."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np

from rmspec.impl.arithmetic.amendments import Amendment
from rmspec.impl.arithmetic.envelope import ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.clauses import CLAUSES, Clause
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.switches import SWITCHES
from rmspec.oracles.subject import ANNOUNCED, FEATURES, Capabilities
from rmspec.properties.events import ClauseResult, Deviation, Verdict
from rmspec.properties.judge.findings import Tally
from rmspec.properties.known import shipped
from rmspec.properties.lines.cells import Cell, Sample, Spoilers, is_half
from rmspec.properties.lines.telling import concerns, lines_of, tells
from rmspec.properties.lines.usage import exact_usage, used_element
from rmspec.properties.peeling.evidence import amended

__all__ = ["ClauseVerdicts", "Spoils", "broken_verdict", "inconclusive_reasons", "subject_verdict", "unjudged"]


ENOUGH = 16
"""So many telling passes of a clause are looked for."""

_EXAMPLES = 3
"""So many samples of them are asked which amendments they are given."""

Spoils = Mapping[str, Collection[tuple[str, Cell]]]
"""By clause, the lines and cells that its deviations spoil."""


@dataclass(frozen=True, slots=True)
class _Evidence:
    """The telling passes of a clause: ``good`` ones, and those ``lost`` to spoiled cells, failed and blocked checks among them.

    ``bad`` are the lines and cells of the failures that spoil them. Of both so many are found as the verdict needs. ``examples``
    are some of the good ones, each with its line.
    """

    good: int = 0
    lost: int = 0
    bad: frozenset[tuple[str, Cell]] = frozenset()
    examples: tuple[tuple[str, Sample], ...] = ()


@dataclass(frozen=True)
class ClauseVerdicts:
    """The verdicts of a search on clauses; ``search`` is the place of an early stop, or empty.

    ``spoils`` says which cells the deviations from a clause spoil; ``cut`` which clauses, by the clause of what ended programs early,
    the rest of these programs would have checked. ``plain`` is the dialect before it was amended. ``untaken`` says that no step
    took the path under test: nothing conforms then.
    """

    capabilities: Capabilities
    dialect: Dialect
    policy: Policy
    tally: Tally
    search: str = ""
    spoils: Spoils = field(default_factory=dict)
    cut: Mapping[str, Collection[str]] = field(default_factory=dict)
    plain: Dialect | None = None
    untaken: str = ""

    def of(self, id: str, deviations: tuple[Deviation, ...]) -> ClauseResult:
        """Judge one clause; ``deviations`` are those of the subject, from any clause."""
        clause, tally = CLAUSES[id], self.tally
        broken = [deviation for deviation in deviations if deviation.clause == id]
        worst = tally.worst.get(id)
        result = ClauseResult(
            id,
            tally.checks.get(id, 0),
            tally.inconclusive.get(id, 0),
            "conforms",
            None if worst is None else exact_usage(worst, self.dialect, self.policy),
            worst=None if worst is None else used_element(worst, self.dialect, self.policy),
            blocked=tally.blocked.get(id, 0),
        )
        if broken:
            return replace(result, checks=max(result.checks, 1), verdict=broken_verdict(broken))
        if self.untaken:
            return ClauseResult(id, 0, 0, "not-checked", None, self.untaken)
        if clause.feature in (*FEATURES, *ANNOUNCED) and clause.feature not in self.capabilities.features:
            # What a program without the feature happens to touch is no check of it.
            return ClauseResult(id, 0, 0, "not-checked", None, self._unchecked(id))
        if not clause.gates:
            counts = sorted((behaviour, n) for (name, behaviour), n in tally.observed.items() if name == id)
            reason = "; ".join(f"{behaviour} ({n})" for behaviour, n in counts)
            if counts:
                return ClauseResult(id, sum(n for _, n in counts), 0, "observed", None, reason)
            return ClauseResult(id, 0, 0, "not-checked", None, self._unexercised())
        if not result.checks and not result.blocked:
            ends = {name for name, clauses in self.cut.items() if id in clauses}
            masks = tuple(
                name for name in CLAUSES if name in ends and any(deviation.clause == name for deviation in deviations)
            )
            if ends and not masks:
                masks = tuple(dict.fromkeys(deviation.clause for deviation in deviations))
            if masks and self._exercisable(id):
                reason = "the programs that would check it ended before"
                return ClauseResult(id, 0, 0, "hidden", None, reason, hidden_by=masks)
            masks = self._without_branch(clause, deviations)
            if masks:
                reason = f"no step takes the branch of {str(clause.feature).replace('_', ' ')}"
                return ClauseResult(id, 0, 0, "hidden", None, reason, hidden_by=masks)
            return ClauseResult(id, 0, 0, "not-checked", None, self._unchecked(id))
        return self._judged(result, deviations)

    def _without_branch(self, clause: Clause, deviations: tuple[Deviation, ...]) -> tuple[str, ...]:
        """The deviations with amendments against the branch of a clause: no step takes it any more."""
        broken = {deviation.clause for deviation in deviations}
        return tuple(
            dict.fromkeys(
                amendment.clause
                for amendment in self.dialect.amendments
                for switch, _ in amendment.switches
                if clause.feature and SWITCHES[switch].option == clause.feature and amendment.clause in broken
            )
        )

    def _judged(self, result: ClauseResult, deviations: tuple[Deviation, ...]) -> ClauseResult:
        """Judge a clause without a deviation by its telling passes."""
        clause, failed = CLAUSES[result.id], self.tally.failed.get(result.id, 0)
        unexplained = self._unexplained(deviations)
        evidence = self._evidence(clause, unexplained) if clause.usual else _Evidence()
        exact = 0 if clause.lines_alone else self.tally.exact.get(result.id, 0) - failed
        if evidence.good:
            return replace(result, telling=evidence.good, given=self._given(evidence))
        if evidence.lost or (failed and not clause.lines_alone) or (result.blocked and exact <= 0):
            return self._masked(result, evidence.bad, deviations)
        doubtful = self._failures_after(clause, unexplained)
        if exact > 0 and doubtful:
            return self._masked(result, doubtful, deviations)
        if exact > 0:
            return replace(result, telling=exact)
        if result.inconclusive == result.checks:
            return replace(result, verdict="inconclusive", reason=self._doubts(result.id))
        return replace(result, verdict="inconclusive", reason="no check could tell")

    def _masked(
        self, result: ClauseResult, bad: frozenset[tuple[str, Cell]], deviations: tuple[Deviation, ...]
    ) -> ClauseResult:
        """The result of a clause hidden by these failures."""
        masks = self._masks(bad, deviations)
        reason = "every check that could tell lies where another deviation is" + (
            "" if masks else ", not yet explained"
        )
        return replace(result, verdict="hidden", reason=reason, hidden_by=masks)

    @cached_property
    def _spoilers(self) -> Spoilers:
        return Spoilers(self.tally.cells)

    def _unexplained(self, deviations: tuple[Deviation, ...]) -> frozenset[tuple[str, Cell]]:
        """Collect the failures of lines with the blame on a clause about lines, and without an amendment to explain them."""
        listed = {entry.id for entry in shipped()}
        blamed = {
            deviation.clause
            for deviation in deviations
            if CLAUSES[deviation.clause].usual
            and CLAUSES[deviation.clause].kind in ("pseudocode", "note", "interpretation")
            and not _circumstantial(CLAUSES[deviation.clause])
            and not deviation.amendment
            and not deviation.inherited
            and deviation.known not in listed
        }
        return frozenset(failure for name in blamed for failure in self.spoils.get(name, ()))

    def _failures_after(self, clause: Clause, unexplained: frozenset[tuple[str, Cell]]) -> frozenset[tuple[str, Cell]]:
        """Choose the failures in the steps after a call: a violation of its clause shows in these.

        What such a call does to state that nobody sees looks like them.
        """
        return frozenset(
            (line, cell) for line, cell in unexplained if clause.shows_in and clause.shows_in in cell.circumstances
        )

    def _evidence(self, clause: Clause, unexplained: frozenset[tuple[str, Cell]]) -> _Evidence:
        """Look for telling passes in the samples.

        Of a clause about circumstances none counts where ``unexplained`` failures lie in a cell with samples of it: what is
        wrong in the circumstance alone would look the same. Of one about lines none counts if it would tell in the branches of
        such failures, and nowhere there does: it may be broken there.
        """
        samples = self.tally.samples.of
        topic = clause.id if any(name == clause.id for name, _ in samples) else ""
        whole = any(not is_half(FORMATS[name]) for name in self.capabilities.formats)
        spoils = {
            cell: {role: self._spoilers.of(role, cell) for role in lines_of(clause)}
            for name, cell in samples
            if name == topic and not (whole and cell.half)
        }
        doubts = frozenset[tuple[str, Cell]]()
        if _circumstantial(clause):
            lines = ("momentum_buffer", "param") if clause.changes == "lr" else ROLES
            for cell in spoils:
                failures = frozenset((line, bad) for line, bad in unexplained if bad == cell and line in lines)
                if failures and any(concerns(clause, cell, sample) for sample in samples[topic, cell]):
                    return _Evidence(0, 1, failures)
        elif not clause.option and not clause.starts:
            doubts = unexplained
        branches = {(line, bad.branches) for line, bad in doubts}
        good, lost, bad = 0, 0, set[tuple[str, Cell]]()
        proved, unproved = set[tuple[bool, ...]](), set[tuple[bool, ...]]()
        examples: list[tuple[str, Sample]] = []
        # Where nothing is spoiled first: there the search is short.
        for cell, causes in sorted(spoils.items(), key=lambda entry: any(entry[1].values())):
            doubtful = cell.branches not in proved and any(branch == cell.branches for _, branch in branches)
            if good >= ENOUGH and not doubtful:
                continue
            for sample in samples[topic, cell]:
                # No sample of this cell changes the verdict any more.
                done = all(causes.values()) and (good or (lost and all(cause <= bad for cause in causes.values())))
                if done and not (doubtful and cell.branches not in unproved):
                    break
                if not concerns(clause, cell, sample):
                    continue
                for role, marks in tells(clause, sample).items():
                    if role not in sample.passed or not marks.any():
                        continue
                    passed = 0 if causes[role] else int(np.count_nonzero(marks & sample.passed[role]))
                    good += passed
                    examples += [(role, sample)] if passed else []
                    lost += int(np.count_nonzero(marks)) - passed
                    bad |= causes[role]
                    if passed:
                        proved.add(cell.branches)
                    elif (role, cell.branches) in branches:
                        unproved.add(cell.branches)
        if unproved - proved:
            return _Evidence(0, 1, frozenset(failure for failure in doubts if failure[1].branches in unproved - proved))
        return _Evidence(good, lost, frozenset(bad), tuple(examples))

    def _given(self, evidence: _Evidence) -> tuple[str, ...]:
        """List the amendments, in words, behind the good passes: without them their envelopes are others."""
        amendments, plain = self.dialect.amendments, self.plain
        if plain is None:
            return ()
        words = []
        for amendment in amendments:
            without = amended(plain, [remaining for remaining in amendments if remaining is not amendment])
            if any(_matters(amendment, without, role, sample) for role, sample in evidence.examples[:_EXAMPLES]):
                words.append(amendment.words())
        return tuple(words)

    def _masks(self, bad: frozenset[tuple[str, Cell]], deviations: tuple[Deviation, ...]) -> tuple[str, ...]:
        """List the clauses of the deviations behind these cells, or of all on values."""
        names = {name for name, places in self.spoils.items() if bad & set(places)}
        names = names or {
            deviation.clause
            for deviation in deviations
            if deviation.kind == "value" and not deviation.hazard and not deviation.inherited
        }
        names = names or {deviation.clause for deviation in deviations}
        return tuple(name for name in CLAUSES if name in names)

    def _exercisable(self, id: str) -> bool:
        return self._unchecked(id) == self._unexercised()

    def _doubts(self, id: str) -> str:
        return "; ".join(f"{reason} ({n})" for (clause, reason), n in sorted(self.tally.doubts.items()) if clause == id)

    def _unchecked(self, id: str) -> str:
        clause = CLAUSES[id]
        if clause.switch and not getattr(self.dialect, clause.switch):
            return f"the dialect {self.dialect.name} {clause.absent}"
        if clause.feature and clause.feature in self.capabilities.missing:
            return self.capabilities.missing[clause.feature]
        if clause.feature in (*FEATURES, *ANNOUNCED) and clause.feature not in self.capabilities.features:
            return f"the subject has no {clause.feature.replace('_', ' ')}"
        role, roles = clause.needs_role, self.capabilities.roles
        if role == "groups":
            return self.capabilities.missing.get("groups") or self._unexercised()
        if role and (role not in roles if role != "any" else not roles):
            return "its state is hidden" if not roles else f"it shows no {role}"
        if clause.option and getattr(self.dialect.defaults, clause.option) is None:
            return f"the dialect {self.dialect.name} documents no default"
        return clause.unexercised or self._unexercised()

    def _unexercised(self) -> str:
        return f"the search {self.search} before a program exercised it" if self.search else "no program exercised it"


def _circumstantial(clause: Clause) -> bool:
    """Whether a clause is about a circumstance of a step, not about a line of it."""
    return bool(clause.where or clause.changes or clause.option_sources)


def _matters(amendment: Amendment, without: Dialect, role: str, sample: Sample) -> bool:
    """Whether a sample is judged otherwise ``without`` an amendment, in the line of ``role``."""
    if any(sample.sources.get(option) == "default" for option, _ in amendment.defaults):
        return True
    rival = replace(sample.question, dialect=without).envelope(sample.before, sample.handed)[role]
    return not all(
        np.array_equal(getattr(sample.plain[role], end), getattr(rival, end), equal_nan=True) for end in ("lo", "hi")
    )


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
    return "inherited" if all(deviation.inherited for deviation in deviations) else "known"


def subject_verdict(deviations: Sequence[Deviation], unverified: str) -> Verdict:
    """The verdict on a subject with these deviations, hazards left out; ``unverified`` says why nothing of it was verified."""
    if deviations and broken_verdict(deviations) == "deviates":
        return "deviates"
    if unverified:
        return "inconclusive"
    return "known" if deviations else "conforms"


def unjudged(tally: Tally) -> str:
    """Explain why no update of a parameter was judged; empty if one was.

    Whatever passed of its state verifies no optimizer.
    """
    counts = [count for (role, _), count in tally.cells.items() if role == "param"]
    if any(count.passed or count.failed or count.blocked for count in counts):
        return ""
    if not counts:
        return f"no update of a parameter could be compared, in {tally.steps:,} steps"
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in inconclusive_reasons(tally).items())
    return f"no update of a parameter could be judged: {reasons}"
