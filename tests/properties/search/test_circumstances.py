"""Circumstances of the search: they come by chance, change no number, and fit the optimizers and their groups."""

from __future__ import annotations

from programs import P, create, findings, grouped, program, step

from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import (
    Create,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetOption,
    Step,
    from_json,
    to_json,
)
from rmspec.properties.counterexamples.variants import without_circumstances
from rmspec.properties.search.circumstances import surround

GIVEN = program(
    create("p", "q"),
    grouped(Group(("r",)), Group(("s",)), name="B"),
    step(p=1.0, q=2.0),
    Step("A", hooks=True),
    Step("B", "raises"),
    SetOption("A", 0, {"lr": 0.5}),
    SetOption("B", 1, {"lr": 0.25}),
    Save("B", "x"),
    Load("B", "x"),
    params=tuple(Param(name) for name in "pqrs"),
)


def surrounded() -> list[Program]:
    return [surround(GIVEN, 1, seed) for seed in range(300)]


def test_a_seed_gives_the_same_circumstances() -> None:
    """Another seed gives others."""
    assert surrounded() == surrounded()
    assert len({repr(each) for each in surrounded()}) > 20


def test_every_circumstance_comes_up() -> None:
    """Gradients disabled, inference mode, hooks from the start, base classes, and a group without parameters at every place."""
    drawn = surrounded()
    steps = [call for each in drawn for call in each.calls if isinstance(call, Step)]
    created = [call for each in drawn for call in each.calls if isinstance(call, Create)]
    assert {call.mode for call in steps} == {"", "no_grad", "inference_mode"}
    assert {call.bases for call in steps} == {call.hooks for call in created} == {True, False}
    places = {
        (call.optimizer, tuple(bool(group.params) for group in call.groups)) for call in created if len(call.groups) > 1
    }
    assert {place for name, place in places if name == "B"} == {
        (True, True),
        (False, True, True),
        (True, False, True),
        (True, True, False),
    }
    assert {place for name, place in places if name == "A"} == {(False, True), (True, False)}


def test_inference_mode_is_that_of_all_steps_or_none() -> None:
    """What it makes cannot be written to outside of it."""
    for each in surrounded():
        modes = {call.mode for call in each.calls if isinstance(call, Step)}
        assert modes == {"inference_mode"} or "inference_mode" not in modes


def test_circumstances_change_no_number() -> None:
    """Without them the program is what it was, but for hooks from the start and the form of its groups."""
    for each in surrounded():
        assert from_json(to_json(each)) == each
        assert findings(each, ReferenceSubject()) == ()
        plain = without_circumstances(each)
        kinds = [type(call) for call in plain.calls]
        assert kinds == [type(call) for call in GIVEN.calls]
        options = [call.options for call in each.calls if isinstance(call, SetOption)]
        assert options == [{"lr": 0.5}, {"lr": 0.25}]


def test_an_option_is_set_in_the_same_group() -> None:
    """Its number counts a group without parameters before it."""
    for each in surrounded():
        created = {call.optimizer: call for call in each.calls if isinstance(call, Create)}
        groups = [created[call.optimizer].groups[call.group] for call in each.calls if isinstance(call, SetOption)]
        assert [group.params for group in groups] == [("p", "q"), ("s",)]


def test_a_program_of_one_parameter_has_no_group_too_few() -> None:
    """An optimizer with one group has the empty one before it or after it."""
    for seed in range(100):
        each = surround(program(create(), step(p=1.0), params=(P,)), 2, seed)
        assert findings(each, ReferenceSubject()) == ()
