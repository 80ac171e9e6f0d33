"""Derivatives of steps: each that is cut off is found, by its own clause and in words, and no correct one is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from programs import create, findings, program, step

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.host.perform import perform
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import (
    AddParamGroup,
    Differentiate,
    Group,
    Load,
    Param,
    Program,
    Record,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
)
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.oracles.subject import Subject
from rmspec.properties.check import replay, trial
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import judge
from rmspec.properties.search.corpus import corpus, in_format
from rmspec.properties.search.fitting import admit, lacks_derivatives
from rmspec.properties.settings import Settings

pytest.importorskip("torch")

CLAUSE = "differentiable-step"
BASE = "rmspec.oracles.faults.base:DifferentiableRMSprop:differentiable"
CORRECT = (BASE, "tests/quality/correct/differentiable.py:RMSprop:differentiable")
OPTIONS: dict[str, Any] = {"lr": 0.25, "alpha": 0.75, "eps": 0.25}
ASKED = [each for each in corpus() if lacks_derivatives(each, ReferenceSubject().capabilities())]


def faulty(name: str) -> Subject:
    return load(f"rmspec.oracles.faults.defaults:{name}:differentiable")


def twice(*before: Any, weights: tuple[float, ...] = (1.0,), **options: Any) -> Program:
    """Two recorded steps, and their derivatives."""
    return program(
        Record(), create(**{**OPTIONS, **options}), step(p=2.0), *before, step(p=-0.5), Differentiate("p", weights)
    )


@pytest.mark.parametrize("name", CORRECT, ids=["base", "functional"])
@pytest.mark.parametrize("format", ["float32", "float64"])
@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.note)
def test_the_derivatives_of_a_correct_optimizer_pass(asked: Program, format: str, name: str) -> None:
    """Every stored program of them, in both formats; all are bounded."""
    tally, given = Tally(), in_format(asked, format)
    assert given is not None
    assert findings(given, load(name), tally=tally) == ()
    assert tally.checks[CLAUSE] >= 8
    assert CLAUSE not in tally.inconclusive


@pytest.mark.parametrize(
    ("fault", "options", "words"),
    [
        ("SquareAverageUnrecorded", {}, "v_t is a constant"),
        ("BufferUnrecorded", {"momentum": 0.5}, "b_t is a constant"),
        ("DecayOfData", {"weight_decay": 0.5}, "theta is a constant in weight decay"),
        ("StateDetached", {}, "the state before each step is a constant"),
        ("RateAsNumber", {"lr": TensorNumber(0.25)}, "lr is a constant"),
    ],
)
@pytest.mark.parametrize("format", ["float32", "float64"])
def test_what_is_cut_off_is_named(fault: str, options: dict[str, Any], words: str, format: str) -> None:
    """The message says with respect to what the derivative is wrong, and what it is the derivative of."""
    given = in_format(twice(**options), format)
    assert given is not None
    found = findings(given, faulty(fault))
    assert found
    assert {each.clause for each in found} == {CLAUSE}
    assert all(each.summary.endswith(f"is wrong: it is the one where {words}") for each in found)
    assert all(each.allowed[0] < each.allowed[1] for each in found if each.allowed)


@pytest.mark.parametrize("fault", ["RootInPlace", "AverageInPlace"])
def test_an_exception_of_autograd_is_found(fault: str) -> None:
    """A tensor that a derivative needs was changed in place."""
    (found,) = findings(twice(centered=True), faulty(fault))
    assert (found.clause, found.kind) == (CLAUSE, "raised")
    assert "inplace operation" in found.summary


def test_a_found_derivative_is_reduced_and_has_a_script() -> None:
    """One element, few calls, and a script that fails for the fault and passes for the correct optimizer."""
    (deviation,) = replay(faulty("StateDetached"), next(each for each in ASKED if "both" in each.note), Settings())
    assert (deviation.kind, deviation.role) == ("derivative", "grad-1")
    assert len(deviation.program.calls) <= 6
    script = standalone_script(deviation)
    assert script is not None
    place = "from rmspec.oracles.faults.defaults import StateDetached"
    assert place in script
    with pytest.raises(AssertionError):
        exec(script, {})
    exec(script.replace(place, place.replace("defaults import", "base import DifferentiableRMSprop as")), {})


def test_torch_is_known_for_two_steps_of_centered_and_for_lr() -> None:
    """Its other derivatives are right: those two entries are all."""
    subject = load("torch:differentiable")
    known = {each.note: {found.known for found in replay(subject, each, Settings())} for each in ASKED}
    centered = next(note for note in known if "two centered" in note)
    assert known == {
        note: {"torch-differentiable-centered"}
        if note == centered
        else {"torch-differentiable-lr"}
        if "lr" in note
        else set()
        for note in known
    }


def test_a_wrong_value_blocks_its_derivatives() -> None:
    """Whose value is wrong has another derivative of necessity: that is no second fault."""
    transcript = perform(twice(), load(BASE))
    tally = Tally()
    run = judge(transcript, replace(SPECIFICATION, eps_place="inside"), tally=tally)
    assert {finding.kind for finding in run.findings} == {"value"}
    assert tally.blocked[CLAUSE] == 3
    assert CLAUSE not in tally.checks


@pytest.mark.parametrize(
    "calls",
    [
        (Save("A", "s", "state_dict"), Load("A", "s")),
        (AddParamGroup("A", Group(("q",))),),
        (Step("A", "returns", {"p": (1.0,)}),),
    ],
    ids=["load", "group", "closure"],
)
def test_a_chain_with_other_calls_is_not_judged(calls: tuple[Any, ...]) -> None:
    """What comes from elsewhere has a history of its own."""
    given = replace(twice(*calls), params=(Param("p"), Param("q")))
    tally = Tally()
    assert [each for each in findings(given, load(BASE), tally=tally) if each.clause == CLAUSE] == []
    assert CLAUSE not in tally.checks


def test_options_may_change_between_the_steps() -> None:
    """Each step has those that it was made with, and a gradient used twice counts twice."""
    changed = twice(SetOption("A", 0, {"lr": 0.5, "alpha": 0.5, "momentum": 0.25}), weights=(-2.0,), weight_decay=0.5)
    assert findings(changed, load(BASE)) == ()
    again = program(Record(), create(**OPTIONS), step(p=2.0), Step("A"), Differentiate("p"))
    tally = Tally()
    assert findings(again, load(BASE), tally=tally) == ()
    assert tally.checks[CLAUSE] == 2


def test_a_derivative_without_a_bound_is_inconclusive() -> None:
    """The root of 0 has none."""
    tally = Tally()
    given = program(Record(), create(**OPTIONS), step(p=0.0), Differentiate("p"))
    assert findings(given, load(BASE), tally=tally) == ()
    assert tally.inconclusive[CLAUSE] == 1
    assert (CLAUSE, "a derivative has no bound") in tally.doubts


def test_others_are_never_asked() -> None:
    """A subject that does not announce derivatives, a format in which they are not bounded well, and a run without them."""
    able = load(BASE).capabilities()
    assert admit(ASKED[0], able) == ASKED[0]
    assert admit(ASKED[0], ReferenceSubject().capabilities()) is None
    assert admit(ASKED[0], load("torch").capabilities()) is None
    assert admit(ASKED[0], replace(able, features=able.features - {"derivatives"})) is None
    for name in ("bfloat16", "complex64"):
        given = in_format(ASKED[0], name)
        assert given is not None
        assert admit(given, able) is None
    assert trial(load("torch"), ASKED[0], Settings()) == ((), False)


def test_nothing_leads_from_a_gradient_to_a_parameter_without_steps() -> None:
    """The parameter itself is all there is, and a source that nothing leads from has the derivative 0."""
    tally = Tally()
    given = program(Record(), create(**OPTIONS), SetGrad("p", (2.0,)), Differentiate("p", (3.0,)))
    assert findings(given, load(BASE), tally=tally) == ()
    assert tally.checks[CLAUSE] == 1
    outcome = perform(given, load(BASE)).answers[-1].outcome
    assert outcome.derivatives == {"start": (3.0,), "grad-1": (0.0,)}
