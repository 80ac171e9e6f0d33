"""One job on one subject: its process opened, and its failures as ``Stopped`` with a one-line reason."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import HostError, SubjectFailed, Unsupported
from rmspec.oracles.host.host import Host
from rmspec.oracles.host.perform import Driven
from rmspec.properties.opening import opened
from rmspec.properties.settings import Settings
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import InternalError

__all__ = ["Stopped", "open_for_job"]


class Stopped(RmspecError):
    """The job came to no result: the exit code, and why."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.args = (code, text)
        self.code = code
        self.text = text


@contextmanager
def open_for_job(name: str, settings: Settings, *, occasion: str) -> Iterator[Driven]:
    """Open a subject for a job; ``occasion`` names the job in messages.

    Raises ``InputProblem``, ``InternalError``, and ``Stopped`` for a subject that failed, crashed, hung or is unsupported.
    """
    try:
        with opened(name, settings) as driven:
            if isinstance(driven, Host):
                driven.occasion = occasion
            yield driven
    except HostError as error:
        raise InternalError(error.why) from None
    except (SubjectFailed, Unsupported) as error:
        code = ExitCode.NOTHING_CHECKED if isinstance(error, Unsupported) else ExitCode.SUBJECT_FAILED
        text = ". ".join(part.rstrip(".") for part in (error.what, error.why, error.hint) if part)
        raise Stopped(code, f"{name}: {text}") from None
