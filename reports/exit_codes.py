"""The exit codes of every command, and their precedence. See ``docs/reference/exit-codes.md``."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["PRECEDENCE", "WORDS", "ExitCode"]


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


PRECEDENCE = (
    ExitCode.INTERRUPTED,
    ExitCode.INTERNAL,
    ExitCode.DEVIATES,
    ExitCode.SUBJECT_FAILED,
    ExitCode.STALE,
    ExitCode.NOTHING_CHECKED,
    ExitCode.CONFORMS,
)
"""The exit codes of a run; where several apply, the first counts. So 4 means that nothing deviated, and 1 is given
whatever else happened to the other subjects. (2 is decided before anything is checked.)"""

WORDS = {
    ExitCode.CONFORMS: "conforms",
    ExitCode.DEVIATES: "deviates",
    ExitCode.INTERNAL: "rmspec failed",
    ExitCode.SUBJECT_FAILED: "could not be checked",
    ExitCode.NOTHING_CHECKED: "nothing checked",
    ExitCode.STALE: "stale known deviations",
    ExitCode.INTERRUPTED: "interrupted",
}
"""The exit codes of a run in words."""
