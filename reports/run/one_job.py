"""One job on one subject in a worker process of its own: load it, and do the job."""

from __future__ import annotations

from typing import Any

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import InputProblem
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import InternalError
from rmspec.reports.run.jobs import Failed, Identify, Load, Replay
from rmspec.reports.run.parent import Overseer, WorkerLost

__all__ = ["Stopped", "do_job"]


class Stopped(RmspecError):
    """The job came to no result: the exit code, and why."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.args = (code, text)
        self.code = code
        self.text = text


def do_job(job: Identify | Replay, *, patience: float, when: str) -> Any:
    """Load the subject of a job, and return the job's result; ``when`` names the job in messages.

    Raises ``InputProblem``, ``InternalError``, and ``Stopped`` for a subject that failed, crashed, hung or is unsupported.
    """
    with Overseer(patience) as overseer:
        try:
            overseer.do(Load(job.name, job.settings))
            return overseer.do(job)
        except WorkerLost as lost:
            raise Stopped(ExitCode.SUBJECT_FAILED, f"{job.name}: {lost.told(when)}") from None
        except Failed as failure:
            if failure.kind == "input":
                raise InputProblem(failure.what, failure.why, failure.hint) from None
            if failure.kind == "internal":
                raise InternalError(failure.trace) from None
            code = ExitCode.NOTHING_CHECKED if failure.kind == "unsupported" else ExitCode.SUBJECT_FAILED
            text = ". ".join(part.rstrip(".") for part in (failure.what, failure.why, failure.hint) if part)
            raise Stopped(code, f"{job.name}: {text}") from None
