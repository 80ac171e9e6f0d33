"""The worker process: drives the subjects, so that none can crash, hang or garble the report.

Started with the ``spawn`` method. It leads a process group of its own (a Ctrl-C at the terminal is the parent's to
handle), writes whatever is printed to a log, and ends when the parent does. One worker serves one subject after the
other, so that a framework is imported once; another one generates the programs, where no subject can influence them.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from dataclasses import replace
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import CannotImport, InputProblem, SubjectFailed, Unsupported
from rmspec.oracles.loader import load
from rmspec.oracles.subject import CALL_TIMEOUT
from rmspec.properties.check import examine, generated, trial
from rmspec.properties.identify.identification import identify
from rmspec.properties.recordings.reproduction import reproduced
from rmspec.properties.search.fingerprint import fingerprint
from rmspec.properties.settings import Settings
from rmspec.reports.run.heartbeat import WatchedSubject
from rmspec.reports.run.jobs import (
    Beat,
    Check,
    Done,
    Failed,
    Generate,
    Identify,
    Job,
    Load,
    Replay,
    Reproduce,
)

__all__ = ["serve"]

_GRACE = 5.0  # seconds by which the parent, which says where a subject hangs, notices it before its worker does


def serve(connection: Connection, log: str) -> None:
    """Do the jobs from ``connection`` until ``None`` comes; printed text goes to the file ``log``."""
    _detach(log)
    service = _Service(connection)
    try:
        while (job := connection.recv()) is not None:
            service.do(job)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone


def _detach(log: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.setsid()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - lives as long as the process
    faulthandler.enable(sys.stderr, all_threads=False)
    # The parent asks for this before it ends a worker that hangs: the log then says where.
    faulthandler.register(signal.SIGUSR1, sys.stderr, all_threads=False)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


class _Service:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._subjects: dict[str, WatchedSubject] = {}

    def do(self, job: Job) -> None:
        """Do one job, and tell how it ended."""
        try:
            answer: Done | Failed = Done(self._do(job))
        except InputProblem as error:
            answer = Failed("input", error.what, error.why, error.hint)
        except Unsupported as error:
            answer = Failed("unsupported", error.what, error.why, error.hint)
        except SubjectFailed as error:
            answer = Failed("failed", error.what, error.why, error.hint)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise
        except Exception as error:
            problem = error.what if isinstance(error, RmspecError) else f"{type(error).__name__}: {error}"
            answer = Failed("internal", problem, trace=traceback.format_exc())
        except BaseException as error:
            # SystemExit and its like come from the subject: rmspec raises none in here.
            details = f": {error}" if str(error) else ""
            answer = Failed("failed", f"the subject raised {type(error).__name__}{details}")
        sys.stdout.flush()
        sys.stderr.flush()
        self._connection.send(answer)

    def _do(self, job: Job) -> object:
        match job:
            case Generate():
                programs = generated(job.settings)
                return programs, fingerprint(programs[:20])
            case Load():
                self._loaded(job.name, job.settings).capabilities()
            case Check():
                for event in examine(self._loaded(job.name, job.settings), job.settings):
                    self._connection.send(event)
            case Replay():
                program = job.program
                settings = replace(job.settings, dialect=job.settings.dialect or program.dialect or None)
                deviations, exercised = trial(self._loaded(job.name, job.settings), program, settings)
                # Those of its own clause come first, then others, then hazards.
                ordered = sorted(
                    deviations, key=lambda deviation: (deviation.hazard, deviation.clause != program.clause)
                )
                return tuple(ordered), exercised
            case Identify():
                return identify(self._loaded(job.name, job.settings), formats=job.settings.formats)
            case Reproduce():
                from rmspec.oracles.torch.onestep import factory, fitted, perform

                ask = job.question
                make = factory(job.name, ask.step.device)
                step = fitted(make, ask.step)
                return reproduced(ask, step, partial(perform, make))
        return None

    def _loaded(self, name: str, settings: Settings) -> WatchedSubject:
        if name not in self._subjects:
            try:
                loaded = load(
                    name,
                    framework=settings.framework,
                    device=settings.device,
                    call_timeout=max(CALL_TIMEOUT, settings.call_timeout) + _GRACE,
                )
            except KeyboardInterrupt:
                # Its own: a Ctrl-C at the terminal does not get here.
                hint = "take out what raises it while the file is imported"
                raise CannotImport(f"{name} does not import: it raises KeyboardInterrupt", hint=hint) from None
            self._subjects[name] = WatchedSubject(name, loaded, lambda: self._connection.send(Beat()))
        return self._subjects[name]
