"""The examination: the programs of the plan, one after the other, through judge and triage into the books."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from rmspec.impl.arithmetic.amendments import general_switches
from rmspec.impl.spec.switches import SWITCHES
from rmspec.oracles.host.host import Host
from rmspec.oracles.host.perform import Driven, Transcript
from rmspec.oracles.names import parse_name
from rmspec.oracles.program.program import Program
from rmspec.properties.counterexamples.baselines import Baselines
from rmspec.properties.events import (
    Deviation,
    DeviationFound,
    DeviationPending,
    DialectFound,
    Event,
    OtherDialect,
    Progress,
    Standing,
    SubjectFinished,
    SubjectResult,
    SubjectStarted,
)
from rmspec.properties.examination.accuracies import fitted_policy, measure_operations
from rmspec.properties.examination.books import Books
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.layers import Examined, Layers
from rmspec.properties.examination.plan import Plan
from rmspec.properties.examination.starts import judge_first_steps
from rmspec.properties.examination.triage import Place, Triage
from rmspec.properties.identify.neighbours import named_after
from rmspec.properties.opening import open_named
from rmspec.properties.search.fitting import admit, admit_whole
from rmspec.properties.settings import PROFILES, Settings

__all__ = ["Examination"]

_SLOW = 5.0
"""Seconds of the first step: a step of eight times as many elements would come near the time of a call."""


class Examination:
    """The examination of one subject."""

    def __init__(self, subject: Driven, settings: Settings, *, formats: Collection[str] | None = None) -> None:
        """Measure the subject's elementary operations, in all formats or in these."""
        self.examinee = Examinee.of(subject, settings)
        self._measurement = measure_operations(self.examinee, formats)
        accuracies = self._measurement.accuracies
        settings = replace(settings, policy=fitted_policy(settings.policy, accuracies, self.examinee))
        self.settings, self.examinee = settings, replace(self.examinee, settings=settings)
        self.books = Books(self.examinee, accuracies)
        names = (settings.baseline,) if settings.baseline is not None else subject.baselines
        self._baselines = [open_named(name, settings) for name in names if name not in ("none", subject.name)]
        roles = self.examinee.capabilities.roles
        baselines = Baselines(self._baselines, subject, roles, self.examinee.dialect, settings.policy)
        self.triage = Triage(self.examinee, baselines)
        self._record: list[Examined] = []
        self._lasting: Examined | None = None

    def close(self) -> None:
        """End the processes of the baselines."""
        for baseline in self._baselines:
            baseline.close()

    def events(self, *, interim: bool = False) -> Iterator[Event]:
        """Carry out the plan; the last event is ``SubjectFinished``. With ``interim`` results now and then."""
        subject, capabilities = self.examinee.subject, self.examinee.capabilities
        yield SubjectStarted(
            subject.name,
            subject.framework,
            self.examinee.dialect.name,
            capabilities.formats,
            subject.versions(),
            "",
        )
        if "operations" not in capabilities.missing:
            for transcript in self._measurement.transcripts:
                for deviation in self._judged(transcript):
                    yield DeviationFound(subject.name, deviation)
                    if self.settings.fail_fast and deviation.known is None:
                        self.books.search = "stopped at the first deviation in the operations"
        if capabilities.formats and not self.books.search:
            yield from self._first_steps()
        if capabilities.formats and not self.books.search:
            yield from self._search(interim)
        if not (self.settings.fail_fast and self.books.search):
            yield from self._lasting_ones()
        if not self.settings.fail_fast:
            deviations = list(self._peeled())
            if self.books.speaks is not None:
                yield DialectFound(subject.name, self.books.speaks)
            for deviation in deviations:
                yield DeviationFound(subject.name, deviation)
        for place in self.triage.expired():
            yield DeviationFound(subject.name, self.triage.deviations[place])
        stale = self.triage.stale()
        yield SubjectFinished(self.result(stale))

    def _first_steps(self) -> Iterator[Event]:
        """Judge the first steps of the subject's processes; a lasting deviation is taken up after those of the search."""
        subject = self.examinee.subject
        if not isinstance(subject, Host) or subject.beginning is None:
            return
        program = subject.beginning.program
        if admit_whole(program, self.examinee.capabilities) is None:
            return
        tally, diagnosis = self.books.tally, self.triage.diagnosis
        starts = PROFILES[self.settings.profile].starts
        once, lasting = judge_first_steps(subject, self.examinee, diagnosis, tally, starts, lambda: self.books.spent)
        self._lasting = Examined(program, lasting, None)
        yield from self._reported(self.triage.keep_sighting(deviation) for deviation in once)

    def _lasting_ones(self) -> Iterator[Event]:
        """Take up the lasting deviations of the first step, after those of shorter programs."""
        if self._lasting is not None:
            self._record.append(self._lasting)
            yield from self._reported(self.triage.take_up(self._lasting.program, self._lasting.findings))

    def _reported(self, places: Iterable[Place]) -> Iterator[Event]:
        """Report the deviations at these places, and stop the search at the first one with ``--fail-fast``."""
        name = self.examinee.subject.name
        for place in places:
            deviation = self.books.stamp(place, self.triage.deviations[place], self.books.elapsed())
            if not self.settings.fail_fast and deviation.kind == "value" and not deviation.hazard:
                yield DeviationPending(name, deviation)
            else:
                yield DeviationFound(name, deviation)
            if self.settings.fail_fast and deviation.known is None and not deviation.hazard:
                self.books.search = "stopped at the first deviation in the first step"
                return

    def _plan(self, settings: Settings) -> Plan:
        partly = bool(parse_name(self.examinee.subject.name).path)
        subject = self.examinee.subject
        large = subject.framework != "process" and not (
            isinstance(subject, Host) and (subject.texts or (subject.began or 0.0) > _SLOW)
        )
        return Plan(self.examinee.capabilities, settings, compiles=self.examinee.compiles, partly=partly, large=large)

    def _search(self, interim: bool) -> Iterator[Event]:
        name, settings = self.examinee.subject.name, self.examinee.settings
        plan, count = self._plan(settings), 0
        self.books.left_out = plan.left_out
        for phase in plan.phases():
            self.books.fingerprint = phase.fingerprint or self.books.fingerprint
            for done, program in enumerate(phase.programs):
                if self.books.spent:
                    self.books.search = f"stopped by the time budget in the {phase.name}"
                    return
                yield Progress(name, phase.name, done, phase.planned, self.books.share(plan, count))
                count += 1
                standing = self.books.interim(self.triage.deviations) if interim else None
                if standing is not None:
                    yield Standing(standing)
                for deviation in self.examined(program, keep=phase.keep):
                    if not settings.fail_fast and deviation.kind == "value" and not deviation.hazard:
                        # What value deviates is known now; why, once all programs have been looked at together.
                        yield DeviationPending(name, deviation)
                    else:
                        yield DeviationFound(name, deviation)
                    if settings.fail_fast and deviation.known is None and not deviation.hazard:
                        self.books.search = f"stopped at the first deviation in the {phase.name}"
                        return

    def examined(self, program: Program, *, keep: bool = True) -> Iterator[Deviation]:
        """Run one program, if the subject can be asked it, and yield its new deviations and hazards.

        ``keep`` its transcript, to be judged again; without it the program is performed again.
        """
        admitted = admit(program, self.examinee.capabilities)
        if admitted is None:
            return
        yield from self._judged(self.examinee.perform(admitted), keep=keep)

    def _judged(self, transcript: Transcript, *, keep: bool = True) -> Iterator[Deviation]:
        admitted = transcript.program
        run = self.examinee.judge(transcript, self.books.tally)
        findings = run.findings
        self.books.note_end(admitted, run)
        self._record.append(Examined(admitted, findings, transcript if keep else None))
        seconds = self.books.elapsed()
        for place in self.triage.take_up(admitted, findings):
            yield self.books.stamp(place, self.triage.deviations[place], seconds)

    def _peeled(self) -> Iterator[Deviation]:
        """Explain the deviations of values, judge again, and yield all of them."""
        layers = Layers(self.examinee, self.triage, self._record, self.books)
        plain = self.examinee
        self.triage, self.examinee = layers.judged_again()
        self.books.speaks = _spoken(plain, self.examinee)
        for place, deviation in self.triage.deviations.items():
            if deviation.kind == "value" and not deviation.hazard:
                yield self.books.stamp(place, deviation, layers.seconds(deviation))

    def result(self, stale: tuple[str, ...] = ()) -> SubjectResult:
        """The result as the books have it."""
        elsewhere = self.triage.entries.elsewhere(self.examinee.subject)
        return self.books.result(self.triage.deviations, stale, self.triage.spoils, final=True, elsewhere=elsewhere)


def _spoken(plain: Examinee, examinee: Examinee) -> OtherDialect | None:
    """Find the other dialect spoken throughout, if the amendments make one: with a name, or of two switches at least."""
    amendments = examinee.dialect.amendments
    general = general_switches(amendments)
    names = named_after(plain.dialect, amendments, plain.capabilities.options)
    if not general or plain.dialect.name in names or (len(general) == 1 and not names):
        return None
    return OtherDialect(names, tuple(SWITCHES[name].position(value).words for name, value in general.items()))
