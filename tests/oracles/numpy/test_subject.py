"""The reference as a subject: it does what a program says, and shows copies of what there is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from programs import create, program, step

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import dialect_named
from rmspec.oracles.errors import Unsupported
from rmspec.oracles.numpy.subject import ReferenceSubject, registered
from rmspec.oracles.program.program import (
    AddParamGroup,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Param,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
)
from rmspec.oracles.subject import Subject

PARAMS = (Param("p", "float64", (2,), (1.0, 2.0)), Param("q", "float64"), Param("r", "float64"))


def performed(*calls: Any, params: tuple[Param, ...] = PARAMS) -> Any:
    session = ReferenceSubject().session(params)
    for call in program(*calls).calls:
        outcome = session.perform(call)
        assert outcome.raised is None, (call, outcome)
    return session


def test_it_has_the_protocol() -> None:
    """It is a subject, and so is every dialect of it."""
    assert isinstance(ReferenceSubject(), Subject)
    assert ReferenceSubject().name == "reference"
    assert ReferenceSubject(dialect_named("keras3")).name == "reference:keras3"
    assert registered("reference:keras3", "cpu").dialect == "keras3"


def test_it_runs_on_no_other_device() -> None:
    """NumPy has none."""
    with pytest.raises(Unsupported, match="no device 'cuda'"):
        registered("reference", "cuda")


def test_a_step_is_the_pseudocode() -> None:
    """One step in float64 by hand: v = g^2 / 2, theta - lr g / (sqrt(v) + eps)."""
    session = performed(create("q", lr=0.5, alpha=0.5, eps=1.0), step(q=2.0))
    seen = session.observe()
    assert seen.state["A"]["q"]["square_avg"].tolist() == [2.0]
    assert seen.params["q"].tolist() == [1.0 - 0.5 * (2.0 / (2.0**0.5 + 1.0))]


def test_every_call_does_what_it_says() -> None:
    """Groups, options, gradients, saved states and frozen parameters are as the calls left them."""
    session = performed(
        create("p", lr=TensorNumber(0.1), centered=True),
        step(p=0.5),
        AddParamGroup("A", Group(("q",), {"lr": 0.25}), "generator"),
        AddParamGroup("A", Group(("r",)), "tensor"),
        SetOption("A", 1, {"alpha": 0.5}),
        *([Save("A", via, via), Load("A", via)] for via in ("state_dict", "deepcopy", "file", "pickle")),
        EditState("deepcopy", "drop", 0),
        Load("A", "deepcopy"),
        Freeze("q"),
        Create("B", (Group(("p",), {"lr": 0.5}), Group(("q",)))),
        Create("C", (Group(("p", "q")),), {}, "generator"),
    )
    seen = session.observe()
    first, second, third = seen.groups["A"]
    assert [first.options["lr"], second.options["lr"], third.options["lr"]] == [
        float(np.float32(0.1)),
        0.25,
        float(np.float32(0.1)),
    ]
    assert (second.params, second.options["alpha"], third.options["alpha"]) == (("q",), 0.5, 0.99)
    assert seen.state["A"] == {}
    assert [group.params for group in seen.groups["C"]] == [("p", "q")]
    assert (seen.grads["q"], seen.grads["p"].tolist()) == (None, [0.5, 0.5])


@pytest.mark.parametrize(("call", "left"), [(None, None), (True, None), (False, [0.0])])
def test_gradients_are_cleared_in_both_forms(call: bool | None, left: Any) -> None:
    """The default is None."""
    grad = performed(create("q"), SetGrad("q", (2.0,)), ZeroGrad("A", call)).observe().grads["q"]
    assert (None if grad is None else grad.tolist()) == left


def test_a_closure_is_called_once_and_its_loss_returned() -> None:
    """Its gradients are those that the step uses."""
    session = performed(create("q", alpha=0.5))
    report = session.perform(Step("A", "returns", {"q": (2.0,)}, 3.25)).closure
    assert (report.calls, report.returned) == (1, 3.25)
    assert session.observe().state["A"]["q"]["square_avg"].tolist() == [2.0]
    failed = session.perform(Step("A", "raises"))
    assert (failed.raised.type, failed.closure.calls, failed.closure.returned) == ("ClosureFailed", 1, None)


def test_a_bad_gradient_makes_a_step_raise() -> None:
    """The gradient is of a kind that does not take part in arithmetic, and none is shown."""
    session = performed(create("q"), SetGrad("q", (1.0,), bad="sparse"))
    assert session.observe().grads["q"] is None
    assert session.perform(Step("A")).raised is not None


def test_what_is_refused_is_an_outcome() -> None:
    """An exception of the optimizer is part of what came back."""
    session = performed(create("p"))
    assert session.perform(AddParamGroup("A", Group(("p",)))).raised.type == "ValueError"
    assert session.perform(create("q", name="B", lr=-1.0)).raised.type == "ValueError"


def test_an_observation_is_a_copy() -> None:
    """Changing what was seen changes nothing of the optimizer."""
    session = performed(create("p"), step(p=0.5), Save("A", "s", "state_dict"))
    seen = session.observe()
    for array in (
        seen.params["p"],
        seen.grads["p"],
        seen.state["A"]["p"]["square_avg"],
        seen.slots["s"][0]["square_avg"],
    ):
        array[...] = 99.0
    again = session.observe()
    assert not any(
        np.any(array == 99.0)
        for array in (
            again.params["p"],
            again.grads["p"],
            again.state["A"]["p"]["square_avg"],
            again.slots["s"][0]["square_avg"],
        )
    )


@pytest.mark.parametrize("name", list(FORMATS))
def test_every_format_keeps_its_dtype(name: str) -> None:
    """Parameters and state are stored in the format of the parameter."""
    session = performed(create("p", momentum=0.5, centered=True), step(p=0.5), params=(Param("p", name, (2,)),))
    seen = session.observe()
    arrays = [seen.params["p"], *seen.state["A"]["p"].values()]
    assert len(arrays) == 4
    assert {array.dtype for array in arrays} == {FORMATS[name].dtype}
