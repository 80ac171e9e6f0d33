"""The accuracy of a subject's elementary operations, measured once a run, and the fitting policy.

What a path does to its quotients and roots beyond the policy in force is a finding of its own; everything else is judged under the
policy with that allowed, so that one wrong digit of a root is nobody else's deviation. Source: DESIGN 2.4 and 2.5.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from rmspec.impl.arithmetic.accuracy import SLACK, Accuracy, Operation
from rmspec.impl.arithmetic.policy import Allowance, Policy
from rmspec.oracles.framework import OperationAccuracy
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.host.primitives import promised_accuracy, taken_paths
from rmspec.properties.events import OperationEvidence
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.judge.findings import Tally
from rmspec.properties.search.fitting import admit_whole
from rmspec.properties.search.operations import operation_programs

__all__ = ["Accuracies", "Measurement", "fitted_policy", "measure_operations", "operation_evidence"]

Accuracies = Mapping[tuple[Operation, str], Accuracy]
"""By operation and format."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """The accuracies of a subject's elementary operations, and the transcripts behind them."""

    accuracies: Accuracies = field(default_factory=dict)
    transcripts: tuple[Transcript, ...] = ()


_LARGEST = 4.0
"""The largest error in ulps that a policy is fitted to: with more, an operation is wrong and not inexact."""

_AMENDABLE: tuple[Operation, ...] = ("divide", "sqrt")
"""The operations with an accuracy of their own in a policy."""


def measure_operations(examinee: Examinee, formats: Collection[str] | None = None) -> Measurement:
    """Measure the operations of a subject in each of its formats, or in these, as far as it can be asked."""
    tally = Tally()
    chosen = [name for name in examinee.capabilities.formats if formats is None or name in formats]
    programs = (admit_whole(program, examinee.capabilities) for program in operation_programs(chosen))
    transcripts = tuple(examinee.perform(program) for program in programs if program is not None)
    for transcript in transcripts:
        examinee.judge(transcript, tally)
    return Measurement(tally.operations, transcripts)


def fitted_policy(policy: Policy, accuracies: Accuracies, examinee: Examinee) -> Policy:
    """Amend a policy by the accuracies beyond it: the documented ones, or else the measured ones."""
    return policy.amended(_allowances(policy, accuracies, examinee))


def _allowances(policy: Policy, accuracies: Accuracies, examinee: Examinee) -> Iterator[Allowance]:
    for (operation, name), accuracy in accuracies.items():
        if operation not in _AMENDABLE:
            continue
        stated, promise = policy.stated(operation), _promise(examinee, operation, name)
        beyond = stated + SLACK < accuracy.worst <= _LARGEST
        # A promise holds for all inputs, and a measurement for some: so the same is allowed on every machine.
        ulps = max(math.ceil(accuracy.worst * 4) / 4 if beyond else 0.0, promise.ulps if promise is not None else 0.0)
        if ulps > stated:
            yield Allowance(operation, name, ulps)


def operation_evidence(policy: Policy, accuracies: Accuracies, examinee: Examinee) -> tuple[OperationEvidence, ...]:
    """Put the measured accuracies beside the policy and the documentation."""
    return tuple(
        OperationEvidence(
            operation,
            name,
            accuracy,
            policy.ulps(operation, name),
            "" if (promise := _promise(examinee, operation, name)) is None else promise.source,
        )
        for (operation, name), accuracy in sorted(accuracies.items(), key=lambda entry: (entry[0][1], entry[0][0]))
    )


def _promise(examinee: Examinee, operation: Operation, format: str) -> OperationAccuracy | None:
    subject = examinee.subject
    paths = taken_paths(subject.name, examinee.capabilities)
    return promised_accuracy(subject.framework, paths, examinee.locality().device, operation, format)
