"""What a step that raises has done is observed in the circumstance in which it was asked: torch steps group by group."""

from __future__ import annotations

import pytest
from programs import findings, program

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.properties.judge.findings import Tally
from rmspec.properties.search.corpus import corpus

pytest.importorskip("torch")

AFTER = "the one with the refused gradient when it raises"
PARAMS = tuple(Param(name) for name in "pqr")


def observed(name: str, given: Program) -> set[str]:
    """The behaviours of a subject in a program."""
    tally = Tally()
    assert findings(given, load(name), tally=tally) == ()
    return {behaviour for clause, behaviour in tally.observed if clause == "failed-step"}


@pytest.mark.parametrize("name", ["torch", "torch:foreach"])
@pytest.mark.parametrize(
    ("groups", "refused", "behaviours"),
    [
        ([("p",), ("q",)], "q", {f"has stepped the groups before {AFTER}"}),
        ([("p",), ("q",)], "p", {f"has not stepped the groups after {AFTER}"}),
        ([("p", "q")], "q", {f"has not stepped the parameters before {AFTER}"}),
        ([("p", "q")], "p", {f"has not stepped the parameters after {AFTER}"}),
        (
            [("p",), ("q", "r")],
            "r",
            {f"has stepped the groups before {AFTER}", f"has not stepped the parameters before {AFTER}"},
        ),
        ([("p",)], "p", {"has not stepped the parameter with the refused gradient when it raises"}),
    ],
)
def test_a_refused_gradient_is_observed_among_parameters_and_groups(
    name: str, groups: list[tuple[str, ...]], refused: str, behaviours: set[str]
) -> None:
    """A sparse gradient in the second group raises after the first group was stepped, and is not said to have stepped none."""
    names = [param for group in groups for param in group]
    gradients = [SetGrad(param, (1.0,), bad="sparse" if param == refused else "") for param in names]
    created = Create("A", tuple(Group(group) for group in groups), form="groups")
    given = program(created, gradients, Step("A"), params=PARAMS)
    assert observed(name, given) == behaviours


def test_the_corpus_asks_all_circumstances() -> None:
    """Whatever the search happens to draw, the observation of torch names each of them."""
    asked = [each for each in corpus() if any(getattr(call, "bad", "") for call in each.calls)]
    behaviours = {behaviour for given in asked for behaviour in observed("torch", given)}
    assert {behaviour.split(" the ", 1)[1].split(" the one")[0] for behaviour in behaviours} == {
        "parameters before",
        "parameters after",
        "groups before",
        "groups after",
    }


def test_a_closure_that_raises_changes_nothing_in_any_group() -> None:
    """The corpus asks it with one group and with two."""
    raising = [
        each for each in corpus() if any(isinstance(call, Step) and call.closure == "raises" for call in each.calls)
    ]
    assert {len(call.groups) for each in raising for call in each.calls if isinstance(call, Create)} == {1, 2}
    for given in raising:
        assert findings(given, load("torch")) == ()
