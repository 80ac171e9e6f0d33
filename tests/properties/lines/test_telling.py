"""Telling passes: where they lie, what failures spoil, and what a verdict makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from faulty_lines import programs

from rmspec.impl.arithmetic.amendments import amend, parse_amendment
from rmspec.impl.arithmetic.envelope import ROLES, STATE_ROLES
from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.host.hiding import show_only
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import judge
from rmspec.properties.lines import telling
from rmspec.properties.lines.by_line import disjoint
from rmspec.properties.lines.cells import Cell, Counts, Spoilers
from rmspec.properties.lines.telling import concerns, tells
from rmspec.properties.search.fitting import admit
from rmspec.properties.verdicts import ClauseVerdicts

PLAIN = Cell(False, False, False, False, False, frozenset())


def tallied(subject: ReferenceSubject, roles: tuple[str, ...] = STATE_ROLES) -> Tally:
    """The tally of a subject with these roles of its state in sight."""
    tally = Tally()
    for program in programs(stored=6, drawn=12, sweeps=4):
        admitted = admit(program, subject.capabilities())
        if admitted is not None:
            judge(show_only(perform(admitted, subject), frozenset(roles)), SPECIFICATION, policy=STRICT, tally=tally)
    return tally


def test_a_failure_spoils_its_cell_and_those_with_more_circumstances() -> None:
    """One seen in the elements of a layout says nothing of plain ones, and one in plain ones something of all."""
    odd = PLAIN._replace(circumstances=frozenset({"layout"}))
    odder = PLAIN._replace(circumstances=frozenset({"layout", "elements"}))
    cells = {("param", odd): Counts(failed=1), ("param", PLAIN): Counts(passed=1)}
    spoilers = Spoilers(cells)
    assert spoilers.of("param", odder) == {("param", odd)}
    assert not spoilers.of("param", PLAIN)
    assert not spoilers.of("square_avg", odd)
    assert not spoilers.of("param", odd._replace(momentum=True))


@pytest.mark.parametrize("clause", ["weight-decay", "eps-placement", "momentum-lr", "centered-variance", "descent"])
def test_no_telling_pass_is_made_by_a_subject_with_the_usual_violation(clause: str) -> None:
    """It fails each check that tells, so its passes prove nothing."""
    usual = {
        name: {"eps_place": "inside", "lr_place": "inside", "maximize": True}.get(name, value)
        for name, value in CLAUSES[clause].usual
    }
    subject = ReferenceSubject(replace(amend(SPECIFICATION, parse_amendment(usual, clause)), amendments=()))
    count = 0
    for (_, cell), samples in tallied(subject).samples.of.items():
        for sample in samples:
            if concerns(CLAUSES[clause], cell, sample):
                for role, marks in tells(CLAUSES[clause], sample).items():
                    count += int(np.count_nonzero(marks))
                    assert role not in sample.passed or not (marks & sample.passed[role]).any()
    assert count


def test_a_clause_without_a_pass_is_hidden_and_one_apart_from_the_failures_conforms() -> None:
    """Where eps goes inside the root, the buffer always fails; v is right everywhere."""
    subject = ReferenceSubject(replace(SPECIFICATION, eps_place="inside"))
    verdicts = ClauseVerdicts(subject.capabilities(), SPECIFICATION, STRICT, tallied(subject))
    assert verdicts.of("square-avg", ()).verdict == "conforms"
    hidden = verdicts.of("eps-placement", ())
    assert (hidden.verdict, hidden.telling) == ("hidden", 0)


def test_the_reference_has_telling_passes_of_every_clause_on_lines() -> None:
    """Each clause with a usual violation conforms by them."""
    subject = ReferenceSubject(SPECIFICATION)
    verdicts = ClauseVerdicts(subject.capabilities(), SPECIFICATION, STRICT, tallied(subject))
    results = [verdicts.of(id, ()) for id, clause in CLAUSES.items() if clause.lines_alone]
    assert {result.verdict for result in results} == {"conforms"}
    assert all(result.telling for result in results)


@pytest.mark.parametrize("roles", [STATE_ROLES, ("square_avg",), ()], ids=["seen", "partly", "hidden"])
def test_where_one_evaluation_is_the_same_no_envelopes_are_disjoint(roles: tuple[str, ...]) -> None:
    """What spares a sample its two envelopes loses no mark, for every clause, whatever of the state is seen."""
    same, others = 0, 0
    for (_, cell), samples in tallied(ReferenceSubject(), roles).samples.of.items():
        for sample in samples[:2]:
            for clause in CLAUSES.values():
                if not clause.usual or "element" in dict(clause.usual) or not concerns(clause, cell, sample):
                    continue
                question, before = telling._violated(clause, sample)
                if telling._differ(ROLES, sample, question, before):
                    others += 1
                    continue
                same += 1
                rival = question.envelope(before)
                assert not any(
                    disjoint(sample.plain[role], rival[role]).any() for role in set(rival) & set(sample.plain)
                )
    assert same >= (100 if roles else 0)
    assert others > 100
