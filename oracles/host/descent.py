"""A descent down f(theta) = theta^2 / 2: the gradient of each step is the value left by the last one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rmspec.oracles.program.program import Create, Group, OptionValue, Param, SetGrad, Step
from rmspec.oracles.subject import Subject


@dataclass(frozen=True, slots=True)
class Descend:
    """The question: from ``start`` in a number format, with these options, so many steps."""

    format: str
    start: float
    options: Mapping[str, OptionValue]
    steps: int


@dataclass(frozen=True, slots=True)
class Trajectory:
    """The values of theta at the start and after each step; ``stopped`` is the exception of a run cut short."""

    theta: tuple[float, ...]
    stopped: str = ""


def descend_in_place(subject: Subject, ask: Descend) -> Trajectory:
    """Drive a subject down the objective. Raises ``SubjectFailed``."""
    session = subject.session((Param("theta", ask.format, (1,), (ask.start,)),))
    try:
        theta = [ask.start]
        outcome = session.perform(Create("A", (Group(("theta",)),), dict(ask.options), "list"))
        for _ in range(ask.steps):
            if outcome.raised is None:
                outcome = session.perform(SetGrad("theta", (theta[-1],)))
            if outcome.raised is None:
                outcome = session.perform(Step("A"))
            if outcome.raised is not None:
                return Trajectory(tuple(theta), f"{outcome.raised.type}: {outcome.raised.message}")
            theta.append(float(np.asarray(session.observe().params["theta"]).reshape(-1)[0]))
        return Trajectory(tuple(theta))
    finally:
        session.close()
