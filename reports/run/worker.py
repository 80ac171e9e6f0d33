"""The worker process: judges subjects, each in a process of its own.

A fork of the command line's process, or a fresh interpreter. It leads a process group of its own (a Ctrl-C at the terminal is
the parent's to handle), writes whatever is printed to a log, and ends when the parent does, with whatever was started below it.
One worker checks one subject after the other, and a framework is imported once for all of them; another one generates the programs.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from multiprocessing import parent_process
from multiprocessing.connection import Connection

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import CannotImport, HostError, InputProblem, NotAnOptimizer, SubjectFailed, Unsupported
from rmspec.oracles.host.host import Host, Opened
from rmspec.oracles.host.zygote import close_zygotes
from rmspec.oracles.processes.descendants import adopt_orphans, end_descendants, signal_with_parent
from rmspec.properties.check import examine, generated
from rmspec.properties.events import (
    Deviation,
    DeviationFound,
    DeviationPending,
    Event,
    Progress,
    ScriptOutcome,
    Standing,
    SubjectFinished,
)
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.opening import open_named
from rmspec.properties.search.fingerprint import fingerprint
from rmspec.properties.settings import Settings
from rmspec.reports.run.jobs import Check, Done, Failed, Generate, Job, Load
from rmspec.reports.run.scripts import ScriptRun, ScriptRuns

__all__ = ["serve"]

_TRIED = 3  # new deviations of a subject: each costs a process, and its script another one
_NOT_ALONE = (
    "a fresh process does not show it: it needs what went before in the same process, such as state that is kept in a "
    "module or a class. The commands below may say FIXED, and the script may pass"
)
_WAITING = 4  # subjects that are loaded, and wait for their check


def serve(connection: Connection, log: str) -> None:
    """Do the jobs from ``connection`` until ``None`` comes; printed text goes to the file ``log``."""
    _detach(log)
    try:
        with ScriptRuns() as scripts:
            service = _Service(connection, scripts)
            while (job := connection.recv()) is not None:
                service.do(job)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    finally:
        close_zygotes()
        end_descendants(os.getpid())


def _detach(log: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if signal.getsignal(signal.SIGTERM) != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    os.setsid()
    adopt_orphans()
    # It may have been stopped: then it goes on, and sees that the parent is gone.
    signal_with_parent(signal.SIGCONT)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    # New streams, which live as long as the process: those of the parent may be in use there at the moment of the fork.
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    faulthandler.enable(sys.stderr, all_threads=False)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        end_descendants(os.getpid())
        os._exit(1)


class _Service:
    def __init__(self, connection: Connection, scripts: ScriptRuns) -> None:
        self._connection = connection
        self._scripts = scripts
        self._loaded: dict[str, Opened] = {}

    def do(self, job: Job) -> None:
        """Do one job, and tell how it ended."""
        try:
            answer: Done | Failed = Done(self._do(job))
        except (CannotImport, NotAnOptimizer) as error:
            answer = Failed("refused", error.what, error.why, error.hint)
        except InputProblem as error:
            answer = Failed("input", error.what, error.why, error.hint)
        except Unsupported as error:
            answer = Failed("unsupported", error.what, error.why, error.hint)
        except SubjectFailed as error:
            answer = Failed("failed", error.what, error.why, error.hint)
        except HostError as error:
            answer = Failed("internal", error.what, trace=error.why)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise
        except Exception as error:
            problem = error.what if isinstance(error, RmspecError) else f"{type(error).__name__}: {error}"
            answer = Failed("internal", problem, trace=traceback.format_exc())
        self._connection.send(answer)

    def _do(self, job: Job) -> object:
        match job:
            case Generate():
                # What is installed beside Hypothesis has no part in the programs, and costs more to import than Hypothesis.
                os.environ["HYPOTHESIS_NO_PLUGINS"] = "1"
                programs = generated(job.settings)
                return programs, fingerprint(programs[:20])
            case Load():
                subject = _open(job)
                switches = dict(subject.capabilities().switches)
                if len(self._loaded) < _WAITING:
                    self._loaded[job.name] = subject
                else:
                    subject.close()
                return switches
            case Check():
                with closing(self._take(job)) as subject:
                    for event in _rechecked(subject, job.settings, self._scripts if job.run_scripts else None):
                        self._connection.send(event)
        return None

    def _take(self, job: Check) -> Opened:
        """Take the waiting subject; open one if there is none, or if it was lost with its parent process."""
        waiting = self._loaded.pop(job.name, None)
        if waiting is None:
            return _open(job)
        if isinstance(waiting, Host) and waiting.orphaned:
            waiting.close()
            return _open(job)
        return waiting


def _open(job: Load | Check) -> Opened:
    return open_named(job.name, job.settings, framework=job.settings.framework)


def _tried_alone(host: Host, deviation: Deviation, settings: Settings) -> Deviation:
    """The deviation, with a reason if its program passes in a fresh process.

    A subject may keep state in its module or its class; a stored program that says FIXED would puzzle whoever replays it.
    """
    try:
        with host.fresh() as fresh:
            findings = Examinee.of(fresh, settings).run(deviation.program).findings
    except SubjectFailed:
        return deviation  # what happens to the subject is told by its own process
    return deviation if any(not finding.hazard for finding in findings) else replace(deviation, reason=_NOT_ALONE)


def _rechecked(subject: Opened, settings: Settings, scripts: ScriptRuns | None) -> Iterator[Event]:
    """The events of a check, with the first new deviations tried in a fresh process, and their scripts run.

    The scripts run side by side while the check goes on: a deviation is pending until its own has ended.
    """
    reasons: dict[object, str] = {}
    outcomes: dict[object, ScriptOutcome | None] = {}
    delayed: list[tuple[DeviationFound, ScriptRun | None]] = []

    def released(*, whole: bool) -> Iterator[Event]:
        while delayed and (whole or delayed[0][1] is None or delayed[0][1].done):
            event, run = delayed.pop(0)
            outcome = outcomes[_key(event.deviation)] = None if run is None else run.outcome()
            yield replace(event, deviation=replace(event.deviation, script_run=outcome))

    for event in examine(subject, settings, interim=True):
        yield from released(whole=not isinstance(event, DeviationFound | DeviationPending | Progress | Standing))
        match event:
            case DeviationFound(deviation=deviation):
                run = None
                # No other process need show what the first step of one did.
                new = deviation.known is None and not deviation.hazard and deviation.sighting is None
                if new and len(reasons) < _TRIED and isinstance(subject, Host):
                    deviation = _tried_alone(subject, deviation, settings)
                    reasons[_key(deviation)] = deviation.reason
                    run = None if scripts is None else scripts.begin(deviation, settings)
                if run is None and not delayed:
                    yield replace(event, deviation=deviation)
                    continue
                delayed.append((replace(event, deviation=deviation), run))
                yield DeviationPending(event.name, deviation, named=True)
                continue
            case SubjectFinished(result=result):
                deviations = tuple(
                    replace(
                        deviation,
                        reason=reasons.get(_key(deviation)) or deviation.reason,
                        script_run=outcomes.get(_key(deviation)),
                    )
                    for deviation in result.deviations
                )
                yield replace(event, result=replace(result, deviations=deviations))
                continue
        yield event


def _key(deviation: Deviation) -> object:
    return deviation.known, deviation.clause, repr(deviation.program)
