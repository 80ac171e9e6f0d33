"""The trajectory of a subject on one objective, step by step, and the specification's band around it.

The objective is f(theta) = theta^2 / 2, whose gradient is theta itself, so that no arithmetic but the subject's own comes in. The
hyperparameters are powers of two and sums of them: what parts two subjects is their formula, not a rounded ``alpha``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.host.descent import Descend, Trajectory
from rmspec.oracles.host.perform import Driven, descend
from rmspec.oracles.program.program import OptionValue
from rmspec.oracles.subject import Capabilities

__all__ = ["FORMAT", "HYPER", "OBJECTIVE", "START", "STEPS", "Trajectory", "band", "trajectory"]

OBJECTIVE = "theta^2 / 2"
START = 1.0
STEPS = 40
FORMAT = "float32"
HYPER = Hyperparameters(lr=0.015625, alpha=0.875, eps=0.0625)
"""The hyperparameters: lr = 2^-6, alpha = 7/8, eps = 2^-4, no momentum, no decay, not centered."""

_OPTIONS = ("lr", "alpha", "eps")


def trajectory(subject: Driven, capabilities: Capabilities, *, steps: int = STEPS) -> Trajectory | None:
    """Drive a subject down the objective; ``None`` without lr, alpha, eps or float32.

    Raises ``SubjectFailed`` where it cannot be driven.
    """
    if FORMAT not in capabilities.formats or not capabilities.options.issuperset(_OPTIONS):
        return None
    options: dict[str, OptionValue] = {name: HYPER.option(name) for name in {*_OPTIONS, *capabilities.required}}
    return descend(subject, Descend(FORMAT, START, options, steps))


def band(dialect: Dialect, *, policy: Policy = STRICT, steps: int = STEPS) -> tuple[tuple[float, float], ...]:
    """Compute the hull of theta over all legal evaluations of a dialect, at the start and after each step.

    The envelope is carried along: each step starts from the interval that the last one left.
    """

    def point(value: float) -> Any:
        return np.full(1, value), np.full(1, value), None

    theta = point(START)
    state = {role: point(dialect.initial(role, HYPER)) for role in STATE_ROLES}
    ends_of_theta = [(START, START)]
    for t in range(1, steps + 1):
        before = Before(theta, theta, *(state[role] for role in STATE_ROLES))
        bounds = envelope(before, FORMATS[FORMAT], HYPER, dialect, policy=policy, t=t)
        ends = {
            role: (np.asarray(interval.lo), np.asarray(interval.hi), interval.nan) for role, interval in bounds.items()
        }
        theta = ends["param"]
        state = {role: ends.get(role, state[role]) for role in STATE_ROLES}
        ends_of_theta.append((float(theta[0][0]), float(theta[1][0])))
    return tuple(ends_of_theta)
