"""What a reporter is, and the record of a run that those keep who can say nothing before it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from rmspec.properties.events import Event, RunFinished, RunStarted, SubjectFinished, SubjectResult

__all__ = ["Document", "Record", "Reporter", "recorded"]


class Reporter(Protocol):
    """Listens to a run. Reporters know nothing of each other; an event that one has no use for, it ignores."""

    def handle(self, event: Event) -> None:
        """Take note of one event; they come in the order in which things happened."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """A run as it ended: its start, one result for each subject in the order of the command line, and its end."""

    started: RunStarted
    results: tuple[SubjectResult, ...]
    finished: RunFinished


def recorded(events: list[Event]) -> Record:
    """The record of a list of events that ends with ``RunFinished``. Raises ``ValueError`` for one that does not."""
    kept: list[Record] = []

    def keep(record: Record) -> str:
        kept.append(record)
        return ""

    document = Document(render=keep, write=lambda text: None)
    for event in events:
        document.handle(event)
    if not kept:
        raise ValueError("the events do not end with RunFinished")
    return kept[0]


@dataclass(slots=True)
class Document:
    """A reporter that renders the whole run as one text when it is over: ``render`` makes it, ``write`` takes it."""

    render: Callable[[Record], str]
    write: Callable[[str], None]
    _started: RunStarted = field(default_factory=lambda: RunStarted((), {}))
    _results: list[SubjectResult] = field(default_factory=list)

    def handle(self, event: Event) -> None:
        """Collect the results, and write at the end."""
        match event:
            case RunStarted():
                self._started = event
            case SubjectFinished(result=result):
                self._results.append(result)
            case RunFinished():
                self.write(self.render(Record(self._started, tuple(self._results), event)))
