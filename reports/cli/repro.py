"""``rmspec repro`` and ``rmspec script``: a stored program, replayed on its subject; a recording is verified."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.dialects import check_dialect, statement
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.loader import check_name
from rmspec.oracles.program.program import Program
from rmspec.oracles.recordings.reader import is_recording
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import trial
from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings, make_settings
from rmspec.reports.config.options import COMMAND_LINE
from rmspec.reports.escapes import one_line, plain, say
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import BadOption, choose
from rmspec.reports.run.one_job import Stopped, open_for_job
from rmspec.reports.stored import (
    check_first_steps,
    file_command,
    file_commands,
    read_counterexample,
    read_program,
    would_run,
)
from rmspec.reports.terminal.failure_block import block, wrapped

__all__ = ["ReproOptions", "repro", "script"]


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
    memory_limit: str | None = None
    dialect: str | None = None
    policy: str | None = None
    json: str | None = None


def repro(options: ReproOptions) -> ExitCode:
    """Replay a stored program and say whether it still fails; verify a recording. Raises ``InputProblem``."""
    if is_recording(options.file):
        return _recording(options)
    if options.json is not None:
        raise BadOption(
            "--json is for recordings", "a stored program has no report", "rmspec check SUBJECT --json FILE"
        )
    program, settings = _resolved(options, "repro")
    try:
        deviations, exercised = _replayed(program, settings)
    except Stopped as stopped:
        say("\n".join(wrapped(plain(stopped.text), hang=2)))
        return stopped.code
    if not deviations and not exercised:
        text = (
            f"{plain(program.subject)}: nothing of {program.clause or 'any clause'} was exercised: as far as this subject "
            "can be asked the program, it makes no check of it, and says neither that it holds nor that it fails"
        )
        say("\n".join(wrapped(text, hang=2)))
        return ExitCode.NOTHING_CHECKED
    same = [deviation for deviation in deviations if not program.clause or deviation.clause == program.clause]
    others = [deviation for deviation in deviations if deviation not in same]
    code = max((_code(deviation, options) for deviation in deviations), default=ExitCode.CONFORMS)
    heading = f"{plain(program.subject)}: {_outcome(program, same, others)}"
    stored = read_counterexample(options.file)
    if not deviations and stored is not None and stored.passing:
        heading = (
            f"{plain(program.subject)}: not seen: {program.clause} holds in this program. It was broken in the first step of a "
            f"process alone, which is no proof that it is mended: {check_first_steps(program.subject)} asks more of them"
        )
    say("\n".join(wrapped(heading, hang=2)))
    for deviation in deviations:
        print()
        if deviation.known is not None:
            say("\n".join(wrapped(f"{deviation.clause}: {_excuse(deviation)}", indent=2, hang=4)))
        else:
            say("\n".join(block(deviation, file_commands(options.file, program.subject))))
    return code


def _recording(options: ReproOptions) -> ExitCode:
    from rmspec.reports.cli.repro_recording import repro_recording

    settings = _settings(options)
    if options.baseline is not None:
        raise BadOption(
            "--baseline is for stored programs",
            "a recording is verified without running anything",
            "name a deviation that you accept in a list, as in --known FILE",
        )
    return repro_recording(
        options.file,
        subject=options.subject,
        dialect=options.dialect,
        policy=options.policy,
        known=settings.known or (),
        fail_on_hazards=options.fail_on == "hazards",
        call_timeout=options.call_timeout,
        memory_limit=settings.memory_limit,
        to_json=options.json,
    )


def _settings(options: ReproOptions, stored: Program | None = None, *, dialect: str | None = None) -> Settings:
    """The settings of a replay: as typed, else as stored with the program. Raises ``InputProblem``."""
    if options.fail_on is not None:
        choose("value of --fail-on", options.fail_on, ["hazards"])
    return make_settings(
        dialect=dialect if options.dialect is None else options.dialect,
        device=(stored and stored.device) or "cpu",
        known=() if options.known is None else options.known,
        no_known=options.no_known,
        baseline=options.baseline,
        policy=options.policy or (stored and stored.policy) or "strict",
        framework=(stored and stored.framework) or None,
        call_timeout=options.call_timeout,
        memory_limit=options.memory_limit,
        spelling=COMMAND_LINE,
    )


def script(options: ReproOptions) -> ExitCode:
    """Print the standalone script of a stored program. Raises ``InputProblem`` for one without.

    A file that says what it shows starts nothing. One of 0.1.0 does not: its program is replayed, as ``repro`` does it, and so is
    one on another subject.
    """
    stored = read_counterexample(options.file)
    if stored is not None and options.subject in (None, stored.program.subject):
        try:
            return _printed(options, stored)
        except (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError):
            raise MalformedProgram(
                f"{options.file} says that it shows what its calls cannot show",
                "no script can be made of it",
                f"{file_command('repro', options.file, stored.program.subject or 'torch')} finds out what it shows",
            ) from None
    program, settings = _resolved(options, "script")
    try:
        deviations, _ = _replayed(program, settings)
    except Stopped as stopped:
        say("\n".join(wrapped(plain(stopped.text), hang=2)), error=True)
        return stopped.code
    if not deviations:
        raise InputProblem(
            f"{options.file} shows no deviation of {program.subject} any more",
            "a script would have nothing to show",
            f"{file_command('repro', options.file, program.subject)} replays it",
        )
    return _printed(options, deviations[0])


def _printed(options: ReproOptions, deviation: Counterexample) -> ExitCode:
    text, program = standalone_script(deviation), deviation.program
    if deviation.passing:
        raise InputProblem(
            f"what {options.file} shows was seen in the first step of a process alone",
            "no script shows it for certain",
            f"{check_first_steps(program.subject)} asks more first steps",
        )
    if text is None:
        raise InputProblem(
            f"there is no standalone script for {program.subject}",
            "a script uses the subject's framework alone, and this one is part of rmspec or not Python",
            f"{file_command('repro', options.file, program.subject)} replays the program",
        )
    say(text.rstrip("\n"))
    return ExitCode.CONFORMS


def _resolved(options: ReproOptions, command: Literal["repro", "script"]) -> tuple[Program, Settings]:
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
            file_command(command, options.file, "torch"),
        )
    if options.subject is None and (run := would_run(name)):
        raise BadOption(
            f"{options.file} was found on {one_line(name)}, which is not registered",
            f"what is read starts nothing, and this would {one_line(run)}",
            f"if you trust it, name it yourself: {file_command(command, options.file, name)}",
        )
    check_name(name)
    if program.clause and program.clause not in CLAUSES:
        raise MalformedProgram(
            f"{options.file} names no clause of this rmspec: {program.clause!r}", hint="rmspec clauses"
        )
    elsewhere = options.subject is not None and options.subject != program.subject
    stated = None if elsewhere or not program.dialect else check_dialect(program.dialect, where=options.file)
    if program.policy and options.policy is None:
        choose("policy", program.policy, POLICIES, where=options.file)
    settings = _settings(options, program, dialect=stated)
    return replace(program, subject=name, dialect=options.dialect or ("" if elsewhere else program.dialect)), settings


def _replayed(program: Program, settings: Settings) -> tuple[tuple[Deviation, ...], bool]:
    with open_for_job(program.subject, settings, occasion="while it was replayed") as driven:
        deviations, exercised = trial(
            driven, program, replace(settings, dialect=settings.dialect or program.dialect or None)
        )
    # Those of its own clause come first, then others, then hazards.
    ordered = sorted(deviations, key=lambda deviation: (deviation.hazard, deviation.clause != program.clause))
    return tuple(ordered), exercised


def _code(deviation: Deviation, options: ReproOptions) -> ExitCode:
    excused = deviation.known is not None or (deviation.hazard and options.fail_on != "hazards")
    return ExitCode.CONFORMS if excused else ExitCode.DEVIATES


def _outcome(program: Program, same: list[Deviation], others: list[Deviation]) -> str:
    clause = f"{program.clause} ({statement(program.clause, program.dialect)})" if program.clause else "the program"
    if same and all(deviation.hazard for deviation in same):
        return f"still a hazard: {clause}. The formula itself admits it; --fail-on hazards fails it"
    if same and all(deviation.known is not None for deviation in same):
        return f"still fails, and that is known: {clause}"
    if same:
        return f"STILL FAILS: {program.clause or clause}"
    if others:
        return f"{clause} holds, but the program fails by another clause: {', '.join(deviation.clause for deviation in others)}"
    return f"FIXED: {clause} holds in this program"


def _excuse(deviation: Deviation) -> str:
    return plain(f"{deviation.known}: {deviation.reason}")
