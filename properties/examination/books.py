"""The books of an examination: counts, times, and how far the search came; the result is made of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.host.evidence import counter_titles, required_paths
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program
from rmspec.properties.events import Deviation, Evidence, OtherDialect, PathEvidence, SubjectResult
from rmspec.properties.examination.accuracies import Accuracies, operation_evidence
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.plan import Plan
from rmspec.properties.examination.triage import Place
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import Run
from rmspec.properties.judge.runner import run as judge_run
from rmspec.properties.search.fitting import admit
from rmspec.properties.settings import paths_left_out
from rmspec.properties.trajectory import Trajectory, trajectory
from rmspec.properties.verdicts import ClauseVerdicts, Spoils, inconclusive_reasons, subject_verdict, unjudged

__all__ = ["Books"]

_PAUSE = 0.5
"""The least seconds between two interim results."""

_SHARE = 50
"""An interim result is made when so many times as long has passed as the last one took."""


_CUT_PROGRAMS = 20
"""So many programs that ended early with findings of one clause are kept."""

_NOTHING: Spoils = MappingProxyType({})


class Books:
    """The books of one examination: its ``tally``, its ``fingerprint``, and in ``search`` why the search ended early.

    ``speaks`` is the other dialect spoken by the subject throughout, if there is one; ``left_out`` the number of programs that are
    not asked of its path. ``accuracies`` are the measured ones of its elementary operations.
    """

    def __init__(self, examinee: Examinee, accuracies: Accuracies | None = None) -> None:
        self.tally = Tally()
        self.fingerprint = ""
        self.search = ""
        self.speaks: OtherDialect | None = None
        self.left_out = 0
        self._cut: dict[str, list[Program]] = {}
        self._examinee = examinee
        self._accuracies = accuracies or {}
        self._plain = examinee.dialect
        self._start = time.monotonic()
        self._seconds: dict[Place, float] = {}
        self._due = self._start + _PAUSE

    @property
    def spent(self) -> bool:
        """Whether the time budget is used up."""
        budget = self._examinee.settings.time_budget
        return budget is not None and self.elapsed() > budget

    def elapsed(self) -> float:
        """The seconds since the books were opened."""
        return time.monotonic() - self._start

    def share(self, plan: Plan, count: int) -> float:
        """The share of the check already done after so many programs; of its time, if it is used up first."""
        budget = self._examinee.settings.time_budget
        spent = 0.0 if budget is None else self.elapsed() / budget
        return min(spent if plan.endless else max(spent, count / plan.total), 1.0)

    def recount(self, examinee: Examinee, tally: Tally) -> None:
        """Count by another specification from here on; ``tally`` has the programs of before, judged again."""
        self._examinee, self.tally = examinee, tally

    def first_seconds(self, matches: Callable[[Place], bool]) -> float:
        """After how many seconds the first of these places was found; of all places, if none of them was."""
        chosen = [seconds for place, seconds in self._seconds.items() if matches(place)]
        return min(chosen or self._seconds.values(), default=0.0)

    def stamp(self, place: Place, deviation: Deviation, seconds: float) -> Deviation:
        """Note after how many seconds a deviation was found first."""
        self._seconds[place] = seconds
        return replace(deviation, seconds_to_first=seconds)

    def note_end(self, program: Program, run: Run) -> None:
        """Note a program with findings and a run short of its last call."""
        if run.findings and run.calls < len(program.calls):
            programs = self._cut.setdefault(run.findings[-1].clause, [])
            if len(programs) < _CUT_PROGRAMS:
                programs.append(program)

    def _left_out(self) -> dict[str, frozenset[str]]:
        """List the clauses checked on the reference in the whole of programs cut short, by the clause at fault."""
        dialect, policy = self._examinee.dialect, self._examinee.settings.policy
        reference = ReferenceSubject(dialect)
        left_out: dict[str, frozenset[str]] = {}
        for clause, programs in self._cut.items():
            tally = Tally()
            for program in programs:
                admitted = admit(program, reference.capabilities())
                if admitted is not None:
                    judge_run(admitted, reference, dialect, policy=policy, tally=tally)
            left_out[clause] = frozenset(name for name, count in tally.checks.items() if count)
        return left_out

    def interim(self, deviations: Mapping[Place, Deviation]) -> SubjectResult | None:
        """The interim result; ``None`` while none is due."""
        before = time.monotonic()
        if before <= self._due:
            return None
        result = self.result(deviations)
        now = time.monotonic()
        self._due = now + max(_PAUSE, _SHARE * (now - before))
        return result

    def result(
        self,
        deviations: Mapping[Place, Deviation],
        stale: tuple[str, ...] = (),
        spoils: Spoils = _NOTHING,
        *,
        final: bool = False,
        elsewhere: tuple[str, ...] = (),
    ) -> SubjectResult:
        """The result with these deviations and hazards, and these ``stale`` entries of known lists.

        Those of ``elsewhere`` do not apply here; ``spoils`` are the cells spoiled by deviations.
        A ``final`` result says of clauses never reached what hides them.
        """
        examinee, tally = self._examinee, self.tally
        stamped = {
            place: replace(deviation, seconds_to_first=self._seconds.get(place, 0.0))
            for place, deviation in deviations.items()
        }
        broken = tuple(deviation for (_, kind), deviation in stamped.items() if kind != "hazard")
        hazards = tuple(deviation for (_, kind), deviation in stamped.items() if kind == "hazard")
        policy = examinee.settings.policy
        cut = self._left_out() if final and any(not tally.checks.get(id) for id in CLAUSES) else {}
        untaken = self._untaken() if final else ""
        verdicts = ClauseVerdicts(
            examinee.capabilities, examinee.dialect, policy, tally, self.search, spoils, cut, self._plain, untaken
        )
        unverified = untaken or unjudged(tally)
        verdict = subject_verdict(broken, unverified)
        return SubjectResult(
            name=examinee.subject.name,
            verdict=verdict,
            message=unverified if verdict == "inconclusive" else untaken,
            dialect=examinee.dialect.name,
            policy=policy.name,
            framework=examinee.subject.framework,
            seconds=self.elapsed(),
            programs=tally.programs,
            steps=tally.steps,
            element_checks=tally.element_checks,
            inconclusive_checks=tally.inconclusive_checks,
            inconclusive_reasons=inconclusive_reasons(tally),
            clauses=tuple(verdicts.of(id, broken) for id in CLAUSES),
            deviations=broken,
            hazards=hazards,
            formats=examinee.capabilities.formats,
            state_visible=tuple(sorted(examinee.capabilities.roles)),
            versions=examinee.subject.versions(),
            stale=stale,
            fingerprint=self.fingerprint,
            search=self.search,
            envelope_use=dict(tally.use),
            trajectory=self._trajectory,
            speaks=self.speaks,
            devices=tuple(sorted(examinee.devices)),
            elsewhere=elsewhere,
            evidence=self._evidence(),
            other_paths=paths_left_out(examinee.subject.name, examinee.capabilities.switches, examinee.settings),
        )

    def _evidence(self) -> Evidence | None:
        subject, tally = self._examinee.subject, self.tally
        required, titles = required_paths(subject.name), counter_titles(subject.framework)
        paths = {
            path: PathEvidence(tally.paths.get(path, 0), tally.entries.get(path, 0), title, path in required)
            for path, title in titles.items()
            if path in required or path in tally.paths
        }
        operations = operation_evidence(self._examinee.settings.policy, self._accuracies, self._examinee)
        if not paths and not tally.astray and not operations:
            return None
        return Evidence(paths, tally.astray, self.left_out, operations)

    def _untaken(self) -> str:
        """Say it if no step took the path under test."""
        tally = self.tally
        missing = [path for path in required_paths(self._examinee.subject.name) if not tally.paths.get(path)]
        if missing:
            return f"no step took the path {' or '.join(missing)}: its framework counted none"
        return "every step left the path under test" if tally.astray and not tally.steps else ""

    @cached_property
    def _trajectory(self) -> Trajectory | None:
        if self._examinee.compiles:
            return None  # one more variant, for a figure
        return trajectory(self._examinee.subject, self._examinee.capabilities)
