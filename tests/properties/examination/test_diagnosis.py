"""Diagnosis of a path that compiles: earlier programs in the process decide what a step does, and may be to blame."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from programs import P, Spoilt, create, program, step

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.host.host import Host
from rmspec.oracles.host.perform import Transcript, perform
from rmspec.oracles.program.program import AddParamGroup, Call, Group, Param, Program
from rmspec.oracles.subject import Outcome, Raised
from rmspec.properties.counterexamples.baselines import Baselines
from rmspec.properties.examination.diagnosis import Diagnosis
from rmspec.properties.examination.entries import Entries
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.triage import Triage
from rmspec.properties.judge.findings import Finding
from rmspec.properties.known import Known
from rmspec.properties.settings import Settings

pytest.importorskip("torch")

ENTRY = Known("guard", "layout", "spoilt", "as listed", when={"kind": "raised", "message": "Guard"})
GROWN = program(create(), step(p=2.0), AddParamGroup("A", Group(("q",))), step(p=1.0, q=1.0), params=(P, Param("q")))


def raising(message: str) -> Any:
    """An answer to steps: an exception from the second one of the process on."""
    steps = 0

    def answer(call: Call, outcome: Outcome) -> Outcome:
        nonlocal steps
        steps += type(call).__name__ == "Step"
        return Outcome(Raised("AssertionError", message)) if steps == 2 else outcome

    return answer


def diagnosis(subject: Spoilt, *known: Known) -> tuple[Diagnosis, Finding]:
    """The diagnosis of a subject as one that compiles, and what it shows in ``GROWN``."""
    examinee = Examinee.of(subject, Settings(profile="smoke", programs=(), known=known))
    (finding,) = examinee.run(GROWN).findings
    subject.framework = "torch"
    capabilities = replace(examinee.capabilities, paths=frozenset({"compiled"}))
    examinee = replace(examinee, capabilities=capabilities)
    assert examinee.compiles
    nothing = Baselines((), subject, capabilities.roles, SPECIFICATION, examinee.settings.policy)
    return Diagnosis(examinee, Entries(known), nothing), finding


@pytest.mark.parametrize(("message", "clause"), [("Guard failed", "layout"), ("no memory", "add-param-group")])
def test_an_exception_listed_by_its_message_is_named_by_its_entry(message: str, clause: str) -> None:
    """The message names the cause, whatever else the program does; without an entry its calls do."""
    given, finding = diagnosis(Spoilt(answer=raising(message)), ENTRY)
    assert given.attribute(GROWN, finding, ()) == clause
    assert given.describe(GROWN, finding, clause).known == (ENTRY.id if clause == ENTRY.clause else None)


def test_what_a_program_does_not_show_by_itself_is_blamed_on_none_of_its_calls() -> None:
    """The exception came once in the process: nothing says that the added group has to do with it."""
    given, finding = diagnosis(Spoilt(answer=raising("no memory")))
    reduced, evidence, clause = given.reduce(GROWN, finding, (), "")
    assert (reduced, evidence, clause) == (GROWN, finding, "step")


class Housed(Host):
    """A host without a process; its second step raises, and no other."""

    def __init__(self) -> None:
        self.subject = Spoilt(answer=raising("Guard failed"))
        self.name, self.framework = "spoilt", "torch"

    def fresh(self) -> Host:
        return Housed()

    def perform(self, program: Program) -> Transcript:
        return perform(program, self.subject)

    def versions(self) -> dict[str, str]:
        return self.subject.versions()

    def state_names(self) -> dict[str, str]:
        return self.subject.state_names()

    def close(self) -> None:
        """There is nothing to end."""


def test_a_witness_is_replayed_in_a_process_of_its_own() -> None:
    """What the search left in its own process shows nothing of it; another program in a fresh one makes the entry stale."""
    known = (
        replace(ENTRY, clause="step", witness=GROWN),
        replace(ENTRY, id="none", clause="step", witness=program(create(), step(p=2.0))),
    )
    given, _ = diagnosis(Spoilt(answer=raising("Guard failed")), *known)
    host = Housed()
    host.perform(GROWN)
    examinee = replace(given.examinee, subject=host)
    triage = Triage(examinee, Baselines((), host, frozenset(), SPECIFICATION, examinee.settings.policy))
    assert triage.stale() == ("none: its witness no longer deviates",)
    assert [deviation.known for deviation in triage.deviations.values()] == ["guard"]
