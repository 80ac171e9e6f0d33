"""Errors of elementary operations in ulps: told to the last digit, by exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from rmspec.impl.arithmetic.accuracy import OPERATIONS, Accuracy, measure_errors
from rmspec.impl.arithmetic.formats import FORMATS, Format
from rmspec.impl.arithmetic.intervals import Arithmetic
from rmspec.impl.arithmetic.policy import POLICIES, STRICT, Allowance

REAL = [fmt for fmt in FORMATS.values() if fmt.parts == 1]
ROUNDED = ("add", "multiply", "divide", "sqrt")


def numbers(fmt: Format, count: int, seed: int) -> np.ndarray:
    """Positive numbers of the format, of a few binades, as float64."""
    source = np.random.default_rng(seed)
    wide = source.uniform(1, 2, count) * 2.0 ** source.integers(-3, 4, count)
    return wide.astype(fmt.dtype).astype(np.float64)


def operands(fmt: Format, count: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = (numbers(fmt, count, seed) for seed in (1, 2, 3))
    return x, y, -z


def in_format(operation: str, fmt: Format) -> np.ndarray:
    """The results of NumPy in the format itself, as float64."""
    arrays = [array.astype(fmt.dtype) for array in operands(fmt)]
    return OPERATIONS[operation](*arrays).astype(np.float64)


@pytest.mark.parametrize("fmt", REAL, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("operation", ROUNDED)
def test_correctly_rounded_results_are_the_nearest(operation: str, fmt: Format) -> None:
    """NumPy's operations are; one number further is off by up to one and a half, beyond a power of two by up to three."""
    results = in_format(operation, fmt)
    errors = measure_errors(operation, operands(fmt), results, fmt)
    assert errors.accuracy.off == 0
    assert 0.4 < errors.accuracy.worst <= 0.5 + 2.0**-9
    assert np.array_equal(errors.nearest, results)
    further = results + 2 * fmt.unit_roundoff * 2.0 ** np.floor(np.log2(np.abs(results)))
    moved = measure_errors(operation, operands(fmt), further, fmt)
    assert moved.accuracy.off > 1700  # of a tie both neighbours are nearest
    assert 1.4 < moved.accuracy.worst <= 3.0 + 2.0**-8


@pytest.mark.parametrize("fmt", REAL, ids=lambda fmt: fmt.name)
@pytest.mark.parametrize("operation", ROUNDED)
def test_an_error_in_ulps_is_that_of_exact_arithmetic(operation: str, fmt: Format) -> None:
    """By fractions, for roots by integer square roots with a hundred digits to spare."""
    x, y, z = (array[:50] for array in operands(fmt))
    results = in_format(operation, fmt)[:50] * (1 + 5 * fmt.unit_roundoff)
    results = results.astype(fmt.dtype).astype(np.float64)
    errors = measure_errors(operation, (x, y, z), results, fmt)
    for index in range(50):
        a, b = Fraction(x[index]), Fraction(y[index])
        exact = {"add": a + b, "multiply": a * b, "divide": a / b}.get(operation)
        if exact is None:
            exact = Fraction(math.isqrt(a.numerator * a.denominator << 400), a.denominator << 200)
        exponent = math.floor(math.log2(exact))
        unit = Fraction(2 * fmt.unit_roundoff) * Fraction(2) ** exponent
        assert errors.ulps[index] == pytest.approx(float(abs(Fraction(results[index]) - exact) / unit), abs=2.0**-9)


def test_a_result_that_is_no_number_is_hopeless() -> None:
    """It is far from the nearest number, and still a number in a report."""
    errors = measure_errors("add", (np.ones(2),) * 3, np.array([np.nan, np.inf]), FORMATS["float32"])
    assert errors.accuracy == Accuracy(2, 1e6, 2)


def test_subnormal_numbers_are_counted_apart() -> None:
    """Flushed operands or results are no errors of a normal result, and are counted as lost."""
    fmt = FORMATS["float32"]
    x = np.array([fmt.smallest_normal / 2, fmt.smallest_normal, 1.0])
    y = np.array([1.0, 0.25, 1.0])
    kept = measure_errors("multiply", (x, y, y), x * y, fmt).accuracy
    flushed = measure_errors("multiply", (x, y, y), np.array([0.0, 0.0, 1.0]), fmt).accuracy
    assert (kept.inputs, kept.off, kept.subnormal, kept.lost) == (1, 0, 2, 0)
    assert (flushed.inputs, flushed.off, flushed.subnormal, flushed.lost) == (1, 0, 2, 2)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_a_fused_multiply_add_is_told_from_a_separate_one(name: str) -> None:
    """Both are legal, so that neither has an error."""
    fmt = FORMATS[name]
    x, y, z = operands(fmt)
    wide = np.longdouble if name == "float64" else np.float64
    if np.finfo(np.longdouble).nmant < 60 and name == "float64":
        pytest.skip("there is no wider format here")
    fused = (x.astype(wide) * y.astype(wide) + z.astype(wide)).astype(fmt.dtype).astype(np.float64)
    once = measure_errors("multiply-add", (x, y, z), fused, fmt).accuracy
    twice = measure_errors("multiply-add", (x, y, z), in_format("multiply-add", fmt), fmt).accuracy
    assert once.distinct == twice.distinct > 100
    assert (once.fused, twice.fused) == (once.distinct, 0)
    assert once.off == twice.off == 0


def test_accuracies_add_up() -> None:
    """Counts are added, and the worst error is kept."""
    total = Accuracy(10, 0.5, 0, 1, 0, 0, 0) + Accuracy(5, 0.75, 2, 3, 1, 4, 5)
    assert total == Accuracy(15, 0.75, 2, 4, 1, 4, 5)


def test_an_allowance_widens_one_operation_in_one_format() -> None:
    """The root of float32 gets wider by it, and nothing else does."""
    policy = STRICT.amended([Allowance("sqrt", "float32", 1.0)])
    assert policy.ulps("sqrt", "float32") == 1.0
    assert policy.ulps("sqrt", "float64") == policy.ulps("divide", "float32") == policy.stated("sqrt") == 0.5
    assert POLICIES["fast-math"].amended([Allowance("sqrt", "float32", 1.0)]).ulps("sqrt", "float32") == 2.0
    two = np.full(1, 2.0)
    widths = {}
    for name in ("float32", "float64"):
        for key, used in (("plain", STRICT), ("amended", policy)):
            arithmetic = Arithmetic(FORMATS[name], two, policy=used)
            for operation in ("root", "add"):
                point = arithmetic.point(two)
                value = arithmetic.root(point) if operation == "root" else arithmetic.add(point, point)
                widths[name, operation, key] = float(value.hi[0] - value.lo[0])
    assert widths["float32", "root", "amended"] == pytest.approx(2 * widths["float32", "root", "plain"])
    assert widths["float32", "add", "amended"] == widths["float32", "add", "plain"]
    assert widths["float64", "root", "amended"] == widths["float64", "root", "plain"]
