"""Checking one subject ahead: while a subject's answers are read, the next one is checked in a process of its own.

A subject uses one core. Its answers are kept in the order in which they came, and are read when its turn has come, so that
reporters hear of one subject after the other, whatever was quicker.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from rmspec.properties.check import Settings
from rmspec.reports.jobs import Answer, Check, Failed, Load
from rmspec.reports.overseer import Overseer, WorkerLost

__all__ = ["Ahead"]


class Ahead:
    """A check that has begun: ``name`` is loaded and checked by ``overseer``'s worker, from a thread of its own.

    ``import_patience`` and ``patience`` are seconds of silence that are a hang, while it is loaded and after.
    """

    def __init__(
        self, overseer: Overseer, name: str, settings: Settings, *, import_patience: float, patience: float
    ) -> None:
        self.name = name
        self._overseer = overseer
        self._jobs = ((Load(name, settings), import_patience), (Check(name, settings), patience))
        self._answers: queue.SimpleQueue[Answer | BaseException | None] = queue.SimpleQueue()
        threading.Thread(target=self._run, name=f"rmspec-ahead-{name}", daemon=True).start()

    def _run(self) -> None:
        try:
            for job, limit in self._jobs:
                for answer in self._overseer.ask(job, patience=limit):
                    self._answers.put(answer)
                    if isinstance(answer, Failed):
                        return
        except BaseException as error:
            # Told to whoever reads: a lost worker, or the end of the run.
            self._answers.put(error)
        finally:
            self._answers.put(None)

    def so_far(self) -> Iterator[Answer]:
        """What the worker has answered by now and nobody has read, for a run that ends here."""
        while True:
            try:
                answer = self._answers.get_nowait()
            except queue.Empty:
                return
            if answer is not None and not isinstance(answer, BaseException):
                yield answer

    def answers(self) -> Iterator[Answer]:
        """What the worker answers, as it comes. Raises ``WorkerLost``."""
        while (answer := self._answers.get()) is not None:
            if isinstance(answer, WorkerLost):
                raise answer
            if isinstance(answer, BaseException):
                raise WorkerLost(f"it was not followed to its end: {answer!r}", "", "") from answer
            yield answer
