"""Identification: what a subject does tells which RMSprop it is, switch by switch, or that it is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mixed import Limited, mixed
from programs import Spoilt

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect
from rmspec.oracles import load, registered_names
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Create, SetGrad, SetOption, Step
from rmspec.oracles.subject import Outcome, Raised, Subject
from rmspec.properties import identify
from rmspec.properties.identify.answer import Identification, Switch
from rmspec.properties.identify.explanation import SWITCHES, alternatives
from rmspec.properties.identify.neighbours import ROUNDINGS, read_position

MIXED = [mixed(seed) for seed in range(20)]
MOMENTUM = ("nesterov", "lr_place")
ALL_HIDDEN = {"shows": False}
UNSCHEDULED = {"shows": True, "without": frozenset({"schedule"})}
BLIND = {"shows": False, "without": frozenset({"schedule"})}


def switch(found: Identification, name: str) -> Switch:
    (one,) = [each for each in found.switches if each.name == name]
    return one


def wrong(found: Identification, dialect: Dialect, unseen: tuple[str, ...] = ()) -> list[tuple[str, object]]:
    """The switches that are not told as they are, or told although they cannot be seen."""
    if dialect.momentum_form == "never":
        unseen = MOMENTUM
    return [
        (name, switch(found, name).left)
        for name in SWITCHES
        if name != "scalars"
        and (
            len(switch(found, name).left) == 1
            if name in unseen
            else switch(found, name).value != read_position(dialect, name)
        )
    ]


@pytest.mark.parametrize("name", [name for name in registered_names() if name.startswith("reference")])
def test_the_reference_in_every_named_dialect_is_named(name: str) -> None:
    """Its own dialect is named, whatever else agrees in all that can be seen, and nothing contradicts it."""
    found = identify(load(name))
    own = name.partition(":")[2] or "torch"
    assert (found.standing, found.contradictions) == ("dialect", ())
    assert own in found.named
    assert wrong(found, DIALECTS[own]) == []


@pytest.mark.parametrize("dialect", MIXED, ids=range(len(MIXED)))
@pytest.mark.parametrize("seen", [{}, ALL_HIDDEN], ids=["state shown", "state hidden"])
def test_a_mixed_dialect_is_told_switch_by_switch(dialect: Dialect, seen: dict[str, bool]) -> None:
    """Parameters alone suffice: hidden state changes no answer."""
    found = identify(Limited(dialect, **seen))  # type: ignore[arg-type]
    assert found.standing == "dialect"
    assert wrong(found, dialect) == []
    assert "double" in switch(found, "scalars").left


@pytest.mark.parametrize("dialect", MIXED[:6], ids=range(6))
@pytest.mark.parametrize(("limits", "unseen"), [(UNSCHEDULED, ()), (BLIND, ("lr_place",))], ids=["shown", "hidden"])
def test_without_a_schedule_the_buffer_must_be_seen(
    dialect: Dialect, limits: dict[str, object], unseen: tuple[str, ...]
) -> None:
    """Where lr meets the buffer shows when lr changes, or in the buffer; else it cannot be told."""
    assert wrong(identify(Limited(dialect, **limits)), dialect, unseen) == []  # type: ignore[arg-type]


def test_every_answer_has_a_program_that_gives_it() -> None:
    """Each position that is ruled out comes with a program, a number, and what the position predicts instead."""
    found = identify(ReferenceSubject(DIALECTS["keras3"]))
    for each in found.switches:
        assert {one.value for one in each.evidence} == set(each.ruled_out), each.name
        for one in each.evidence:
            assert not one.predicted[0] <= one.observed <= one.predicted[1]
            assert one.expected[0] <= one.observed <= one.expected[1]
            assert isinstance(one.program.calls[one.call], Step)


def test_the_programs_of_the_evidence_are_short() -> None:
    """One step tells most switches, two tell the rest; a learning rate is changed for the place of lr alone."""
    found = identify(Limited(SPECIFICATION, shows=False))
    steps = {
        each.name: max(sum(isinstance(call, Step) for call in one.program.calls) for one in each.evidence)
        for each in found.switches
    }
    assert {name for name, count in steps.items() if count > 1} == {"momentum_form", "lr_place"}
    assert max(steps.values()) == 2
    changed = {
        each.name
        for each in found.switches
        if any(isinstance(call, SetOption) for one in each.evidence for call in one.program.calls)
    }
    assert changed == {"lr_place"}


def test_evidence_never_steps_before_there_is_a_gradient() -> None:
    """A step without a gradient shows nothing of a weight decay: it is skipped."""
    found = identify(ReferenceSubject(DIALECTS["optax"]))
    assert all(isinstance(one.program.calls[1], SetGrad) for each in found.switches for one in each.evidence)


@pytest.mark.parametrize(
    ("rounds", "formats", "left"),
    [
        ("", ("float64", "float32"), ("double",)),
        ("float32", ("float64", "float32"), ("float32",)),
        ("storage", ("float64", "float32"), ("storage",)),
        ("", ("float32",), ("double", "float32")),
        ("float32", ("float32",), ("float32", "storage")),
    ],
)
def test_the_rounding_of_hyperparameters_is_told(rounds: str, formats: tuple[str, ...], left: tuple[str, ...]) -> None:
    """In float64 rounding to float32 shows, in float32 a 1 - alpha that is formed after rounding; one format is too few."""
    found = identify(Limited(SPECIFICATION, rounds=rounds, formats=formats))
    assert found.standing == "dialect"
    assert switch(found, "scalars").left == left


def test_options_that_are_accepted_and_ignored_are_said_to_be() -> None:
    """They are decided, as never and none, and the reason says that the option is taken."""
    dialect = replace(SPECIFICATION, name="x", momentum_form="never", centered_form="never", decay="none")
    found = identify(ReferenceSubject(dialect))
    assert [switch(found, name).value for name in ("momentum_form", "centered_form", "decay")] == [
        "never",
        "never",
        "none",
    ]
    for name in ("momentum_form", "centered_form", "decay"):
        assert "ignores it" in switch(found, name).reason


def test_an_option_that_is_not_taken_leaves_its_switches_open() -> None:
    """The answer is cannot tell, with the reason; what is named agrees in all the rest."""
    found = identify(Limited(SPECIFICATION, without=frozenset({"momentum", "centered", "weight_decay"})))
    assert found.standing == "dialect"
    assert "torch" in found.named
    assert switch(found, "decay").value is None
    assert switch(found, "decay").answer("l2") == "cannot tell"
    assert "weight_decay" in switch(found, "decay").reason
    assert switch(found, "centered_form").left == ("option", "never")


def test_a_dialect_without_a_name_has_its_nearest() -> None:
    """Those that differ in the fewest switches, with the switches."""
    found = identify(ReferenceSubject(replace(SPECIFICATION, name="x", nesterov=True)))
    assert found.named == ()
    assert [(each.name, each.differs) for each in found.nearest] == [("torch", ("nesterov",))]


def raising(option: str) -> Subject:
    """The reference, but that it refuses an option that is not off."""

    def answer(call: object, outcome: Outcome) -> Outcome:
        if isinstance(call, Create) and call.options.get(option):
            return Outcome(Raised("NotImplementedError", "not yet"))
        return outcome

    return Spoilt(answer=answer)


@pytest.mark.parametrize(
    ("option", "name"), [("centered", "centered_form"), ("momentum", "momentum_form"), ("weight_decay", "decay")]
)
def test_an_option_that_raises_leaves_its_switch_open(option: str, name: str) -> None:
    """The reason is the exception, and the other switches are told."""
    found = identify(raising(option))
    assert found.standing == "dialect"
    assert switch(found, name).value is None
    assert "NotImplementedError: not yet" in switch(found, name).reason
    assert switch(found, "eps_place").value == "outside"


def test_what_raises_at_once_is_unknown() -> None:
    """Nothing is told of what cannot take a step."""
    found = identify(raising("lr"))
    assert (found.standing, found.switches) == ("unknown", ())
    assert "not yet" in found.message


def test_a_format_that_is_not_supported_leaves_nothing_to_tell() -> None:
    """With complex formats alone there is no real number to watch."""
    assert identify(ReferenceSubject(), formats=("complex64",)).standing == "unknown"


@pytest.mark.parametrize("format", ["float32", "bfloat16", "float16"])
def test_narrow_formats_tell_the_switches_as_well(format: str) -> None:
    """Their intervals are wider, and the positions still lie apart."""
    found = identify(ReferenceSubject(DIALECTS["keras3"]), formats=(format,))
    assert found.standing == "dialect"
    assert wrong(found, DIALECTS["keras3"]) == []


def twice(session: object, call: object) -> None:
    """A fault in momentum: the buffer is counted twice."""
    if isinstance(call, Step):
        for optimizer in session._optimizers.values():  # type: ignore[attr-defined]
            for state in optimizer.state.values():
                if "momentum_buffer" in state:
                    state["momentum_buffer"] *= 2


def test_a_fault_in_one_option_leaves_the_other_switches_decided() -> None:
    """No dialect explains it; the program says where, and the rest is told."""
    found = identify(Spoilt(twice))
    assert found.standing == "unexplained"
    assert [each.clause for each in found.contradictions] == ["momentum-buffer"]
    (one,) = found.contradictions
    assert not one.allowed[0] <= one.observed <= one.allowed[1]
    assert switch(found, "momentum_form").value is None
    assert {switch(found, name).value for name in ("eps_place", "decay", "centered_form")} == {
        "outside",
        "l2",
        "option",
    }


def test_a_fault_in_the_update_itself_is_unexplained() -> None:
    """An average that grows by the whole square is no dialect, and no optimizer of another name either."""

    def spoil(session: object, call: object) -> None:
        if isinstance(call, Step):
            for optimizer in session._optimizers.values():  # type: ignore[attr-defined]
                for state in optimizer.state.values():
                    state["square_avg"] *= 3

    found = identify(Spoilt(spoil))
    assert (found.standing, found.family) == ("unexplained", "")
    assert found.contradictions[0].clause == "update"


def test_the_order_of_the_roundings_has_them_all() -> None:
    """Whether a dialect allows a rounding is a matter of this order: a rounding that is missing could not be compared."""
    assert set(ROUNDINGS) == set(alternatives("scalars"))
