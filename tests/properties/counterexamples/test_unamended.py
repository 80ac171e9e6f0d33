"""A deviation that was found under amendments: what the page itself allows is known, and its script allows that too."""

from dataclasses import replace

import numpy as np
import pytest

from rmspec.impl.arithmetic.policy import STRICT
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, SetOption, Step
from rmspec.oracles.scripting.lines import bounds_check
from rmspec.properties.counterexamples.unamended import unamended_bounds
from rmspec.properties.judge.findings import Finding

PROGRAM = Program(
    (Param("p", "float32", (2,), (2.0,)),),
    (
        Create("A", (Group(("p",)),), {"centered": True, "momentum": 0.5}),
        SetGrad("p", (2.0, 4.0)),
        Step("A"),
        SetOption("A", 0, {"centered": False}),
        Step("A"),
    ),
)


def bounds(role: str, call: int, element: int = 1, program: Program = PROGRAM) -> tuple[float, float]:
    """What the page allows for a number after a call."""
    finding = Finding("value", "update", call, "", "A", "p", role, element, observed=1.0, allowed=(5.0, 6.0))
    found = unamended_bounds(program, finding, STRICT)
    assert found is not None
    return found


@pytest.mark.parametrize(("role", "value"), [("square_avg", 0.16), ("grad_avg", 0.04)])
def test_the_bounds_are_those_of_the_page(role: str, value: float) -> None:
    """They hold the number of a correct optimizer, and little beside it."""
    low, high = bounds(role, 2)
    assert low <= value <= high
    assert high - low < 1e-6 * value


def test_each_earlier_step_makes_them_wider() -> None:
    """A correct optimizer rounds in every step: in its second step the bounds have room for the first."""
    twice = replace(PROGRAM, calls=(*PROGRAM.calls[:3], Step("A")))
    once = np.subtract(*bounds("square_avg", 2)[::-1])
    low, high = bounds("square_avg", 3, program=twice)
    assert low <= 0.99 * 0.16 + 0.16 <= high
    assert high - low > 2 * once


def test_what_the_step_is_to_leave_alone_has_one_value() -> None:
    """Centered is switched off: the average of the gradients keeps the value of before."""
    assert bounds("grad_avg", 4) == (float(np.float32(0.04)),) * 2


def test_complex_numbers_count_as_two() -> None:
    """The element of a complex parameter is one of its reals."""
    program = replace(PROGRAM, params=(Param("p", "complex64", (1,), (2.0, 3.0)),))
    low, high = bounds("square_avg", 2, program=program)
    assert low <= 0.16 <= high


def test_what_is_not_there_has_no_bounds() -> None:
    """Without momentum there is no buffer of the reference to ask for."""
    program = replace(PROGRAM, calls=(Create("A", (Group(("p",)),)), *PROGRAM.calls[1:3]))
    finding = Finding("value", "update", 2, "", "A", "p", "momentum_buffer", 0, observed=1.0, allowed=(5.0, 6.0))
    assert unamended_bounds(program, finding, STRICT) is None


@pytest.mark.parametrize(("value", "passes"), [(0.5, False), (1.5, True), (2.5, False), (3.5, True)])
def test_the_script_passes_within_either_bounds(value: float, passes: bool) -> None:
    """One that has mended this fault alone passes, and so does one that has mended the others as well."""
    source = "\n".join(bounds_check(repr(value), (1.0, 2.0), plain=(3.0, 4.0)))
    if passes:
        exec(source)
    else:
        with pytest.raises(AssertionError):
            exec(source)
