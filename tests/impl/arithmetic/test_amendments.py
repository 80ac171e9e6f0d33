"""Amendments: what they set, where they hold, how they are written, and that the envelope reads each line as they say."""

from dataclasses import replace

import numpy as np
import pytest

from rmspec.impl.arithmetic.amendments import (
    Amendment,
    BadAmendment,
    Use,
    amend,
    line_readings,
    parse_amendment,
    spell_amendment,
)
from rmspec.impl.arithmetic.envelope import ROLES, Before, accepted, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters

BEFORE = Before(*(np.array([value]) for value in (1.0, 2.0, 0.5, 0.25, 0.125)))
HYPER = Hyperparameters(momentum=0.5, centered=True, weight_decay=0.125, eps=0.125)
FORMAT = FORMATS["float32"]

INSIDE = Amendment("eps-placement", switches=(("eps_place", "inside"),))
HALF_ALPHA = Amendment("square-avg", uses=(("alpha", Use("times", 0.5)),), lines=("square_avg",))
CENTERED_LR = Amendment("update", uses=(("lr", Use("times", 2.0)),), branch=(("centered", True),))
SAMPLES = (
    INSIDE,
    HALF_ALPHA,
    CENTERED_LR,
    Amendment("weight-decay", uses=(("weight_decay", Use("times lr")),)),
    Amendment("scalar-precision", uses=(("alpha", Use("rounded to", "bfloat16")),), formats=("float32",)),
    Amendment("eps-placement", switches=(("eps_place", "inside"),), uses=(("eps", Use("power", 2.0)),)),
    Amendment("centered-variance", uses=(("centered", Use("is", False)),), lines=("param",)),
    Amendment("default-eps", defaults=(("eps", 1e-5),)),
)


def ends(values: Interval) -> tuple[float, float]:
    return float(values.lo[0]), float(values.hi[0])


def after(dialect: Dialect, hyper: Hyperparameters = HYPER) -> dict[str, tuple[float, float]]:
    return {role: ends(values) for role, values in envelope(BEFORE, FORMAT, hyper, dialect).items()}


def test_a_switch_everywhere_is_the_dialect_with_that_switch() -> None:
    """In the envelope, and in the filter."""
    amended = amend(SPECIFICATION, INSIDE)
    assert after(amended) == after(DIALECTS["tensorflow"])
    seen = {role: np.array([sum(pair) / 2]) for role, pair in after(amended).items()}
    found = accepted(BEFORE, seen, FORMAT, HYPER, amended)
    assert found is not None
    assert all(bool(inside[0]) for inside, _ in found.values())


def test_an_amendment_of_one_line_leaves_the_others_their_own() -> None:
    """The lines below read what the amended line computes; ``grad_avg`` keeps its alpha."""
    amended, plain = after(amend(SPECIFICATION, HALF_ALPHA)), after(SPECIFICATION)
    halved = after(SPECIFICATION, replace(HYPER, alpha=HYPER.alpha / 2))
    assert amended["square_avg"] == halved["square_avg"] != plain["square_avg"]
    assert amended["grad_avg"] == plain["grad_avg"] != halved["grad_avg"]
    assert amended["param"] not in (plain["param"], halved["param"])


def test_an_amendment_of_a_branch_holds_there_alone() -> None:
    """Without centered nothing changes."""
    amended = amend(SPECIFICATION, CENTERED_LR)
    assert after(amended)["param"] == after(SPECIFICATION, replace(HYPER, lr=2 * HYPER.lr))["param"]
    other = replace(HYPER, centered=False)
    assert after(amended, other) == after(SPECIFICATION, other)


def test_an_amendment_of_a_format_holds_there_alone() -> None:
    """In float64 the options are as they are given."""
    rounded = amend(SPECIFICATION, SAMPLES[4])
    assert line_readings(rounded, HYPER, "float32")["param"][1].alpha == FORMATS["bfloat16"].round(HYPER.alpha)
    assert line_readings(rounded, HYPER, "float64")["param"] == (SPECIFICATION, HYPER)


def test_what_is_seen_of_a_line_is_what_the_lines_below_use() -> None:
    """Handing on the computed interval changes nothing; handing on another changes the lines below, and them alone."""
    plain = envelope(BEFORE, FORMAT, HYPER)
    same = envelope(BEFORE, FORMAT, HYPER, see=lambda role, value: value)
    assert {role: ends(same[role]) for role in ROLES} == {role: ends(plain[role]) for role in ROLES}

    def see(role: str, value: Interval) -> Interval:
        return value if role != "square_avg" else value.arithmetic.point(np.array([4.0]))

    seen = envelope(BEFORE, FORMAT, HYPER, see=see)
    assert ends(seen["square_avg"]) == ends(plain["square_avg"])
    assert ends(seen["grad_avg"]) == ends(plain["grad_avg"])
    assert ends(seen["momentum_buffer"]) != ends(plain["momentum_buffer"])


@pytest.mark.parametrize("amendment", SAMPLES, ids=lambda each: each.words())
def test_an_amendment_is_read_as_it_is_written(amendment: Amendment) -> None:
    """TOML and JSON alike."""
    assert parse_amendment(spell_amendment(amendment), amendment.clause) == amendment


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"epsplace": "inside"},
        {"eps_place": "above"},
        {"alpha": "twice"},
        {"alpha": "times inf"},
        {"lines": ["v"], "alpha": "times 2"},
        {"with_centered": "yes", "alpha": "times 2"},
        {"formats": ["float8"], "alpha": "times 2"},
    ],
)
def test_a_table_that_is_no_amendment_is_refused(table: dict[str, object]) -> None:
    """With the key at fault."""
    with pytest.raises(RmspecError) as refused:
        parse_amendment(table, "update")
    assert isinstance(refused.value, ValueError)
    assert refused.value.hint
    if not table:
        assert isinstance(refused.value, BadAmendment)


@pytest.mark.parametrize("amendment", SAMPLES, ids=Amendment.words)
@pytest.mark.parametrize(
    "hyper", [HYPER, replace(HYPER, momentum=0.0), replace(HYPER, centered=False, weight_decay=0.0)]
)
def test_the_filter_passes_only_what_the_amended_envelope_holds(amendment: Amendment, hyper: Hyperparameters) -> None:
    """At the middle of each line it passes, and nothing beyond the ends."""
    amended = amend(SPECIFICATION, amendment)
    bounds = after(amended, hyper)
    middle = {role: np.array([(lo + hi) / 2]) for role, (lo, hi) in bounds.items()}
    found = accepted(BEFORE, middle, FORMAT, hyper, amended)
    assert found is not None
    assert all(bool(inside[0]) for inside, _ in found.values())
    for side, direction in ((0, -np.inf), (1, np.inf)):
        beyond = {role: np.array([np.nextafter(ends[side], direction)]) for role, ends in bounds.items()}
        found = accepted(BEFORE, beyond, FORMAT, hyper, amended)
        assert found is not None
        assert not any(bool(inside[0]) for inside, _ in found.values())


def test_an_option_of_one_line_takes_no_branch_that_is_off() -> None:
    """Where momentum is 0 there is no line of the buffer to be read otherwise."""
    fixed = Amendment("momentum-buffer", uses=(("momentum", Use("is", 0.9)),), lines=("momentum_buffer",))
    amended, off = amend(SPECIFICATION, fixed), replace(HYPER, momentum=0.0)
    assert after(amended, off) == after(SPECIFICATION, off)
    assert after(amended)["momentum_buffer"] == after(SPECIFICATION, replace(HYPER, momentum=0.9))["momentum_buffer"]
