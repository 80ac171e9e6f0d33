"""Probes: short programs on one element, run on a subject, and the observations after each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import as_reals
from rmspec.oracles.host.perform import Driven, Transcript, perform
from rmspec.oracles.program.program import Call, Create, Group, Param, Program, SetGrad, SetOption, Step
from rmspec.oracles.subject import Outcome
from rmspec.properties.judge.ledger import number

__all__ = ["Moment", "Prober", "Trace", "probe", "shortened"]

_PARAM, _OPTIMIZER = "p", "A"


@dataclass(frozen=True, slots=True)
class Moment:
    """One step of one element: the options in force, and the numbers around it.

    ``call`` is the index of the step in the program; ``state`` maps the roles that can be seen after it to numbers.
    """

    call: int
    options: Mapping[str, float | bool]
    before: float
    grad: float
    after: float
    state: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Trace:
    """The course of a probe: its steps up to the first exception; ``raised`` names it, or is empty."""

    program: Program
    moments: tuple[Moment, ...]
    raised: str = ""

    @property
    def format(self) -> str:
        """The number format of its parameter."""
        return self.program.params[0].dtype


Turn = float | Mapping[str, float]


def probe(format: str, options: Mapping[str, float | bool], *turns: Turn, theta: float = 1.0) -> Program:
    """Make a program of one parameter ``theta`` and these options, with a step for each gradient of ``turns``.

    A turn that is a mapping changes options of the group instead, as a schedule does.
    """
    calls: list[Call] = [Create(_OPTIMIZER, (Group((_PARAM,)),), dict(options), "list")]
    grad: float | None = None
    for turn in turns:
        if isinstance(turn, Mapping):
            calls.append(SetOption(_OPTIMIZER, 0, dict(turn)))
            continue
        if turn != grad:
            calls.append(SetGrad(_PARAM, (turn,)))
            grad = turn
        calls.append(Step(_OPTIMIZER))
    return Program((Param(_PARAM, format, (1,), (theta,)),), tuple(calls))


def shortened(program: Program) -> list[Program]:
    """List the programs with one call less, a step at the end, and a gradient before the first step."""
    calls = program.calls
    shorter = [(*calls[:index], *calls[index + 1 :]) for index in range(1, len(calls) - 1)]
    return [replace(program, calls=each) for each in shorter if isinstance(each[1], SetGrad)]


class Prober:
    """Runs probes on a subject, each of them once; ``runs`` counts them."""

    def __init__(self, subject: Driven) -> None:
        self._subject = subject
        self._transcripts: dict[str, Transcript] = {}
        self._traces: dict[str, Trace] = {}

    @property
    def runs(self) -> int:
        """How many programs were run so far."""
        return len(self._transcripts)

    @property
    def transcripts(self) -> tuple[Transcript, ...]:
        """The transcripts of all programs so far."""
        return tuple(self._transcripts.values())

    def perform(self, program: Program) -> Transcript:
        """The transcript of a program. Raises ``SubjectFailed`` if the subject cannot be driven."""
        key = repr(program)
        if key not in self._transcripts:
            self._transcripts[key] = perform(program, self._subject)
        return self._transcripts[key]

    def run(self, program: Program) -> Trace:
        """Trace a program. Raises ``SubjectFailed`` if the subject cannot be driven."""
        key = repr(program)
        if key not in self._traces:
            self._traces[key] = _trace(self.perform(program))
        return self._traces[key]


def _trace(transcript: Transcript) -> Trace:
    program = transcript.program
    moments: list[Moment] = []
    options: dict[str, float | bool] = {}
    before = transcript.start
    for index, (call, answer) in enumerate(zip(program.calls, transcript.answers, strict=False)):
        if answer.outcome.raised:
            return Trace(program, tuple(moments), _told(answer.outcome))
        if isinstance(call, Create | SetOption):
            options |= {name: number(value) for name, value in call.options.items()}
        if isinstance(call, SetGrad):
            before = answer.after
        if isinstance(call, Step):
            after = answer.after
            grad = before.grads[_PARAM]
            seen = after.state.get(_OPTIMIZER, {}).get(_PARAM, {})
            moments.append(
                Moment(
                    index,
                    dict(options),
                    float(as_reals(before.params[_PARAM])[0]),
                    0.0 if grad is None else float(as_reals(grad)[0]),
                    float(as_reals(after.params[_PARAM])[0]),
                    {role: float(as_reals(np.asarray(seen[role]))[0]) for role in STATE_ROLES if role in seen},
                )
            )
            before = after
    if transcript.failure is not None:
        raise transcript.failure
    return Trace(program, tuple(moments))


def _told(outcome: Outcome) -> str:
    raised = outcome.raised
    assert raised is not None
    return f"{raised.type}: {raised.message}" if raised.message else raised.type
