"""The circumstances of a call: what must hold in them, and what is only observed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from programs import P, Spoilt, create, findings, grouped, program, step

from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Copy,
    Create,
    Group,
    Param,
    Program,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.subject import HookRun, Observation, Outcome, Raised
from rmspec.properties.check import replay
from rmspec.properties.judge.findings import Tally
from rmspec.properties.settings import Settings

REFERENCE = ReferenceSubject()
Q = Param("q")
PRE, POST = HookRun("pre", 1), HookRun("post", 1)
START = (HookRun("pre", 0), PRE, HookRun("post", 0), POST)


def answered(kind: type, **changes: Any) -> Spoilt:
    return Spoilt(answer=lambda call, outcome: replace(outcome, **changes) if isinstance(call, kind) else outcome)


# -- the caller's mode


@pytest.mark.parametrize(
    ("kind", "calls", "clause"),
    [
        (Step, [create(), *step(p=2.0)], "frame"),
        (Step, [create(), Step("A", "raises")], "closure-failure"),
        (Create, [create()], "frame"),
        (ZeroGrad, [create(), ZeroGrad("A")], "frame"),
    ],
)
def test_another_mode_after_a_call_is_found(kind: type, calls: list[Call], clause: str) -> None:
    """Whatever the call is; of a closure that raises it is part of what must be as it was."""
    (found,) = findings(program(calls), answered(kind, mode_left="disabled"))
    assert (found.kind, found.clause) == ("mode", clause)
    assert "left gradients disabled, against the caller's mode" in found.summary
    assert findings(program(calls), REFERENCE) == ()


@pytest.mark.parametrize(
    ("first", "second", "behaviour"),
    [
        ("inference_mode", "inference_mode", "a step in inference_mode"),
        ("inference_mode", "", "a step after one in inference_mode"),
        ("no_grad", "no_grad", None),
    ],
)
def test_an_exception_around_inference_mode_is_observed(first: Any, second: Any, behaviour: str | None) -> None:
    """Nobody promises a step there; with gradients disabled it is due."""
    given = program(create(), SetGrad("p", (2.0,)), Step("A", mode=first), Step("A", mode=second))
    steps = iter([None, Raised("RuntimeError", "no")])
    raising = Spoilt(answer=lambda call, outcome: Outcome(next(steps)) if isinstance(call, Step) else outcome)
    tally = Tally()
    found = findings(given, raising, tally=tally)
    assert [each.clause for each in found] == ([] if behaviour else ["step"])
    if behaviour:
        assert tally.observed["failed-step", f"refuses {behaviour}"] == 1
        tally = Tally()
        assert findings(given, REFERENCE, tally=tally) == ()
        assert tally.observed["failed-step", f"accepts {behaviour}"] >= 1


# -- hooks


@pytest.mark.parametrize(
    ("start", "runs", "role", "said"),
    [
        (True, START, None, ""),
        (False, (PRE, POST), None, ""),
        (True, (PRE, POST), "start", "pre-hook 0 times, post-hook 0 times"),
        (False, START, "start", "pre-hook 1 times, post-hook 1 times"),
        (True, (PRE, START[0], *START[2:]), "order", "pre-hook 2, pre-hook 1, post-hook 1, post-hook 2"),
        (False, (POST, PRE), "order", "another order"),
        (False, (replace(PRE, optimizer=False), POST), "argument", "another first argument than the optimizer"),
        (False, (replace(PRE, misplaced=True), POST), "moment", "a pre-hook after it had changed a parameter"),
        (False, (PRE, replace(POST, misplaced=True)), "moment", "a post-hook before the last change"),
    ],
)
def test_hooks_run_once_in_order_with_the_optimizer(start: bool, runs: Any, role: str | None, said: str) -> None:
    """From the start and for one step alike."""
    given = program(replace(create(), hooks=start), Step("A", hooks=True))
    found = findings(given, answered(Step, hooks=(1, 1), hook_runs=runs))
    assert [(each.kind, each.clause, each.role) for each in found] == (
        [] if role is None else [("hooks", "hooks", role)]
    )
    assert all(said in each.summary for each in found)


def test_a_copy_runs_the_hooks_of_its_step_and_whether_it_has_those_of_its_original_is_open() -> None:
    """No ``create`` made it, and the hooks from the start count the steps of the original."""
    made = replace(create(), hooks=True)
    given = program(made, Copy("B", "A", {"p": "q"}), Step("B", hooks=True), params=(P, Param("q")))
    assert not findings(given, answered(Step, hooks=(1, 1), hook_runs=(PRE, POST)))
    assert not replay(load("torch"), given, Settings())


# -- gradients that somebody holds


@pytest.mark.parametrize("form", [None, True])
def test_a_held_gradient_keeps_its_values(form: bool | None) -> None:
    """Where the gradients become None there is nothing to write."""
    given = program(create(), SetGrad("p", (2.0,)), ZeroGrad("A", form))
    (found,) = findings(given, answered(ZeroGrad, held_changed="p"))
    assert (found.kind, found.clause, found.param, found.role) == ("grad", "zero-grad-none", "p", "holder")
    assert findings(given, REFERENCE) == ()


@pytest.mark.parametrize(("changed", "how"), [("p", "in place"), ("", "with a tensor of its own")])
def test_where_zeros_are_due_the_holder_is_only_observed(changed: str, how: str) -> None:
    """The page says nothing of it."""
    tally = Tally()
    given = program(create(), SetGrad("p", (2.0,)), ZeroGrad("A", False))
    assert findings(given, answered(ZeroGrad, held_changed=changed), tally=tally) == ()
    assert tally.observed["caller-dict", f"zero_grad(set_to_none=False) puts zeros {how}"] == 1


# -- groups


def empty_at(place: int, *more: Call) -> Program:
    groups = [Group(("p",), {"lr": 0.5}), Group(("q",))]
    groups.insert(place, Group((), {"lr": 0.25}))
    return program(grouped(*groups, momentum=0.5), step(p=2.0, q=-1.0), *more, step(p=1.0, q=1.0), params=(P, Q))


def without_empty(observation: Observation) -> Observation:
    groups = {name: tuple(view for view in views or () if view.params) for name, views in observation.groups.items()}
    return replace(observation, groups=groups)


@pytest.mark.parametrize("place", range(3))
def test_a_group_without_parameters_may_be_left_out(place: int) -> None:
    """It is shown or it is not; the others are judged all the same."""
    given = empty_at(place, AddParamGroup("A", Group(())))
    for subject in (REFERENCE, Spoilt(see=without_empty)):
        tally = Tally()
        assert findings(given, subject, tally=tally) == ()
        assert tally.element_checks == 12
        assert tally.observed["refuse-invalid", "accepts no parameters in a group of the constructor"] == 1
        assert tally.observed["refuse-invalid", "accepts no parameters in add_param_group"] == 1


def test_a_group_without_parameters_may_be_refused() -> None:
    """Then nothing has changed, and the program goes on where it can."""
    raised = Outcome(Raised("ValueError", "no parameters"))
    tally = Tally()
    refusing = Spoilt(answer=lambda call, outcome: raised if isinstance(call, Create) else outcome)
    assert findings(empty_at(0), refusing, tally=tally) == ()
    assert tally.observed == {("refuse-invalid", "refuses no parameters in a group of the constructor"): 1}


def test_a_missing_group_with_parameters_is_found() -> None:
    """Only those without any may be left out."""

    def one_less(observation: Observation) -> Observation:
        return replace(observation, groups={name: (views or ())[:-1] for name, views in observation.groups.items()})

    found = findings(empty_at(0), Spoilt(see=one_less))
    assert [(each.kind, each.clause) for each in found] == [("group", "params")]


def test_the_options_of_a_dict_given_twice_are_the_callers() -> None:
    """What the first optimizer filled in is not the second one's."""
    given = program(grouped(Group(("p",)), lr=0.5), Create("B", (Group(("p",)),), {"lr": 0.25}, dicts="A"), step(p=1.0))
    assert findings(given, REFERENCE) == ()

    def filled(observation: Observation) -> Observation:
        groups = observation.groups
        return replace(observation, groups={**groups, "B": groups["A"]} if "B" in groups else groups)

    found = findings(given, Spoilt(see=filled))
    assert [(each.kind, each.clause, each.optimizer) for each in found] == [("group", "group-defaults", "B")]


def test_an_option_set_out_of_its_domain_is_observed_at_the_next_step() -> None:
    """Nobody can refuse the assignment, and nobody says what a step does then."""
    given = program(create(), SetOption("A", 0, {"lr": -1.0}), step(p=1.0), step(p=2.0))
    refused = Outcome(Raised("ValueError", "lr"))
    for subject, answer in (
        (REFERENCE, "accepts"),
        (Spoilt(answer=lambda call, outcome: refused if isinstance(call, Step) else outcome), "refuses"),
    ):
        tally = Tally()
        assert findings(given, subject, tally=tally) == ()
        assert tally.observed == {("refuse-invalid", f"{answer} lr=-1 set in a group later"): 1}
