"""Errors of subjects, programs and options, each named for the event."""

from __future__ import annotations

from collections.abc import Iterable

from rmspec.impl.errors import RmspecError, nearest


class InputProblem(RmspecError):
    """The user's input cannot be used (exit code 2)."""


class BadOption(InputProblem):
    """An argument, an option of the command line or a key of the configuration cannot be used."""


class UnknownSubject(BadOption):
    """No registered subject, module or file has this name."""


class CannotImport(InputProblem):
    """The module or file of a subject does not import."""


class NotAnOptimizer(InputProblem):
    """The name leads to neither an optimizer nor a factory of one."""


class MalformedProgram(InputProblem):
    """A stored program is not JSON, is cut off, or does not follow the schema."""


class SubjectFailed(RmspecError):
    """The subject could not be driven (exit code 4)."""


class TooMuchMemory(SubjectFailed):
    """The process of a subject and those below it use more memory than the limit allows."""


class CannotStart(SubjectFailed):
    """The subject cannot be created at all."""


class SubjectHung(SubjectFailed):
    """A call of the subject did not return in time."""


class ProtocolBroken(SubjectFailed):
    """A subject's process broke the wire protocol, or ended."""


class HostError(RmspecError):
    """A fault of rmspec itself, in the process of a subject; ``why`` is the traceback."""


class Unsupported(RmspecError):
    """The subject cannot run here: its framework, its device or its format is missing. ``hint`` is the line to type."""


class ClosureFailed(RmspecError):
    """The closure of a program fails, as the program asks."""

    def __init__(self) -> None:
        super().__init__("the closure of the program fails")
        self.args = ()


def choose(kind: str, name: str, names: Iterable[str], *, where: str = "") -> str:
    """``name`` when it is among ``names``. Raises ``BadOption`` with the closest one otherwise."""
    listed = list(names)
    if name not in listed:
        place = f" in {where}" if where else ""
        raise BadOption(
            f"unknown {kind} {name!r}{place}{nearest(str(name), listed)}", hint=f"choose from {', '.join(listed)}"
        )
    return name


def wording(error: BaseException, longest: int = 2000) -> str:
    """The message of an exception of a subject, cut at ``longest`` characters; a substitute for one without a message."""
    try:
        return str(error)[:longest]
    except Exception as failure:
        return f"its message cannot be had: __str__ raises {type(failure).__name__}"
