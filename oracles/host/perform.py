"""Performing: a whole program in, its transcript out.

Nothing here knows the specification: a transcript says what happened, and ``rmspec.properties.judge`` says what should have.
So one transcript can be judged again, against another dialect or with less of it in sight, and nothing is run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from numpy.typing import NDArray

from rmspec.oracles.framework import import_reference
from rmspec.oracles.host.descent import Descend, Trajectory, descend_in_place
from rmspec.oracles.host.evidence import StepCounters
from rmspec.oracles.host.primitives import Evaluator, Workbench, make_evaluator
from rmspec.oracles.program.program import (
    Call,
    Copy,
    Create,
    EditState,
    Operate,
    Program,
    Save,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.registry import framework_named
from rmspec.oracles.session.calling import performed
from rmspec.oracles.subject import Capabilities, LocatedSession, Observation, Outcome, Session, Subject

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one call: its outcome and the observation after it."""

    outcome: Outcome
    after: Observation


@dataclass(frozen=True, slots=True)
class Transcript:
    """The behaviour of a subject in one program, as data.

    ``start`` is the observation before the first call; ``answers`` are those to the first calls of the program, to all of
    them unless the session could not go on. ``failure`` is the error that ended it, where the subject could not be driven
    any further. ``options`` are the hyperparameters that the subject takes, ``carried`` those that its saved states carry.
    ``devices`` are those that the parameters were on at the end, empty where the session does not tell.
    """

    program: Program
    start: Observation
    answers: tuple[Answer, ...]
    options: frozenset[str]
    carried: frozenset[str]
    failure: Exception | None = None
    devices: tuple[str, ...] = ()


@runtime_checkable
class Performer(Protocol):
    """A performer of whole programs, here or in another process; its attributes are those of ``Subject``."""

    name: str
    framework: str
    dialect: str
    baselines: tuple[str, ...]

    def capabilities(self) -> Capabilities:
        """The capabilities of the subject."""
        ...

    def versions(self) -> Mapping[str, str]:
        """Versions of its foundations, by name."""
        ...

    def state_names(self) -> Mapping[str, str]:
        """The subject's own names for the visible roles of its state."""
        ...

    def perform(self, program: Program) -> Transcript:
        """Perform a program in a session of its own. Raises ``SubjectFailed`` if the subject opens none."""
        ...

    def descend(self, ask: Descend) -> Trajectory:
        """Drive the subject down the objective. Raises ``SubjectFailed``."""
        ...


Driven = Subject | Performer
"""What programs are performed on: call by call in this process, or as a whole elsewhere."""


def descend(subject: Driven, ask: Descend) -> Trajectory:
    """Drive a subject down the objective. Raises ``SubjectFailed``."""
    return subject.descend(ask) if isinstance(subject, Performer) else descend_in_place(subject, ask)


def perform(program: Program, subject: Driven) -> Transcript:
    """Perform ``program`` in a session of its own. Raises ``SubjectFailed`` if the subject opens none."""
    if isinstance(subject, Performer):
        return subject.perform(program)
    with _threads(subject, program.threads), closing(subject.session(program.params)) as session:
        capabilities = subject.capabilities()
        counters = StepCounters(subject.name, subject.framework, capabilities.paths)
        asks = any(isinstance(call, Operate) for call in program.calls)
        evaluator = make_evaluator(subject) if asks else None
        return perform_in(session, program, capabilities.options, capabilities.carried, counters, evaluator)


def _threads(subject: Subject, count: int) -> AbstractContextManager[None]:
    """The context of a subject on so many threads: an empty one for 0, and without a say of its framework in it."""
    framework = framework_named(subject.framework)
    if not count or framework is None or not framework.threads:
        return nullcontext()
    make: Callable[[int], AbstractContextManager[None]] = import_reference(framework.threads)
    return make(count)


def perform_in(
    session: Session,
    program: Program,
    options: frozenset[str],
    carried: frozenset[str],
    counters: StepCounters | None = None,
    evaluator: Evaluator | None = None,
) -> Transcript:
    """Perform the calls of ``program`` in an open session, with the ``counters`` of its steps and the ``evaluator`` of operations.

    An error of the harness ends the transcript and is kept in it: whether the calls before it deviate already, so that
    nobody would have come so far, is for the judge to say.
    """
    start = latest = session.observe()
    answers: list[Answer] = []
    failure: Exception | None = None
    workbench = Workbench(evaluator)
    for call in program.calls:
        try:
            outcome = (
                _operate(workbench, call, latest) if isinstance(call, Operate) else _perform(session, call, counters)
            )
            latest = _share(latest, workbench.overlay(session.observe()))
        except Exception as error:
            failure = error
            break
        answers.append(Answer(outcome, latest))
        if outcome.raised and _ends(call):
            break
    devices = tuple(sorted(session.devices())) if isinstance(session, LocatedSession) else ()
    return Transcript(program, start, tuple(answers), options, carried, failure, devices)


def _operate(workbench: Workbench, call: Operate, before: Observation) -> Outcome:
    return performed(lambda: workbench.operate(call, before))


def _perform(session: Session, call: Call, counters: StepCounters | None) -> Outcome:
    if counters is None or not isinstance(call, Step):
        return session.perform(call)
    with counters.counting() as counted:
        outcome = session.perform(call)
        return replace(outcome, paths=counted())


def _ends(call: Call) -> bool:
    """Whether an exception of a call leaves nothing to go on with.

    Programs add groups, load states and run closures in order to have them refused. Of an optimizer whose constructor or
    step has raised nobody promises anything.
    """
    if isinstance(call, Step):
        return call.closure != "raises"
    return isinstance(call, Create | ZeroGrad | SetOption | Save | EditState | Copy)


# -- A call changes little, and observations are copies: what stayed the same is kept once.


def _share(before: Observation, after: Observation) -> Observation:
    """The observation ``after``, sharing with ``before`` all arrays of the same bits."""
    return Observation(
        _share_arrays(before.params, after.params),
        {
            name: None if grad is None else _share_array(before.grads.get(name), grad)
            for name, grad in after.grads.items()
        },
        after.groups,
        {optimizer: _share_tables(before.state.get(optimizer), params) for optimizer, params in after.state.items()},
        {slot: _share_tables(before.slots.get(slot), entries) for slot, entries in after.slots.items()},
        after.steps,
    )


_Key = TypeVar("_Key")


def _share_tables(
    before: Mapping[_Key, Mapping[str, Array]] | None, after: Mapping[_Key, Mapping[str, Array]]
) -> Mapping[_Key, Mapping[str, Array]]:
    return {key: _share_arrays((before or {}).get(key, {}), arrays) for key, arrays in after.items()}


def _share_arrays(before: Mapping[str, Array], after: Mapping[str, Array]) -> Mapping[str, Array]:
    return {name: _share_array(before.get(name), array) for name, array in after.items()}


def _share_array(old: Array | None, new: Array) -> Array:
    if old is None or old.dtype != new.dtype or old.shape != new.shape or old.tobytes() != new.tobytes():
        return new
    return old
