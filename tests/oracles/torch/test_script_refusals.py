"""A script goes on after a call that is refused, as its program does."""

from dataclasses import replace

import pytest
from scripts import executed

from rmspec.oracles.program.program import AddParamGroup, Call, Create, Group, Load, Param, Program, Save, SetGrad, Step
from rmspec.oracles.scripting.lines import MAX_LINES
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.events import Deviation

pytest.importorskip("torch")

PARAMS = (Param("p", "float32", (1,), (2.0,)), Param("q", "float32", (1,), (2.0,)))
REFUSED: dict[str, tuple[Call, ...]] = {
    "a checkpoint of another optimizer": (
        Create("B", (Group(("p", "q")),)),
        Save("B", "slot"),
        Load("A", "slot"),
    ),
    "a parameter that it has already": (AddParamGroup("A", Group(("p",))),),
    "a closure that raises": (Step("A", closure="raises"),),
    "a sparse gradient": (SetGrad("p", (2.0,), bad="sparse"), Step("A")),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_a_refused_call_does_not_end_the_script(refused: str) -> None:
    """The assertion on the step after it is reached: it passes on torch, and fails with other bounds."""
    calls = (Create("A", (Group(("p",)),)), *REFUSED[refused], SetGrad("p", (2.0,)), Step("A"))
    program = Program(PARAMS, calls, subject="torch", dialect="torch")
    for allowed, passes in (((1.8, 2.0), True), ((3.0, 4.0), False)):
        deviation = Deviation(
            "update", "", program, "value", len(calls) - 1, "A", "p", "param", allowed=allowed, framework="torch"
        )
        script = standalone_script(deviation)
        assert script is not None
        assert len(script.splitlines()) <= MAX_LINES
        assert "rmspec" not in script
        failure = executed(script).failure
        assert failure is None if passes else isinstance(failure, AssertionError), (script, failure)


def test_an_optimizer_that_refuses_what_it_may_refuse_passes() -> None:
    """A parameter listed twice is stepped once, or refused: a script passes on a class that refuses it."""
    calls = (Create("A", (Group(("p", "p")),)), SetGrad("p", (2.0,)), Step("A"))
    program = Program(PARAMS, calls, subject="rmspec.oracles.faults.base:LoopRMSprop", dialect="torch")
    deviation = Deviation("duplicate-in-group", "", program, "value", 2, "A", "p", "param", allowed=(1.8, 2.0))
    script = standalone_script(replace(deviation, framework="torch"))
    assert script is not None
    failure, printed = executed(script)
    assert failure is None, (script, failure)
    assert printed.startswith("refused:")


def test_nothing_else_is_tried() -> None:
    """Where no call is refused, no exception is kept from whoever runs the script."""
    calls = (Create("A", (Group(("p",)),)), SetGrad("p", (2.0,)), Step("A"))
    program = Program(PARAMS, calls, subject="torch", dialect="torch")
    deviation = Deviation("update", "", program, "value", 2, "A", "p", "param", allowed=(0.0, 2.0), framework="torch")
    assert "suppress" not in (standalone_script(deviation) or "")
