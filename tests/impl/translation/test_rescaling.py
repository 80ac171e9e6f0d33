"""Buffers over and times the learning rate are rounded once, and what is called exact is."""

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.translation.rescaling import from_reals, over, times

REALS = ("float16", "bfloat16", "float32", "float64")


def nearest(exact, fmt):
    """The nearest number of a format, ties to even, in exact arithmetic."""
    if exact == 0:
        return 0.0
    if fmt.name == "float64":
        try:
            return float(exact)
        except OverflowError:
            return float("inf") if exact > 0 else -float("inf")
    size = abs(exact)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= Fraction(2) ** exponent > size
    precision = round(-np.log2(fmt.unit_roundoff))
    quantum = Fraction(2) ** max(exponent - precision + 1, round(np.log2(fmt.smallest_subnormal)))
    value = round(size / quantum) * quantum
    result = float(value) if value <= Fraction(fmt.max_finite) else float("inf")
    return result if exact > 0 else -result


@st.composite
def cases(draw):
    fmt = FORMATS[draw(st.sampled_from(REALS))]
    double = fmt.name == "float64"
    lr = draw(st.sampled_from([1.0, 0.01, 0.1, float(np.float32(0.01)), 3.0, 1 / 3]))
    lr *= 2.0 ** draw(st.integers(-900, 100) if double else st.integers(-60, 20))
    lowest, highest = np.log2(fmt.smallest_subnormal), np.log2(fmt.max_finite)
    exponents = st.integers(int(lowest), int(highest) - 1)
    numbers = st.builds(lambda m, e: m * 2.0**e, st.floats(-2, 2), exponents)
    with np.errstate(all="ignore"):
        values = np.array(draw(st.lists(numbers, min_size=1, max_size=20))).astype(fmt.dtype)
    return fmt, lr, values


@given(cases(), st.booleans())
@settings(max_examples=300, deadline=None)
def test_each_number_is_the_nearest_and_is_called_exact_when_it_is(case, divide):
    """In every format, over the whole range of exponents, subnormals and overflow included."""
    fmt, lr, values = case
    with np.errstate(all="ignore"):
        result = over(values, lr) if divide else times(values, lr)
    assert result.values.dtype == values.dtype
    for old, new, inexact in zip(as_reals(values), as_reals(result.values), result.inexact, strict=True):
        if not np.isfinite(old):
            assert new == old
            continue
        exact = Fraction(float(old)) / Fraction(lr) if divide else Fraction(float(old)) * Fraction(lr)
        assert new == nearest(exact, fmt)
        assert inexact == (not np.isfinite(new) or Fraction(float(new)) != exact)


@given(cases())
@settings(max_examples=200, deadline=None)
def test_what_is_exact_comes_back_to_the_bit(case):
    """Times lr and over lr again, and the other way round."""
    _, lr, values = case
    with np.errstate(all="ignore"):
        for there, back in ((times, over), (over, times)):
            moved = there(values, lr)
            again = back(moved.values, lr)
            kept = ~moved.inexact & np.isfinite(as_reals(moved.values))
            assert np.array_equal(as_reals(again.values)[kept], as_reals(values)[kept])
            assert not np.any(again.inexact[kept])


@pytest.mark.parametrize("dtype", [np.complex64, np.float32, ml_dtypes.bfloat16])
def test_shapes_signs_and_specials_stay(dtype):
    """A zero keeps its sign, NaN and infinities stay, and a complex number is two real ones."""
    values = np.array([[0.0, -0.0], [np.inf, np.nan]]).astype(dtype)
    result = over(times(values, 0.25).values, 0.25)
    assert result.values.shape == (2, 2)
    assert as_reals(result.values).tobytes() == as_reals(values).tobytes()
    assert not np.any(result.inexact)
    assert from_reals(as_reals(values), values).tobytes() == values.tobytes()


def test_a_learning_rate_of_zero_leaves_zeros():
    """What is left of a buffer that holds lr, when lr is 0."""
    assert not np.any(times(np.ones(3, np.float32), 0.0).values)
