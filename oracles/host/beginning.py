"""The first step of a process: wide, on all of its threads, before anything else has called the kernels.

Kernels may be set up by the first call on each thread, and that call may come out otherwise than every later one
(pytorch#188792). Where a framework can open a session without asking its subject anything before, the step is the first of the
process; elsewhere it is the first after the subject has been described.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from rmspec.oracles.host.evidence import has_variants
from rmspec.oracles.host.perform import Answer, Transcript, perform, perform_in
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.oracles.subject import Capabilities, Observation, Session, Subject

__all__ = ["FIRST_STEP", "Beginning", "begin", "begin_late", "named"]


def _values(count: int, turn: int) -> tuple[float, ...]:
    """So many numbers of everyday size; a list of prime length repeats in no block of a usual size."""
    return tuple(
        (128 + index * 37 * turn % 128) / 256 * 2.0 ** (index * 7 * turn % 12 - 8) * (-1) ** (index * index // 3)
        for index in range(1, count + 1)
    )


FIRST_STEP = Program(
    (Param("p", "float32", (2**17,), _values(251, 1)),),
    (Create("A", (Group(("p",)),), {"lr": 0.5}, "list"), SetGrad("p", _values(509, 5)), Step("A")),
    "the first step of a process",
)


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first step of a process: its ``transcript``, and its ``seconds``."""

    transcript: Transcript
    seconds: float


def begin(open_session: Callable[[tuple[Param, ...]], Session | None]) -> Beginning | None:
    """Take the first step of a subject in its first session; ``None`` without a session, and without an end of the step.

    Roles of its state have the subject's own names. Whatever the subject raises will be raised again when it is asked.
    """
    start = time.monotonic()
    with suppress(BaseException):
        session = open_session(FIRST_STEP.params)
        if session is not None:
            with closing(session):
                return _whole(perform_in(session, FIRST_STEP, frozenset(), frozenset()), start)
    return None


def begin_late(subject: Subject, capabilities: Capabilities) -> Beginning | None:
    """Take the step in a subject described before; ``None`` if it cannot be asked the step, or would compile it."""
    able = "float32" in capabilities.formats and "lr" in capabilities.options and not capabilities.instead
    if not able or capabilities.required - {"lr"} or has_variants(subject.framework, capabilities.paths):
        return None
    start = time.monotonic()
    with suppress(Exception):
        return _whole(perform(FIRST_STEP, subject), start)
    return None


def _whole(transcript: Transcript, start: float) -> Beginning | None:
    over = len(transcript.answers) == len(FIRST_STEP.calls) and transcript.failure is None
    return Beginning(transcript, time.monotonic() - start) if over else None


def named(beginning: Beginning, capabilities: Capabilities, state_names: Mapping[str, str]) -> Beginning:
    """The beginning with the roles of the state by their names, and the options, as they were found out later."""
    roles = {name: role for role, name in state_names.items()}

    def translated(observation: Observation) -> Observation:
        state = {
            optimizer: {
                param: {roles[name]: array for name, array in entries.items() if name in roles}
                for param, entries in params.items()
            }
            for optimizer, params in observation.state.items()
        }
        return replace(observation, state=state)

    transcript = replace(
        beginning.transcript,
        answers=tuple(Answer(answer.outcome, translated(answer.after)) for answer in beginning.transcript.answers),
        options=capabilities.options,
        carried=capabilities.carried,
    )
    return replace(beginning, transcript=transcript)
