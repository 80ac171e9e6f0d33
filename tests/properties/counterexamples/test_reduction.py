"""Reduction: the finding stays, the program gets short, and every number is one that its format stores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from programs import P, Spoilt, create, findings, grouped, program, step

from rmspec.impl.arithmetic.formats import FORMATS
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
    TensorNumber,
    ZeroGrad,
    elements,
    from_json,
    to_json,
)
from rmspec.properties.counterexamples.reduction import reduce
from rmspec.properties.counterexamples.variants import plain_numbers, stored_values
from rmspec.properties.judge.findings import Finding

Shows = Callable[[Program], Finding | None]


def shown_by(subject: Spoilt, wanted: Finding) -> Shows:
    return lambda candidate: next((each for each in findings(candidate, subject) if each.key == wanted.key), None)


def reduced(given: Program, subject: Spoilt) -> tuple[Program, Finding]:
    first = findings(given, subject)[0]
    found, finding = reduce(given, first, shown_by(subject, first))
    assert finding in findings(found, subject)
    assert finding.key == first.key
    assert len(found.calls) <= len(given.calls)
    assert from_json(to_json(found)) == found
    return found, finding


def after_steps(change: Callable[[Any], None]) -> Spoilt:
    """The reference, with every array that a step has moved changed afterwards."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step):
            for parameter in session._params.values():
                if parameter.grad is not None:
                    change(parameter)

    return Spoilt(spoil)


def doubled(parameter: Any) -> None:
    parameter.data *= 2


LONG = program(
    grouped(
        Group(("p",), {"lr": 0.5}), Group(("q",), {"alpha": 0.5}), lr=TensorNumber(0.25), momentum=0.5, centered=True
    ),
    create("r", name="B", weight_decay=0.5),
    *(step(p=0.3 * turn, q=-1.7) for turn in range(1, 4)),
    step("B", r=0.7),
    Save("A", "s", "pickle"),
    SetOption("A", 0, {"lr": 0.125}),
    Step("A", "returns", {"p": (0.1,)}, 0.5, hooks=True),
    Load("A", "s"),
    ZeroGrad("A"),
    step(p=0.9),
    params=(
        Param("p", "float64", (4, 5), (0.3, -1.7), "transposed"),
        Param("q", "float16", (3,)),
        Param("r", "complex64", (2,)),
    ),
)


def test_a_fault_of_every_step_is_reduced_to_one() -> None:
    """One parameter of one float32 element, one optimizer, one gradient, one step; of the options what the clause is about."""
    found, finding = reduced(LONG, after_steps(doubled))
    assert [type(call) for call in found.calls] == [Create, SetGrad, Step]
    assert [(param.dtype, param.shape, param.layout) for param in found.params] == [("float32", (1,), "contiguous")]
    assert found.calls[0].options == {"momentum": 0.5}  # type: ignore[union-attr]
    assert finding.clause == "momentum-update"
    assert finding.call == 2


def test_a_fault_of_one_element_is_projected_onto_it() -> None:
    """The values are those of the element, though it was the last of many."""

    def change(parameter: Any) -> None:
        parameter.data[parameter.data > 3] *= 2

    values = (*([0.5] * 40), 5.0)
    given = program(
        create(), SetGrad("p", (*([1.0] * 40), -0.25)), Step("A"), params=(Param("p", shape=(41,), values=values),)
    )
    found, _ = reduced(given, after_steps(change))
    assert found.params[0].shape == (1,)
    assert found.params[0].values[0] >= 3


def test_a_fault_beyond_a_size_is_reduced_to_that_size() -> None:
    """The smallest shape that shows it is found, in one dimension."""

    def change(parameter: Any) -> None:
        if parameter.data.size > 13:
            parameter.data *= 2

    given = program(create(), step(p=2.0), params=(Param("p", shape=(8, 9)),))
    found, _ = reduced(given, after_steps(change))
    assert found.params[0].shape == (14,)


def test_what_a_fault_needs_is_kept() -> None:
    """A fault after a load keeps the save and the load, one in float16 its format, one of a layout the layout."""

    def loaded(session: Any, call: Call) -> None:
        session.seen = getattr(session, "seen", False) or isinstance(call, Load)
        if session.seen and isinstance(call, Step):
            session._params["p"].data *= 2

    found, _ = reduced(LONG, Spoilt(loaded))
    assert {Save, Load, Step} <= {type(call) for call in found.calls}
    assert len(found.calls) <= 5
    assert {call.via for call in found.calls if isinstance(call, Save)} == {"deepcopy"}

    def half(parameter: Any) -> None:
        if parameter.data.dtype == np.float16:
            parameter.data *= 2

    found, _ = reduced(LONG, after_steps(half))
    assert [param.dtype for param in found.params] == ["float16"]


def test_a_sparse_gradient_becomes_dense_where_that_shows_the_same() -> None:
    """So that no deviation is put down to rows that it does not need."""
    given = program(create(), SetGrad("p", (1.0,), rows=(0, 2)), Step("A"), params=(Param("p", shape=(3,)),))
    found, _ = reduced(given, after_steps(doubled))
    assert [call.rows for call in found.calls if isinstance(call, SetGrad)] == [None]


def test_a_fault_across_optimizers_keeps_two() -> None:
    """A step of the one that moves the other's parameter needs both."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step) and call.optimizer == "A" and "B" in session._optimizers:
            session._params["r"].data[...] = 9.0

    found, _ = reduced(LONG, Spoilt(spoil))
    assert len([call for call in found.calls if isinstance(call, Create)]) == 2
    assert len(found.calls) <= 4


SURROUNDED = program(
    Create("A", (Group(("p",), {"lr": 0.5}), Group(()), Group(("q",))), {"momentum": 0.5}, hooks=True),
    Create("B", (Group(("p",), {"lr": 0.5}), Group(()), Group(("q",))), {"momentum": 0.5}, dicts="A"),
    SetGrad("p", (2.0,)),
    SetGrad("q", (3.0,)),
    Step("A", mode="no_grad", hooks=True, bases=True),
    Step("B", "returns", {"p": (1.0,), "q": (1.0,)}, mode="no_grad"),
    params=(Param("p"), Param("q")),
)


def test_circumstances_that_are_not_needed_are_dropped() -> None:
    """A fault of every step is shown by a plain one."""
    found, _ = reduced(SURROUNDED, after_steps(doubled))
    assert [call for call in found.calls if isinstance(call, Step)] == [Step("A")]
    (created,) = [call for call in found.calls if isinstance(call, Create)]
    assert (created.form, created.hooks, created.dicts, created.groups) == ("list", False, "", (Group(("p",)),))


def test_circumstances_that_are_needed_stay() -> None:
    """A mode, an empty group and a dict given twice, each alone; the groups of a dict stay the same in both calls."""

    def in_mode(session: Any, call: Call) -> None:
        if isinstance(call, Step) and call.mode == "no_grad":
            session._params["p"].data *= 2

    def after_empty(session: Any, call: Call) -> None:
        if isinstance(call, Step) and any(not group["params"] for group in session._optimizers["A"].param_groups):
            session._params["p"].data *= 2

    def given_twice(session: Any, call: Call) -> None:
        if isinstance(call, Create) and call.dicts:
            session._params["p"].data *= 2

    found, _ = reduced(SURROUNDED, Spoilt(in_mode))
    assert [call for call in found.calls if isinstance(call, Step)] == [Step("A", mode="no_grad")]
    found, _ = reduced(SURROUNDED, Spoilt(after_empty))
    assert [call.groups for call in found.calls if isinstance(call, Create)] == [(Group(("p",)), Group(()))]
    found, _ = reduced(SURROUNDED, Spoilt(given_twice))
    first, second = found.calls
    assert (first.groups, second.groups, second.dicts) == ((Group(("p",)),), (Group(("p",)),), "A")  # type: ignore[union-attr]


def test_the_number_of_tries_is_bounded() -> None:
    """A long program is reduced in a few hundred runs, and none is made twice."""
    subject = after_steps(doubled)
    first = findings(LONG, subject)[0]
    shows, tried = shown_by(subject, first), []

    def counted(candidate: Program) -> Finding | None:
        tried.append(repr(candidate))
        return shows(candidate)

    reduce(LONG, first, counted)
    assert len(tried) == len(set(tried)) < 300


def test_no_attempts_leave_the_program_as_it_is() -> None:
    """Where nothing may be tried, nothing is, and the finding is returned as it was."""
    subject = after_steps(doubled)
    first = findings(LONG, subject)[0]
    assert reduce(LONG, first, shown_by(subject, first), attempts=0) == (LONG, first)


def test_a_program_that_shows_its_finding_by_chance_alone_is_left() -> None:
    """Where no candidate shows it again the program stays."""
    first = findings(LONG, after_steps(doubled))[0]
    assert reduce(LONG, first, lambda candidate: None) == (LONG, first)


def test_numbers_become_easier_to_read() -> None:
    """Long decimals are replaced by small ones where those show it as well."""
    given = program(create(lr=0.0123), step(p=0.7071067811865476), params=(Param("p", values=(1.4142135623730951,)),))
    found, _ = reduced(given, after_steps(doubled))
    numbers = [*found.params[0].values, *found.calls[1].values]  # type: ignore[union-attr,misc]
    assert all(number in (2.0, 0.5, -2.0, 3.0) for number in numbers)


@pytest.mark.parametrize("name", list(FORMATS))
def test_stored_values_are_those_of_the_format(name: str) -> None:
    """Rounding them changes no array of the program, and another rounding changes nothing more."""
    given = program(
        create(),
        SetGrad("p", (0.1, 1e300, 1e-300)),
        Step("A", "returns", {"p": (0.3, -0.7)}),
        params=(Param("p", name, (2, 2), (0.1, math.nan, -0.0, 3.3)),),
    )
    stored = stored_values(given)
    assert stored.calls[0] == given.calls[0]
    for before, now in (
        (given.params[0].values, stored.params[0].values),
        (given.calls[1].values, stored.calls[1].values),
    ):  # type: ignore[union-attr]
        assert elements(before, name, (2, 2)).tobytes() == elements(now, name, (2, 2)).tobytes()
    assert repr(stored_values(stored)) == repr(stored)


def test_plain_numbers_keep_the_calls() -> None:
    """Only the numbers of parameters and gradients are others, other ones each turn."""
    turns = [plain_numbers(LONG, turn) for turn in range(4)]
    assert len({repr(each) for each in turns}) == 4
    for each in turns:
        assert [type(call) for call in each.calls] == [type(call) for call in LONG.calls]
        assert [call for call in each.calls if isinstance(call, Create)] == [
            c for c in LONG.calls if isinstance(c, Create)
        ]
        assert [(param.name, param.dtype, param.shape) for param in each.params] == [
            (p.name, p.dtype, p.shape) for p in LONG.params
        ]


def test_an_option_of_a_group_that_is_gone_moves_to_the_last_one() -> None:
    """Dropping a parameter drops its group, and a change of that group's option does not lead nowhere."""

    def spoil(session: Any, call: Call) -> None:
        if isinstance(call, Step) and any(group["lr"] == 0.125 for group in session._optimizers["A"].param_groups):
            for parameter in session._params.values():
                parameter.data *= 2

    given = program(
        grouped(Group(("q",))),
        AddParamGroup("A", Group(("p",))),
        SetOption("A", 1, {"lr": 0.125}),
        step(p=0.3),
        params=(P, Param("q")),
    )
    found, _ = reduced(given, Spoilt(spoil))
    assert len(found.calls) <= 5
    changed = next(call for call in found.calls if isinstance(call, SetOption))
    groups = sum(
        len(call.groups) if isinstance(call, Create) else 1
        for call in found.calls
        if isinstance(call, Create | AddParamGroup)
    )
    assert changed.group < groups
