"""``rmspec repro RECORDING``: every recorded step verified, the first deviation pinned down and made into a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.errors import RmspecError
from rmspec.oracles.dialects import check_dialect, statement
from rmspec.oracles.errors import HostError, SubjectFailed
from rmspec.oracles.host.host import Host
from rmspec.oracles.loader import check_name
from rmspec.oracles.recordings.reader import Lost, Recording, open_recording
from rmspec.oracles.torch.onestep_script import onestep_script
from rmspec.properties.known import Known
from rmspec.properties.recordings.reproduction import question, reproduced
from rmspec.properties.recordings.verify import RecordedDeviation, Verified, verify
from rmspec.reports.documents import as_data, json_text, select_keys
from rmspec.reports.escapes import plain, say
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.outputs import check_writable, write_last
from rmspec.reports.problems import InternalError, choose
from rmspec.reports.stored import file_command, would_run
from rmspec.reports.terminal.failure_block import count, wrapped
from rmspec.reports.text import hexadecimal, measured_lines

__all__ = ["SCHEMA", "document", "repro_recording"]

SCHEMA = "rmspec.recording-report/1"


@dataclass(frozen=True, slots=True)
class _Reduced:
    """The script of the first deviation, or why there is none."""

    script: str = ""
    why: str = ""


def repro_recording(
    path: str,
    *,
    subject: str | None = None,
    dialect: str | None = None,
    policy: str | None = None,
    known: tuple[Known, ...] = (),
    fail_on_hazards: bool = False,
    call_timeout: float = 60.0,
    memory_limit: int | None = None,
    to_json: str | None = None,
) -> ExitCode:
    """Verify a recording, print the findings, and return the exit code. Raises ``InputProblem``."""
    if dialect is not None:
        check_dialect(dialect)
    chosen = POLICIES[choose("policy", policy or "strict", POLICIES)]
    if subject is not None:
        check_name(subject)
    if to_json is not None:
        check_writable(to_json, "--json")
    verified = verify(open_recording(path), dialect=dialect, policy=chosen, known=known)
    first = verified.first or (verified.hazards[0] if fail_on_hazards and verified.hazards else None)
    name = subject if subject is not None else verified.recording.source.subject
    command = file_command("repro", path, name)
    reduced = _Reduced()
    if first is not None and subject is None and (run := would_run(name)):
        why = f"{name} is not registered; what is read starts nothing, and this would {run}. {command} makes one"
        reduced = _Reduced(why=why)
    elif first is not None:
        reduced = _reduced(verified, first, name, call_timeout, memory_limit)
    code = _code(verified, first)
    say("\n".join(_lines(path, command, verified, first, reduced)), error=to_json == "-")
    if to_json is not None:
        data = document(verified, first, reduced.script, reduced.why)
        return write_last(to_json, json_text(data), code)
    return code


def _code(verified: Verified, first: RecordedDeviation | None) -> ExitCode:
    if first is not None:
        return ExitCode.DEVIATES
    tally = verified.tally
    if not verified.roles or tally.element_checks == tally.inconclusive_checks:
        return ExitCode.NOTHING_CHECKED
    return ExitCode.CONFORMS


# -- the script


def _reduced(verified: Verified, first: RecordedDeviation, name: str, patience: float, memory: int | None) -> _Reduced:
    source = verified.recording.source
    if not name:
        return _Reduced(why=f"{source.called} cannot be imported from elsewhere; --subject NAME says where it is")
    ask = question(first, verified.roles, POLICIES[verified.policy], source.device)
    if ask is None:
        return _Reduced(why="what happened outside of the arithmetic of a step has no script")
    try:
        with Host(name, device=ask.step.device, call_timeout=patience, memory_limit=memory) as host:
            host.occasion = "while the step was reproduced"
            reproduction = reproduced(ask, host.fitted(ask.step), host.step)
    except HostError as error:
        raise InternalError(error.why) from None
    except SubjectFailed as error:
        return _Reduced(why=f"{name}: {error.what}")
    except RmspecError as error:
        return _Reduced(why=f"{error.what}; --subject NAME says where the optimizer is")
    if reproduction is not None:
        return _Reduced(script=onestep_script(first.deviation, name, reproduction))
    return _Reduced(
        why=f"a fresh {name} in the recorded state does not do it: something outside of its state, its groups and its "
        "attributes switched it on"
    )


# -- in words


def _lines(
    path: str, command: str, verified: Verified, first: RecordedDeviation | None, reduced: _Reduced
) -> list[str]:
    lines = wrapped(f"{plain(path)}: {_outcome(verified, first)}", hang=2)
    lines += _facts(verified, first)
    if first is not None:
        lines += ["", *_block(command, first, reduced)]
    rest = [recorded for recorded in (*verified.deviations, *verified.hazards) if recorded is not first]
    if rest:
        lines += ["", "also seen:"]
        for recorded in rest:
            lines += wrapped(_also(recorded), indent=2, hang=4)
    return lines


def _outcome(verified: Verified, first: RecordedDeviation | None) -> str:
    if first is not None:
        kind = "HAZARD" if first.deviation.hazard else "DEVIATES"
        return f"{kind} at step {first.step.number}: {first.deviation.clause}"
    tally = verified.tally
    if not tally.element_checks:
        return "nothing could be checked"
    if not verified.roles:
        return "inconclusive: the optimizer's state cannot be seen, and without it most results are possible"
    if tally.element_checks == tally.inconclusive_checks:
        return "inconclusive: no element has a bounded envelope"
    words = "conforms, but for known deviations" if verified.deviations else "conforms"
    return f"{words}, as far as it can be read" if any(each.harmed for each in verified.lost) else words


def _facts(verified: Verified, first: RecordedDeviation | None) -> list[str]:
    recording, tally = verified.recording, verified.tally
    lines: list[str] = []

    def say(text: str) -> None:
        lines.extend(wrapped(plain(text), indent=2, hang=4))

    span = f", {verified.first_step} to {verified.last_step}" if verified.steps else ""
    total = "" if recording.seen is None else f" of {recording.seen:,}"
    every = "" if recording.every == 1 else f" (every {recording.every})"
    say(f"{recording.source.called}: {count(verified.steps, 'recorded step')}{span}{total}{every}")
    checks = f"{count(tally.element_checks, 'element check')}, {tally.inconclusive_checks:,} inconclusive"
    say(f"{checks}; dialect {verified.dialect}, policy {verified.policy}")
    if verified.frames:
        say(f"between steps: {count(verified.frames, 'state')} compared")
    elif verified.steps:
        say("between steps: not checked, no two recorded steps follow each other")
    if recording.ended == "":
        say("the run ended before the recording was closed; these are the steps that it had written")
    elif recording.ended != "closed":
        say(f"the run ended with {recording.ended}")
    for loss in verified.lost:
        say(_lost(loss, recording))
    if first is not None and any(loss.harmed and loss.first < first.step.number for loss in verified.lost):
        say(f"the first deviation may lie in the steps that are lost before step {first.step.number}")
    if recording.when_full == "stop" and recording.seen is not None:
        last = max([verified.last_step, *(loss.last or recording.seen for loss in verified.lost)])
        if recording.seen - last >= recording.every:
            say(f"recording stopped at max_bytes={recording.max_bytes:,}")
    if verified.changed_outside:
        names = ", ".join(list(verified.changed_outside)[:3])
        say(f"parameters were changed between steps, which is no deviation: {names}")
    for note in recording.notes:
        say(note)
    return lines


def _lost(lost: Lost, recording: Recording) -> str:
    why = []
    if lost.dropped:
        why.append(f"dropped to stay within max_bytes={recording.max_bytes:,}")
    if lost.gone and lost.or_dropped:
        why.append(f"dropped to stay within max_bytes={recording.max_bytes:,}, or removed")
    elif lost.gone:
        one = len(lost.gone) == 1 and " to " not in lost.gone[0]
        why.append(f"missing: {', '.join(lost.gone)} {'is' if one else 'are'} not there")
    if lost.cut_off:
        why.append(f"lost: {', '.join(lost.cut_off)} {'is' if len(lost.cut_off) == 1 else 'are'} cut off")
    if lost.first == 1 and lost.last is not None and not lost.harmed:
        steps = f"steps before {lost.last + recording.every} were"
    elif lost.last is None:
        steps = f"steps from {lost.first} on are"
    elif lost.first >= lost.last:
        steps = f"step {lost.first} is"
    else:
        steps = f"steps {lost.first} to {lost.last} are"
    return f"{steps} {', or '.join(why)}"


def _block(command: str, first: RecordedDeviation, reduced: _Reduced) -> list[str]:
    deviation, step = first.deviation, first.step
    lines = wrapped(f"{deviation.clause}: {statement(deviation.clause, deviation.program.dialect)}", indent=2)
    lines += ["", *wrapped(plain(deviation.summary), indent=2)]
    lines += wrapped(f"(step {step.number}, {plain(deviation.param)}, element {first.position})", indent=2)
    lines += ["", *(f"  {line}" for line in measured_lines(deviation))]
    lines += ["", "  before the step:", *_before(first)]
    lines += ["", "  reproduce it with:", f"    {command}", ""]
    if reduced.script:
        return [
            *lines,
            "  or with this script (not run):",
            *(f"    {line}".rstrip() for line in reduced.script.splitlines()),
        ]
    return [*lines, *wrapped(plain(f"no script: {reduced.why}"), indent=2, hang=4)]


def _before(first: RecordedDeviation) -> list[str]:
    parts = len(first.deviation.program.params[0].values)
    place = first.deviation.element // parts * parts
    size = first.step.before[first.param]["param"].size
    lines = []
    for key, array in first.step.before[first.param].items():
        values = array[place : place + parts] if array.size == size else array[:1]
        numbers = ", ".join(hexadecimal(float(value)) for value in values)
        lines.append(f"    {plain(key.removeprefix('state/'))} = {numbers}")
    options = ", ".join(f"{name}={value!r}" for name, value in first.group.options.items())
    return [*lines, *wrapped(plain(options), indent=4, hang=8)]


def _also(recorded: RecordedDeviation) -> str:
    deviation = recorded.deviation
    kind = "hazard: " if deviation.hazard else f"{deviation.known}: " if deviation.known else ""
    spread = "" if recorded.occurrences == 1 else f", {recorded.occurrences:,} times until step {recorded.last}"
    return plain(
        f"{kind}{deviation.clause} at step {recorded.step.number} ({deviation.param}, element {recorded.position}{spread}): "
        f"{deviation.summary}"
    )


# -- as JSON


def document(verified: Verified, first: RecordedDeviation | None, script: str, why: str) -> dict[str, Any]:
    """Convert the findings of a recording to JSON data; the schema is ``schemas/recording-report-1.json``."""
    recording, tally = verified.recording, verified.tally
    code = _code(verified, first)
    inconclusive = (
        "inconclusive" if code == ExitCode.NOTHING_CHECKED else "known" if verified.deviations else "conforms"
    )
    return {
        "schema": SCHEMA,
        "verdict": "deviates" if code == ExitCode.DEVIATES else inconclusive,
        "optimizer": recording.source.called,
        "subject": recording.source.subject,
        "versions": dict(recording.source.versions),
        "dialect": verified.dialect,
        "policy": verified.policy,
        "complete": recording.ended == "closed" and not any(each.harmed for each in verified.lost),
        "ended": recording.ended,
        "every": recording.every,
        "steps": {"recorded": verified.steps, "first": verified.first_step, "last": verified.last_step},
        "steps_seen": recording.seen,
        "steps_lost": [
            {"first": each.first, "last": each.last, "why": _lost(each, recording)} for each in verified.lost
        ],
        "states_compared_between_steps": verified.frames,
        "element_checks": tally.element_checks,
        "inconclusive_checks": tally.inconclusive_checks,
        "notes": list(recording.notes),
        "deviations": [_deviation(each, verified, first, script, why) for each in verified.deviations],
        "hazards": [_deviation(each, verified, first, script, why) for each in verified.hazards],
    }


def _deviation(
    each: RecordedDeviation, verified: Verified, first: RecordedDeviation | None, script: str, why: str
) -> dict[str, Any]:
    deviation, step = each.deviation, each.step
    own = {
        "step": step.number,
        "last_step": each.last,
        "occurrences": each.occurrences,
        "group": next(number for number, group in enumerate(step.groups) if each.param in group.params),
        "element": each.position,
        "options": as_data(dict(each.group.options)),
        "script": script or None if each is first else None,
        "no_script": why if each is first else "",
    }
    return select_keys("recording-report-1", "deviation", {**as_data(deviation), **own})
