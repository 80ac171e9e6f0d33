"""Checking subjects ahead: while the answers of one are read, others are checked, each in a process of its own.

A subject uses one core. Its answers are kept in the order in which they came, and are read when its turn has come, so that
reporters hear of one subject after the other, whatever was quicker.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rmspec.properties.events import Progress
from rmspec.properties.examination.plan import part_for
from rmspec.properties.settings import Settings
from rmspec.reports.run.jobs import Answer, Check
from rmspec.reports.run.parent import Overseer, WorkerLost

__all__ = ["Ahead"]


@dataclass(frozen=True, slots=True)
class _Ended:
    """The end of the answers on a subject, early with an error. A ``Failed`` is an answer."""

    error: BaseException | None


class Ahead:
    """The checks of subjects by ``names``, begun in this order: each of the ``overseers`` takes the next when it is free.

    With ``run_scripts`` the scripts of their first new deviations are run.
    """

    def __init__(
        self, names: Sequence[str], settings: Settings, overseers: Sequence[Overseer], *, run_scripts: bool = False
    ) -> None:
        self._settings = settings
        self._run_scripts = run_scripts
        self._waiting = deque(names)
        self._answers: dict[str, queue.SimpleQueue[Answer | _Ended]] = {name: queue.SimpleQueue() for name in names}
        self._shares = dict.fromkeys(names, 0.0)
        for overseer in overseers[: len(names)]:
            threading.Thread(target=self._lane, args=(overseer,), name="rmspec-ahead", daemon=True).start()

    def _lane(self, overseer: Overseer) -> None:
        while True:
            try:
                name = self._waiting.popleft()
            except IndexError:
                return
            error: BaseException | None = None
            try:
                self._follow(overseer, name)
            except BaseException as raised:
                # Told to whoever reads: a lost worker, or the end of the run.
                error = raised
            self._shares[name] = 1.0
            self._answers[name].put(_Ended(error))

    def _follow(self, overseer: Overseer, name: str) -> None:
        for answer in overseer.ask(Check(name, part_for(name, self._settings), self._run_scripts)):
            if isinstance(answer, Progress):
                self._shares[name] = answer.of_subject
            self._answers[name].put(answer)

    @property
    def share(self) -> float:
        """The share of all checks already done, read or not."""
        return sum(self._shares.values()) / max(len(self._shares), 1)

    def stop(self) -> None:
        """Begin no further check: the others end with their overseers."""
        self._waiting.clear()

    def so_far(self, name: str) -> Iterator[Answer]:
        """Yield the unread answers on a subject, for a run at its end."""
        while name in self._answers:
            try:
                answer = self._answers[name].get_nowait()
            except queue.Empty:
                return
            if not isinstance(answer, _Ended):
                yield answer

    def answers(self, name: str) -> Iterator[Answer]:
        """Yield the worker's answers on a subject, as they come. Raises ``WorkerLost``."""
        while not isinstance(answer := self._answers[name].get(), _Ended):
            yield answer
        if isinstance(answer.error, WorkerLost):
            raise answer.error
        if answer.error is not None:
            raise WorkerLost(f"it was not followed to its end: {answer.error!r}", "", "") from answer.error
