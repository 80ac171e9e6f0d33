"""One job on one subject in the worker process: load it, do the job, or raise ``Stopped`` with a one-line reason."""

from __future__ import annotations

from collections.abc import Iterator

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import InputProblem
from rmspec.properties.settings import Settings
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import InternalError
from rmspec.reports.run.jobs import Answer, Failed, Job, Load
from rmspec.reports.run.parent import Overseer, WorkerLost

__all__ = ["Stopped", "asked"]

_IMPORT_PATIENCE = 120.0  # seconds, as for a check


class Stopped(RmspecError):
    """The job came to no result: the exit code, and why."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.args = (code, text)
        self.code = code
        self.text = text


def asked(name: str, settings: Settings, job: Job, *, patience: float, when: str) -> Iterator[Answer]:
    """Yield the answers to a job on a subject, in a worker of its own; ``when`` names the job in messages.

    Raises ``InputProblem``, ``InternalError``, and ``Stopped`` for a subject that failed, crashed, hung or is unsupported.
    """
    jobs: tuple[tuple[Job, float], ...] = ((Load(name, settings), max(patience, _IMPORT_PATIENCE)), (job, patience))
    with Overseer() as overseer:
        try:
            for step, limit in jobs:
                for answer in overseer.ask(step, patience=limit):
                    if isinstance(answer, Failed):
                        _stop(name, answer)
                    yield answer
        except WorkerLost as lost:
            raise Stopped(ExitCode.SUBJECT_FAILED, f"{name}: {lost.told(when)}") from None


def _stop(name: str, failure: Failed) -> None:
    if failure.kind == "input":
        raise InputProblem(failure.what, failure.why, failure.hint)
    if failure.kind == "internal":
        raise InternalError(failure.trace)
    code = ExitCode.NOTHING_CHECKED if failure.kind == "unsupported" else ExitCode.SUBJECT_FAILED
    text = ". ".join(part.rstrip(".") for part in (failure.what, failure.why, failure.hint) if part)
    raise Stopped(code, f"{name}: {text}")
