"""Attribution: from what was observed to the one clause that broke."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from programs import P, Spoilt, create, findings, grouped, own, program, step

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.properties.check import replay
from rmspec.properties.counterexamples.attribution import attribute
from rmspec.properties.counterexamples.hypotheses import hypotheses
from rmspec.properties.settings import Settings

GIVEN = {"lr": 0.125, "alpha": 0.75, "eps": 0.25}


class Speaking(ReferenceSubject):
    """The reference in a dialect of a test's own, which claims to be the specification."""

    def __init__(self, **switches: Any) -> None:
        super().__init__(replace(SPECIFICATION, **switches))
        self.name, self.dialect = "speaking", "torch"


def first(subject: Any, *calls: Any, params: tuple[Param, ...] = (P,)) -> tuple[Any, Any]:
    given = program(*calls, params=params)
    found = findings(given, subject)
    assert found
    return found[0], given


@pytest.mark.parametrize(
    ("switches", "options", "clause"),
    [
        ({"eps_place": "inside"}, {}, "eps-placement"),
        ({"eps_place": "none"}, {}, "eps-placement"),
        ({"lr_place": "inside"}, {"momentum": 0.5}, "momentum-lr"),
        ({"decay": "none"}, {"weight_decay": 0.5}, "weight-decay"),
        ({"decay": "decoupled-lr"}, {"weight_decay": 0.5}, "weight-decay"),
        ({"decay": "decoupled"}, {"weight_decay": 0.5}, "weight-decay"),
        ({"centered_form": "never"}, {"centered": True}, "centered-variance"),
        ({"momentum_form": "never"}, {"momentum": 0.5}, "momentum-update"),
        ({"maximize": True}, {}, "descent"),
        ({"initial_square_avg": 1.0}, {}, "init-square-avg"),
        ({"initial_square_avg": "eps"}, {}, "init-square-avg"),
    ],
)
def test_another_rule_is_named_by_the_clause_that_it_breaks(
    switches: dict[str, Any], options: dict[str, Any], clause: str
) -> None:
    """A subject that follows a dialect's rule is found by the clause that says otherwise, in one element and few calls."""
    (found,) = own(Speaking(**switches), fail_fast=True, formats=("float32",))
    assert found.clause == clause
    assert len(found.program.params) == 1
    assert len(found.program.calls) <= 4


def test_hypotheses_name_the_rule_that_explains_the_number() -> None:
    """The observed value lies in the envelope of eps inside the root, and in that of no other clause first."""
    found, given = first(Speaking(eps_place="inside"), create(**GIVEN), step(p=2.0))
    assert hypotheses(found, given, SPECIFICATION)[0] == "eps-placement"


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([grouped(Group(("p",), {"lr": 0.5}), **GIVEN), *step(p=2.0)], "group-options"),
        ([grouped(Group(("q",), {"lr": 0.25}), Group(("p",)), lr=0.5, alpha=0.75), *step(p=2.0)], "group-defaults"),
        ([create(**GIVEN), SetOption("A", 0, {"lr": 0.5}), *step(p=2.0)], "scheduled-lr"),
        ([create(**GIVEN), SetOption("A", 0, {"eps": 0.5}), *step(p=2.0)], "option-change"),
        ([create(lr=0.5), Save("A", "s"), create(lr=0.25), Load("A", "s"), *step(p=2.0)], "load-options"),
    ],
)
def test_an_option_that_is_not_used_is_traced_to_where_it_came_from(calls: list[Call], clause: str) -> None:
    """A step with another value of an option that the program or the page names broke the clause of that option's door."""
    wanted = {"lr": 0.01, "eps": 1e-8} | ({"lr": 0.25} if clause in ("group-defaults", "load-options") else {})
    wanted = {"lr": 0.125, "eps": 0.25} if clause in ("scheduled-lr", "option-change", "group-options") else wanted

    class Stuck(ReferenceSubject):
        def session(self, params: tuple[Param, ...]) -> Any:
            made = super().session(params)
            perform = made.perform

            def stuck(call: Call) -> Any:
                if not isinstance(call, Step):
                    return perform(call)
                group = made._optimizers["A"].param_groups[-1]
                kept = dict(group)
                group.update(wanted)
                outcome = perform(call)
                group.update(kept)
                return outcome

            made.perform = stuck  # type: ignore[method-assign]
            return made

    found, given = first(Stuck(), *calls, params=(P, Param("q")))
    assert attribute(found, given, SPECIFICATION) == clause


@pytest.mark.parametrize(
    ("calls", "clause"),
    [
        ([create(), *step(p=2.0), SetGrad("p", None), Step("A"), *step(p=1.0)], "grad-none"),
        ([create(), *step(p=2.0), SetOption("A", 0, {"lr": 0.25}), *step(p=1.0)], "scheduled-lr"),
        ([create(), *step(p=2.0), SetOption("A", 0, {"alpha": 0.25}), *step(p=1.0)], "option-change"),
        ([create(), *step(p=2.0), Save("A", "s"), Load("A", "s"), *step(p=1.0)], "load-state-dict"),
        ([create("p"), AddParamGroup("A", Group(("q",))), *step(p=2.0)], "add-param-group"),
        ([create(), *step(p=2.0), ZeroGrad("A", False), Step("A")], "grad-zero"),
        ([create("p"), create("q", name="B"), *step(p=2.0)], "isolation"),
        ([create("p"), Step("A", "returns", {"p": (2.0,)})], "closure"),
    ],
)
def test_a_value_that_no_rule_explains_is_traced_to_the_call_that_it_needs(calls: list[Call], clause: str) -> None:
    """What the reduction could not drop is what the deviation is about."""
    last = len(calls) - 1

    def spoil(session: Any, call: Call) -> None:
        session.performed = getattr(session, "performed", -1) + 1
        if session.performed == last and clause != "grad-zero":
            session._params["p"].data[...] = 0.1234
        elif session.performed == last:
            session._optimizers["A"].state[id(session._params["p"])]["square_avg"][...] = np.float32(4e-2)
            session._params["p"].data[...] = before[0]

    before: list[float] = []
    if clause == "grad-zero":
        reference = ReferenceSubject().session((P,))
        for call in calls[:-1]:
            reference.perform(call)
        seen = reference.observe()
        before.append(float(seen.params["p"][0]))

        def spoil(session: Any, call: Call) -> None:
            session.performed = getattr(session, "performed", -1) + 1
            if session.performed == last:
                parameter = session._params["p"]
                parameter.data[...] = seen.params["p"]
                session._optimizers["A"].state[id(parameter)]["square_avg"][...] = seen.state["A"]["p"]["square_avg"]

    found, given = first(Spoilt(spoil), *calls, params=(P, Param("q")))

    def deviates(candidate: Program) -> bool:
        same_calls = [type(call) for call in candidate.calls] == [type(call) for call in given.calls]
        return same_calls and closures(candidate) == closures(given)

    assert attribute(found, given, SPECIFICATION, deviates) == clause


def closures(program: Program) -> list[bool]:
    return [bool(call.closure) for call in program.calls if isinstance(call, Step)]


def test_another_optimizer_that_the_deviation_does_not_need_is_no_matter_of_isolation() -> None:
    """It stays in the program where its options explain the value by chance."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            session._params["p"].data[...] = 0.1234

    found, given = first(Spoilt(spoil), create("p"), create("q", name="B"), *step(p=2.0), params=(P, Param("q")))
    assert attribute(found, given, SPECIFICATION, lambda candidate: True) == "update"


def test_a_closure_that_the_deviation_needs_is_the_clause_whatever_number_comes_out() -> None:
    """A value that a closure's old gradient explains fits other rules by chance, such as a step up the gradient."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step) and call.closure:
            parameter = session._params["p"]
            parameter.data[...] = 2 - float(parameter.data[0])

    found, given = first(Spoilt(spoil), create(), Step("A", "returns", {"p": (2.0,)}))
    assert attribute(found, given, SPECIFICATION, lambda candidate: closures(candidate) == [True]) == "closure"
    assert attribute(found, given, SPECIFICATION) == "descent"


@pytest.mark.parametrize(
    ("param", "clause"),
    [
        (Param("p", "complex64"), "complex-pairs"),
        (Param("p", "float32", (2, 2), (1.0,), "transposed"), "layout"),
        (Param("p", "float32", (3,)), "elementwise"),
    ],
)
def test_a_structure_that_is_needed_is_the_clause(param: Param, clause: str) -> None:
    """A format of pairs, a layout or more than one element that could not be reduced away."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            session._params["p"].data[...] = 0.1234

    found, given = first(Spoilt(spoil), create(), step(p=2.0), params=(param,))
    assert attribute(found, given, SPECIFICATION, lambda candidate: candidate.params[0].dtype == "complex64") == clause


def test_a_finding_that_is_no_value_keeps_its_clause() -> None:
    """What a frame, a closure or a refusal breaks is decided where it is found."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Create):
            session._params["p"].data[...] = 9.0

    found, given = first(Spoilt(spoil), create())
    assert attribute(found, given, SPECIFICATION) == found.clause == "init-params"


def test_a_hypothesis_that_did_not_hold_before_the_reduction_is_a_coincidence() -> None:
    """The labels from before decide which hypotheses may still be named."""
    found, given = first(Speaking(eps_place="inside"), create(**GIVEN), step(p=2.0))
    assert attribute(found, given, SPECIFICATION, labels=("eps-placement",)) == "eps-placement"
    assert attribute(found, given, SPECIFICATION, labels=("descent",)) != "descent"


def test_every_clause_that_is_named_exists() -> None:
    """Attribution names no clause that there is not, for any rule that it knows."""
    dialect: Dialect = replace(
        SPECIFICATION, eps_place="inside", lr_place="inside", decay="decoupled", initial_square_avg=1.0
    )
    for options in ({}, {"momentum": 0.5, "centered": True, "weight_decay": 0.5}):
        found, given = first(Speaking(eps_place="inside"), create(**GIVEN, **options), step(p=2.0), step(p=-0.5))
        for spoken in (SPECIFICATION, dialect, replace(dialect, maximize=True)):
            assert set(hypotheses(found, given, spoken)) <= set(CLAUSES)


def test_an_interval_of_many_magnitudes_supports_no_hypothesis() -> None:
    """Corrected for their bias, v and g_ave^2 cancel after one step: lr inside the buffer would hold what is seen, as nearly all."""
    corrected = replace(SPECIFICATION, bias_correction=True)
    given = program(create(momentum=0.5, centered=True), step(p=2.0), params=(replace(P, values=(2.0,)),))
    (found, *_) = (each for each in findings(given, ReferenceSubject(), corrected) if each.role == "momentum_buffer")
    assert found.allowed is not None
    assert 1e4 * found.allowed[0] < found.allowed[1]
    assert hypotheses(found, given, corrected) == ()


def test_a_gradient_cancelled_by_an_early_rounded_decay_is_one_of_precision() -> None:
    """Nothing moves, though with other numbers it does: torch rounds weight_decay to bfloat16 before it multiplies."""
    pytest.importorskip("torch")
    small = Param("p", "bfloat16", values=(-0.0303955078125,))
    given = program(create(weight_decay=0.01), step(p=0.00030517578125), params=(small,))
    (found,) = replay(load("torch"), given, Settings(known=()))
    assert (found.clause, found.observed) == ("scalar-precision", 0.0)
