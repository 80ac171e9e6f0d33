"""``rmspec repro`` and ``rmspec script``: a stored program, replayed on its subject."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from rmspec.impl.clauses import CLAUSES
from rmspec.impl.dialect import DIALECTS
from rmspec.impl.policy import POLICIES
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.loader import check_name
from rmspec.oracles.program import Program
from rmspec.properties.check import Settings
from rmspec.properties.events import Deviation
from rmspec.properties.known import read_known, shipped
from rmspec.reports.block import block, title, wrapped
from rmspec.reports.gate import ExitCode
from rmspec.reports.jobs import Failed, Load, Replay, Replayed
from rmspec.reports.overseer import Overseer, WorkerLost
from rmspec.reports.problems import BadOption, InternalError, choose
from rmspec.reports.readable import plain
from rmspec.reports.script import standalone_script
from rmspec.reports.stored import file_commands, read_program

__all__ = ["ReproOptions", "repro", "script"]

_IMPORT_PATIENCE = 120.0  # seconds, as for a check


@dataclass(frozen=True, kw_only=True, slots=True)
class ReproOptions:
    """The options of ``rmspec repro`` and ``rmspec script``; ``call_timeout`` in seconds."""

    file: str
    subject: str | None = None
    known: str | None = None
    no_known: bool = False
    baseline: str | None = None
    fail_on: str | None = None
    call_timeout: float = 60.0


class _Stopped(Exception):
    """The replay came to no result: the exit code, and why."""

    def __init__(self, code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def repro(options: ReproOptions) -> ExitCode:
    """Replay a stored program and say whether it still fails. Raises ``InputProblem``."""
    program, settings = _resolved(options)
    try:
        found, exercised = _replayed(program, settings, options)
    except _Stopped as stopped:
        print("\n".join(wrapped(plain(stopped.text), hang=2)))
        return stopped.code
    if not found and not exercised:
        text = (
            f"{plain(program.subject)}: nothing of {program.clause or 'any clause'} was exercised: as far as this subject "
            "can be asked the program, it makes no check of it, and says neither that it holds nor that it fails"
        )
        print("\n".join(wrapped(text, hang=2)))
        return ExitCode.NOTHING_CHECKED
    same = [each for each in found if not program.clause or each.clause == program.clause]
    others = [each for each in found if each not in same]
    code = max((_code(each, options) for each in found), default=ExitCode.CONFORMS)
    heading = f"{plain(program.subject)}: {_outcome(program, same, others)}"
    print("\n".join(wrapped(heading, hang=2)))
    for each in found:
        print()
        if each.known is not None:
            print("\n".join(wrapped(f"{each.clause}: {_excuse(each)}", indent=2, hang=4)))
        else:
            print("\n".join(block(each, file_commands(options.file))))
    return code


def script(options: ReproOptions) -> ExitCode:
    """Print the standalone script of a stored program. Raises ``InputProblem`` where there is none."""
    program, settings = _resolved(options)
    try:
        found, _ = _replayed(program, settings, options)
    except _Stopped as stopped:
        print("\n".join(wrapped(plain(stopped.text), hang=2)), file=sys.stderr)
        return stopped.code
    if not found:
        raise InputProblem(
            f"{options.file} shows no deviation of {program.subject} any more",
            "a script would have nothing to show",
            f"rmspec repro {shlex.quote(options.file)} replays it",
        )
    text = standalone_script(found[0])
    if text is None:
        raise InputProblem(
            f"there is no standalone script for {program.subject}",
            "a script uses the subject's framework alone, and this one is part of rmspec or not Python",
            f"rmspec repro {shlex.quote(options.file)} replays the program",
        )
    print(text.rstrip("\n"))
    return ExitCode.CONFORMS


def _resolved(options: ReproOptions) -> tuple[Program, Settings]:
    program = read_program(options.file)
    if not program.calls:
        raise MalformedProgram(
            f"{options.file} holds no calls",
            "there is nothing to replay",
            "give a file that rmspec check --repro-dir wrote",
        )
    name = options.subject or program.subject
    if not name:
        raise BadOption(
            f"{options.file} names no subject",
            "a program of the corpus belongs to none",
            f"rmspec repro {shlex.quote(options.file)} --subject torch",
        )
    try:
        check_name(name)
    except InputProblem as error:
        if options.subject is not None:
            raise
        why = "; ".join(part for part in (f"{options.file} was found on {name}", error.why) if part)
        raise InputProblem(error.what, why, "go to where that is, or say --subject NAME") from None
    if options.baseline not in (None, "none"):
        check_name(str(options.baseline))
    if options.fail_on is not None:
        choose("value of --fail-on", options.fail_on, ["hazards"])
    if options.known is not None and options.no_known:
        raise BadOption("--known and --no-known exclude each other", hint="leave one of them out")
    if not options.call_timeout > 0:
        raise BadOption(
            f"--call-timeout {options.call_timeout:g} is not above zero", hint="write it as --call-timeout 30"
        )
    if program.clause and program.clause not in CLAUSES:
        raise MalformedProgram(
            f"{options.file} names no clause of this rmspec: {program.clause!r}", hint="rmspec clauses"
        )
    other = options.subject is not None and options.subject != program.subject
    settings = Settings(
        dialect=None
        if other or not program.dialect
        else choose("dialect", program.dialect, DIALECTS, where=options.file),
        device=program.device or "cpu",
        known=() if options.no_known else (*shipped(), *(read_known(Path(options.known)) if options.known else ())),
        baseline=options.baseline,
        policy=POLICIES[choose("policy", program.policy or "strict", POLICIES, where=options.file)],
        framework=program.framework or None,
    )
    return replace(program, subject=name, dialect="" if other else program.dialect), settings


def _replayed(program: Program, settings: Settings, options: ReproOptions) -> tuple[tuple[Deviation, ...], bool]:
    name, patience = program.subject, options.call_timeout
    found: tuple[Deviation, ...] = ()
    exercised = False
    jobs = ((Load(name, settings), max(patience, _IMPORT_PATIENCE)), (Replay(name, program, settings), patience))
    with Overseer() as overseer:
        try:
            for job, limit in jobs:
                for answer in overseer.ask(job, patience=limit):
                    if isinstance(answer, Failed):
                        _stop(name, answer)
                    elif isinstance(answer, Replayed):
                        found, exercised = answer.deviations, answer.exercised
        except WorkerLost as lost:
            raise _Stopped(ExitCode.SUBJECT_FAILED, f"{name}: {lost.told('while it was replayed')}") from None
    return found, exercised


def _stop(name: str, failure: Failed) -> None:
    if failure.kind == "input":
        raise InputProblem(failure.what, failure.why, failure.hint)
    if failure.kind == "internal":
        raise InternalError(failure.trace)
    code = ExitCode.NOTHING_CHECKED if failure.kind == "unsupported" else ExitCode.SUBJECT_FAILED
    text = ". ".join(part.rstrip(".") for part in (failure.what, failure.why, failure.hint) if part)
    raise _Stopped(code, f"{name}: {text}")


def _code(deviation: Deviation, options: ReproOptions) -> ExitCode:
    excused = deviation.known is not None or (deviation.hazard and options.fail_on != "hazards")
    return ExitCode.CONFORMS if excused else ExitCode.DEVIATES


def _outcome(program: Program, same: list[Deviation], others: list[Deviation]) -> str:
    clause = f"{program.clause} ({title(program.clause)})" if program.clause else "the program"
    if same and all(each.hazard for each in same):
        return f"still a hazard: {clause}. The formula itself admits it; --fail-on hazards fails it"
    if same and all(each.known is not None for each in same):
        return f"still fails, and that is known: {clause}"
    if same:
        return f"STILL FAILS: {program.clause or clause}"
    if others:
        return f"{clause} holds, but the program fails by another clause: {', '.join(each.clause for each in others)}"
    return f"FIXED: {clause} holds in this program"


def _excuse(deviation: Deviation) -> str:
    return plain(f"{deviation.known}: {deviation.reason}")
