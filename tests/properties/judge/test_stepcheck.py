"""One step of one group: the filter and the intervals, hidden state, hazards, and what counts as inconclusive."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES, STRICT, Policy
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters
from rmspec.oracles.program.program import elements
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.ledger import Carry
from rmspec.properties.judge.stepcheck import check_group
from rmspec.properties.lines.batch import SteppedParam, line_clause
from rmspec.properties.lines.usage import exact_usage

PLAIN = Hyperparameters(lr=0.125, alpha=0.75, eps=0.25)
FULL = Hyperparameters(lr=0.125, alpha=0.75, eps=0.25, weight_decay=0.5, momentum=0.5, centered=True)


def stepped(
    hyper: Hyperparameters = PLAIN,
    *,
    name: str = "p",
    fmt: str = "float32",
    values: tuple[float, ...] = (1.0, -2.0, 0.5),
    grads: tuple[float, ...] = (0.5, 3.0, -1.0),
    turns: int = 1,
    dialect: Dialect = SPECIFICATION,
    before_state: dict[str, Carry] | None = None,
) -> SteppedParam:
    """A parameter before and after the last of some steps of the reference."""
    shape = (len(values) // FORMATS[fmt].parts,)
    parameter = Parameter(elements(values, fmt, shape))
    options = {
        option: hyper.option(option) for option in ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")
    }
    optimizer = RMSprop([parameter], **options, dialect=dialect)  # type: ignore[arg-type]
    parameter.grad = elements(grads, fmt, shape)
    for _ in range(turns - 1):
        optimizer.step()
    start = parameter.data.copy()
    held: Any = optimizer.state.get(id(parameter), {})
    state = {role: held[role].copy() for role in held if role != "step"}
    optimizer.step()
    after = {role: array for role, array in optimizer.state[id(parameter)].items() if role != "step"}
    known = state if before_state is None else before_state
    return SteppedParam(name, fmt, start, parameter.grad, parameter.data, known, after, turns, turns == 1, False)


def checked(
    *params: SteppedParam,
    hyper: Hyperparameters = PLAIN,
    dialect: Dialect = SPECIFICATION,
    policy: Policy = STRICT,
    tally: Tally | None = None,
) -> tuple[Any, Any]:
    return check_group(
        list(params),
        hyper,
        dialect,
        policy,
        Tally() if tally is None else tally,
        call=4,
        optimizer="A",
        sources={"lr": "default"},
    )


@pytest.mark.parametrize("hyper", [PLAIN, FULL], ids=["plain", "full"])
@pytest.mark.parametrize("fmt", list(FORMATS))
@pytest.mark.parametrize("dialect", ["torch", "tensorflow", "tensorflow1", "keras3", "torch-maximize"])
def test_the_reference_is_inside(fmt: str, hyper: Hyperparameters, dialect: str) -> None:
    """After one step and after several, in every format and dialect, and what was seen is what is known."""
    spoken = DIALECTS[dialect]
    values = (1.0, -2.0, 0.5, 4.0)
    for turns in (1, 4):
        each = stepped(hyper, fmt=fmt, values=values, grads=(0.5, 3.0, -1.0, 0.25), turns=turns, dialect=spoken)
        tally = Tally()
        found, known = checked(each, hyper=hyper, dialect=spoken, tally=tally)
        assert found == []
        assert known["p"]["square_avg"] is each.after_state["square_avg"]
        assert tally.element_checks == len(values) * (1 + len(known["p"]))


def test_the_finding_names_the_element_of_its_parameter() -> None:
    """Two parameters are checked together, and the one that is wrong is named with its element and its case."""
    first, second = stepped(), stepped(name="q")
    second.after[1] += 0.5
    ((found,), _) = checked(first, second)
    assert (found.param, found.role, found.element, found.elements, found.call, found.optimizer) == (
        "q",
        "param",
        1,
        3,
        4,
        "A",
    )
    assert found.observed == float(second.after[1])
    assert found.case.before.grad.tolist() == [3.0]
    assert (found.case.first, found.case.t, found.case.format, found.case.sources) == (
        True,
        1,
        "float32",
        {"lr": "default"},
    )
    assert "square_avg" in found.case.seen


def test_a_line_has_at_most_one_finding_in_a_parameter() -> None:
    """Each line that is wrong is reported once, a later one as wrong given what was seen of the earlier one."""
    each = stepped()
    each.after[:] = 9.0
    each.after_state["square_avg"][:] = 9.0  # type: ignore[index]
    found, _ = checked(each)
    assert [(one.role, one.element, one.by_line) for one in found] == [("square_avg", 0, False), ("param", 0, True)]


def test_the_filter_and_the_intervals_agree_on_a_wide_tensor() -> None:
    """One wrong element in ten thousand is found, whichever of the two looks first."""
    rng = np.random.default_rng(0)
    values = tuple(float(x) for x in rng.standard_normal(10_000))
    for policy in (STRICT, POLICIES["fast-math"]):
        each = stepped(values=values, grads=values[::-1])
        each.after[7_777] *= 1.001
        ((found,), _) = checked(each, policy=policy)
        assert found.element == 7_777


def test_hidden_state_is_carried_as_bounds() -> None:
    """Where a role cannot be seen, what is known afterwards are bounds that hold its value, and a next step uses them."""
    each = stepped(FULL, before_state={})
    hidden = {role: each.after_state[role] for role in ("grad_avg",)}
    held = dict(each.after_state)
    each.after_state = hidden
    found, known = checked(each, hyper=FULL)
    assert found == []
    for role in ("square_avg", "momentum_buffer"):
        lo, hi, _ = known["p"][role]
        assert np.all((lo <= held[role]) & (held[role] <= hi))
        assert np.all(hi - lo < 1e-5 * np.abs(held[role]))


@pytest.mark.parametrize("wrong", [False, True])
def test_bounds_from_an_earlier_step_decide_a_later_one(wrong: bool) -> None:
    """A parameter that moves as no value within the bounds allows is outside."""
    each = stepped(turns=3)
    value = np.asarray(each.before_state["square_avg"], dtype=np.float64)
    each.before_state = {"square_avg": (value * (1 - 1e-6), value * (1 + 1e-6), None)}
    each.after_state = {}
    if wrong:
        each.after[0] += 1e-4
    found, _ = checked(each)
    assert bool(found) is wrong


def test_state_of_which_nothing_is_known_decides_nothing() -> None:
    """Bounds without end make an inconclusive check, never a deviation and never a pass."""
    hyper = Hyperparameters(lr=0.125, alpha=0.75, eps=0.0)
    each = stepped(hyper, turns=3)
    anything = np.full(3, np.inf)
    each.before_state, each.after_state = {"square_avg": (-anything, anything, anything > 0)}, {}
    tally = Tally()
    found, _ = checked(each, hyper=hyper, tally=tally)
    assert found == []
    assert tally.inconclusive_checks == tally.element_checks == 3
    assert tally.doubts == {("update", "the hidden state may be any number by then"): 3}


def test_a_nan_that_is_admitted_is_a_hazard() -> None:
    """Centered, a variance that rounding can make negative admits a NaN from finite numbers."""
    hyper = Hyperparameters(lr=0.125, alpha=0.5, eps=0.25, centered=True)
    each = stepped(hyper, values=(1.0,), grads=(0.1,), turns=60)
    each.after[0] = np.nan
    ((found,), _) = checked(each, hyper=hyper)
    assert (found.hazard, found.clause) == (True, "centered-variance")
    assert "which the formula itself admits" in found.summary


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_nan_or_an_infinity_that_is_not_admitted_is_a_deviation(value: float) -> None:
    """From ordinary numbers an ordinary number must come."""
    each = stepped()
    each.after[0] = value
    ((found,), _) = checked(each)
    assert not found.hazard
    assert "outside" in found.summary


@pytest.mark.parametrize(("grads", "doubtful"), [((math.inf, 1.0, 1.0), 1), ((math.nan, math.nan, 1.0), 2)])
def test_what_a_non_finite_gradient_does_is_inconclusive(grads: tuple[float, ...], doubtful: int) -> None:
    """The elements that it reaches are counted as such, the others are checked."""
    tally = Tally()
    with np.errstate(all="ignore"):
        found, _ = checked(stepped(grads=grads), tally=tally)
    assert found == []
    assert tally.inconclusive["update"] == doubtful


def test_a_complex_number_with_one_infinite_part_promises_nothing() -> None:
    """A product mixes its parts, so that the pair of reals is no rule any more."""
    each = stepped(fmt="complex64", values=(1.0, 2.0), grads=(math.inf, 1.0))
    each.after[0] = 17 + 17j
    found, _ = checked(each)
    assert found == []


@pytest.mark.parametrize("fmt", ["complex64", "complex128"])
def test_a_complex_number_whose_other_part_overflows_promises_nothing(fmt: str) -> None:
    """The finite part may then be NaN; the part that overflows is still checked, and so is every other element."""
    huge = FORMATS[fmt].part.max_finite / 4
    each = stepped(fmt=fmt, values=(1.0, 2.0, 1.0, 2.0), grads=(1.0, huge, 1.0, 1.0))
    assert not np.isfinite(each.after_state["square_avg"][0].imag)
    each.after[0] = complex(math.nan, each.after[0].imag)
    assert [found for found in checked(each)[0] if not found.hazard] == []
    each.after[1] = complex(math.nan, each.after[1].imag)
    assert [(found.element, found.hazard) for found in checked(each)[0] if not found.hazard] != []


def test_two_parts_that_may_both_be_infinite_may_both_be_nan() -> None:
    """A product with a real number mixes two infinities to NaN; it excuses no NaN where the bounds are finite."""
    divides_by_zero = replace(PLAIN, alpha=1.0, eps=0.0)
    each = stepped(divides_by_zero, fmt="complex128", values=(2.0, 2.0, 1.0, 1.0), grads=(2.0, 2.0, 0.0, 2.0))
    assert np.isinf(each.after[0].real)
    each.after[0] = complex(math.nan, math.nan)
    assert [found for found in checked(each, hyper=divides_by_zero)[0] if not found.hazard] == []
    finite = stepped(fmt="complex128", values=(2.0, 2.0), grads=(2.0, 2.0))
    finite.after[0] = complex(math.nan, math.nan)
    assert [found.hazard for found in checked(finite)[0]] == [False]


def test_a_nan_without_an_overflow_beside_it_is_found_in_both_parts() -> None:
    """That both parts are NaN excuses neither."""
    each = stepped(fmt="complex64", values=(1.0, 2.0), grads=(1.0, 3.0))
    each.after[0] = complex(math.nan, math.nan)
    (found,) = checked(each)[0]
    assert (found.element, found.hazard) == (0, False)


def test_hidden_state_is_unknown_after_a_step_that_deviates() -> None:
    """What follows from a wrong step is no second fault: the carried bounds are open then."""
    each = stepped()
    hiding = SteppedParam(**{**{name: getattr(each, name) for name in each.__slots__}, "after_state": {}})
    _, known = checked(hiding)
    lo, hi, _ = known["p"]["square_avg"]
    assert np.isfinite(lo).all()
    assert np.isfinite(hi).all()
    each.after[1] = 7.0
    found, known = checked(hiding)
    assert [one.element for one in found] == [1]
    lo, hi, nan = known["p"]["square_avg"]
    assert (lo == -math.inf).all()
    assert (hi == math.inf).all()
    assert nan.all()


def test_an_empty_parameter_has_nothing_to_check() -> None:
    """No element, no check."""
    tally = Tally()
    assert checked(stepped(values=(), grads=(1.0,)), tally=tally)[0] == []
    assert tally.element_checks == 0


def test_formats_of_one_group_are_checked_apart() -> None:
    """Each has its own unit roundoff: what is exact for a half is far off for a double."""
    half, double = stepped(fmt="float16"), stepped(name="q", fmt="float64")
    double.after[1] = np.float16(double.after[1])
    ((found,), known) = checked(half, double)
    assert found.param == "q"
    assert set(known) == {"p", "q"}


@pytest.mark.parametrize(
    ("role", "hyper", "clause"),
    [
        ("param", PLAIN, "update"),
        ("param", FULL, "momentum-update"),
        ("square_avg", FULL, "square-avg"),
        ("grad_avg", FULL, "grad-avg"),
        ("momentum_buffer", FULL, "momentum-buffer"),
    ],
)
def test_each_role_has_its_line_of_the_pseudocode(role: str, hyper: Hyperparameters, clause: str) -> None:
    """The parameter's depends on whether there is momentum."""
    assert line_clause(role, hyper, SPECIFICATION) == clause


def test_the_largest_use_of_an_envelope_is_kept() -> None:
    """It is a fraction of the way from the middle to an end, and the intervals themselves give it in the end."""
    tally = Tally()
    checked(stepped(turns=5), tally=tally)
    for clause in ("update", "square-avg"):
        fraction = exact_usage(tally.worst[clause], SPECIFICATION, STRICT)
        assert 0 <= fraction <= 1
