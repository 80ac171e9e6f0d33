"""eps inside or outside the root: the bounds on the difference hold in exact arithmetic, and nothing smaller does."""

import gmpy2
import numpy as np
import pytest
from gmpy2 import mpfr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.translation.eps_placement import GENERAL_BOUND, choices, kept_range, moved_range, nearer

DOUBLE = FORMATS["float64"]
PLACES = st.sampled_from(["outside", "inside"])
EXPONENTS = st.floats(-12, 3)


def positive(exponents=EXPONENTS):
    """Numbers over many powers of ten."""
    return exponents.map(lambda e: 10.0**e)


@pytest.fixture(autouse=True)
def many_bits():
    with gmpy2.context(gmpy2.get_context(), precision=400):
        yield


def denominator(place, s, eps):
    return s + mpfr(eps) if place == "outside" else gmpy2.sqrt(s * s + mpfr(eps))


def change(place, eps, other, s):
    """How much an update changes, relatively, when eps goes from one place to the other."""
    there = "inside" if place == "outside" else "outside"
    return abs(denominator(place, s, eps) / denominator(there, s, other) - 1)


@given(PLACES, positive(), positive(st.floats(-14, 4)), st.floats(0, 8))
@settings(max_examples=400, deadline=None)
def test_no_update_changes_by_more_than_the_bound(place, eps, root, above):
    """Wherever v is, at the smallest root or above it, over many powers of ten, for both choices of the other eps."""
    for choice in choices(eps, place, root, DOUBLE):
        s = mpfr(root) * mpfr(10) ** above
        assert change(place, eps, choice.eps, s) <= choice.bound
        assert change(place, eps, choice.eps, mpfr(root)) <= choice.bound <= choice.anywhere * (1 + 1e-12)
        assert change(place, eps, choice.eps, mpfr(0)) <= choice.anywhere
        assert change(place, eps, choice.eps, mpfr(root) / 1000) <= choice.anywhere


@given(PLACES, positive(), positive(st.floats(-14, 4)))
@settings(max_examples=200, deadline=None)
def test_no_smaller_bound_would_hold(place, eps, root):
    """Some v at or above the smallest comes as near to the bound as float64 can tell."""
    e = mpfr(eps) if place == "outside" else gmpy2.sqrt(mpfr(eps))
    for choice in choices(eps, place, root, DOUBLE):
        # The extremes are at the smallest root, at s = e (moved), at s = 1 (kept), or far away.
        candidates = [s for s in (mpfr(root), e, mpfr(1), mpfr(root) * 2**200) if s >= root]
        found = max(change(place, eps, choice.eps, s) for s in candidates)
        # eps^2 and sqrt(eps) are rounded to float64 themselves, which the bound pays for.
        assert choice.bound <= found * (1 + mpfr(1e-9)) + mpfr(2) ** -51


def test_moving_eps_costs_at_most_the_root_of_two():
    """41.5 % is reached at s = eps, and nowhere exceeded."""
    assert moved_range(0.5, 0.0, "outside") == (0.0, pytest.approx(GENERAL_BOUND, rel=1e-15))
    assert abs(change("outside", 0.5, 0.25, mpfr(0.5)) - (gmpy2.sqrt(mpfr(2)) - 1)) < mpfr(2) ** -390
    assert 0.414 < GENERAL_BOUND < 0.415


@given(positive(), positive(st.floats(-14, 4)))
@settings(max_examples=200, deadline=None)
def test_the_ratio_less_one_is_at_most_eps_over_s(eps, root):
    """The short form of the inequality, for the choice that moves eps."""
    assert moved_range(eps, root, "outside")[1] <= min(eps / root, root / eps, 1.0) * (1 + 1e-12) or root <= eps


@given(positive(), st.floats(-14, 8))
@settings(max_examples=200, deadline=None)
def test_a_kept_eps_changes_the_denominator_by_less_than_eps(eps, exponent):
    """d_out - d_in lies in [eps - sqrt eps, eps)."""
    s = mpfr(10) ** exponent
    difference = denominator("outside", s, eps) - denominator("inside", s, eps)
    assert mpfr(eps) - gmpy2.sqrt(mpfr(eps)) <= difference < eps
    low, high = kept_range(eps, 0.0, "outside")
    ratio = denominator("outside", s, eps) / denominator("inside", s, eps) - 1
    assert mpfr(low) * (1 + 1e-12) - 1e-15 <= ratio <= mpfr(high) * (1 + 1e-12) + 1e-15


@given(
    PLACES,
    positive(st.floats(-45, 3)),
    positive(st.floats(-14, 4)),
    st.sampled_from(["float16", "bfloat16", "float32"]),
)
@settings(max_examples=200, deadline=None)
def test_an_eps_that_the_format_rounds_to_zero_is_no_choice(place, eps, root, name):
    """The target's eps is a positive number of the format of the state, or the choice is not offered."""
    fmt = FORMATS[name]
    for choice in choices(eps, place, root, fmt):
        assert fmt.round(choice.eps) > 0
        assert change(place, fmt.round(eps), fmt.round(choice.eps), mpfr(root)) <= choice.bound


def test_the_better_choice_comes_first():
    """A small eps is moved, and one near 1 is kept: by what holds whatever v is."""
    assert [each.kind for each in choices(1e-8, "outside", 1.0, DOUBLE)] == ["moved", "kept"]
    assert [each.kind for each in choices(0.5, "outside", 0.0, DOUBLE)] == ["kept", "moved"]
    assert choices(1e-8, "outside", 0.0, FORMATS["float16"]) == ()


@given(PLACES, positive(st.floats(-10, -0.01)), st.lists(positive(st.floats(-12, 4)), max_size=5))
@settings(max_examples=200, deadline=None)
def test_for_how_many_a_choice_is_nearer_is_counted(place, eps, roots):
    """As in exact arithmetic, and each s is nearer to one of the two."""
    moved, kept = sorted(choices(eps, place, 0.0, DOUBLE), key=lambda each: each.kind != "moved")
    differences = [[change(place, eps, each.eps, mpfr(s)) for each in (moved, kept)] for s in roots]
    assume(all(abs(a - b) > 1e-9 * max(a, b) for a, b in differences))
    found = nearer(kept, moved, eps, place, np.array(roots))
    assert found == sum(kept < moved for moved, kept in differences)
    assert found + nearer(moved, kept, eps, place, np.array(roots)) == len(roots)


@given(PLACES, positive(st.floats(-10, -0.01)), st.floats(0.5, 1e6))
def test_a_kept_eps_is_nearer_where_the_average_is_large(place, eps, s):
    """From s = 1/2 on; at 0 a moved one is, whatever the bounds say."""
    moved, kept = (eps**2 if place == "outside" else eps**0.5), eps
    assert change(place, eps, kept, mpfr(s)) < change(place, eps, moved, mpfr(s))
    assert change(place, eps, kept, mpfr(0)) > change(place, eps, moved, mpfr(0))


def test_a_bound_that_is_too_small_is_noticed():
    """The check above would see a bound that is off by a part in ten thousand."""
    (choice, _) = choices(0.01, "outside", 0.0, DOUBLE)
    assert change("outside", 0.01, choice.eps, mpfr(0.01)) > choice.bound * 0.9999
