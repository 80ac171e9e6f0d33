"""A momentum buffer is recovered across changes of the learning rate, within the bound that is reported."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmspec.impl import DIALECTS, CannotTranslate, Hyperparameters, Saved, SavedGroup, SavedParam, Terms, translate
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.translation.lr_history import Point, recovered

TORCH, KERAS = DIALECTS["torch"], DIALECTS["keras3"]
HYPER = Hyperparameters(lr=0.125, alpha=0.875, eps=0.0, momentum=0.75)


@st.composite
def histories(draw):
    """A run with several learning rates: the source's buffer at each change, stored in its format, and the exact target's."""
    fmt = FORMATS[draw(st.sampled_from(["float16", "bfloat16", "float32", "float64"]))]
    divide = draw(st.booleans())
    momentum = draw(st.sampled_from([0.5, 0.9, 0.99]))
    rates = draw(st.lists(st.sampled_from([0.1, 0.01, 0.003, 0.5]), min_size=1, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x, y, points, steps, fits = np.zeros(8), [Fraction(0)] * 8, [], 0, np.ones(8, dtype=bool)
    for lr in rates:
        first, between = x, np.zeros(8)
        for _ in range(draw(st.integers(1, 12))):
            u = rng.standard_normal(8).astype(fmt.dtype).astype(np.float64) * 2.0 ** rng.integers(-3, 3)
            c_x, c_y = (lr, 1.0) if divide else (1.0, lr)
            # The increment as the source made it, in its format: that is what both buffers are sums of.
            increment = np.array([fmt.round(c_x * each) for each in u])
            x = np.array([fmt.round(fmt.round(momentum * a) + b) for a, b in zip(x, increment, strict=True)])
            factor = Fraction(c_y) / Fraction(c_x)
            y = [Fraction(momentum) * a + factor * Fraction(float(b)) for a, b in zip(y, increment, strict=True)]
            steps += 1
            between = np.maximum(between, np.abs(x))
        fits &= between <= np.maximum(np.abs(first), np.abs(x))
        points.append(Point(steps, x.astype(fmt.dtype), lr))
    return momentum, divide, points, y, fits


@given(histories())
@settings(max_examples=150, deadline=None)
def test_the_exact_buffer_lies_within_the_bound(case):
    """The buffer of the same increments in exact arithmetic, through up to four learning rates, in every format."""
    momentum, divide, points, exact, fits = case
    found = recovered(points, momentum, divide=divide)
    for value, bound, wanted, fit in zip(as_reals(found.values), found.bound, exact, fits, strict=True):
        # The bound is for buffers that were not larger in between than at the ends of each stretch.
        if fit:
            assert abs(Fraction(float(value)) - wanted) <= bound


def test_a_wrong_learning_rate_in_the_history_is_outside_the_bound():
    """The bound is narrow enough to tell: one rate off by a tenth is noticed."""
    points = [Point(10, np.array([1.0, -2.0], np.float32), 0.1), Point(15, np.array([0.5, 3.0], np.float32), 0.01)]
    right = recovered(points, 0.9, divide=True)
    wrong = recovered([replace_lr(points[0], 0.11), points[1]], 0.9, divide=True)
    assert np.all(np.abs(as_reals(right.values) - as_reals(wrong.values)) > 100 * right.bound)


def replace_lr(point, lr):
    return Point(point.steps, point.buffer, lr)


def test_a_history_without_a_change_gives_the_quotient():
    """With one learning rate throughout, it is mom / lr but for rounding."""
    points = [Point(3, np.array([1.0, 2.0], np.float32), 0.25), Point(9, np.array([3.0, -1.0], np.float32), 0.25)]
    assert np.allclose(as_reals(recovered(points, 0.5, divide=True).values), [12.0, -4.0], rtol=1e-6)


def at(dialect, steps, buffer, lr, *, momentum=0.75):
    arrays = {"square_avg": np.ones(2, np.float32), "momentum_buffer": np.array(buffer, np.float32)}
    hyper = replace(HYPER, lr=lr, momentum=momentum)
    return Saved((SavedGroup(dialect, hyper, (SavedParam("0", arrays, steps),)),))


def test_a_history_makes_a_changed_learning_rate_translatable():
    """Bounded, with the formula, the number and the condition, both ways."""
    for source, target in ((KERAS, TORCH), (TORCH, KERAS)):
        terms = Terms(lr_changed=True, earlier=(at(source, 4, [1.0, 2.0], 0.5),))
        moved = translate(at(source, 6, [1.0, 1.0], 0.125), target, terms)
        (line,) = [each for each in moved.lines if each.quantity == "momentum_buffer"]
        assert (line.kind, line.absolute) == ("bounded", True)
        assert 0 < line.bound < 1e-4
        assert "mu^n" in line.note
        assert "before its learning rate was changed" in line.condition
        weight, x0, x1 = 0.75**2, np.array([1.0, 2.0]), np.array([1.0, 1.0])
        first, second = (1 / 0.5, 1 / 0.125) if target is TORCH else (0.5, 0.125)
        expected = weight * first * x0 + second * (x1 - weight * x0)
        assert np.all(np.abs(moved.saved.params()[0].arrays["momentum_buffer"] - expected) <= line.bound)


UNFIT = {
    "no count": (at(KERAS, None, [1, 2], 0.5), "does not say how many steps"),
    "not earlier": (at(KERAS, 9, [1, 2], 0.5), "9 steps"),
    "as many steps": (at(KERAS, 6, [1, 2], 0.5), "6, 6 steps"),
    "another momentum": (at(KERAS, 4, [1, 2], 0.5, momentum=0.5), "another momentum"),
    "another shape": (
        Saved(
            (
                SavedGroup(
                    KERAS,
                    HYPER,
                    (SavedParam("0", dict.fromkeys(("square_avg", "momentum_buffer"), np.ones(3, np.float32)), 4),),
                ),
            )
        ),
        "another shape",
    ),
    "lr was zero": (at(KERAS, 4, [1, 2], 0.0), "was 0 for a time"),
}


@pytest.mark.parametrize(("earlier", "expected"), UNFIT.values(), ids=UNFIT.keys())
def test_a_history_that_does_not_fit_is_refused(earlier, expected):
    """Unknown, equal or larger counts, another momentum or shape, or a learning rate of zero."""
    with pytest.raises(CannotTranslate, match=expected):
        translate(at(KERAS, 6, [1.0, 1.0], 0.125), TORCH, Terms(earlier=(earlier,)))
