"""The envelope holds every legal evaluation, little else, and the same on every array library."""

import random
from collections.abc import Iterator
from dataclasses import replace

import gmpy2
import numpy as np
import pytest
from by_hand import by_hand
from cases import MODES, before, elements, hyperparameters, stored
from gmpy2 import mpfr
from legal import EXACT, evaluated

from rmspec.impl.arithmetic import intervals
from rmspec.impl.arithmetic.envelope import ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate

REALS = ("float16", "bfloat16", "float32", "float64")

VARIANTS: tuple[Dialect, ...] = (
    *DIALECTS.values(),
    replace(SPECIFICATION, name="nesterov", nesterov=True),
    replace(SPECIFICATION, name="bias-correction", bias_correction=True),
    replace(SPECIFICATION, name="decoupled", decay="decoupled"),
    replace(DIALECTS["optax"], name="optax-nesterov", nesterov=True, decay="decoupled-lr"),
    replace(DIALECTS["optax"], name="optax-bias-correction", bias_correction=True),
)


REAL = tuple(each for each in VARIANTS if each.scalars == "double")
"""Those whose scalars are rounded no further than the specification allows."""


def holds(interval: Interval, i: int, value) -> bool:
    """Whether an exact number lies in the interval of element ``i``."""
    if gmpy2.is_nan(value):
        return interval.nan is not None and bool(interval.nan[i])
    return interval.lo[i] <= value <= interval.hi[i]


def one(theta=0.0, g=0.0, v=0.0, g_ave=0.0, b=0.0) -> Before:
    return Before(*(np.array([float(each)]) for each in (theta, g, v, g_ave, b)))


def ends(interval: Interval) -> tuple[float, float]:
    return float(interval.lo[0]), float(interval.hi[0])


def ulps(interval: Interval, name: str):
    """The widths of the intervals in units in the last place of the format."""
    fmt = FORMATS[name]
    middle = np.abs(interval.lo + interval.hi) / 2
    exponent = np.floor(np.log2(np.maximum(middle, fmt.smallest_normal)))
    return (interval.hi - interval.lo) / (2 * fmt.unit_roundoff * 2.0**exponent)


# -- the exact result


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_exact_result_of_the_equations_lies_in_the_envelope(name, dialect):
    """The equations written by hand from each dialect's source, in 2600 bits, for elements of every magnitude."""
    rng, generator = random.Random(f"{name} {dialect}"), np.random.default_rng(len(name + dialect))
    for mode in MODES * 2:
        hyper = hyperparameters(rng, FORMATS[name])
        values = before(generator, FORMATS[name], 16, mode)
        allowed = envelope(values, FORMATS[name], hyper, DIALECTS[dialect])
        for i in range(16):
            exact = by_hand(elements(values, i), hyper, DIALECTS[dialect])
            assert exact.keys() == allowed.keys()
            for role, value in exact.items():
                assert holds(allowed[role], i, value), (role, mode, hyper, elements(values, i))


@pytest.mark.parametrize("name", REALS)
@pytest.mark.parametrize("dialect", VARIANTS, ids=lambda each: each.name)
def test_the_exact_result_of_the_pseudocode_lies_in_the_envelope(name, dialect):
    """The pseudocode itself, run in 2600 bits, for the named dialects and for the switches that none of them has."""
    rng, generator = random.Random(f"{dialect.name} {name}"), np.random.default_rng(len(dialect.name))
    for mode in MODES:
        hyper = hyperparameters(rng, FORMATS[name])
        t = rng.choice([1, 2, 10, 300])
        values = before(generator, FORMATS[name], 16, mode)
        allowed = envelope(values, FORMATS[name], hyper, dialect, t=t)
        with gmpy2.context(EXACT):
            symbols = Symbols(*map(mpfr, (hyper.lr, hyper.alpha, hyper.eps, hyper.weight_decay, hyper.momentum)))
            for i in range(16):
                result = iterate(
                    *map(mpfr, elements(values, i)),
                    symbols,
                    hyper=hyper,
                    dialect=dialect,
                    sqrt=gmpy2.sqrt,
                    power=lambda alpha, n: alpha**n,
                    t=t,
                )
                for role, value in zip(ROLES, (result.v, result.g_ave, result.b, result.theta), strict=True):
                    if value is not None:
                        assert holds(allowed[role], i, value), (role, mode, t, hyper, elements(values, i))


@pytest.mark.parametrize("name", REALS)
def test_the_ends_of_the_hyperparameters_are_no_exception(name):
    """Every combination of alpha in {0, 1/2, 0.99, 1}, eps in {0, 1e-8}, decay, momentum and centered."""
    generator = np.random.default_rng(3)
    for alpha in (0.0, 0.5, 0.99, 1.0):
        for case in range(16):
            hyper = Hyperparameters(
                alpha=alpha,
                eps=(0.0, 1e-8)[case & 1],
                weight_decay=(0.0, 0.1)[case >> 1 & 1],
                momentum=(0.0, 0.9)[case >> 2 & 1],
                centered=bool(case >> 3 & 1),
            )
            values = before(generator, FORMATS[name], 6, MODES[case % len(MODES)])
            allowed = envelope(values, FORMATS[name], hyper)
            for i in range(6):
                for role, value in by_hand(elements(values, i), hyper, SPECIFICATION).items():
                    assert holds(allowed[role], i, value), (role, hyper, elements(values, i))


# -- random legal evaluations


def escapes(name: str, seeds: range, *, n: int = 300, evaluations: int = 4) -> Iterator[tuple[object, ...]]:
    """The results of random legal evaluations that lie outside the envelope, as (role, inputs, value, lo, hi).

    Left out is an infinity where the envelope is unbounded and admits NaN: see the test about the sign of zero.
    """
    for seed in seeds:
        rng, generator = random.Random(f"{name} {seed}"), np.random.default_rng(seed)
        hyper, mode, dialect = hyperparameters(rng, FORMATS[name]), rng.choice(MODES), rng.choice(VARIANTS)
        t = rng.choice([1, 2, 10, 300])
        values = before(generator, FORMATS[name], n, mode)
        allowed = envelope(values, FORMATS[name], hyper, dialect, t=t)
        for _ in range(evaluations):
            for role, found in evaluated(elements(values), FORMATS[name], hyper, dialect, rng, t=t).items():
                interval = allowed[role]
                hopeless = ~interval.bounded() & (False if interval.nan is None else interval.nan)
                outside = ~interval.contains(found) & ~(np.isinf(found) & hopeless)
                for i in np.flatnonzero(outside)[:1]:
                    yield role, seed, dialect.name, mode, hyper, elements(values, int(i)), found[i], interval.lo[i]


@pytest.mark.parametrize("name", REALS)
def test_random_legal_evaluations_lie_in_the_envelope(name):
    """Most of a million results in random orders, forms, widths and fusings, for every dialect and magnitude."""
    assert list(escapes(name, range(250))) == []


@pytest.mark.parametrize("name", [*REALS, "complex64", "complex128"])
def test_random_legal_evaluations_rounded_by_mpfr_lie_in_the_envelope(name):
    """Fewer elements and more ways: fused and exact intermediates, all choices drawn anew for each element."""
    rng, generator = random.Random(name), np.random.default_rng(len(name))
    fmt = FORMATS[name]
    for _ in range(60):
        hyper, mode, dialect = hyperparameters(rng, fmt), rng.choice(MODES), rng.choice(VARIANTS)
        t = rng.choice([1, 2, 10, 300])
        values = before(generator, fmt, 12, mode)
        allowed = envelope(values, fmt, hyper, dialect, t=t)
        for i in range(12):
            for _ in range(2):
                found = evaluated(elements(values, i), fmt, hyper, dialect, rng, exact=True, t=t)
                for role, value in found.items():
                    nan = allowed[role].nan is not None and bool(allowed[role].nan[i])
                    inside = allowed[role].lo[i] <= value <= allowed[role].hi[i]
                    assert inside or (nan and not np.isfinite(value)), (
                        role,
                        dialect,
                        hyper,
                        elements(values, i),
                        value,
                    )


@pytest.mark.parametrize("name", REALS[:3])
def test_random_evaluations_with_scalars_of_the_storage_lie_in_the_envelope_for_those(name):
    """The wider of the nested envelopes is sound as well; the narrower one refuses some of these results."""
    rng, generator = random.Random(name), np.random.default_rng(6)
    fmt, refused = FORMATS[name], 0
    for _ in range(40):
        hyper, dialect = hyperparameters(rng, fmt), rng.choice(REAL)
        values = before(generator, fmt, 200, rng.choice(MODES))
        wide = envelope(values, fmt, hyper, dialect, scalars="storage")
        narrow = envelope(values, fmt, hyper, dialect)
        for role, found in evaluated(elements(values), fmt, hyper, dialect, rng, storage=True).items():
            hopeless = ~wide[role].bounded() & (False if wide[role].nan is None else wide[role].nan)
            assert (wide[role].contains(found) | (np.isinf(found) & hopeless)).all(), (role, dialect, hyper)
            refused += int((~narrow[role].contains(found)).sum())
    assert refused > 0


def test_a_trajectory_of_random_legal_evaluations_stays_in_the_envelope_of_every_step():
    """State that a legal evaluation left behind is where the next one starts: 60 steps from 0, in each format."""
    for name in REALS:
        rng, generator = random.Random(name), np.random.default_rng(1)
        fmt = FORMATS[name]
        hyper = Hyperparameters(momentum=0.9, centered=True, weight_decay=0.1, alpha=0.9)
        zeros = np.zeros(200)
        state = {"param": stored(generator.normal(size=200), fmt), **dict.fromkeys(ROLES[:3], zeros)}
        for t in range(1, 61):
            grad = stored(generator.normal(size=200) * 2.0 ** generator.integers(-6, 6), fmt)
            values = Before(grad=grad, **state)
            allowed = envelope(values, fmt, hyper, t=t)
            state = evaluated(elements(values), fmt, hyper, SPECIFICATION, rng, t=t)
            for role, found in state.items():
                hopeless = ~allowed[role].bounded() & (False if allowed[role].nan is None else allowed[role].nan)
                assert (allowed[role].contains(found) | (np.isinf(found) & hopeless)).all(), (name, role, t)
            state = {role: np.where(np.isfinite(found), found, 0.0) for role, found in state.items()}


def no_widening(monkeypatch):
    def plain(self, lo, hi, nan, lost=None, *, ulps=0.5):
        return Interval(self, lo, hi, nan)

    monkeypatch.setattr(Arithmetic, "_widened", plain)


def half_the_widening(monkeypatch):
    monkeypatch.setattr(intervals, "_SLACK", 0.5)


def no_subnormals(monkeypatch):
    made = Arithmetic.__init__

    def init(self, *args, **kwargs):
        made(self, *args, **kwargs)
        self._tiny = 0.0

    monkeypatch.setattr(Arithmetic, "__init__", init)


def no_overflow(monkeypatch):
    widened = Arithmetic._widened

    def finite(self, lo, hi, nan, lost=None, *, ulps=0.5):
        found = widened(self, lo, hi, nan, lost, ulps=ulps)
        most = self.fmt.max_finite
        return Interval(self, np.clip(found.lo, -most, most), np.clip(found.hi, -most, most), nan)

    monkeypatch.setattr(Arithmetic, "_widened", finite)


def one_order_of_evaluation(monkeypatch):
    every = intervals._orders
    monkeypatch.setattr(intervals, "_orders", lambda *args: iter([next(every(*args))]))


def one_form_of_the_mean(monkeypatch):
    monkeypatch.setattr(Arithmetic, "mean", lambda self, a, complement, x, y, plain: plain)


def no_backward_form_of_the_mean(monkeypatch):
    mean = Arithmetic.mean

    def forward(self, a, complement, x, y, plain):
        return mean(self, intervals.Coefficient(self, a.lo, a.hi, 1.0, None), complement, x, y, plain)

    monkeypatch.setattr(Arithmetic, "mean", forward)


def scalars_of_float64_only(monkeypatch):
    monkeypatch.setattr(Arithmetic, "_roundings", lambda self, value: {value})


def no_nan(monkeypatch):
    monkeypatch.setattr(intervals, "_either", lambda x, y: None)


MUTATIONS = (
    no_widening,
    half_the_widening,
    no_subnormals,
    no_overflow,
    one_order_of_evaluation,
    one_form_of_the_mean,
    no_backward_form_of_the_mean,
    scalars_of_float64_only,
    no_nan,
)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_random_legal_evaluations_escape_from_an_envelope_that_is_wrong(mutation, monkeypatch):
    """The harness can fail: with any one reason for width taken away it finds an escape."""
    mutation(monkeypatch)
    assert next(escapes("float32", range(250)), None) is not None


def test_random_legal_evaluations_escape_from_a_float64_envelope_without_outward_rounding(monkeypatch):
    """In float64 the ends must be moved by the envelope itself, since their own arithmetic has no bits to spare."""
    no_widening(monkeypatch)
    assert next(escapes("float64", range(50)), None) is not None


def test_a_division_by_the_root_of_minus_zero_is_infinite_with_the_other_sign():
    """v~ of -1e-60 rounds to -0.0 in float32, sqrt(-0.0) is -0.0, and g / -0.0 is -inf: IEEE 754 says so of each."""
    # centered, eps inside, eps = 0: v = 0 and alpha = 1 keep v~ = 0 - g_ave^2, fused, of a g_ave of 1e-30.
    hyper = Hyperparameters(alpha=1.0, eps=0.0, momentum=0.9)
    allowed = envelope(one(g=1.0, g_ave=np.float32(1e-30)), FORMATS["float32"], hyper, DIALECTS["graves2013"])
    with np.errstate(all="ignore"):
        v_tilde = np.float32(0.0 - np.float64(np.float32(1e-30)) ** 2)
        buffer = np.float32(1.0) / np.sqrt(v_tilde)
    assert buffer == -np.inf
    assert allowed["momentum_buffer"].contains(np.array([float(buffer)]))[0]


def test_decoupled_decay_may_multiply_by_one_minus_lr_lambda():
    """``Dialect.decay`` writes it theta (1 - lr lambda), as AdamW does: mul_(1 - lr * weight_decay)."""
    theta, g = np.float32(float.fromhex("0x1.00ccfcp+0")), np.float32(float.fromhex("0x1.66461ap-14"))
    hyper = Hyperparameters(lr=1.0, weight_decay=0.001681, alpha=1.0, eps=0.0)
    allowed = envelope(one(theta, g, v=1.0), FORMATS["float32"], hyper, DIALECTS["keras3"])
    found = theta * np.float32(1 - 0.001681) - g
    assert allowed["param"].contains(np.array([float(found)]))[0]


# -- tightness


@pytest.fixture(scope="module")
def everyday() -> Before:
    """Parameters of order 1, gradients of order 1 and the state of some steps, in float32."""
    generator = np.random.default_rng(7)
    theta, g, g_ave, b = (generator.normal(size=2000).astype(np.float32).astype(np.float64) for _ in range(4))
    v = (generator.random(2000) + 0.1).astype(np.float32).astype(np.float64)
    return Before(theta, g, v, g_ave * 0.1, b)


def test_the_square_average_is_three_to_five_ulps_wide(everyday):
    """Median over everyday float32 data; one ulp or two would refuse a legal form, ten would hide a fault."""
    width = ulps(envelope(everyday, FORMATS["float32"], Hyperparameters())["square_avg"], "float32")
    assert 3 <= np.median(width) <= 5
    assert width.max() < 20


@pytest.mark.parametrize("name", REALS)
def test_every_role_is_a_few_ulps_wide(name):
    """Median in any format, at the page's defaults with momentum: the parameter's is about one rounding each way."""
    generator = np.random.default_rng(7)
    theta, g, b = (stored(generator.normal(size=2000) + 3, FORMATS[name]) for _ in range(3))
    v = stored(generator.random(2000) + 0.1, FORMATS[name])
    allowed = envelope(Before(theta, g, v, theta * 0, b), FORMATS[name], Hyperparameters(momentum=0.9))
    limits = {"square_avg": 6, "momentum_buffer": 12, "param": 4}
    assert allowed.keys() == limits.keys()
    for role, limit in limits.items():
        assert 1 < np.median(ulps(allowed[role], name)) < limit, role


RIGHT = Hyperparameters(lr=1.0, alpha=0.5, eps=0.5, weight_decay=0.5, momentum=0.5, centered=True)

FAULTS: dict[str, tuple[Hyperparameters, Dialect, str]] = {
    "eps inside the root": (RIGHT, DIALECTS["tensorflow"], "momentum_buffer"),
    "no eps": (replace(RIGHT, eps=0.0), SPECIFICATION, "momentum_buffer"),
    "no weight decay": (replace(RIGHT, weight_decay=0.0), SPECIFICATION, "square_avg"),
    "decoupled weight decay": (RIGHT, replace(SPECIFICATION, decay="decoupled-lr"), "square_avg"),
    "lr in the buffer": (replace(RIGHT, lr=0.5), replace(SPECIFICATION, lr_place="inside"), "momentum_buffer"),
    "nesterov": (RIGHT, replace(SPECIFICATION, nesterov=True), "param"),
    "ascent": (RIGHT, DIALECTS["torch-maximize"], "param"),
    "not centered": (replace(RIGHT, centered=False), SPECIFICATION, "momentum_buffer"),
    "always the plain branch": (replace(RIGHT, momentum=0.0), SPECIFICATION, "param"),
    "bias correction": (RIGHT, replace(SPECIFICATION, bias_correction=True), "momentum_buffer"),
    "another alpha": (replace(RIGHT, alpha=0.25), SPECIFICATION, "square_avg"),
}


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_formula_is_outside(fault, name):
    """One directed element shows each classical fault, in every format, and the right formula is inside."""
    wrong, dialect, role = FAULTS[fault]
    values = (1.5, 0.75, 4.0, 0.25, 2.0)
    rng = random.Random(fault)
    allowed = envelope(one(*values), FORMATS[name], RIGHT)
    for _ in range(5):
        good = evaluated(values, FORMATS[name], RIGHT, SPECIFICATION, rng, exact=True)
        bad = evaluated(values, FORMATS[name], wrong, dialect, rng, exact=True)
        assert all(allowed[each].contains(np.array([value]))[0] for each, value in good.items())
        assert not allowed[role].contains(np.array([bad[role]]))[0]


def test_one_minus_alpha_formed_in_float32_is_refused_unless_scalars_are_of_the_storage():
    """alpha = 0.999 as a float32 makes 1 - alpha wrong by 1.6e-5, two hundred ulps of v."""
    before_step = one(theta=1.0, g=1.5, v=0.0)
    late = np.float32(1) - np.float32(0.999)
    v = np.array([float(late * np.float32(2.25))])
    hyper = Hyperparameters(alpha=0.999)
    assert not envelope(before_step, FORMATS["float32"], hyper)["square_avg"].contains(v)[0]
    assert envelope(before_step, FORMATS["float32"], hyper, scalars="storage")["square_avg"].contains(v)[0]
    v = np.array([float(np.float32(0.001) * np.float32(2.25))])
    assert envelope(before_step, FORMATS["float32"], hyper)["square_avg"].contains(v)[0]


def test_hyperparameters_rounded_to_a_half_are_refused_unless_scalars_are_of_the_storage():
    """lr = 0.01 as a bfloat16 is off by 0.1 %, more than the envelope of the step from a parameter of 0."""
    fmt = FORMATS["bfloat16"]
    hyper = Hyperparameters(lr=0.011, alpha=1.0, eps=0.0)
    exact, late = (np.array([-lr]) for lr in (0.011, fmt.round(0.011)))
    assert abs(late / exact - 1)[0] > 1e-3
    hyper64 = envelope(one(g=1.0, v=1.0), FORMATS["float32"], hyper)
    assert not hyper64["param"].contains(late)[0]
    strict, loose = (envelope(one(g=1.0, v=1.0), fmt, hyper, scalars=each) for each in ("double", "storage"))
    assert strict["param"].hi[0] - strict["param"].lo[0] < loose["param"].hi[0] - loose["param"].lo[0]


def test_an_element_that_nothing_happens_to_is_exact():
    """With no gradient and no state, v stays 0 and the parameter is known to one rounding."""
    allowed = envelope(one(theta=1.0), FORMATS["float32"], Hyperparameters(momentum=0.9, centered=True))
    assert ends(allowed["square_avg"]) == ends(allowed["grad_avg"]) == ends(allowed["momentum_buffer"]) == (0, 0)
    lo, hi = ends(allowed["param"])
    assert 1 - 2.0**-23 < lo <= 1 <= hi < 1 + 2.0**-23


# -- what the envelope says about hazards, hidden state and policies


def test_a_constant_gradient_with_centered_makes_nan_reachable():
    """v - g_ave^2 cancels to 0 give or take a rounding: the hazard of the formula is flagged."""
    hyper = Hyperparameters(centered=True, alpha=0.5)
    assert envelope(one(1.0, 1.5, 2.25, 1.5), FORMATS["float32"], hyper)["param"].nan[0]
    plain = envelope(one(1.0, 1.5, 2.25, 1.5), FORMATS["float32"], replace(hyper, centered=False))
    assert plain["param"].nan is None or not plain["param"].nan[0]


def test_zero_over_zero_makes_nan_reachable():
    """With eps=0 a first gradient of 0 gives 0/0."""
    assert envelope(one(1.0), FORMATS["float32"], Hyperparameters(eps=0.0))["param"].nan[0]
    assert envelope(one(1.0), FORMATS["float32"], Hyperparameters())["param"].nan is None


def test_a_nan_input_makes_its_own_element_anything_and_no_other():
    """NaN in, NaN or anything out; the neighbour is as bounded as ever."""
    values = Before(np.ones(2), np.array([np.nan, 1.0]), np.ones(2), np.zeros(2), np.zeros(2))
    allowed = envelope(values, FORMATS["float32"], Hyperparameters())
    for interval in allowed.values():
        assert interval.bounded().tolist() == [False, True]
        assert interval.nan.tolist() == [True, False]


def test_an_infinite_gradient_makes_the_result_unbounded_or_nan():
    """inf/inf: the parameter may be NaN, and v is infinite."""
    allowed = envelope(one(1.0, np.inf), FORMATS["float32"], Hyperparameters())
    assert allowed["square_avg"].contains(np.array([np.inf]))[0]
    assert allowed["param"].contains(np.array([np.nan]))[0]


@pytest.mark.parametrize("name", REALS)
def test_hidden_state_gives_an_envelope_around_those_of_every_state_it_may_be(name):
    """Intervals in, wider intervals out, wherever the state that is known gives a bounded one."""
    rng, generator = random.Random(name), np.random.default_rng(5)
    fmt = FORMATS[name]
    for mode in MODES:
        hyper = hyperparameters(rng, fmt)
        low, high = (before(generator, fmt, 50, mode) for _ in range(2))
        hidden = {
            role: (np.minimum(a, b), np.maximum(a, b), None)
            for role, a, b in ((r, getattr(low, r), getattr(high, r)) for r in ROLES[:3])
        }
        wide = envelope(replace(low, **hidden), fmt, hyper)
        for known in (low, replace(low, **{r: getattr(high, r) for r in hidden})):
            for role, interval in envelope(known, fmt, hyper).items():
                assert (~interval.bounded() | (wide[role].lo <= interval.lo)).all()
                assert (~interval.bounded() | (wide[role].hi >= interval.hi)).all()
                assert wide[role].nan is not None or interval.nan is None or not interval.nan.any()
                assert interval.nan is None or not (interval.nan & ~wide[role].nan).any()


def test_the_elements_at_an_index_have_the_envelope_they_had_among_the_others(everyday):
    """Before.at picks elements, of hidden state too; the envelope is elementwise."""
    hidden = replace(everyday, square_avg=(everyday.square_avg, everyday.square_avg * 2, None))
    hyper = Hyperparameters(centered=True, momentum=0.9)
    index = np.array([5, 3, 100])
    for values in (everyday, hidden):
        whole, part = envelope(values, FORMATS["float32"], hyper), envelope(values.at(index), FORMATS["float32"], hyper)
        for role in whole:
            assert (whole[role].lo[index] == part[role].lo).all()
            assert (whole[role].hi[index] == part[role].hi).all()


@pytest.mark.parametrize("policy", ["approximate-division", "flush-subnormals", "fast-math"])
@pytest.mark.parametrize("name", REALS)
def test_a_weaker_policy_gives_a_wider_envelope(policy, name):
    """Never narrower than the default, strict; wider somewhere."""
    fmt = FORMATS[name]
    generator = np.random.default_rng(2)
    wider = 0
    for mode in MODES:
        values = before(generator, fmt, 100, mode)
        strict, weak = (envelope(values, fmt, Hyperparameters(), policy=POLICIES[each]) for each in ("strict", policy))
        for role in strict:
            assert (weak[role].lo <= strict[role].lo).all()
            assert (weak[role].hi >= strict[role].hi).all()
            wider += ((weak[role].lo < strict[role].lo) | (weak[role].hi > strict[role].hi)).sum()
        default = envelope(values, fmt, Hyperparameters())
        assert all((default[role].lo == strict[role].lo).all() for role in default)
    assert wider > 0


def test_the_roles_are_those_that_the_step_sets():
    """grad_avg only with centered, momentum_buffer only with momentum."""
    assert set(envelope(one(1.0), FORMATS["float32"], Hyperparameters())) == {"square_avg", "param"}
    both = Hyperparameters(centered=True, momentum=0.5)
    assert tuple(envelope(one(1.0), FORMATS["float32"], both)) == ROLES


def test_no_element_has_an_envelope_of_no_elements():
    """Shape (0,) in, shape (0,) out."""
    empty = Before(*(np.zeros(0) for _ in range(5)))
    allowed = envelope(empty, FORMATS["float32"], Hyperparameters(centered=True, momentum=0.9, weight_decay=0.1))
    assert {interval.lo.shape for interval in allowed.values()} == {(0,)}


# -- other array libraries


def on_torch(torch, values: Before, device: str) -> Before:
    return Before(*(torch.from_numpy(each).to(device) for each in elements(values)))


def device_or_skip(torch, device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return device


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("name", REALS)
def test_the_envelope_of_torch_tensors_is_that_of_numpy_arrays(name, device):
    """Bit for bit before the root, then to 1e-9: torch's root of float64 on a CPU is an ulp off in 1 of 100 cases."""
    torch = pytest.importorskip("torch")
    device_or_skip(torch, device)
    rng, generator = random.Random(name), np.random.default_rng(4)
    for mode in MODES * 2:
        hyper = hyperparameters(rng, FORMATS[name])
        values = before(generator, FORMATS[name], 200, mode)
        ours = envelope(values, FORMATS[name], hyper)
        theirs = envelope(on_torch(torch, values, device), FORMATS[name], hyper)
        assert ours.keys() == theirs.keys()
        for role, interval in ours.items():
            slack = 0.0 if role in ("square_avg", "grad_avg") else 1e-9  # the parameter may cancel
            for end in ("lo", "hi"):
                found = getattr(theirs[role], end)
                assert found.device.type == device
                np.testing.assert_allclose(found.cpu().numpy(), getattr(interval, end), rtol=slack, atol=0)
            nan = theirs[role].nan
            assert (interval.nan is None) == (nan is None)
            assert nan is None or (nan.cpu().numpy() == interval.nan).all()


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`:UserWarning")
@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_the_envelope_can_be_compiled(backend):
    """torch.compile breaks the graph where the envelope looks at values, and gives the same ends."""
    torch = pytest.importorskip("torch")
    values = before(np.random.default_rng(1), FORMATS["float32"], 64, "tame")
    tensors = elements(on_torch(torch, values, "cpu"))

    def ends_of(*arrays):
        allowed = envelope(Before(*arrays), FORMATS["float32"], Hyperparameters())
        return {role: (interval.lo, interval.hi) for role, interval in allowed.items()}

    expected = ends_of(*tensors)
    found = torch.compile(ends_of, backend=backend, fullgraph=False)(*tensors)
    for role, pair in expected.items():
        for a, b in zip(pair, found[role], strict=True):
            torch.testing.assert_close(a, b, rtol=2.0**-50, atol=0)
