"""The gate: which exit code a run deserves. Source: DESIGN 4.2.

Where several codes apply, the first of this order wins: 130 (interrupted), 3 (rmspec itself failed), 1 (a deviation
that nothing excuses), 4 (a subject could not be driven), 6 (a stale entry in the list of known deviations), 5 (nothing
was checked), 0. So 4 means that nothing deviated, and 1 is given whatever else happened to the other subjects. (2 is
decided before anything is checked.) A subject of which nothing could be verified is 5; one that is not supported here
is 5 only when no other subject was checked beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from rmspec.properties.events import Deviation, SubjectResult

__all__ = ["ExitCode", "exit_code", "failing"]


class ExitCode(IntEnum):
    """The exit codes of every command."""

    CONFORMS = 0
    DEVIATES = 1
    BAD_INPUT = 2
    INTERNAL = 3
    SUBJECT_FAILED = 4
    NOTHING_CHECKED = 5
    STALE = 6
    INTERRUPTED = 130


def failing(result: SubjectResult, *, fail_on_hazards: bool = False) -> tuple[Deviation, ...]:
    """The deviations that fail the gate: neither known nor inherited; hazards as well where that was asked for."""
    new = tuple(each for each in result.deviations if each.known is None)
    return new + (result.hazards if fail_on_hazards else ())


def exit_code(
    results: Sequence[SubjectResult],
    *,
    complete: bool = True,
    internal: bool = False,
    fail_on_hazards: bool = False,
) -> ExitCode:
    """The exit code of a run with these results; ``internal`` tells that rmspec itself failed on the way."""
    verdicts = {result.verdict for result in results}
    if not complete:
        return ExitCode.INTERRUPTED
    if internal:
        return ExitCode.INTERNAL
    if any(failing(result, fail_on_hazards=fail_on_hazards) for result in results):
        return ExitCode.DEVIATES
    if "errored" in verdicts:
        return ExitCode.SUBJECT_FAILED
    if any(result.stale for result in results):
        return ExitCode.STALE
    if "inconclusive" in verdicts or not verdicts & {"conforms", "known", "deviates"}:
        return ExitCode.NOTHING_CHECKED
    return ExitCode.CONFORMS
