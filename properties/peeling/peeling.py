"""Peeling: one amendment after the other, until the closed list explains nothing more.

The search looks line by line, in the order of the pseudocode, and within a line branch by branch. A candidate is tried on
single elements first; one that fits them is tried on whole transcripts: it must explain every finding there that is its own, in
programs that were not used to find it, and nothing may deviate that conformed before. The fewest changes win; candidates that
explain equally much with equally few changes are a tie. Where no single candidate explains a line, pairs are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

from rmspec.impl.arithmetic.amendments import BRANCHES, LINES, Amendment, Branch
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.switches import SWITCHES
from rmspec.oracles.host.perform import Transcript
from rmspec.properties.judge.findings import Finding
from rmspec.properties.peeling.candidates import Setting, candidates, pairs_by_simplicity, reached_lines
from rmspec.properties.peeling.evidence import (
    PRECISE_FIRST,
    Effort,
    Witnessed,
    amended,
    branch_at,
    carried,
    fits,
    spread,
    stops_at_first_steps,
)

__all__ = ["Adoption", "Peeling"]

_PROBES = 8
"""So many elements try a candidate before whole transcripts do."""

_TRIALS = 16
"""So many transcripts with findings, and as many without, try one."""

_PROGRAMS = 3
"""In so many programs that were not used to find it an amendment must explain something, if there are so many."""

_ROUNDS = 8

_SHARES = (1.0, 0.5)
"""A candidate explains all that deviates in its branches, or else at least this share: another fault may be there too."""

_LATER = ("changed", "loaded")

_SURE = 40
"""So many elements try what fits a few of them."""


@dataclass(frozen=True, slots=True)
class Adoption:
    """An adopted amendment; its ``ties`` explain as much with as few changes.

    ``line`` is where it was found; ``whole``: it explained every finding there that was tried, or it is a switch.
    """

    amendment: Amendment
    ties: tuple[Amendment, ...] = ()
    line: str = ""
    whole: bool = True


Judge = Callable[[Transcript, Dialect, int | None], tuple[Finding, ...]]
"""The findings on the values of a transcript that are to be explained, under a specification.

Up to this call, or else up to the first that has any: later ones may be its consequences.
"""


@dataclass(slots=True)
class Peeling:
    """The search for the amendments of one subject: ``adopted`` are those found so far, ``dialect`` the amended specification.

    ``record`` are the transcripts with their findings under the specification as it was, ``plain``.
    """

    judge: Judge
    plain: Dialect
    policy: Policy
    record: Sequence[Witnessed]
    hidden_groups: bool
    effort: Effort
    adopted: list[Adoption] = field(default_factory=list)
    dialect: Dialect = field(init=False)
    _judged: list[Witnessed] = field(default_factory=list)
    _answers: dict[tuple[int, tuple[Amendment, ...]], bool | None] = field(default_factory=dict)
    _unexplained: dict[tuple[str, int], frozenset[object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.dialect = self.plain

    def run(self) -> None:
        """Adopt amendments until a round finds none, or the time is used up."""
        self._judged = list(self.record)
        for _ in range(_ROUNDS):
            adoptions = self._round()
            if not adoptions:
                break
            earlier = self._apart_from([adoption.amendment for adoption in adoptions])
            self.adopt([*earlier, *adoptions])
            if self.effort.spent:
                break
        failing = {line: self._failing(line) for line in LINES}
        retained = [
            adoption for adoption in self.adopted if not self._partial(adoption, failing.get(adoption.line, []))
        ]
        if len(retained) < len(self.adopted):
            # What explains a part of a line, and nothing explains the rest, was near the truth by chance.
            self.adopt(retained)

    def _partial(self, adoption: Adoption, left: list[tuple[Witnessed, Finding]]) -> bool:
        """Whether an amendment explains a part alone, with the rest of its line ``left``.

        A switch of one branch is about that branch: limited to a part of it, it explains the rest or nothing. And what
        explains first steps explains later ones, or the state of 0 is behind it.
        """
        if not left or not adoption.whole:
            return bool(left)
        if stops_at_first_steps(self.record, self._judged, adoption.line):
            return True
        options = {SWITCHES[name].option for name, _ in adoption.amendment.switches}
        places = [place for place, option in enumerate(("momentum", "centered", "weight_decay")) if option in options]
        return bool(adoption.amendment.branch) and any(
            branch_at(finding, self.dialect)[place] for _, finding in left for place in places
        )

    def adopt(self, adoptions: list[Adoption]) -> None:
        """Put these amendments in force, and judge the record again."""
        self.adopted = adoptions
        self._answers.clear()
        self.dialect = amended(self.plain, [adoption.amendment for adoption in adoptions])
        self._judged = [
            Witnessed(entry.transcript, self.judge(entry.transcript, self.dialect, None)) for entry in self._judged
        ]

    def _apart_from(self, amendments: Iterable[Amendment]) -> list[Adoption]:
        """The adopted amendments not covered by new ones: of those the new ones take the place."""
        return [old for old in self.adopted if not any(new.covers(old.amendment) for new in amendments)]

    def _earlier(self, amendments: tuple[Amendment, ...]) -> Dialect:
        """The specification under the adopted amendments not covered by new ones."""
        earlier = self._apart_from(amendments)
        return (
            self.dialect
            if len(earlier) == len(self.adopted)
            else amended(self.plain, [old.amendment for old in earlier])
        )

    def _under(self, amendments: tuple[Amendment, ...]) -> Dialect:
        """The specification under new amendments, and the adopted ones not covered by them."""
        return amended(self._earlier(amendments), amendments)

    def _round(self) -> list[Adoption]:
        failing = {line: self._failing(line) for line in LINES}
        for count in (1, 2):
            for line, findings in failing.items():
                places = frozenset((id(judged.transcript), finding.place) for judged, finding in findings)
                if not findings or self._unexplained.get((line, count)) == places:
                    # What was adopted since changes nothing here.
                    continue
                adoptions = self._one(line, findings) if count == 1 else self._two(line, findings)
                if adoptions or self.effort.spent:
                    return adoptions
                self._unexplained[line, count] = places
        return []

    def _failing(self, line: str) -> list[tuple[Witnessed, Finding]]:
        """Pair transcripts with their first findings, if these are in a line; the most precise formats alone."""
        earliest = [
            (judged, finding)
            for judged in self._judged
            if (finding := judged.first) is not None and finding.role == line and finding.case is not None
        ]
        for formats in PRECISE_FIRST:
            chosen = [pair for pair in earliest if pair[1].case is not None and pair[1].case.format in formats]
            if chosen:
                return chosen
        return []

    # -- one amendment

    def _one(self, line: str, failing: list[tuple[Witnessed, Finding]]) -> list[Adoption]:
        branches = {branch_at(finding, self.dialect) for _, finding in failing}
        for share in _SHARES:
            covered = self._covered(line, failing, share)
            for fitting in sorted(
                {frozenset(places) for places in covered.values()}, key=lambda places: (-len(places), sorted(places))
            ):
                alike = [candidate for candidate, places in covered.items() if places == fitting]
                limited = (part for entry in alike for part in _limited(entry, fitting, branches))
                standing = self._standing(alike, fitting, failing, share)
                standing = standing or self._standing(limited, fitting, failing, share)
                if standing:
                    ties = {(entry.switches, entry.uses, entry.defaults): entry for entry in reversed(standing)}
                    ties.pop((standing[0].switches, standing[0].uses, standing[0].defaults))
                    # An option used otherwise in a part of the branches may fit by chance where the rest stays unexplained.
                    whole = share == 1.0 and (bool(standing[0].switches) or fitting == branches)
                    return [Adoption(standing[0], tuple(reversed(ties.values())), line, whole)]
        return []

    def _covered(
        self, line: str, failing: list[tuple[Witnessed, Finding]], share: float
    ) -> dict[Amendment, set[Branch]]:
        """Map candidates to branches, by the share of fitting elements among those tried there."""
        covered: dict[Amendment, set[Branch]] = {}
        by_branch: dict[Branch, list[Finding]] = {}
        for _, finding in failing:
            by_branch.setdefault(branch_at(finding, self.dialect), []).append(finding)
        for branch, findings in by_branch.items():
            probes = spread(findings, _PROBES)
            for candidate in self._candidates(line, probes):
                if self._fits(probes, (candidate,), share):
                    covered.setdefault(candidate, set()).add(branch)
        return covered

    def _fits(self, probes: Sequence[Finding], amendments: tuple[Amendment, ...], share: float = 1.0) -> bool:
        """Whether amendments fit this share of the telling elements, if any tells."""
        answers: list[bool] = []
        for probe in probes:
            question = id(probe), amendments
            if question not in self._answers:
                self._answers[question] = fits(probe, self._earlier(amendments), amendments, self.policy, self.effort)
            answer = self._answers[question]
            answers += [] if answer is None else [answer]
            if answer is False and answers.count(False) > (1 - share) * len(probes):
                return False
        if not answers:
            # What fits since it excludes nothing explains nothing; of carried state, whole transcripts tell.
            return any(carried(probe) for probe in probes)
        return sum(answers) >= share * len(answers)

    def _candidates(self, line: str, findings: Sequence[Finding]) -> Iterator[Amendment]:
        offered: set[Amendment] = set()
        for finding in findings:
            case = finding.case
            assert case is not None
            momentum, centered, decay = branch_at(finding, self.dialect)
            setting = Setting(line, case.hyper, momentum, centered, decay, frozenset(case.seen), self.hidden_groups)
            for candidate in candidates(setting, self.dialect):
                if candidate not in offered:
                    offered.add(candidate)
                    yield candidate

    def _standing(
        self,
        offered: Iterable[Amendment],
        branches: frozenset[Branch],
        failing: list[tuple[Witnessed, Finding]],
        share: float,
    ) -> list[Amendment]:
        """Test candidates on these branches: return the first to stand, and others with as few changes."""
        standing: list[Amendment] = []
        for candidate in sorted(offered, key=_changes):
            if self.effort.spent or (standing and _changes(candidate) > _changes(standing[0])):
                break
            if self._stands((candidate,), branches, failing, share):
                standing.append(candidate)
        if len(standing) < 2:
            return standing
        # What explains more, in whatever line and branch, is nearer the truth.
        counts = [self._explained(candidate) for candidate in standing]
        standing = [candidate for candidate, count in zip(standing, counts, strict=True) if count == max(counts)]
        if len({entry.switches for entry in standing}) < 2:
            return standing
        # First findings may not part two switches: what is left of the later steps does.
        counts = [self._left(candidate) for candidate in standing]
        return [candidate for candidate, count in zip(standing, counts, strict=True) if count == min(counts)]

    def _explained(self, amendment: Amendment) -> int:
        """Count the first findings of transcripts, in all lines, explained by an amendment."""
        dialect = self._under((amendment,))
        deviating = [(judged.transcript, first) for judged in self._judged if (first := judged.first) is not None]
        return sum(
            all(finding.place != first.place for finding in self.judge(transcript, dialect, first.call))
            for transcript, first in spread(deviating, 2 * _TRIALS)
        )

    def _left(self, amendment: Amendment) -> int:
        """Count the findings of whole transcripts, in all lines, left unexplained by an amendment."""
        dialect = self._under((amendment,))
        deviating = [judged.transcript for judged in self._judged if judged.first is not None]
        return sum(len(self.judge(transcript, dialect, None)) for transcript in spread(deviating, 2 * _TRIALS))

    # -- two at once

    def _two(self, line: str, failing: list[tuple[Witnessed, Finding]]) -> list[Adoption]:
        probes = spread([finding for _, finding in failing], _PROBES)
        telling = [probe for probe in probes if fits(probe, self.dialect, (), self.policy, self.effort) is False]
        if not telling:
            return []
        every = list(self._candidates(line, probes))
        branches = frozenset(branch_at(finding, self.dialect) for _, finding in failing)
        for pair in pairs_by_simplicity(every):
            if self.effort.spent:
                return []
            if self._fits(telling, pair) and self._stands(pair, branches, failing, 1.0):
                return [Adoption(amendment) for amendment in pair]
        return []

    # -- on whole transcripts

    def _stands(
        self,
        amendments: tuple[Amendment, ...],
        branches: frozenset[Branch],
        failing: list[tuple[Witnessed, Finding]],
        share: float,
    ) -> bool:
        """Whether these amendments explain this share of the findings of these branches, and nothing deviates for it."""
        dialect = self._under(amendments)
        remaining = frozenset(branch_at(finding, self.dialect) for _, finding in failing) - branches
        concerned = [
            (judged, finding)
            for judged, finding in failing
            if finding.case is not None
            and (branch := branch_at(finding, self.dialect)) in branches
            and any(amendment.concerns(branch, finding.case.format) for amendment in amendments)
        ]
        findings = [finding for _, finding in spread(concerned, _SURE)]
        if not (_plainly_given(findings, amendments) and self._fits(findings, amendments, share)):
            return False
        tried, explained = spread(concerned, _TRIALS), 0
        reached = frozenset(line for amendment in amendments for line in reached_lines(amendment))
        for number, (judged, finding) in enumerate(tried, start=1):
            after = self.judge(judged.transcript, dialect, finding.call)
            if self._worse(judged, after, remaining, reached):
                return False
            explained += all(finding.place != deviating.place for deviating in after)
            if number - explained > (1 - share) * len(tried):
                return False
        # What has two limits fits a program or two by chance.
        limited = any(_changes(amendment)[1] > 1 for amendment in amendments)
        if explained < (_PROGRAMS if limited else min(_PROGRAMS, max(1, len(concerned)))):
            return False
        conforming = [judged for judged in self._judged if not judged.findings]
        deviating = [judged for judged in self._judged if judged.findings]
        return not any(
            self._worse(judged, self.judge(judged.transcript, dialect, judged.until), remaining, reached)
            for judged in (*spread(conforming, 2 * _TRIALS), *spread(deviating, _TRIALS))
        )

    def _worse(
        self,
        judged: Witnessed,
        after: tuple[Finding, ...],
        remaining: frozenset[Branch],
        reached: frozenset[str],
    ) -> bool:
        """Whether a value deviates newly, no later than the first finding of before.

        In the branches with a fault of their own, ``remaining``, a half may have conformed by coincidence. And a line below one
        that failed may have been blocked: it is not ``reached``, its formula is what it was.
        """
        first, known = judged.first, {finding.place for finding in judged.findings}
        failed = {(finding.call, finding.param) for finding in judged.findings}
        return any(
            finding.place not in known
            and (first is None or finding.call <= first.call)
            and not (finding.half and finding.case is not None and branch_at(finding, self.dialect) in remaining)
            and (finding.role in reached or (finding.call, finding.param) not in failed)
            for finding in after
        )


def _plainly_given(findings: Sequence[Finding], amendments: tuple[Amendment, ...]) -> bool:
    """Whether a finding is there with each option in question as it was given, not changed or loaded since.

    Where there is none, the change or the load is wrong, not the use of the option.
    """
    return all(
        any(finding.case is not None and finding.case.sources.get(option) not in _LATER for finding in findings)
        for amendment in amendments
        for option, _ in amendment.uses
    )


def _changes(amendment: Amendment) -> tuple[int, int]:
    """How much an amendment changes: the numbers of its changes, and of its limits."""
    changes = len(amendment.switches) + len(amendment.uses) + len(amendment.defaults)
    return changes, len(amendment.branch) + bool(amendment.lines)


def _limited(candidate: Amendment, fitting: frozenset[Branch], failing: set[Branch]) -> Iterator[Amendment]:
    """Limit a candidate to fitting branches: by one condition, or else by two."""
    for count in (1, 2):
        for places in combinations(range(len(BRANCHES)), count):
            for values in {tuple(branch[place] for place in places) for branch in fitting}:
                inside = {branch for branch in failing if tuple(branch[place] for place in places) == values}
                if inside and inside <= fitting:
                    literals = tuple(
                        sorted((BRANCHES[place], value) for place, value in zip(places, values, strict=True))
                    )
                    yield replace(candidate, branch=literals)
