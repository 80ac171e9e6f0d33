"""Primitives: the elementary operations of a subject's execution path, performed by the means of its framework."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import OPERATIONS, Operation
from rmspec.oracles.framework import OperationAccuracy, import_reference
from rmspec.oracles.host.evidence import required_paths
from rmspec.oracles.program.program import Operate
from rmspec.oracles.registry import framework_named, registered_names
from rmspec.oracles.subject import Capabilities, Observation, Subject

__all__ = [
    "Evaluator",
    "Workbench",
    "is_foreign",
    "make_evaluator",
    "promised_accuracy",
    "taken_paths",
    "with_operations",
]

Array = NDArray[Any]

Evaluator = Callable[[Sequence[Operation], Sequence[Array]], Mapping[Operation, Array]]
"""Performs operations on the arrays x, y and z, and returns the results by operation."""


def is_foreign(subject: Subject) -> bool:
    """Whether a subject is an object of the user's own, and not one of a framework's."""
    return not type(subject).__module__.startswith("rmspec.")


def make_evaluator(subject: Subject) -> Evaluator | None:
    """Make the evaluator of a subject's path; ``None`` without one in its framework."""
    described = framework_named(subject.framework)
    whole = getattr(subject, "whole", subject)
    if described is None or described.primitives is None or is_foreign(whole):
        return None
    make: Callable[..., Evaluator | None] = import_reference(described.primitives.evaluator)
    return make(subject.name, taken_paths(subject.name, subject.capabilities()), str(getattr(whole, "device", "cpu")))


def taken_paths(name: str, capabilities: Capabilities) -> frozenset[str]:
    """The execution paths of a subject's steps: those required of it, and its own."""
    return capabilities.paths | set(required_paths(name))


def with_operations(subject: Subject) -> Capabilities:
    """The capabilities of a subject with the elementary operations of its path.

    Of a user's class these are its framework's: they are measured, and no matter of its own.
    """
    capabilities = subject.capabilities()
    able = make_evaluator(subject) is not None
    operations = frozenset(OPERATIONS if able else ())
    if able and subject.name in registered_names():
        return replace(capabilities, operations=operations)
    reason = (
        f"its operations are those of {subject.framework}" if able else "nothing performs its operations one by one"
    )
    return replace(capabilities, operations=operations, missing={**capabilities.missing, "operations": reason})


def promised_accuracy(
    framework: str, paths: Collection[str], device: str, operation: str, format: str
) -> OperationAccuracy | None:
    """Find the documented accuracy of an operation short of correct rounding."""
    described = framework_named(framework)
    for promise in () if described is None else described.accuracies:
        holds = not set(promise.apart) & set(paths) and (not promise.paths or set(promise.paths) & set(paths))
        stated = (promise.operation, promise.device) == (operation, device.partition(":")[0])
        if holds and stated and format in promise.formats:
            return promise
    return None


class Workbench:
    """The results of operations so far, in place of the parameters named for them."""

    def __init__(self, evaluator: Evaluator | None) -> None:
        self._evaluator = evaluator
        self._results: dict[str, Array] = {}

    def operate(self, call: Operate, before: Observation) -> None:
        """Perform the operations of a call on the parameters as they stand."""
        assert self._evaluator is not None, "the subject was asked what its capabilities leave out"
        results = self._evaluator(tuple(call.results), [before.params[name] for name in call.operands])
        self._results |= {call.results[operation]: array for operation, array in results.items()}

    def overlay(self, observation: Observation) -> Observation:
        """The observation with the results in it."""
        return replace(observation, params={**observation.params, **self._results}) if self._results else observation
