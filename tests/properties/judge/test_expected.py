"""The rules: what is expected of a call, as data, before anything that it does is looked at."""

from __future__ import annotations

from typing import Any

import pytest
from programs import create, grouped, program, step

from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import AddParamGroup, Group, Load, Param, Program, Save, Step, ZeroGrad
from rmspec.properties.judge.comparison import compare
from rmspec.properties.judge.expected import Expected, Quantity, Rest
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.rules import expect

P, Q = Param("p"), Param("q")


def expectations(given: Program) -> list[Expected | None]:
    """What the rules expect of each call, each after the reference has answered those before it."""
    transcript = perform(given, ReferenceSubject())
    run = Followed(given, SPECIFICATION, STRICT, Tally(), transcript.carried)
    made: list[Expected | None] = []
    before = transcript.start
    for index, (call, answer) in enumerate(zip(given.calls, transcript.answers, strict=True)):
        run.index = index
        expected = expect(run, call, before)
        made.append(expected)
        if expected is not None:
            assert compare(run, expected, answer.outcome, before, answer.after) == []
        before = answer.after
    return made


def last(*calls: Any, params: tuple[Param, ...] = (P,)) -> Expected:
    """What is expected of the last of these calls."""
    expected = expectations(program(*calls, params=params))[-1]
    assert expected is not None
    return expected


def test_a_step_accounts_for_what_it_sets_and_from_what() -> None:
    """The parameter and the state that the switches in force set, with the quantities of the same parameter."""
    accounts = last(create("p", momentum=0.5), step(p=1.0)).accounts(SPECIFICATION)
    assert set(accounts) == {
        Quantity("param", "", "p"),
        Quantity("square_avg", "A", "p"),
        Quantity("momentum_buffer", "A", "p"),
    }
    sources, clauses = accounts[Quantity("square_avg", "A", "p")]
    assert sources == {Quantity("square_avg", "A", "p"), Quantity("grad", "", "p"), Quantity("groups", "A")}
    assert clauses == ("square-avg",)
    assert accounts[Quantity("param", "", "p")].clauses == ("momentum-update",)
    assert Quantity("momentum_buffer", "A", "p") in accounts[Quantity("param", "", "p")].sources


def test_a_parameter_without_a_gradient_is_no_business_of_a_step() -> None:
    """It is among all the rest, which stays as it is."""
    accounts = last(create("p", "q"), step(p=1.0), params=(P, Q)).accounts(SPECIFICATION)
    assert not any(quantity.name == "q" for quantity in accounts)


@pytest.mark.parametrize(
    ("calls", "kinds"),
    [
        ((create(),), {"groups", "square_avg", "grad_avg", "momentum_buffer"}),
        ((create(), *step(p=1.0), ZeroGrad("A")), {"grad"}),
        ((create(), *step(p=1.0), Save("A", "s")), {"slot"}),
        (
            (create(), *step(p=1.0), Save("A", "s"), Load("A", "s")),
            {"groups", "square_avg", "grad_avg", "momentum_buffer"},
        ),
    ],
)
def test_each_kind_of_call_names_the_quantities_that_it_may_change(calls: tuple[Any, ...], kinds: set[str]) -> None:
    """All others are bit-identical afterwards."""
    expected = last(*calls)
    assert {quantity.kind for quantity in expected.accounts(SPECIFICATION)} == kinds
    assert sum(isinstance(part, Rest) for part in expected.parts) == 1


def test_what_is_loaded_comes_from_the_slot() -> None:
    """A restored state is computed from nothing else."""
    expected = last(create(), step(p=1.0), Save("A", "s"), Load("A", "s"))
    account = expected.accounts(SPECIFICATION)[Quantity("square_avg", "A", "p")]
    assert account.sources == {Quantity("slot", "", "s")}


def test_every_clause_that_is_named_is_one() -> None:
    """An account names clauses by their ids."""
    given = program(grouped(Group(("p",)), momentum=0.5, centered=True), step(p=1.0), Save("A", "s"), Load("A", "s"))
    tables = [each.accounts(SPECIFICATION) for each in expectations(given) if each is not None]
    named = {clause for accounts in tables for account in accounts.values() for clause in account.clauses}
    assert named <= set(CLAUSES)
    assert {"square-avg", "grad-avg", "momentum-buffer", "momentum-update", "state-dict"} <= named


def test_a_rule_changes_nothing_of_the_run() -> None:
    """It is asked before the call: whether the call is accepted is not known yet."""
    given = program(create(), AddParamGroup("A", Group(("q",))), params=(P, Q))
    transcript = perform(given, ReferenceSubject())
    run = Followed(given, SPECIFICATION, STRICT, Tally(), transcript.carried)
    first = expect(run, given.calls[0], transcript.start)
    assert first is not None
    assert (run.ledgers, run.tally.checks) == ({}, {})
    compare(run, first, transcript.answers[0].outcome, transcript.start, transcript.answers[0].after)
    run.index = 1
    second = expect(run, given.calls[1], transcript.answers[0].after)
    assert second is not None
    assert [group.params for group in run.ledgers["A"].groups] == [("p",)]


def test_there_is_nothing_to_expect_of_an_optimizer_that_is_not_there() -> None:
    """Its constructor was refused, or never called."""
    given = program(create(), params=(P,))
    run = Followed(given, SPECIFICATION, STRICT, Tally(), frozenset())
    start = perform(given, ReferenceSubject()).start
    assert expect(run, Step("A"), start) is None
    assert expect(run, ZeroGrad("A"), start) is None
    assert expect(run, Load("A", "s"), start) is None
