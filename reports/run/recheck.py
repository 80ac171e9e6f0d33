"""Replay a counterexample in a fresh process, to see if it is one by itself.

A subject may keep state in its module or its class. What it then shows depends on the programs that were run before, and
a stored program that says FIXED would puzzle whoever replays it. So a run replays its first new deviations, and tells.
"""

from __future__ import annotations

from dataclasses import replace

from rmspec.impl.errors import RmspecError
from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings
from rmspec.reports.run.jobs import Replay
from rmspec.reports.run.one_job import do_job

__all__ = ["MOST", "by_itself"]

MOST = 3
"""How many deviations of a subject are replayed: each costs a process and the import of a framework."""

_WHY = (
    "a fresh process does not show it: it needs what went before in the same process, such as state that is kept in a "
    "module or a class. The commands below may say FIXED, and the script may pass"
)


def by_itself(name: str, deviation: Deviation, settings: Settings, *, patience: float) -> Deviation:
    """The deviation, with a reason if its program passes in a fresh process."""
    try:
        deviations, _ = do_job(Replay(name, settings, deviation.program), patience=patience, when="")
    except RmspecError:
        # What happens to the subject is told by its own worker.
        return deviation
    return deviation if any(not replayed.hazard for replayed in deviations) else replace(deviation, reason=_WHY)
