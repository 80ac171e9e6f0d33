"""The replay of one stored program: the same runner, the same attribution, the same lists as a check."""

from __future__ import annotations

from dataclasses import replace

from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Subject
from rmspec.properties.check import trial
from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings

__all__ = ["replay"]


def replay(program: Program, subject: Subject, settings: Settings) -> tuple[tuple[Deviation, ...], bool]:
    """Replay a program: list the deviations of its own clause first, then others, then hazards;
    and whether it makes any check of that clause.

    The program is cut down further where this subject lets it. Raises ``SubjectFailed`` where it cannot be driven.
    """
    settings = replace(settings, dialect=settings.dialect or program.dialect or None)
    deviations, exercised = trial(subject, program, settings)
    return tuple(
        sorted(deviations, key=lambda deviation: (deviation.hazard, deviation.clause != program.clause))
    ), exercised
