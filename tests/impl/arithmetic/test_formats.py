"""Formats carry the figures of IEEE 754 and bfloat16, and round correctly; so do the tests' own roundings."""

import random
from fractions import Fraction

import gmpy2
import ml_dtypes
import numpy as np
import pytest
from legal import DTYPES, ROUNDINGS, cast

from rmspec.impl.arithmetic.formats import FORMATS, Format, UnknownFormat, as_reals, format_named

REALS = ("float16", "bfloat16", "float32", "float64")

# name: precision in bits, exponent of the smallest normal, exponent of the largest binade (IEEE 754-2019, table 3.5)
PARAMETERS = {
    "float16": (11, -14, 15),
    "bfloat16": (8, -126, 127),
    "float32": (24, -126, 127),
    "float64": (53, -1022, 1023),
}


def awkward(rng, fmt: Format):
    """A float64 at, next to, or near a tie of ``fmt``; some overflow, some are subnormal."""
    precision, low, high = PARAMETERS[fmt.name]
    exponent = rng.randrange(max(-1070, low - precision - 3), min(high + 2, 1023))
    mantissa = rng.getrandbits(precision) | 1 << precision  # one bit more than the format has
    return float(Fraction(mantissa) * Fraction(2) ** (exponent - precision) * rng.choice([1, -1])) * (
        1 + rng.choice([0, 0, 2.0**-52, -(2.0**-52), 2.0**-40, -(2.0**-40), 2.0**-30])
    )


@pytest.mark.parametrize("name", REALS)
def test_the_figures_are_those_of_the_standard(name):
    """Unit roundoff, smallest subnormal and normal, and largest number follow from precision and exponent range."""
    precision, low, high = PARAMETERS[name]
    fmt = FORMATS[name]
    assert fmt.unit_roundoff == 2.0**-precision
    assert fmt.smallest_normal == 2.0**low
    assert fmt.smallest_subnormal == 2.0 ** (low - precision + 1)
    assert Fraction(fmt.max_finite) == (2 - Fraction(2) ** (1 - precision)) * Fraction(2) ** high
    assert (fmt.parts, fmt.part) == (1, fmt)


@pytest.mark.parametrize(("name", "part"), [("complex64", "float32"), ("complex128", "float64")])
def test_a_complex_format_has_the_figures_of_its_parts(name, part):
    """Complex is pairs of reals."""
    fmt = FORMATS[name]
    assert fmt.parts == 2
    assert fmt.part is FORMATS[part]
    figures = ("unit_roundoff", "smallest_subnormal", "smallest_normal", "max_finite")
    assert [getattr(fmt, each) for each in figures] == [getattr(fmt.part, each) for each in figures]


def test_every_format_is_found_by_its_name():
    """Six formats, each under its own name, with its NumPy dtype."""
    assert set(FORMATS) == {*REALS, "complex64", "complex128"}
    assert all(format_named(name) is fmt for name, fmt in FORMATS.items())
    assert all(fmt.name == name for name, fmt in FORMATS.items())
    assert FORMATS["bfloat16"].dtype == np.dtype(ml_dtypes.bfloat16)


@pytest.mark.parametrize(("typed", "closest"), [("float33", "float32"), ("bfloat", "bfloat16"), ("zzz", None)])
def test_an_unknown_format_is_refused_with_the_closest_name(typed, closest):
    """The error names what was typed and the nearest format."""
    with pytest.raises(UnknownFormat, match=typed) as caught:
        format_named(typed)
    assert (caught.value.name, caught.value.closest) == (typed, closest)


@pytest.mark.parametrize("name", REALS)
def test_round_gives_the_nearest_number_ties_to_even(name):
    """Compared with MPFR at ties, next to ties, among subnormals and at overflow."""
    rng = random.Random(name)
    for _ in range(2000):
        value = awkward(rng, FORMATS[name])
        assert FORMATS[name].round(value) == float(ROUNDINGS[name].plus(gmpy2.mpfr(value, 53))), value.hex()


def test_round_to_bfloat16_is_one_rounding_and_not_two():
    """1 + 2^-8 + 2^-40 is above the tie; by way of float32 it would become the tie, and 1."""
    assert FORMATS["bfloat16"].round(1 + 2.0**-8 + 2.0**-40) == 1 + 2.0**-7


def test_round_keeps_signs_infinities_and_nan():
    """What is no finite number stays what it is, in each format; complex ones round a part."""
    for fmt in FORMATS.values():
        assert fmt.round(float("inf")) == float("inf")
        assert fmt.round(-float("inf")) == -float("inf")
        assert np.isnan(fmt.round(float("nan")))
        assert np.signbit(fmt.round(-0.0))
        assert fmt.round(fmt.max_finite) == fmt.max_finite
        assert fmt.round(fmt.smallest_subnormal) == fmt.smallest_subnormal


@pytest.mark.parametrize("name", REALS)
def test_the_casts_of_the_tests_round_once(name):
    """The vector harness of the tests rounds as MPFR does: a harness that rounds twice would prove less."""
    rng = random.Random(name)
    values = np.array([awkward(rng, FORMATS[name]) for _ in range(2000)])
    with np.errstate(all="ignore"):
        found = cast(values, DTYPES[name]).astype(np.float64)
    assert found.tolist() == [float(ROUNDINGS[name].plus(gmpy2.mpfr(float(each), 53))) for each in values]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div", "sqrt"])
def test_the_operations_on_halves_that_the_tests_use_are_correctly_rounded(name, operation):
    """NumPy calculates halves in float32; the second rounding is innocuous, subnormals included."""
    numpy_name = {"sub": "subtract", "mul": "multiply", "div": "divide"}.get(operation, operation)
    bits = np.random.default_rng(1).integers(0, 1 << 15, (2, 3000)).astype(np.uint16)
    x, y = (each.view(DTYPES[name]) for each in bits)
    with np.errstate(all="ignore"):
        found = getattr(np, numpy_name)(*((x,) if operation == "sqrt" else (x, y))).astype(np.float64)
    wide = gmpy2.context(precision=600, emin=-(2**30), emax=2**30)
    for i in range(len(x)):
        operands = [gmpy2.mpfr(float(each[i])) for each in ((x,) if operation == "sqrt" else (x, y))]
        exact = float(ROUNDINGS[name].plus(getattr(wide, operation)(*operands)))
        assert found[i] == exact or (np.isnan(found[i]) and np.isnan(exact)), (x[i], y[i])


def test_as_reals_is_flat_float64_without_loss():
    """Any shape, any stride, halves included."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3).T
    assert as_reals(values).tolist() == [0, 3, 1, 4, 2, 5]
    assert as_reals(values).dtype == np.float64
    assert as_reals(np.array(1.5, dtype=ml_dtypes.bfloat16)).tolist() == [1.5]
    assert as_reals(np.zeros((0, 3), np.float16)).shape == (0,)


def test_as_reals_of_complex_numbers_is_pairs():
    """Real and imaginary parts alternate."""
    assert as_reals(np.array([[1 + 2j], [3 - 4j]], np.complex64)).tolist() == [1, 2, 3, -4]
