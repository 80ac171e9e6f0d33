"""The pseudocode, run on exact numbers, is the page and the other dialects' equations."""

import random

import gmpy2
import numpy as np
import pytest
from by_hand import BY_HAND, by_hand
from cases import before, elements, hyperparameters
from gmpy2 import mpfr
from legal import EXACT

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Iterate, Symbols, iterate


def exactly(values, hyper, dialect=SPECIFICATION, **options):
    with gmpy2.context(EXACT):
        symbols = Symbols(*map(mpfr, (hyper.lr, hyper.alpha, hyper.eps, hyper.weight_decay, hyper.momentum)))
        return iterate(*map(mpfr, values), symbols, hyper=hyper, dialect=dialect, sqrt=gmpy2.sqrt, **options)


def roles(result: Iterate):
    found = {
        "square_avg": result.v,
        "grad_avg": result.g_ave,
        "momentum_buffer": result.b,
        "param": result.theta,
    }
    return {role: value for role, value in found.items() if value is not None}


def same(x, y):
    """Equal but for what 2600 bits round; no number of the tests cancels more than 500 of them."""
    with gmpy2.context(EXACT):
        if gmpy2.is_nan(x) or gmpy2.is_nan(y):
            return gmpy2.is_nan(x) and gmpy2.is_nan(y)
        return x == y or abs(x - y) <= max(abs(x), abs(y)) * mpfr(2) ** -1500


def test_every_named_dialect_has_equations_written_by_hand():
    """A new named dialect must be transcribed from its source once more, here."""
    assert BY_HAND.keys() == DIALECTS.keys()


@pytest.mark.parametrize("name", DIALECTS)
def test_the_pseudocode_on_exact_numbers_is_what_the_source_says(name):
    """One step of the pseudocode equals the equations of the dialect's source, for random elements and options."""
    rng, generator = random.Random(name), np.random.default_rng(len(name))
    for _ in range(30):
        hyper = hyperparameters(rng, FORMATS["float32"])
        values = before(generator, FORMATS["float32"], 4, "tame")
        for i in range(4):
            expected = by_hand(elements(values, i), hyper, DIALECTS[name])
            found = roles(exactly(elements(values, i), hyper, DIALECTS[name]))
            assert found.keys() == expected.keys()
            assert all(same(found[role], expected[role]) for role in expected), (hyper, elements(values, i))


def test_the_branches_of_the_page_set_what_they_name_and_nothing_else():
    """g_ave exists only with centered, b only with momentum above 0."""
    values = (1.0, 0.5, 0.25, 0.125, 2.0)
    plain = exactly(values, Hyperparameters())
    assert plain.g_ave is None
    assert plain.b is None
    assert exactly(values, Hyperparameters(centered=True)).g_ave is not None
    assert exactly(values, Hyperparameters(momentum=0.5)).b is not None
    never = Dialect("never", "no option", centered_form="never", momentum_form="never")
    bare = exactly(values, Hyperparameters(centered=True, momentum=0.5), never)
    assert (bare.g_ave, bare.b) == (None, None)


def test_one_step_with_round_numbers_gives_the_numbers_of_the_page():
    """theta=1, g=4, v=0, alpha=3/4, eps=2, lr=1/2: v is 4, the denominator 4, theta 1/2."""
    hyper = Hyperparameters(lr=0.5, alpha=0.75, eps=2.0)
    result = exactly((1.0, 4.0, 0.0, 0.0, 0.0), hyper)
    assert (result.theta, result.v, result.d, result.g) == (0.5, 4, 4, 4)


def test_momentum_and_centered_with_round_numbers_give_the_numbers_of_the_page():
    """Every branch of the page at once, with options that keep each line exact."""
    hyper = Hyperparameters(lr=0.5, alpha=0.5, eps=1.0, momentum=0.5, centered=True)
    result = exactly((1.0, 4.0, 4.0, -2.0, 6.0), hyper)
    # v = 2 + 8, g_ave = -1 + 2, v~ = 10 - 1, d = 3 + 1, b = 3 + 1, theta = 1 - 2.
    assert (result.v, result.g_ave, result.d, result.b, result.theta) == (10, 1, 4, 4, -1)


def test_weight_decay_enters_the_gradient_before_any_average():
    """lambda theta is part of the g that is squared, averaged and applied."""
    hyper = Hyperparameters(lr=1.0, alpha=0.0, eps=0.0, weight_decay=0.5, centered=False)
    result = exactly((4.0, 1.0, 7.0, 0.0, 0.0), hyper)
    assert (result.g, result.v, result.theta) == (3, 9, 3)


def test_the_decoupled_decays_shrink_the_parameter_and_leave_the_gradient_alone():
    """theta (1 - lr lambda) and theta (1 - lambda), then the step."""
    hyper = Hyperparameters(lr=0.5, alpha=0.0, eps=0.0, weight_decay=0.25)
    with_lr = exactly((8.0, 2.0, 0.0, 0.0, 0.0), hyper, Dialect("x", "x", decay="decoupled-lr"))
    without = exactly((8.0, 2.0, 0.0, 0.0, 0.0), hyper, Dialect("x", "x", decay="decoupled"))
    assert (with_lr.g, with_lr.v, with_lr.theta) == (2, 4, 6.5)
    assert (without.g, without.v, without.theta) == (2, 4, 5.5)


@pytest.mark.parametrize(
    ("lr_place", "theta"), [("outside", 8 - 0.5 * (0.5 * 3 + 1)), ("inside", 8 - (0.5 * 2.5 + 0.5))]
)
def test_nesterov_looks_one_decay_ahead(lr_place, theta):
    """The move is mu b_t + g/d with the new buffer, for either place of the learning rate."""
    hyper = Hyperparameters(lr=0.5, alpha=0.0, eps=0.0, momentum=0.5)
    dialect = Dialect("x", "x", nesterov=True, lr_place=lr_place)
    assert exactly((8.0, 2.0, 0.0, 0.0, 4.0), hyper, dialect).theta == theta


def test_bias_correction_divides_both_averages_by_one_minus_alpha_to_the_t():
    """With a constant gradient and state from 0, the corrected averages are the gradient and its square."""
    hyper = Hyperparameters(lr=1.0, alpha=0.5, eps=2.0, centered=False)
    dialect = Dialect("x", "x", bias_correction=True)
    result = exactly((0.0, 4.0, 8.0, 0.0, 0.0), hyper, dialect, power=lambda alpha, t: alpha**t, t=2)
    assert (result.v, result.d) == (12, 6)
    hyper = Hyperparameters(lr=1.0, alpha=0.5, eps=2.0, centered=True)
    result = exactly((0.0, 4.0, 8.0, 2.0, 0.0), hyper, dialect, power=lambda alpha, t: alpha**t, t=2)
    # g_ave = 3, corrected 4, v~ = 16 - 16.
    assert (result.g_ave, result.d) == (3, 2)
