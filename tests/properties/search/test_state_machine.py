"""The state machine as Hypothesis runs it: every program that it draws conforms, on the reference and on torch's paths."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from rmspec.impl.spec.dialect import dialect_named
from rmspec.oracles.errors import Unsupported
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Subject
from rmspec.properties.counterexamples.attribution import attribute
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.runner import run
from rmspec.properties.known import applies, matches, shipped
from rmspec.properties.search.fitting import admit
from rmspec.properties.search.machine import ProgramMachine

MODEST = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
"""A few examples, the same in every run: the search at large is what ``rmspec check`` is for."""


@functools.cache
def subject(name: str) -> Subject:
    return load(name)


def known(program: Program, finding: Finding, driven: Subject) -> bool:
    """Whether the shipped list names a finding."""
    dialect = dialect_named(driven.dialect)

    def still(candidate: Program) -> bool:
        return any(each.key == finding.key for each in run(candidate, driven, dialect).findings)

    deviation = Deviation(
        attribute(finding, program, dialect, still),
        finding.summary,
        program,
        finding.kind,
        finding.call,
        role=finding.role,
    )
    entries = [entry for entry in shipped() if applies(entry, driven.name, driven.versions())]
    return any(matches(entry, replaced) for entry in entries for replaced in spellings(deviation, finding))


def spellings(deviation: Deviation, finding: Finding) -> list[Deviation]:
    """A deviation with its attributed clause, and with the one under which it was found."""
    from dataclasses import replace

    return [deviation, replace(deviation, clause=finding.clause)]


class Checked(ProgramMachine):
    """Replays each program on a subject when it is complete."""

    subject_name = "reference"

    def finished(self, program: Program) -> None:
        """Nothing is found but hazards, and what is known of the subject."""
        driven = subject(self.subject_name)
        admitted = admit(program, driven.capabilities())
        if admitted is None:
            return
        found = run(admitted, driven, dialect_named(driven.dialect)).findings
        own = [each for each in found if not each.hazard and not known(admitted, each, driven)]
        assert own == []


def machine(name: str) -> Any:
    """The test case of a subject."""
    case = type(f"Checked{name.title().replace(':', '')}", (Checked,), {"subject_name": name}).TestCase
    case.settings = MODEST
    return case


TestReference = machine("reference")
TestTensorflowOrdering = machine("reference:tensorflow")
TestTensorflow1 = machine("reference:tensorflow1")


class OnTorch(Checked):
    """The same where torch is installed, and the path is there."""

    def finished(self, program: Program) -> None:
        """Skipped without torch."""
        pytest.importorskip("torch")
        try:
            subject(self.subject_name)
        except Unsupported as missing:
            pytest.skip(str(missing))
        super().finished(program)


def on_torch(name: str) -> Any:
    """The test case of a path of torch."""
    case = type(f"Checked{name.title().replace(':', '')}", (OnTorch,), {"subject_name": name}).TestCase
    case.settings = MODEST
    return case


TestTorch = on_torch("torch")
TestTorchForeach = on_torch("torch:foreach")
TestTorchMaximize = on_torch("torch:maximize")
