"""The record of a run, and the protocol of reporters.

A report is made of the whole record, whose ``gate`` is the decision that the exit code follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rmspec.properties.events import Event, RunFinished, RunStarted, SubjectFinished, SubjectResult
from rmspec.reports.gate import Gate, decide

__all__ = ["Document", "Guarded", "Record", "Recorder", "Reporter"]


class Reporter(Protocol):
    """Listens to a run. Reporters know nothing of each other, and ignore the events of no use to them."""

    def handle(self, event: Event) -> None:
        """Take note of one event; they come in order."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """A run as it ended: its start, one result for each subject in the order of the command line, its end, the decision."""

    started: RunStarted
    results: tuple[SubjectResult, ...]
    finished: RunFinished
    gate: Gate


@dataclass(slots=True)
class Recorder:
    """Keeps the record of the run; ``record`` is ``None`` until the end."""

    record: Record | None = None
    _started: RunStarted = field(default_factory=lambda: RunStarted((), {}))
    _results: list[SubjectResult] = field(default_factory=list)

    def handle(self, event: Event) -> None:
        """Collect the results."""
        match event:
            case RunStarted():
                self._started = event
            case SubjectFinished(result=result):
                self._results.append(result)
            case RunFinished():
                gate = decide(
                    self._results,
                    complete=event.complete,
                    internal=event.internal,
                    fail_on_hazards=self._started.fail_on_hazards,
                )
                self.record = Record(self._started, tuple(self._results), event, gate)


@dataclass(slots=True)
class Guarded:
    """A reporter with its failure for itself: after it the reporter hears nothing more, and the others all."""

    reporter: Reporter
    failure: Exception | None = None

    def handle(self, event: Event) -> None:
        """Hand on an event, and keep an exception of the reporter."""
        if self.failure is None:
            try:
                self.reporter.handle(event)
            except Exception as error:
                self.failure = error


@dataclass(slots=True)
class Document(Recorder):
    """Renders the whole run as one text at its end: ``render`` makes it, ``write`` takes it."""

    render: Callable[[Record], str] = field(kw_only=True)
    write: Callable[[str], None] = field(kw_only=True)

    def handle(self, event: Event) -> None:
        """Collect the results, and write at the end."""
        Recorder.handle(self, event)
        if isinstance(event, RunFinished) and self.record is not None:
            self.write(self.render(self.record))
