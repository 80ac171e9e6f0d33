"""Replay a counterexample in a fresh process, to see if it is one by itself.

A subject may keep state in its module or its class. What it then shows depends on the programs that were run before, and
a stored program that says FIXED would puzzle whoever replays it. So a run replays its first new deviations, and tells.
"""

from __future__ import annotations

from dataclasses import replace

from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings
from rmspec.reports.run.jobs import Failed, Load, Replay, Replayed
from rmspec.reports.run.parent import Overseer, WorkerLost

__all__ = ["MOST", "by_itself"]

MOST = 3
"""How many deviations of a subject are replayed: each costs a process and the import of a framework."""

_WHY = (
    "a fresh process does not show it: it needs what went before in the same process, such as state that is kept in a "
    "module or a class. The commands below may say FIXED, and the script may pass"
)


def by_itself(
    name: str, deviation: Deviation, settings: Settings, *, import_patience: float, patience: float
) -> Deviation:
    """The deviation, with a reason if its program passes in a fresh process."""
    program = deviation.program
    jobs = ((Load(name, settings), import_patience), (Replay(name, program, settings), patience))
    deviations: tuple[Deviation, ...] | None = None
    with Overseer() as overseer:
        try:
            for job, limit in jobs:
                for answer in overseer.ask(job, patience=limit):
                    if isinstance(answer, Failed):
                        return deviation
                    if isinstance(answer, Replayed):
                        deviations = answer.deviations
        except WorkerLost:
            # What happens to the subject is told by its own worker.
            return deviation
    visible = deviations is None or any(not known.hazard for known in deviations)
    return deviation if visible else replace(deviation, reason=_WHY)
