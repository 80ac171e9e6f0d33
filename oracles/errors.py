"""What can go wrong with a subject or a program, each named for what happened."""

from __future__ import annotations

from rmspec.impl.errors import RmspecError

__all__ = [
    "CannotImport",
    "CannotStart",
    "InputProblem",
    "MalformedProgram",
    "NotAnOptimizer",
    "ProtocolBroken",
    "SubjectFailed",
    "SubjectHung",
    "UnknownSubject",
    "Unsupported",
]


class InputProblem(RmspecError):
    """The user's input cannot be used (exit code 2)."""


class UnknownSubject(InputProblem):
    """No registered subject, module or file has the name that was given."""


class CannotImport(InputProblem):
    """The module or file of a subject does not import."""


class NotAnOptimizer(InputProblem):
    """What the name leads to is not an optimizer, nor a factory of one."""


class MalformedProgram(InputProblem):
    """A stored program is not JSON, is cut off, or does not follow the schema."""


class SubjectFailed(RmspecError):
    """The subject could not be driven (exit code 4)."""


class CannotStart(SubjectFailed):
    """The subject cannot be created at all."""


class SubjectHung(SubjectFailed):
    """A call of the subject did not return in time."""


class ProtocolBroken(SubjectFailed):
    """A subject process answered something that the wire protocol does not allow, or ended."""


class Unsupported(RmspecError):
    """The subject cannot run here: its framework, its device or its format is missing. ``hint`` is the line to type."""
