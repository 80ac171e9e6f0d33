"""The options of a constructor: accepted ones, refused ones, and refused values."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.subject import OPTIONS, Raised

__all__ = ["Acceptance", "expected_state", "signature_options", "takes_arguments", "try_options"]

PROBE: Mapping[str, float | bool] = {"lr": 0.125, "alpha": 0.75, "eps": 0.03125, "momentum": 0.5, "centered": True}
"""Dyadic, so that every correct evaluation in every format is nearly the same number, and the three roles differ."""

_BRANCHES: Mapping[str, float | bool] = {"momentum": 0.5, "centered": True, "weight_decay": 0.25}
"""The options that are off by default, each with a value that turns it on."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The ``options`` of a constructor, without those ``refused`` as not implemented, with the reason of each.

    ``probe`` are values that it takes together; ``instead`` maps an option that may not be off to a value that it takes.
    """

    options: frozenset[str]
    probe: dict[str, Any]
    refused: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, float | bool] = field(default_factory=dict)


def try_options(names: set[str], refusal: Callable[[Mapping[str, Any]], Raised | None]) -> Acceptance:
    """Try the options of a signature; ``refusal`` calls the constructor and returns its exception.

    ``NotImplementedError`` for one option alone means that the option is not there. Any other exception is left to be found by
    a program: the option is only kept out of the probes.
    """
    full: dict[str, Any] = {name: value for name, value in PROBE.items() if name in names}
    probe = full if refusal(full) is None else _workable(full, refusal)
    if probe is None:
        return Acceptance(frozenset(names), full)
    refused: dict[str, str] = {}
    for name, value in {**full, **{name: value for name, value in _BRANCHES.items() if name in names}}.items():
        if name in probe:
            continue
        raised = refusal({**probe, name: value})
        if raised is not None and raised.type == "NotImplementedError":
            refused[name] = f"its constructor refuses {name}: {raised.message or raised.type}"
    left, off = frozenset(names) - refused.keys(), Hyperparameters()
    instead = {
        name: value
        for name, value in _BRANCHES.items()
        if name in left and refusal({**probe, name: off.option(name)}) and refusal({**probe, name: value}) is None
    }
    return Acceptance(left, probe, refused, instead)


def _workable(full: dict[str, Any], refusal: Callable[[Mapping[str, Any]], Raised | None]) -> dict[str, Any] | None:
    """As many of these options as a constructor takes together; ``None`` if it takes none of them."""
    plain = {name: value for name, value in full.items() if name not in _BRANCHES}
    starts = [plain, *({**plain, name: full[name]} for name in full if name in _BRANCHES)]
    starts += [{name: plain[name] for name in plain if name != absent} for absent in plain]
    probe = next((options for options in starts if refusal(options) is None), None)
    if probe is None:
        return None
    for name, value in full.items():
        if name not in probe and refusal({**probe, name: value}) is None:
            probe = {**probe, name: value}
    return probe


def takes_arguments(method: Callable[..., Any]) -> bool:
    """Whether a method has parameters, as far as its signature can be read."""
    try:
        return bool(inspect.signature(method).parameters)
    except (TypeError, ValueError):
        return True


def signature_options(factory: Callable[..., Any]) -> set[str]:
    """The options in the signature of a factory; all of them for one with any keyword or without a signature."""
    try:
        parameters = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return set(OPTIONS)
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
        return set(OPTIONS)
    return {parameter.name for parameter in parameters if parameter.name in OPTIONS}


def expected_state(options: Mapping[str, Any], grad: float) -> dict[str, list[float]]:
    """By role the values of the specification's state after each of two steps with a gradient."""
    parameter = Parameter(np.ones(1))
    parameter.grad = np.full(1, grad)
    reference = RMSprop([parameter], **options)
    expected: dict[str, list[float]] = {}
    for _ in range(2):
        reference.step()
        state = reference.state[id(parameter)]
        for role in STATE_ROLES:
            if role in state:
                expected.setdefault(role, []).append(float(state[role][0]))
    return expected
