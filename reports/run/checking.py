"""The run of ``rmspec check``: ask workers to check the subjects, and publish the events."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.processes.machine import default_memory_limit, total_memory, usable_processors
from rmspec.properties import events
from rmspec.properties.settings import Settings, paths_asked
from rmspec.properties.verdicts import broken_verdict
from rmspec.reports.environment import environment
from rmspec.reports.problems import InternalError
from rmspec.reports.record import Reporter
from rmspec.reports.run.interruption import handlers_restored, ignore_interrupts
from rmspec.reports.run.jobs import Answer, Failed, Generate, Load
from rmspec.reports.run.parallel import Ahead
from rmspec.reports.run.parent import Overseer, WorkerLost

__all__ = ["Checking", "Outcome"]

_COUNTED = (
    "evidence",
    "programs",
    "steps",
    "element_checks",
    "inconclusive_checks",
    "inconclusive_reasons",
    "state_visible",
    "fingerprint",
)
_MOST = 8  # subjects at a time


@dataclass(slots=True)
class Outcome:
    """How a run ended: the results so far, whether it is complete, and the traceback of a fault of rmspec, if any."""

    results: list[events.SubjectResult] = field(default_factory=list)
    complete: bool = True
    trace: str = ""


class Checking:
    """One run over ``subjects``; ``reporters`` hear of it.

    ``fail_on_hazards`` and ``repro_dir`` are for the reporters: see ``RunStarted``. With ``forks`` the workers are forks of
    this process, which then is the command line's own: threads and devices of others would not survive it. With
    ``run_scripts`` the scripts of the first new deviations of each subject are run before they are printed.
    """

    def __init__(
        self,
        subjects: Sequence[str],
        settings: Settings,
        reporters: Sequence[Reporter],
        *,
        fail_on_hazards: bool = False,
        repro_dir: str | None = None,
        forks: bool = False,
        run_scripts: bool = False,
    ) -> None:
        self._subjects = tuple(dict.fromkeys(subjects))
        self._settings = settings
        self._reporters = reporters
        self._fail_on_hazards = fail_on_hazards
        self._repro_dir = repro_dir
        self._forks = forks
        self._run_scripts = run_scripts
        self._outcome = Outcome()
        self._current = _Current("")
        self._started = False
        self._fingerprint = ""
        self._ahead: Ahead | None = None
        self._refused: list[InputProblem] = []

    def run(self) -> Outcome:
        """Check every subject. Raises ``InputProblem`` before the first, for a bad name, or if every subject is refused."""
        begin = time.monotonic()
        with handlers_restored():
            with contextlib.ExitStack() as stack:

                def overseer() -> Overseer:
                    return stack.enter_context(Overseer(forks=self._forks))

                try:
                    self._run(overseer(), overseer)
                except KeyboardInterrupt:
                    # From here to the written reports a second Ctrl-C has nothing left to interrupt.
                    ignore_interrupts()
                    self._interrupted()
                finally:
                    if self._ahead is not None:
                        self._ahead.stop()
            self._publish(
                events.RunFinished(self._outcome.complete, time.monotonic() - begin, bool(self._outcome.trace))
            )
        return self._outcome

    def _lanes(self) -> int:
        """How many subjects are checked at a time: one more than there are processors, as none keeps its own busy to the end
        of the run, as far as the memory of each has room; but one after the other on a device, which they would share."""
        processors = usable_processors()
        if processors == 1 or self._settings.device != "cpu":
            return 1
        limit = self._settings.memory_limit or default_memory_limit()
        return max(1, min(len(self._subjects), processors + 1, _MOST, total_memory() // limit))

    def _run(self, generator: Overseer, overseer: Callable[[], Overseer]) -> None:
        # Beside each other: no subject is in the process that generates, and none waits for it to be refused.
        generator.post(Generate(self._settings))
        first, named = overseer(), self._subjects
        failures: dict[str, events.SubjectResult] = {}
        paths: list[str] = []
        for name in named:
            switches = self._load(first, name, failures)
            paths += [name] if switches is None else self._paths(first, name, switches, failures)
        self._subjects = tuple(dict.fromkeys(paths))
        if len(self._refused) == len(named):
            # There is nothing to check: that is a wrong command line, and no result.
            raise self._refused[0]
        if len(failures) < len(self._subjects):
            self._generated(generator)
        generator.close()
        self._start()
        names = [name for name in self._subjects if name not in failures]
        lanes = [first, *(overseer() for _ in range(self._lanes() - 1))]
        self._ahead = Ahead(names, self._settings, lanes, run_scripts=self._run_scripts)
        for name in self._subjects:
            self._current = _Current(name)
            if name in failures:
                self._finish(failures[name])
            else:
                self._check(self._ahead.answers(name))

    def _generated(self, generator: Overseer) -> None:
        self._publish(events.Progress("", "generating programs", 0, None))
        try:
            programs, self._fingerprint = generator.result()
        except Failed as failure:
            raise InternalError(failure.trace or failure.what) from None
        except WorkerLost as lost:
            raise InternalError(f"the process that generates programs was lost: {lost.told('at work')}") from None
        self._settings = replace(self._settings, programs=programs)

    def _paths(
        self,
        overseer: Overseer,
        name: str,
        switches: Mapping[str, str],
        failures: dict[str, events.SubjectResult],
    ) -> list[str]:
        """List the paths of a subject to be checked, as subjects of their own, and load them. Raises ``BadOption``."""
        chosen = paths_asked(name, switches, self._settings)
        for path in chosen:
            if path != name:
                self._load(overseer, path, failures)
        return chosen

    def _load(
        self, overseer: Overseer, name: str, failures: dict[str, events.SubjectResult]
    ) -> Mapping[str, str] | None:
        """Load one subject and return its other paths; note a result of a failure. Raises ``InputProblem`` for a bad name."""
        self._publish(events.Progress(name, "loading", 0, None))
        current = _Current(name)
        try:
            switches: Mapping[str, str] = overseer.do(Load(name, self._settings))
            return switches
        except Failed as failure:
            problem = InputProblem(failure.what, failure.why, failure.hint)
            if failure.kind == "input":
                raise problem from None
            if failure.kind == "refused":
                self._refused.append(problem)
            failures[name] = self._failed(current, failure)
        except WorkerLost as lost:
            failures[name] = current.result("errored", message=lost.told("while it was loaded"))
        return None

    def _check(self, answers: Iterator[Answer]) -> None:
        current = self._current
        try:
            for answer in answers:
                self._heard(current, answer)
        except WorkerLost as lost:
            self._settle(current)
            self._finish(current.result("errored", message=lost.told("while it was checked")))

    def _settle(self, current: _Current) -> None:
        """Take pending deviations as found, at an end before their last names are, or before their scripts were run."""
        named = [pending.deviation for pending in current.pending if pending.named]
        deviations = [*current.deviations, *named]
        if not any(deviation.kind == "value" and not deviation.hazard for deviation in deviations):
            named = [pending.deviation for pending in current.pending]
        current.pending.clear()
        for deviation in named:
            self._heard(current, events.DeviationFound(current.name, deviation))

    def _heard(self, current: _Current, answer: Answer) -> None:
        match answer:
            case events.SubjectFinished(result=result):
                self._finish(result)
            case events.SubjectStarted():
                current.started = answer
                self._publish(answer)
            case events.DeviationFound():
                current.deviations.append(answer.deviation)
                before = repr(replace(answer.deviation, script_run=None))
                current.pending = [item for item in current.pending if not item.named or repr(item.deviation) != before]
                self._publish(answer)
            case events.DialectFound():
                self._publish(answer)
            case events.DeviationPending():
                current.pending.append(answer)
            case events.Standing():
                current.standing = answer.result
            case events.Progress():
                current.programs += 1
                share = 0.0 if self._ahead is None else self._ahead.share
                self._publish(replace(answer, of_run=share))
            case Failed():
                self._settle(current)
                self._finish(self._failed(current, answer))

    def _failed(self, current: _Current, failure: Failed) -> events.SubjectResult:
        if failure.kind == "internal":
            self._outcome.trace = self._outcome.trace or failure.trace
            return current.result("errored", message=f"rmspec failed: {failure.what}")
        message = ". ".join(part.rstrip(".") for part in (failure.what, failure.why) if part)
        verdict: events.Verdict = "unsupported" if failure.kind == "unsupported" else "errored"
        return current.result(verdict, message=message, hint=failure.hint)

    def _interrupted(self) -> None:
        self._outcome.complete = False
        self._start()
        for name in self._subjects:
            current = self._current if self._current.name == name else _Current(name)
            if self._ahead is not None:
                # What was checked ahead counts as far as it came.
                for answer in self._ahead.so_far(name):
                    self._heard(current, answer)
            if name not in {result.name for result in self._outcome.results}:
                self._settle(current)
                new = any(deviation.known is None and not deviation.hazard for deviation in current.deviations)
                message = "interrupted" if current.started else "interrupted before it was checked"
                self._finish(current.result("deviates" if new else "inconclusive", message=message))

    def _start(self) -> None:
        if not self._started:
            self._started = True
            known = environment(self._settings, self._fingerprint)
            self._publish(events.RunStarted(self._subjects, known, self._fail_on_hazards, self._repro_dir))

    def _finish(self, result: events.SubjectResult) -> None:
        self._outcome.results.append(result)
        self._publish(events.SubjectFinished(result))

    def _publish(self, event: events.Event) -> None:
        for reporter in self._reporters:
            reporter.handle(event)


class _Current:
    """The state of an unfinished check, for a run without an end."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begin = time.monotonic()
        self.programs = 0
        self.started: events.SubjectStarted | None = None
        self.deviations: list[events.Deviation] = []
        self.pending: list[events.DeviationPending] = []
        self.standing: events.SubjectResult | None = None

    def result(self, verdict: events.Verdict, *, message: str, hint: str = "") -> events.SubjectResult:
        """The result of a check cut short: the deviations so far, and the last counts."""
        deviations = tuple(item for item in self.deviations if not item.hazard)
        result = events.SubjectResult(
            self.name,
            verdict,
            seconds=time.monotonic() - self.begin,
            programs=self.programs,
            deviations=deviations,
            hazards=tuple(item for item in self.deviations if item.hazard),
            message=message,
            hint=hint,
            complete=False,
        )
        if self.started is None:
            return result
        standing = self.standing
        counted: dict[str, events.ClauseResult] = {}
        if standing is not None:
            counted = {item.id: item for item in standing.clauses if item.verdict != "not-checked"}
            result = replace(result, **{name: getattr(standing, name) for name in _COUNTED})
        return replace(
            result,
            dialect=self.started.dialect,
            framework=self.started.framework,
            formats=self.started.formats,
            versions=self.started.versions,
            clauses=tuple(_clause(id, deviations, message, counted.get(id)) for id in CLAUSES),
        )


def _clause(
    id: str, deviations: tuple[events.Deviation, ...], message: str, counted: events.ClauseResult | None
) -> events.ClauseResult:
    broken = [deviation for deviation in deviations if deviation.clause == id]
    if not broken:
        return counted or events.ClauseResult(id, 0, 0, "not-checked", None, message.splitlines()[0])
    verdict = broken_verdict(broken)
    if counted is not None:
        return replace(counted, checks=max(counted.checks, len(broken)), verdict=verdict)
    return events.ClauseResult(id, len(broken), 0, verdict)
