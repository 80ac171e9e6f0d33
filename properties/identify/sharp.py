"""Sharp programs: a fixed set of short programs to show faults of one branch, one option, one format or a default.

Elimination asks with few options, most of them off, in one format. These have three elements each, one of which starts at 0;
their options are none of the usual values, and once they are powers of two, so that nothing is rounded away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from rmspec.impl.arithmetic.amendments import Branch
from rmspec.oracles.program.program import Call, Create, Group, Param, Program, SetGrad, SetOption, Step
from rmspec.oracles.subject import Capabilities
from rmspec.properties.search.fitting import admit

__all__ = ["sharp"]

_START = (0.0, 1.0, -0.5)
_GRADS = ((0.5, -2.0, 0.25), (-1.0, 0.25, 1.0), (0.125, 1.0, 0.0))
_OPTIONS: tuple[Mapping[str, float], ...] = (
    {"lr": 0.03, "alpha": 0.85, "eps": 3e-3, "momentum": 0.7, "weight_decay": 0.03},
    {"lr": 2.0**-2, "alpha": 0.75, "eps": 2.0**-1, "momentum": 0.5, "weight_decay": 2.0**-3},
    {"lr": 2.0, "alpha": 0.6, "eps": 2.0**-6, "momentum": 0.75, "weight_decay": 0.4},
)

_FAINT = ((1e-6, -3e-4, 0.5), (1e-6, 1e-4, 1.0), (2e-6, -1e-4, 0.25))
"""Gradients between which an eps of the usual sizes shows."""

_LEFT_OUT: tuple[Mapping[str, float], ...] = ({}, {"momentum": 0.5}, {"lr": 0.25}, {"alpha": 0.75})
"""What is given where the rest is left to its defaults."""


_MOST, _NONE = (True, True, True), (False, False, False)


def sharp(capabilities: Capabilities, format: str, *, branches: bool, thorough: bool) -> list[Program]:
    """List the programs of one format within the subject's capabilities.

    ``branches``: each branch of the pseudocode has one, and each default; else one with all options on and one with none.
    ``thorough``: each branch has one for each choice of options, so that what deviates can be told apart.
    """
    every = [admit(program, capabilities) for program in _programs(capabilities, format, branches, thorough)]
    return list({repr(program): program for program in every if program is not None}.values())


def _programs(capabilities: Capabilities, format: str, branches: bool, thorough: bool) -> Iterator[Program]:
    if not (branches or thorough):
        yield _steps(format, _options(_MOST, 0), _GRADS)
        yield _steps(format, _options(_NONE, 1), _GRADS)
        return
    for number, branch in enumerate(product((False, True), (False, True), (False, True))):
        for variant in range(len(_OPTIONS)) if thorough else (number % 2,):
            yield _steps(format, _options(branch, variant), _GRADS)
    for given in _LEFT_OUT if thorough else _LEFT_OUT[:2]:
        yield _steps(format, given, _FAINT)


def _options(branch: Branch, variant: int) -> dict[str, float | bool]:
    """The options of a step in these branches."""
    choice = dict(zip(("momentum", "centered", "weight_decay"), branch, strict=True))
    chosen: dict[str, float | bool] = {
        name: value if choice.get(name, True) else 0.0 for name, value in _OPTIONS[variant].items()
    }
    return {**chosen, "centered": choice["centered"]}


def _steps(format: str, options: Mapping[str, float | bool], grads: tuple[tuple[float, ...], ...]) -> Program:
    """Make a program with a step for each gradient; before the last one the learning rate changes, with momentum."""
    calls: list[Call] = [Create("A", (Group(("p",)),), dict(options), "list")]
    for number, grad in enumerate(grads, start=1):
        if number == len(grads) and options.get("momentum") and "lr" in options:
            calls.append(SetOption("A", 0, {"lr": float(options["lr"]) / 4}))
        calls += [SetGrad("p", grad), Step("A")]
    return Program((Param("p", format, (len(_START),), _START),), tuple(calls))
