"""Interval operations: sound ends, exact zeros, infinities and NaN tracked, wider under a weaker policy."""

import math
import random
from fractions import Fraction

import gmpy2
import numpy as np
import pytest
from cases import numbers
from legal import EXACT, ROUNDINGS

from rmspec.impl.arithmetic.envelope import Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval, Product
from rmspec.impl.arithmetic.policy import POLICIES, STRICT, Policy
from rmspec.impl.spec.dialect import Hyperparameters

REALS = ("float16", "bfloat16", "float32", "float64")
INF = math.inf


def arithmetic(name="float32", **options):
    return Arithmetic(FORMATS[name], np.zeros(1), **options)


def interval(a: Arithmetic, lo, hi=None):
    if hi is None:
        return a.point(np.array([float(lo)]))
    return a.between(np.array([float(lo)]), np.array([float(hi)]))


def ends(x: Interval):
    x = x.settle()
    return float(x.lo[0]), float(x.hi[0])


def may_be_nan(x: Interval):
    nan = x.settle().nan
    return nan is not None and bool(nan[0])


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def some(rng, name, n, *, positive=False):
    fmt = FORMATS[name]
    bottom, top = int(math.log2(fmt.smallest_subnormal)), int(math.log2(fmt.max_finite))
    narrow = rng.random() < 0.5
    values = numbers(np.random.default_rng(rng.getrandbits(32)), fmt, n, *((-3, 3) if narrow else (bottom, top)))
    return np.abs(values) if positive else values


OPERATIONS = {
    "add": lambda a, x, y: a.add(x, y),
    "sub": lambda a, x, y: a.add(x, a.negated(y)),
    "mul": lambda a, x, y: a.multiply(x, y),
    "div": lambda a, x, y: a.divide(x, y),
    "sqrt": lambda a, x, y: a.root(x),
}


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_contains_its_exact_and_its_rounded_result(name, operation):
    """For any numbers of two intervals, of the whole range of the format: exact, rounded, or NaN that is flagged."""
    rng = random.Random(f"{name} {operation}")
    a = arithmetic(name)
    for _ in range(25):
        n = 40
        x_lo, x_hi = np.sort([some(rng, name, n), some(rng, name, n)], axis=0)
        y_lo, y_hi = np.sort([some(rng, name, n, positive=operation == "div") for _ in range(2)], axis=0)
        if rng.random() < 0.5:
            x_hi, y_hi = x_lo, y_lo
        result = OPERATIONS[operation](a, a.between(x_lo, x_hi, None), a.between(y_lo, y_hi, None))
        for i in range(n):
            x, y = (gmpy2.mpfr(float(rng.choice([lo[i], hi[i]]))) for lo, hi in ((x_lo, x_hi), (y_lo, y_hi)))
            exact = getattr(EXACT, operation)(*((x,) if operation == "sqrt" else (x, y)))
            for value in (exact, ROUNDINGS[name].plus(exact)):
                if gmpy2.is_nan(value):
                    assert result.nan is not None
                    assert result.nan[i]
                else:
                    assert result.lo[i] <= value <= result.hi[i], (x, y, value, result.lo[i], result.hi[i])


@pytest.mark.parametrize("name", REALS)
def test_an_operation_on_points_is_at_most_three_numbers_wide(name):
    """Between the ends of 1/3 lie the two neighbours of the exact value, and no third one on either side."""
    fmt = FORMATS[name]
    a = arithmetic(name)
    lo, hi = ends(a.divide(interval(a, 1), interval(a, 3)))
    ulp = fmt.unit_roundoff / 2  # of numbers from 1/4 to 1/2
    assert Fraction(1, 3) - 2 * Fraction(ulp) < Fraction(lo) < Fraction(1, 3) < Fraction(hi)
    assert Fraction(hi) < Fraction(1, 3) + 2 * Fraction(ulp)


@pytest.mark.parametrize("name", REALS)
def test_an_exact_zero_stays_zero(name):
    """0 + 0, 0 * x, 0 / x, sqrt 0 are 0 in any arithmetic; a sum or a product of one sign does not cross it."""
    a = arithmetic(name)
    zero, x = interval(a, 0), interval(a, 2, 3)
    for result in (a.add(zero, zero), a.multiply(zero, x), a.multiply(x, zero), a.divide(zero, x), a.root(zero)):
        assert ends(result) == (0, 0)
        assert not may_be_nan(result)
    assert ends(a.add(zero, interval(a, 0, 1)))[0] == 0
    assert ends(a.multiply(interval(a, -1, -0.5), x))[1] < 0


def test_multiplication_takes_the_signs_into_account():
    """Every combination of signs, to within the widening."""
    a = arithmetic()
    for (p, q), (r, s) in [
        ((2, 3), (5, 7)),
        ((-3, -2), (5, 7)),
        ((-3, 2), (5, 7)),
        ((-3, 2), (-5, 7)),
        ((-3, 2), (-7, -5)),
    ]:
        corners = [p * r, p * s, q * r, q * s]
        assert ends(a.multiply(interval(a, p, q), interval(a, r, s))) == pytest.approx((min(corners), max(corners)))


def test_negation_is_exact_and_subtraction_turns_the_ends_round():
    """-[1, 2] is [-2, -1] without widening; 5 - [1, 2] is about [3, 4]."""
    a = arithmetic()
    assert ends(-interval(a, 1, 2)) == (-2, -1)
    assert ends(interval(a, 5) - interval(a, 1, 2)) == pytest.approx((3, 4))


def test_a_square_is_never_negative():
    """x * x with one object twice is a square: [-3, 2] squared is [0, 9]."""
    a = arithmetic()
    x = interval(a, -3, 2)
    lo, hi = ends(x * x)
    assert (lo, hi) == (0, pytest.approx(9))
    lo, hi = ends(interval(a, 0.1) * (x * x))
    assert (lo, hi) == (0, pytest.approx(0.9))


def test_zero_times_infinity_may_be_nan():
    """And so may the product of an interval with 0 and one without end."""
    a = arithmetic()
    assert may_be_nan(a.multiply(interval(a, 0), interval(a, INF)))
    assert may_be_nan(a.multiply(interval(a, -1, 1), interval(a, 3, INF)))
    assert not may_be_nan(a.multiply(interval(a, 1, 2), interval(a, 3, INF)))
    assert ends(a.multiply(interval(a, 0, 1), interval(a, 3, INF))) == (0, INF)


def test_infinity_minus_infinity_may_be_nan():
    """The sum of an unbounded interval with one unbounded the other way is anything."""
    a = arithmetic()
    total = a.add(interval(a, INF), interval(a, -INF))
    assert may_be_nan(total)
    assert ends(total) == (-INF, INF)
    assert may_be_nan(interval(a, 1, INF) - interval(a, 1, INF))
    assert not may_be_nan(a.add(interval(a, 1, INF), interval(a, 1, INF)))


def test_zero_over_zero_and_infinity_over_infinity_may_be_nan():
    """Two of the invalid operations of IEEE 754; x/inf is 0."""
    a = arithmetic()
    assert may_be_nan(a.divide(interval(a, 0), interval(a, 0)))
    assert may_be_nan(a.divide(interval(a, -1, 1), interval(a, 0, 1)))
    assert may_be_nan(a.divide(interval(a, 1, INF), interval(a, 1, INF)))
    assert not may_be_nan(a.divide(interval(a, 1), interval(a, 0)))
    assert ends(a.divide(interval(a, 1), interval(a, INF)))[0] == 0


def test_division_by_an_interval_with_zero_is_unbounded():
    """On the side of the sign that the dividend has, and on both where it has both."""
    a = arithmetic()
    lo, hi = ends(a.divide(interval(a, 1, 2), interval(a, 0, 4)))
    assert (lo, hi) == (pytest.approx(0.25), INF)
    assert ends(a.divide(interval(a, -1, 2), interval(a, 0, 4))) == (-INF, INF)
    assert not a.divide(interval(a, 1, 2), interval(a, 0, 4)).bounded()[0]
    assert ends(a.divide(interval(a, 1), interval(a, 0)))[1] == INF


def test_the_root_of_an_interval_that_reaches_below_zero_may_be_nan():
    """Partly below: the rest is bounded. Wholly below: nothing is known but that it may be NaN."""
    a = arithmetic()
    partly, wholly = a.root(interval(a, -1, 4)), a.root(interval(a, -4, -1))
    assert may_be_nan(partly)
    assert ends(partly) == (0, pytest.approx(2))
    assert may_be_nan(wholly)
    assert ends(wholly) == (-INF, INF)
    assert not may_be_nan(a.root(interval(a, 0, 4)))


def test_nan_spreads_through_every_operation():
    """Once an element may be NaN, so may all that is computed from it; its neighbour may not."""
    a = arithmetic()
    tainted = a.between(np.ones(2), 2 * np.ones(2), np.array([True, False]))
    other = a.between(3 * np.ones(2), 4 * np.ones(2))
    for result in (tainted + other, tainted - other, tainted * other, tainted / other, other / tainted, 1 - tainted):
        assert result.settle().nan.tolist() == [True, False]
    assert tainted.sqrt().nan.tolist() == [True, False]


def test_a_nan_input_is_anything():
    """The point of a NaN is unbounded and may be NaN."""
    a = arithmetic()
    anything = a.point(np.array([math.nan, 1.0]))
    assert (anything.lo[0], anything.hi[0]) == (-INF, INF)
    assert anything.nan.tolist() == [True, False]
    assert anything.bounded().tolist() == [False, True]
    assert anything.contains(np.array([math.nan, math.nan])).tolist() == [True, False]


def test_contains_is_closed_and_knows_nan():
    """The ends belong to it; NaN only where it is flagged; infinity only where an end is infinite."""
    a = arithmetic()
    x = interval(a, 1, 2)
    assert [bool(x.contains(np.array([each]))[0]) for each in (1, 2, 0.999, 2.001, INF, math.nan)] == [
        True,
        True,
        False,
        False,
        False,
        False,
    ]


@pytest.mark.parametrize("name", REALS)
def test_overflow_makes_the_far_end_infinite_and_keeps_the_near_end_finite(name):
    """A wider format may hold the finite number, so the interval is from something finite to infinity."""
    a = arithmetic(name)
    most = FORMATS[name].max_finite
    lo, hi = ends(a.multiply(interval(a, most), interval(a, 2)))
    assert most <= lo < INF
    assert hi == INF
    lo, hi = ends(a.multiply(interval(a, -most), interval(a, most)))
    assert lo == -INF
    assert -INF < hi <= -most


@pytest.mark.parametrize("name", REALS)
def test_underflow_keeps_the_exact_and_the_rounded_result(name):
    """Half the smallest subnormal may become 0 or the smallest subnormal, and no more than that."""
    a = arithmetic(name)
    least = FORMATS[name].smallest_subnormal
    lo, hi = ends(a.multiply(interval(a, least), interval(a, 0.5)))
    assert lo <= 0
    assert least <= hi <= 3 * least
    lo, hi = ends(a.multiply(interval(a, -least), interval(a, 0.5)))
    assert -3 * least <= lo <= -least
    assert hi >= 0


def test_float64_ends_are_rounded_outward():
    """The exact sum, product, quotient and root of float64 points lie strictly inside when they are inexact."""
    a = arithmetic("float64")
    x, y = 0.1, 0.7
    for result, exact in (
        (a.add(interval(a, x), interval(a, y)), Fraction(x) + Fraction(y)),
        (a.multiply(interval(a, x), interval(a, y)), Fraction(x) * Fraction(y)),
        (a.divide(interval(a, x), interval(a, y)), Fraction(x) / Fraction(y)),
    ):
        lo, hi = ends(result)
        assert Fraction(lo) < exact < Fraction(hi)
        assert hi - lo <= 2 * math.ulp(hi)
    lo, hi = ends(a.root(interval(a, 2)))
    assert Fraction(lo) ** 2 < 2 < Fraction(hi) ** 2


def test_float64_products_that_underflow_to_zero_keep_room_for_the_exact_value():
    """1e-200 * 1e-200 is not 0: the exact product must lie inside, and what is divided by it must too."""
    a = arithmetic("float64")
    small = interval(a, 1e-200)
    for product in (a.multiply(small, interval(a, 1e-200)), a.divide(small, interval(a, 1e200))):
        assert ends(product)[1] >= 5e-324
    back = a.divide(a.multiply(small, interval(a, 1e-200)), interval(a, 1e-300))
    assert back.contains(np.array([1e-100]))[0]


def test_float64_ends_that_underflow_one_by_one_keep_room_for_the_exact_value():
    """[-1e-200, 1] * 1e-200 reaches down to -1e-400, which a wider format holds and a division brings back."""
    a = arithmetic("float64")
    product = a.multiply(interval(a, -1e-200, 1), interval(a, 1e-200))
    assert a.divide(product, interval(a, 1e-300)).contains(np.array([-1e-100]))[0]


def test_float64_products_of_positive_numbers_that_underflow_stay_positive():
    """(1-alpha) g^2 is never negative, so no conforming step of a tiny gradient is NaN."""
    a = arithmetic("float64")
    g = interval(a, 1e-170)
    assert ends(interval(a, 0.01) * (g * g))[0] >= 0
    assert ends(a.multiply(interval(a, -1, 0), interval(a, 2, 3)))[1] == 0


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("operation", ["*", "square", "/"])
def test_what_underflows_float64_stays_around_the_exact_result(name, operation):
    """In every format: a wider one than float64 holds the product, and a divisor as small brings it back."""
    rng, a = random.Random(f"{name} {operation}"), arithmetic(name)
    for _ in range(200):
        x, y = (rng.choice([-1, 1]) * (1 + rng.random()) * 2.0 ** rng.randrange(-700, -500) for _ in range(2))
        if operation == "/":
            y = (1 + rng.random()) * 2.0 ** rng.randrange(500, 700)
        lo, hi = (min(x, x / 2), max(x, x / 2)) if rng.random() < 0.5 else (x, x)
        left, right = interval(a, lo, hi) if lo < hi else interval(a, x), interval(a, y)
        match operation:
            case "*":
                result, exact = a.multiply(left, right), [Fraction(lo) * Fraction(y), Fraction(hi) * Fraction(y)]
            case "square":
                result, exact = a.multiply(left, left), [Fraction(lo) ** 2, Fraction(hi) ** 2]
            case _:
                result, exact = a.divide(left, right), [Fraction(lo) / Fraction(y), Fraction(hi) / Fraction(y)]
        low, high = ends(result)
        assert Fraction(low) <= min(exact), (x, y)
        assert max(exact) <= Fraction(high), (x, y)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_a_learning_rate_that_underflows_with_the_gradient_is_seen_in_the_step(name):
    """lr * g is below float64, the denominator as well: the exact quotient is an everyday number, and inside."""
    fmt = FORMATS[name]
    hyper = Hyperparameters(lr=1e-300, eps=1e-300)
    g = fmt.smallest_subnormal
    before = Before(*(np.array([number]) for number in (0.0, g * 2.0**-200, 0.0, 0.0, 0.0)))
    exact = -(Fraction(hyper.lr) * Fraction(g) / 2**200) / Fraction(hyper.eps)
    interval = envelope(before, fmt, hyper)["param"]
    assert interval.lo[0] <= float(exact) <= interval.hi[0]


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("x", [0.0, 1.0, -1.0, 2.0**-1070])
@pytest.mark.parametrize("y", [0.0, 2.0, 2.0**500, INF])
def test_a_divisor_that_may_be_minus_zero_makes_an_infinity_of_either_sign(name, x, y):
    """A root of what may be below zero may be -0.0, whatever underflows beside it."""
    a = arithmetic(name)
    divisor = a.between(np.array([0.0]), np.array([y]), np.array([True]))
    low, high = ends(a.divide(interval(a, x), divisor))
    if x:
        assert (low, high) == (-INF, INF)
    else:
        assert may_be_nan(a.divide(interval(a, x), divisor))
        assert -low == high


def test_a_product_is_the_hull_over_every_order_of_evaluation():
    """lr*g/d: overflow of lr*g, underflow of lr/d and overflow of 1/d are all reachable, and so is the value."""
    a = arithmetic("float16")
    lr, g, d = a.coefficient(1000.0), interval(a, 1000.0), interval(a, 1000.0)
    product = lr * g / d
    assert isinstance(product, Product)
    assert ends(product)[1] == INF  # lr*g is past 65504
    assert ends(a.coefficient(1.0) * interval(a, 2.0**-10) / interval(a, 2.0**-20))[1] == INF  # 1/d is
    lo, hi = ends(a.coefficient(2.0**-14) * interval(a, 1000.0) / interval(a, 2.0**13))
    assert lo <= 0 <= 1000 * 2.0**-27 <= hi


def test_a_product_of_one_factor_is_that_factor():
    """Nothing is widened where nothing is calculated."""
    a = arithmetic()
    x = interval(a, 1, 2)
    assert x.settle() is x
    assert x.factors() == ((x,), ())


def test_a_weighted_mean_is_the_hull_of_its_legal_forms():
    """a*x + (1-a)*y reaches as far as x + (1-a)*(y-x) does, and for a <= 1/2 as far as y - a*(y-x)."""
    a = arithmetic()
    for weight in (0.99, 0.25):
        alpha = a.coefficient(weight)
        x, y = interval(a, 1000.0), interval(a, 1e-3)
        mean = alpha * x + (1 - alpha) * y
        forward = a.add(x, a.multiply(1 - alpha, a.add(y, a.negated(x))))
        backward = a.add(y, a.negated(a.multiply(alpha, a.add(y, a.negated(x)))))
        for form in (forward, backward) if weight <= 0.5 else (forward,):
            assert mean.lo[0] <= form.lo[0]
            assert form.hi[0] <= mean.hi[0]


def test_a_sum_that_is_no_weighted_mean_gets_no_other_form():
    """a*x + b*y with an unrelated b is evaluated as it is written."""
    a = arithmetic()
    alpha, other = a.coefficient(0.99), a.coefficient(0.01)
    x, y = interval(a, 1000.0), interval(a, 1e-3)
    assert ends(alpha * x + other * y) == ends(a.add((alpha * x).settle(), (other * y).settle()))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_a_hyperparameter_may_be_rounded_to_float32_and_no_further(name):
    """The coefficient holds the float64 and the float32 number, not the one of a half."""
    coefficient = arithmetic(name).coefficient(0.1)
    assert coefficient.contains(np.array([0.1, float(np.float32(0.1))])).all()
    if name != "float32":
        assert not coefficient.contains(np.array([FORMATS[name].round(0.1)]))[0]
        assert arithmetic(name, scalars="storage").coefficient(0.1).contains(np.array([FORMATS[name].round(0.1)]))[0]


def test_a_hyperparameter_of_float64_is_not_rounded_to_float32():
    """Unless the dialect says that its scalars are float32."""
    single = np.array([float(np.float32(0.1))])
    assert not arithmetic("float64").coefficient(0.1).contains(single)[0]
    assert arithmetic("float64", scalars="float32").coefficient(0.1).contains(single)[0]


@pytest.mark.parametrize("alpha", [0.999, 0.99, 0.9, 0.3, 0.1, 1e-20, 0.0, 1.0])
@pytest.mark.parametrize("name", REALS)
def test_one_minus_alpha_is_formed_before_it_is_rounded(name, alpha):
    """The exact difference is inside; that of rounded numbers is not, unless scalars are of the storage."""
    complement = 1 - arithmetic(name).coefficient(alpha)
    lo, hi = Fraction(float(complement.lo)), Fraction(float(complement.hi))
    assert lo <= 1 - Fraction(alpha) <= hi
    assert complement.contains(
        np.array([1 - alpha, float(np.float32(1 - alpha)) if name != "float64" else 1 - alpha])
    ).all()
    late = float(np.float32(1) - np.float32(alpha))
    if alpha in (0.999, 0.99, 0.9):  # the two agree for 0.3
        assert not complement.contains(np.array([late]))[0]
        storage = 1 - arithmetic(name, scalars="storage").coefficient(alpha)
        assert storage.contains(np.array([late]))[0]


def test_strict_is_the_default_policy():
    """Nobody gets a weaker arithmetic without asking for it."""
    assert arithmetic().policy is STRICT
    assert next(iter(POLICIES.values())) is STRICT
    assert [name for name, policy in POLICIES.items() if policy.strict] == ["strict"]
    assert set(POLICIES) == {"strict", "approximate-division", "flush-subnormals", "fast-math"}
    assert all(policy.name == name for name, policy in POLICIES.items())


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_approximate_division_admits_two_ulps_where_strict_admits_half_of_one(name):
    """For quotients and roots; sums and products stay strict."""
    fmt = FORMATS[name]
    ulp = 2 * fmt.unit_roundoff
    loose, strict = arithmetic(name, policy=POLICIES["approximate-division"]), arithmetic(name)
    off = np.array([1 + ulp + 2 * ulp])
    for operation in ("divide", "root"):
        operands = [1 + ulp, 1.0] if operation == "divide" else [(1 + ulp) ** 2]
        results = [getattr(a, operation)(*(interval(a, each) for each in operands)) for a in (loose, strict)]
        assert [bool(each.contains(off)[0]) for each in results] == [True, False]
    for operation in ("add", "multiply"):
        ends_of = [ends(getattr(a, operation)(interval(a, 1), interval(a, 3))) for a in (loose, strict)]
        assert ends_of[0] == ends_of[1]


def test_approximate_division_admits_two_ulps_in_float64():
    """Two numbers away within a binade, and never more than four."""
    a = arithmetic("float64", policy=POLICIES["approximate-division"])
    quotient = a.divide(interval(a, 1.5), interval(a, 1))
    assert quotient.contains(np.array([1.5 + 2.0**-51]))[0]
    assert quotient.contains(np.array([1.5 - 2.0**-51]))[0]
    assert not quotient.contains(np.array([1.5 + 5 * 2.0**-52]))[0]


def test_approximate_division_admits_two_ulps_in_float64_across_a_power_of_two():
    """Two ulps of 1 + 2^-52 reach down to 1 - 2^-52, which is three numbers away."""
    a = arithmetic("float64", policy=POLICIES["approximate-division"])
    quotient = a.divide(interval(a, 1 + 2.0**-52), interval(a, 1))
    assert quotient.contains(np.array([1 - 2.0**-52]))[0]


@pytest.mark.parametrize("name", REALS)
def test_flush_subnormals_admits_zero_for_a_subnormal_result(name):
    """The strict policy refuses it."""
    fmt = FORMATS[name]
    least = fmt.smallest_normal
    for policy, admitted in (("flush-subnormals", True), ("strict", False)):
        a = arithmetic(name, policy=POLICIES[policy])
        assert bool(a.multiply(interval(a, least), interval(a, 0.5)).contains(np.array([0.0]))[0]) is admitted
        difference = a.add(interval(a, 1.5 * least), interval(a, -least))
        assert bool(difference.contains(np.array([0.0]))[0]) is admitted
        assert not a.multiply(interval(a, 4 * least), interval(a, 0.5)).contains(np.array([0.0]))[0]


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_weaker_policy_is_never_narrower_than_strict(name, policy):
    """Every operation of a named policy contains the strict one's interval."""
    rng = random.Random(f"{name} {policy}")
    x, y = some(rng, name, 500), some(rng, name, 500, positive=True)
    strict, weak = arithmetic(name), arithmetic(name, policy=POLICIES[policy])
    for operation in OPERATIONS.values():
        narrow, wide = (operation(a, a.point(x), a.point(y)) for a in (strict, weak))
        assert (wide.lo <= narrow.lo).all()
        assert (wide.hi >= narrow.hi).all()


def test_a_policy_of_ones_own_is_strict_only_if_nothing_is_weakened():
    """Half an ulp is correct rounding."""
    assert Policy("mine").strict
    assert not Policy("mine", division_ulps=1.0).strict
    assert not Policy("mine", sqrt_ulps=0.51).strict
    assert not Policy("mine", flush_subnormals=True).strict
