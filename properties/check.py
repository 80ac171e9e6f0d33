"""The check of one subject: corpus first, then search; each deviation reduced, attributed, and looked up among the known.

``examine`` yields events as things happen and ends with ``SubjectFinished``; ``check`` is the function for programs that
want the result alone.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Literal

from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.clauses import CLAUSES, UNNAMED
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import CALL_TIMEOUT, Capabilities, Subject
from rmspec.properties.counterexamples.attribution import attribute, flushed, hypotheses
from rmspec.properties.counterexamples.baselines import CUT, Baselines
from rmspec.properties.counterexamples.described import described, recognized
from rmspec.properties.counterexamples.reduction import alone_with, plain_numbers, reduce, stored_values
from rmspec.properties.events import (
    Deviation,
    DeviationFound,
    Event,
    Progress,
    Standing,
    SubjectFinished,
    SubjectResult,
    SubjectStarted,
)
from rmspec.properties.judge.differential import programs as differential
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.runner import run
from rmspec.properties.known import Known, applies, expired, matches, placed, shipped
from rmspec.properties.search.corpus import corpus, ordered
from rmspec.properties.search.fitting import admit, restrict
from rmspec.properties.settings import PROFILES, KnownLists, Settings, check_subject, load_subject, make_settings
from rmspec.properties.trajectory import Trajectory, trajectory
from rmspec.properties.verdicts import ClauseVerdicts, inconclusive_reasons, subject_verdict

__all__ = ["check", "examine", "generated", "replay", "trial"]


def check(
    subject: str | Subject,
    *,
    profile: Literal["smoke", "ci", "deep"] = "ci",
    seed: int = 0,
    time_budget: float | None = None,
    dialect: str | None = None,
    device: str = "cpu",
    formats: Iterable[str] = (),
    without: Iterable[str] = (),
    fail_fast: bool = False,
    known: KnownLists = (),
    no_known: bool = False,
    baseline: str | None = None,
    policy: str | Policy = STRICT,
    framework: str | None = None,
    call_timeout: float = CALL_TIMEOUT,
    programs: Collection[Program] | None = None,
) -> SubjectResult:
    """Check one subject, by name or as an object with the ``Subject`` protocol, and return the verdict with its evidence.

    The arguments are the options of ``rmspec check``, ``formats`` being those of ``--dtype``: ``known`` takes a file, a
    ``Known``, or several of either, beside the shipped list; ``programs`` are run in place of the generated ones. Runs in
    this process, where ``call_timeout`` ends the calls of subjects that have a process of their own.

    Raises ``BadOption`` for an argument that cannot be used, with the closest value that can, the errors of
    ``rmspec.oracles.load``, ``BadKnownList``, and ``SubjectFailed`` where the subject cannot be driven; all of them are
    ``RmspecError``.
    """
    check_subject(subject, call="check")
    settings = make_settings(
        (subject,) if isinstance(subject, str) else (),
        profile=profile,
        seed=seed,
        time_budget=time_budget,
        dialect=dialect,
        device=device,
        formats=formats,
        without=without,
        fail_fast=fail_fast,
        known=known,
        no_known=no_known,
        baseline=baseline,
        policy=policy,
        framework=framework,
        call_timeout=call_timeout,
        programs=programs,
    )
    for event in examine(load_subject(subject, settings), settings):
        if isinstance(event, SubjectFinished):
            return event.result
    raise AssertionError("examine ends with SubjectFinished")


def generated(settings: Settings) -> tuple[Program, ...]:
    """The state machine's programs for these settings: a pure function of profile, seed and versions."""
    from rmspec.properties.search.machine import generate

    return generate(settings.seed, PROFILES[settings.profile].programs)


def replay(subject: Subject, program: Program, settings: Settings) -> tuple[Deviation, ...]:
    """The deviations and hazards that one program shows on a subject, cut down further where the subject lets them."""
    return trial(subject, program, settings)[0]


def trial(subject: Subject, program: Program, settings: Settings) -> tuple[tuple[Deviation, ...], bool]:
    """What ``replay`` gives, and whether the program makes any check of the clause that it names, on this subject."""
    examination = _Examination(subject, settings)
    found = tuple(examination.examined(program))
    checks = examination.tally.checks
    clause = CLAUSES.get(program.clause, UNNAMED).counted_by or program.clause
    return found, bool(checks.get(clause) if clause else checks)


def examine(subject: Subject, settings: Settings) -> Iterator[Event]:
    """Check one subject and yield what happens; the last event is ``SubjectFinished``."""
    return _Examination(subject, settings).events()


def _explained(now: tuple[str, ...], then: tuple[str, ...]) -> bool:
    return not then or bool(set(now) & set(then))


_TOLD = 0.5  # seconds between two tellings of how things stand, or more:
_TELLING = 50  # times what a telling takes
_LOOKS = 8


def _both(labels: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if label in others)


class _Examination:
    def __init__(self, subject: Subject, settings: Settings) -> None:
        self.subject = subject
        self.settings = settings
        self.capabilities: Capabilities = restrict(subject.capabilities(), settings.formats, settings.without)
        self.dialect: Dialect = dialect_named(settings.dialect or subject.dialect)
        self.tally = Tally()
        self.found: dict[tuple[str, str], Deviation] = {}
        self._keys: dict[object, tuple[str, str]] = {}
        self._reductions: dict[object, int] = {}
        self._looks: dict[object, int] = {}
        self._start = time.monotonic()
        self._planned = 1
        self._fingerprint = ""
        self._search = ""
        self._listing: dict[str, tuple[Known, ...]] = {}
        named = (settings.baseline,) if settings.baseline is not None else subject.baselines
        loaded = [
            load(name, device=settings.device, call_timeout=settings.call_timeout)
            for name in named
            if name not in ("none", subject.name)
        ]
        roles = self.capabilities.roles
        self._baselines = Baselines(loaded, subject, roles, self.dialect, settings.policy)

    # -- the sequence of things

    def events(self) -> Iterator[Event]:
        yield SubjectStarted(
            self.subject.name,
            self.subject.framework,
            self.dialect.name,
            self.capabilities.formats,
            self.subject.versions(),
            "",
        )
        stopped = False
        count = 0
        told = time.monotonic() + _TOLD
        if self.capabilities.formats:
            for phase, planned, programs in self._phases():
                for done, program in enumerate(programs):
                    if self._spent():
                        self._search = f"stopped by the time budget in the {phase}"
                        stopped = True
                        break
                    yield Progress(self.subject.name, phase, done, planned, self._share(count))
                    count += 1
                    if time.monotonic() > told:
                        before = time.monotonic()
                        yield Standing(self._result(()))
                        told = time.monotonic() + max(_TOLD, _TELLING * (time.monotonic() - before))
                    for deviation in self.examined(program):
                        yield DeviationFound(self.subject.name, deviation)
                        if self.settings.fail_fast and deviation.known is None and not deviation.hazard:
                            stopped = True
                            self._search = f"stopped at the first deviation in the {phase}"
                            break
                    if stopped:
                        break
                if stopped:
                    break
        yield from self._expired()
        stale = self._stale()
        yield SubjectFinished(self._result(stale))

    def _spent(self) -> bool:
        budget = self.settings.time_budget
        return budget is not None and time.monotonic() - self._start > budget

    def _share(self, count: int) -> float:
        """The share of the check already done after so many programs; of its time, if it is used up first."""
        budget = self.settings.time_budget
        spent = 0.0 if budget is None else (time.monotonic() - self._start) / budget
        endless = budget is not None and PROFILES[self.settings.profile].endless
        return min(spent if endless else max(spent, count / self._planned), 1.0)

    def _phases(self) -> Iterator[tuple[str, int | None, Iterator[Program]]]:
        from rmspec.properties.search.sweeps import sweep

        profile = PROFILES[self.settings.profile]
        seed = self.settings.seed
        stored = ordered(corpus(), self.capabilities.formats, every=profile.every)
        pairs = tuple(differential(self.capabilities.formats))
        machine_size = profile.programs if self.settings.programs is None else len(self.settings.programs)
        self._planned = len(stored) + len(pairs) + machine_size + profile.sweeps
        yield "corpus", len(stored), iter(stored)
        yield "differential", len(pairs), iter(pairs)
        machine = self.settings.programs
        if machine is None:
            machine = generated(self.settings)
        from rmspec.properties.search.machine import fingerprint

        self._fingerprint = fingerprint(machine[:20])
        yield "state machine", len(machine), iter(machine)
        endless = profile.endless and self.settings.time_budget is not None

        def sweeps() -> Iterator[Program]:
            index = 0
            while endless or index < profile.sweeps:
                yield sweep(seed, index, wide=profile.wide if index % 2 else 0)
                index += 1

        yield "sweep", None if endless else profile.sweeps, sweeps()

    # -- one program

    def examined(self, program: Program) -> Iterator[Deviation]:
        """Run one program, as far as the subject can be asked it, and yield what is new in it."""
        admitted = admit(program, self.capabilities)
        if admitted is None:
            return
        outcome = run(admitted, self.subject, self.dialect, policy=self.settings.policy, tally=self.tally)
        for finding in outcome.findings:
            # What a program of a differential clause shows besides is no matter of that clause.
            differential = CLAUSES[finding.clause].kind == "differential"
            meant = admitted if differential else replace(admitted, clause="")
            deviation = self._consider(meant, finding, outcome.findings)
            if deviation is not None:
                yield deviation

    def _attributed(self, program: Program, finding: Finding, labels: tuple[str, ...]) -> str:
        def still(candidate: Program) -> bool:
            done = run(candidate, self.subject, self.dialect, policy=self.settings.policy)
            return any(each.key == finding.key for each in done.findings)

        return attribute(finding, program, self.dialect, still, labels=labels)

    def _consider(self, program: Program, finding: Finding, others: tuple[Finding, ...]) -> Deviation | None:
        # A subject that is wrong everywhere shows the same thing in every program: a few looks are enough.
        if CLAUSES[finding.clause].kind == "differential" and self._explained_already():
            return None
        small = flushed(finding, self.dialect)
        own = (finding.key, finding.half, small, "")
        if self._looks.get(own, 0) >= _LOOKS:
            return None
        inherited = "" if finding.hazard else self._baselines.inherits(program, finding)
        sight = (finding.key, finding.half, small, inherited)
        self._looks[sight] = self._looks.get(sight, 0) + 1
        if self._looks[sight] > _LOOKS:
            return None
        listed = None if inherited else self._listed(program, finding, small)
        if listed is not None:
            first = listed not in self.found or self.found[listed].occurrences == 0
            self._again(listed)
            return self.found[listed] if first else None
        labels = self._labels(program, finding, others)
        key = (finding.key, labels[:1], inherited, finding.half, small)
        if key in self._keys:
            self._again(self._keys[key])
            return None
        family = (finding.kind, finding.role, finding.hazard, inherited, finding.half, small)
        if self._reductions.get(family, 0) >= 4:
            return None
        self._reductions[family] = self._reductions.get(family, 0) + 1
        elapsed = time.monotonic() - self._start
        if CLAUSES[finding.clause].kind == "differential":
            # Made for this clause, and short: what is taken out of it would leave the clause without its conditions.
            reduced, shown, clause = program, finding, finding.clause
        else:
            reduced, shown, clause = self._reduced(program, finding, labels, inherited)
        if inherited == CUT:
            inherited = self._baselines.inherits(reduced, shown).removeprefix(CUT)
        deviation = self._deviation(reduced, shown, clause, inherited, elapsed)
        index = (clause, "hazard" if finding.hazard else deviation.known or "own")
        self._keys[key] = index
        if index in self.found:
            self._again(index)
            return None
        self.found[index] = deviation
        return deviation

    def _explained_already(self) -> bool:
        """Whether a value has deviated by a clause of the dialect itself: its relation to others is then broken as well."""
        return any(
            each.known is None
            and each.kind == "value"
            and not each.hazard
            and CLAUSES[each.clause].kind != "differential"
            for each in self.found.values()
        )

    def _listed(self, program: Program, finding: Finding, small: bool) -> tuple[str, str] | None:
        """The place in ``found`` of a finding whose clause is decided as it is made, where the list knows it.

        The witness of the list shows it with the shortest program: there is nothing to reduce. A value is decided where
        it is what is left when subnormal numbers become 0 (``small``).
        """
        if finding.kind == "raised" or (finding.kind == "value" and not small) or finding.hazard:
            return None
        clause = "subnormals" if small else finding.clause
        whole = self._deviation(program, finding, clause, "", 0.0)
        entry = next((entry for entry in self._entries() if matches(entry, whole)), None)
        if entry is None or entry.witness is None or set(entry.when) & {"options", "formats"}:
            return None
        index = (clause, entry.id)
        if index not in self.found:
            witness = self._admitted_witness(entry)
            if witness is None or not self._witnessed(entry, witness):
                return None
            elapsed = time.monotonic() - self._start
            self.found[index] = replace(self.found[index], occurrences=0, seconds_to_first=elapsed)
        return index

    def _admitted_witness(self, entry: Known) -> Program | None:
        """The witness of an entry, where this subject can be asked it as it is."""
        if entry.witness is None or not {param.dtype for param in entry.witness.params} <= set(
            self.capabilities.formats
        ):
            return None
        admitted = admit(entry.witness, self.capabilities)
        return admitted if admitted is not None and admitted.calls == entry.witness.calls else None

    def _labels(self, program: Program, finding: Finding, others: tuple[Finding, ...]) -> tuple[str, ...]:
        """The hypotheses that hold for a finding, for the others of its kind in the run, and on other numbers."""
        labels = hypotheses(finding, program, self.dialect)
        kin = [each for each in others if each.key == finding.key and each is not finding][:3]
        for each in kin:
            labels = _both(labels, hypotheses(each, program, self.dialect))
        for turn in (1, 2, 3):
            if not labels:
                break
            other = plain_numbers(program, turn)
            for each in run(other, self.subject, self.dialect, policy=self.settings.policy).findings:
                if each.key == finding.key and each.call == finding.call:
                    labels = _both(labels, hypotheses(each, other, self.dialect))
        if "isolation" in labels:
            # An option of another optimizer may have the value that fits by chance.
            alone = alone_with(program, finding.optimizer)
            done = run(alone, self.subject, self.dialect, policy=self.settings.policy)
            if alone != program and any(each.key == finding.key for each in done.findings):
                labels = tuple(label for label in labels if label != "isolation")
        return labels

    def _again(self, index: tuple[str, str]) -> None:
        held = self.found[index]
        self.found[index] = replace(held, occurrences=held.occurrences + 1)

    def _reduced(
        self, program: Program, finding: Finding, labels: tuple[str, ...], inherited: str
    ) -> tuple[Program, Finding, str]:
        def shows(candidate: Program, *, strict: bool = True) -> Finding | None:
            if not {param.dtype for param in candidate.params} <= set(self.capabilities.formats):
                return None
            for each in run(candidate, self.subject, self.dialect, policy=self.settings.policy).findings:
                if each.key != finding.key:
                    continue
                if not finding.hazard and inherited != CUT and self._baselines.inherits(candidate, each) != inherited:
                    continue
                # What explained it before must still explain it.
                if strict and not _explained(hypotheses(each, candidate, self.dialect), labels):
                    continue
                return each
            return None

        reduced, shown = reduce(program, finding, shows, attempts=250 if finding.hazard else 700)
        plain = stored_values(reduced)
        again = shows(plain)
        if again is not None:
            reduced, shown = plain, again
        # What several causes had made together, one may make alone.
        labels = labels or self._labels(reduced, shown, ())
        clause = attribute(
            shown, reduced, self.dialect, lambda candidate: shows(candidate, strict=False) is not None, labels=labels
        )
        return reduced, shown, clause

    def _deviation(self, program: Program, finding: Finding, clause: str, inherited: str, elapsed: float) -> Deviation:
        stored = replace(
            program,
            note="",
            bug_classes=(),
            subject=self.subject.name,
            framework=self.settings.framework or "",
            dialect=self.dialect.name,
            policy=self.settings.policy.name,
            device="" if self.settings.device == "cpu" else self.settings.device,
        )
        deviation = described(
            finding,
            stored,
            clause,
            call=finding.call,
            optimizer=finding.optimizer,
            framework=self.subject.framework,
            state_names=self.subject.state_names(),
            elapsed=elapsed,
        )
        if inherited:
            return replace(deviation, known=f"inherited:{inherited}", reason="the baseline does the same")
        # What depends on the last bit may show on the baseline in another program than here.
        habits = (
            (baseline.name, entry)
            for baseline in self._baselines.all
            for entry in self._entries(baseline)
            if entry.inheritable
        )
        return recognized(deviation, self._entries(), habits)

    # -- known deviations

    def _entries(self, subject: Subject | None = None) -> tuple[Known, ...]:
        subject = self.subject if subject is None else subject
        if subject.name not in self._listing:
            versions = subject.versions()
            self._listing[subject.name] = tuple(
                placed(entry, versions)
                for entry in self._all_entries()
                if not expired(entry) and applies(entry, subject.name, versions)
            )
        return self._listing[subject.name]

    def _expired_entries(self) -> tuple[Known, ...]:
        versions = self.subject.versions()
        return tuple(
            entry for entry in self._all_entries() if expired(entry) and applies(entry, self.subject.name, versions)
        )

    def _all_entries(self) -> tuple[Known, ...]:
        return shipped() if self.settings.known is None else self.settings.known

    def _expired(self) -> Iterator[Event]:
        """What the witnesses of expired entries show, as the new deviations that they are again."""
        for entry in self._expired_entries():
            witness = None if entry.matches_no_clause else self._admitted_witness(entry)
            found = None if witness is None else self._shown(entry, witness)
            if found is not None and (found.clause, found.known or "own") not in self.found:
                self.found[found.clause, found.known or "own"] = found
                yield DeviationFound(self.subject.name, found)

    def _stale(self) -> tuple[str, ...]:
        """Entries that apply to this subject and no longer hold, each with the reason."""
        stale = [
            f"{entry.id}: it expired on {entry.expires}, and no longer counts" for entry in self._expired_entries()
        ]
        for entry in self._entries():
            if entry.matches_no_clause:
                near = difflib.get_close_matches(entry.clause, CLAUSES, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                stale.append(f"{entry.id}: there is no clause {entry.clause!r}{meant}")
                continue
            if entry.witness is None:
                if not entry.untested and not any(deviation.known == entry.id for deviation in self.found.values()):
                    stale.append(f"{entry.id}: nothing that was found matches it, and it has no witness")
                continue
            admitted = self._admitted_witness(entry)
            if admitted is not None and not self._witnessed(entry, admitted) and not entry.untested:
                stale.append(f"{entry.id}: its witness no longer deviates")
        return tuple(stale)

    def _witnessed(self, entry: Known, program: Program) -> bool:
        deviation = self._shown(entry, program)
        if deviation is None:
            return False
        # Found by the search or not: what is known is named, with its witness.
        self.found.setdefault((deviation.clause, entry.id), replace(deviation, known=entry.id, reason=entry.reason))
        return True

    def _shown(self, entry: Known, program: Program) -> Deviation | None:
        """The deviation that a program shows and an entry names."""
        for finding in run(program, self.subject, self.dialect, policy=self.settings.policy).findings:
            if finding.hazard:
                continue
            clause = self._attributed(program, finding, hypotheses(finding, program, self.dialect))
            deviation = self._deviation(program, finding, clause, "", 0.0)
            if matches(entry, deviation):
                return deviation
        return None

    # -- the result

    def _result(self, stale: tuple[str, ...]) -> SubjectResult:
        deviations = tuple(each for (_, kind), each in self.found.items() if kind != "hazard")
        hazards = tuple(each for (_, kind), each in self.found.items() if kind == "hazard")
        tally = self.tally
        verdicts = ClauseVerdicts(self.capabilities, self.dialect, self.settings.policy, tally, self._search)
        return SubjectResult(
            name=self.subject.name,
            verdict=subject_verdict(deviations, tally),
            dialect=self.dialect.name,
            policy=self.settings.policy.name,
            framework=self.subject.framework,
            seconds=time.monotonic() - self._start,
            programs=tally.programs,
            steps=tally.steps,
            element_checks=tally.element_checks,
            inconclusive_checks=tally.inconclusive_checks,
            inconclusive_reasons=inconclusive_reasons(tally),
            clauses=tuple(verdicts.of(id, deviations) for id in CLAUSES),
            deviations=deviations,
            hazards=hazards,
            formats=self.capabilities.formats,
            state_visible=tuple(sorted(self.capabilities.roles)),
            versions=self.subject.versions(),
            stale=stale,
            fingerprint=self._fingerprint,
            search=self._search,
            envelope_use=dict(tally.use),
            trajectory=self._trajectory,
        )

    @cached_property
    def _trajectory(self) -> Trajectory | None:
        return trajectory(self.subject, self.capabilities)
