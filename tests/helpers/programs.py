"""Short ways to write programs in tests, and a subject that keeps one habit of a test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, dialect_named
from rmspec.oracles.numpy.subject import ReferenceSession, ReferenceSubject
from rmspec.oracles.program.program import Call, Create, Group, OptionValue, Param, Program, SetGrad, Step
from rmspec.oracles.subject import Capabilities, Observation, Outcome, Subject
from rmspec.properties.check import examine
from rmspec.properties.events import DeviationFound, SubjectFinished, SubjectResult
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.runner import run
from rmspec.properties.settings import Settings

P = Param("p")
"""One float32 parameter of one element, 1.0."""


def create(*params: str, name: str = "A", **options: OptionValue) -> Create:
    """An optimizer over these parameters (``p`` alone, if none is named), as a list."""
    return Create(name, (Group(params or ("p",)),), options, "list")


def grouped(*groups: Group, name: str = "A", **options: OptionValue) -> Create:
    """An optimizer over groups, as dicts."""
    return Create(name, groups, options)


def step(name: str = "A", /, **grads: float) -> tuple[Call, ...]:
    """Set these gradients, then step."""
    return (*(SetGrad(param, (value,)) for param, value in grads.items()), Step(name))


def program(*calls: Call | Iterable[Call], params: tuple[Param, ...] = (P,), note: str = "") -> Program:
    """A program of calls and of runs of calls."""
    flat: list[Call] = []
    for each in calls:
        if isinstance(each, tuple | list):
            flat.extend(each)
        else:
            flat.append(each)  # type: ignore[arg-type]
    return Program(params, tuple(flat), note)


def findings(
    given: Program, subject: Subject, dialect: Dialect | str = SPECIFICATION, tally: Tally | None = None
) -> tuple[Finding, ...]:
    """What a run of the program on the subject shows."""
    dialect = dialect_named(dialect) if isinstance(dialect, str) else dialect
    return run(given, subject, dialect, tally=tally).findings


def result(subject: Subject, **settings: Any) -> SubjectResult:
    """The verdict on a subject."""
    for event in examine(subject, Settings(**{"profile": "smoke", "programs": (), **settings})):
        if isinstance(event, SubjectFinished):
            return event.result
    raise AssertionError("examine ends with SubjectFinished")


def own(subject: Subject, **settings: Any) -> list[Any]:
    """The deviations of a subject that are neither hazards nor known, as they are found."""
    return [
        event.deviation
        for event in examine(subject, Settings(**{"profile": "smoke", "programs": (), **settings}))
        if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard
    ]


class _ElsewhereSession:
    """A session that stands in for one on a device."""

    def __init__(self, session: _SpoiltSession, device: str) -> None:
        self._session = session
        self._device = device

    def devices(self) -> set[str]:
        return {self._device}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class Spoilt:
    """The reference, spoilt: ``spoil(session, call)`` runs after every call, before anyone looks.

    ``device`` is where it says that its arrays are, if anywhere; ``see`` changes what is observed,
    ``answer`` what came back from a call; ``capabilities`` what can be asked.
    """

    framework = "numpy"
    baselines: tuple[str, ...] = ()

    def __init__(
        self,
        spoil: Callable[[ReferenceSession, Call], None] | None = None,
        *,
        see: Callable[[Observation], Observation] | None = None,
        answer: Callable[[Call, Outcome], Outcome] | None = None,
        capabilities: Capabilities | None = None,
        dialect: str = "torch",
        name: str = "spoilt",
        device: str = "",
    ) -> None:
        self.name = name
        self.dialect = dialect
        self._reference = ReferenceSubject(dialect_named(dialect))
        self._spoil = spoil
        self._see = see
        self._answer = answer
        self._capabilities = capabilities
        self._device = device

    def capabilities(self) -> Capabilities:
        return self._capabilities or self._reference.capabilities()

    def versions(self) -> dict[str, str]:
        return {"spoilt": "1.2"}

    def state_names(self) -> dict[str, str]:
        return dict(self._reference.state_names())

    def close(self) -> None:
        """A baseline is closed like any other."""

    def session(self, params: tuple[Param, ...]) -> _SpoiltSession:
        session = _SpoiltSession(self._reference.session(params), self._spoil, self._see, self._answer)
        return _ElsewhereSession(session, self._device) if self._device else session


class _SpoiltSession:
    def __init__(self, session: ReferenceSession, spoil: Any, see: Any, answer: Any) -> None:
        self._session, self._spoil, self._see, self._answer = session, spoil, see, answer

    def perform(self, call: Call) -> Outcome:
        outcome = self._session.perform(call)
        if self._spoil is not None:
            with np.errstate(all="ignore"):
                self._spoil(self._session, call)
        return outcome if self._answer is None else self._answer(call, outcome)

    def observe(self) -> Observation:
        seen = self._session.observe()
        return seen if self._see is None else self._see(seen)

    def close(self) -> None:
        self._session.close()


def hidden(seen: Observation) -> Observation:
    """What is seen of an optimizer that shows no state."""
    return replace(seen, state={}, slots={})
