"""The filter never accepts what the intervals refuse, nor where they are unbounded."""

import math
import random
import sys
from dataclasses import replace

import numpy as np
import pytest
from cases import MODES, before, elements, hyperparameters, stored
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed import mixed

from rmspec.impl.arithmetic.amendments import Amendment, amend
from rmspec.impl.arithmetic.balls import Ball, shrunk
from rmspec.impl.arithmetic.envelope import ROLES, Before, accepted, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters

HALVES = ("float16", "bfloat16")
NARROW = ("float32", *HALVES, "complex64")


def one(theta=0.0, g=0.0, v=0.0, g_ave=0.0, b=0.0) -> Before:
    return Before(*(np.array([float(each)]) for each in (theta, g, v, g_ave, b)))


def observations(allowed, values, fmt, hyper, dialect, generator):
    """Observations at and around everything that could be a boundary: of the envelope, of the format, of the ball."""
    ends = {role: (interval.lo, interval.hi) for role, interval in allowed.items()}
    yield {role: lo for role, (lo, hi) in ends.items()}
    yield {role: hi for role, (lo, hi) in ends.items()}
    for away in (-math.inf, math.inf):
        yield {role: np.nextafter(lo, away) for role, (lo, hi) in ends.items()}
        yield {role: np.nextafter(hi, away) for role, (lo, hi) in ends.items()}
    with np.errstate(all="ignore"):
        inner = {role: lo + (hi - lo) * generator.random(lo.size) for role, (lo, hi) in ends.items()}
    yield inner
    yield {role: stored(value, fmt) for role, value in inner.items()}
    ulp = 2 * fmt.unit_roundoff
    for factor in (1 - ulp, 1 + ulp):
        yield {role: stored(lo * factor, fmt) for role, (lo, hi) in ends.items()}
        yield {role: stored(hi * factor, fmt) for role, (lo, hi) in ends.items()}
    # The ball's own boundary: from two distances and the uses that they are reported with follow centre and radius.
    near = {role: np.nan_to_num((lo + hi) / 2, nan=0.0, posinf=0.0, neginf=0.0) for role, (lo, hi) in ends.items()}
    far = {role: value + 1.0 + np.abs(value) for role, value in near.items()}
    first, second = (accepted(values, each, fmt, hyper, dialect) for each in (near, far))
    if first is None or second is None:
        return
    with np.errstate(all="ignore"):
        for sign in (1, -1):
            radius = {role: (far[role] - near[role]) / (second[role][1] - sign * first[role][1]) for role in near}
            centre = {role: near[role] - sign * first[role][1] * radius[role] for role in near}
            for use in (1 - 2.0**-40, 1.0, 1 + 2.0**-40, 1 + 2.0**-16, -1.0, -1 - 2.0**-16):
                yield {role: centre[role] + use * radius[role] for role in near}


def refused(values, fmt, hyper, dialect, generator):
    """(outside, unbounded, accepted): acceptances that the intervals refuse, where they are unbounded, and all."""
    allowed = envelope(values, fmt, hyper, dialect)
    outside = unbounded = total = 0
    with np.errstate(all="ignore"):
        for after in observations(allowed, values, fmt, hyper, dialect, generator):
            found = accepted(values, after, fmt, hyper, dialect)
            if found is None:
                continue
            for role, (inside, _) in found.items():
                outside += int((inside & ~allowed[role].contains(after[role])).sum())
                unbounded += int((inside & ~allowed[role].bounded()).sum())
                total += int(inside.sum())
    return outside, unbounded, total


@pytest.mark.parametrize("name", NARROW)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_filter_accepts_nothing_that_the_intervals_refuse(name, dialect):
    """Random elements of one magnitude and of mixed ones, observed at every boundary of envelope, format and ball."""
    rng, generator = random.Random(f"{name} {dialect}"), np.random.default_rng(len(name + dialect))
    total = 0
    for _ in range(40):
        hyper = hyperparameters(rng, FORMATS[name])
        values = before(generator, FORMATS[name], rng.choice([1, 2, 5, 40]), rng.choice(MODES))
        outside, unbounded, count = refused(values, FORMATS[name], hyper, DIALECTS[dialect], generator)
        assert (outside, unbounded) == (0, 0), (hyper, elements(values))
        total += count
    assert total > 0


@pytest.mark.parametrize("name", NARROW)
def test_the_filter_accepts_no_more_of_mixed_dialects(name):
    """Switches drawn at random, alone and limited to some lines of the pseudocode."""
    rng, generator = random.Random(name), np.random.default_rng(len(name))
    total = 0
    for seed in range(60):
        dialect = replace(mixed(seed), bias_correction=False)
        if seed % 3 == 0:
            place = Amendment("eps-placement", (("eps_place", rng.choice(("inside", "outside", "none"))),))
            dialect = amend(dialect, replace(place, lines=(rng.choice(("param", "momentum_buffer", "grad_avg")),)))
        hyper = hyperparameters(rng, FORMATS[name])
        values = before(generator, FORMATS[name], rng.choice([1, 5, 40]), rng.choice(MODES))
        outside, unbounded, count = refused(values, FORMATS[name], hyper, dialect, generator)
        assert (outside, unbounded) == (0, 0), (dialect, hyper, elements(values))
        total += count
    assert total > 0


def test_the_harness_finds_a_filter_that_accepts_too_much(monkeypatch):
    """With a radius that is one half too large, observations outside the envelope are accepted."""
    monkeypatch.setattr(sys.modules[accepted.__module__], "shrunk", lambda ball: ball.r * 1.5)
    values = before(np.random.default_rng(0), FORMATS["float32"], 40, "tame")
    assert refused(values, FORMATS["float32"], Hyperparameters(), SPECIFICATION, np.random.default_rng(0))[0] > 0


@settings(max_examples=250, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_the_filter_accepts_nothing_that_the_intervals_refuse_of_single_elements(data):
    """Hypothesis draws one element, options and format: single elements are not shielded by their neighbours."""
    fmt = FORMATS[data.draw(st.sampled_from(NARROW))]
    width = {"float16": 16}.get(fmt.name, 32)
    number = st.floats(width=width, allow_nan=False, allow_infinity=False)
    theta, g, v, g_ave, b = (float(stored(data.draw(number), fmt)) for _ in range(5))
    option = st.sampled_from([0.0, 1e-8, 1e-3, 0.01, 0.5, 0.9, 0.99, 1.0, 30.0])
    hyper = Hyperparameters(
        lr=data.draw(option),
        alpha=data.draw(st.sampled_from([0.0, 0.1, 0.5, 0.9, 0.99, 1.0])),
        eps=data.draw(option),
        weight_decay=data.draw(option),
        momentum=data.draw(option),
        centered=data.draw(st.booleans()),
    )
    dialect = DIALECTS[data.draw(st.sampled_from(sorted(DIALECTS)))]
    generator = np.random.default_rng(data.draw(st.integers(0, 1000)))
    assert refused(one(theta, g, abs(v), g_ave, b), fmt, hyper, dialect, generator)[:2] == (0, 0)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_the_filter_accepts_nothing_where_the_envelope_is_unbounded_in_daily_work(name):
    """With an eps that the format can hold, no order of evaluation divides by 0."""
    rng, generator = random.Random(name), np.random.default_rng(9)
    for _ in range(60):
        hyper = Hyperparameters(
            lr=rng.choice([1e-3, 0.01, 1.0]),
            alpha=rng.choice([0.5, 0.9, 0.99]),
            eps=rng.choice([1e-8, 1e-3, 1.0]),
            weight_decay=rng.choice([0.0, 0.1]),
            momentum=rng.choice([0.0, 0.9]),
            centered=rng.random() < 0.5,
        )
        values = before(generator, FORMATS[name], 20, rng.choice(["tame", "repeated", "tiny", "huge"]))
        assert refused(values, FORMATS[name], hyper, SPECIFICATION, generator)[:2] == (0, 0)


LARGEST = FORMATS["float32"].max_finite

UNBOUNDED = {
    "v below the subnormals, no eps": (
        "float32",
        Hyperparameters(eps=0.0),
        SPECIFICATION,
        one(1.0, np.float32(1e-22)),
        1 - 0.1,
    ),
    "v forgotten by alpha = 0, no eps": (
        "float32",
        Hyperparameters(alpha=0.0, eps=0.0),
        SPECIFICATION,
        one(1.0, np.float32(1e-5), 1.0),
        1 - 0.01,
    ),
    "momentum and lr of 30": (
        "float32",
        Hyperparameters(lr=30.0, momentum=30.0),
        SPECIFICATION,
        one(v=1.0, b=np.float32(LARGEST / 900)),
        -900 * float(np.float32(LARGEST / 900)),
    ),
    "a mean written as x + (1 - alpha)(y - x) reaches below zero, and eps is inside the root": (
        "float32",
        Hyperparameters(alpha=0.0, eps=1e-7),
        DIALECTS["keras3"],
        one(1.0, np.float32(1e-4), 16.0),
        1 - 0.01 * 1e-4 / math.sqrt(1e-8 + 1e-7),
    ),
    "constant gradients, centered, and eps inside the root": (
        "float32",
        Hyperparameters(lr=0.001, alpha=0.9, eps=1e-07, centered=True),
        DIALECTS["keras3"],
        one(1.0, 0.615385115146637, 0.378698468208313, 0.6153847575187683),
        -0.5403671264648438,
    ),
    "... in bfloat16, with an eps of 1/1024": (
        "bfloat16",
        Hyperparameters(lr=0.125, alpha=0.5, eps=2.0**-10, centered=True),
        DIALECTS["optax"],
        one(1.0, 1.0, 1.0, 1.0),
        1 - 0.125 * 32,
    ),
    "... with a momentum of 0.5, where eps moves": (
        "float32",
        Hyperparameters(lr=2.0**-10, alpha=0.5, eps=2.0**-24, momentum=0.5, centered=True),
        DIALECTS["keras-legacy"],
        one(1.0, 1.0, 1.0, 1.0),
        1 - 2.0**-10 * 2.0**12,
    ),
    "... with eps inside by an amendment of the line of the buffer": (
        "float32",
        Hyperparameters(lr=2.0**-10, alpha=0.5, eps=2.0**-24, momentum=0.5, centered=True),
        amend(
            SPECIFICATION, Amendment("eps-placement", (("eps_place", "inside"),), lines=("momentum_buffer", "param"))
        ),
        one(1.0, 1.0, 1.0, 1.0),
        1 - 2.0**-10 * 2.0**12,
    ),
    "... and no eps at all": (
        "float16",
        Hyperparameters(alpha=0.5),
        Dialect("graves without eps", "", eps_place="none", centered_form="always"),
        one(1.0, 1.0, 1.0, 0.9990234375),
        0.75,
    ),
    "lr times weight decay past the largest number": (
        "float16",
        Hyperparameters(lr=300.0, weight_decay=300.0),
        DIALECTS["keras3"],
        one(np.float16(0.001), v=1.0),
        float(np.float16(0.001)) * (1 - 90000.0),
    ),
}


@pytest.mark.parametrize("case", UNBOUNDED)
def test_the_filter_accepts_nothing_where_the_envelope_is_unbounded(case):
    """An element that is inconclusive must not be called a pass (DESIGN 2.1)."""
    name, hyper, dialect, values, observed = UNBOUNDED[case]
    allowed = envelope(values, FORMATS[name], hyper, dialect)["param"]
    assert not allowed.bounded()[0]
    found = accepted(values, {"param": np.array([observed])}, FORMATS[name], hyper, dialect)
    assert found is None or not found["param"][0][0]


def test_the_harness_finds_a_filter_that_passes_what_is_unbounded(monkeypatch):
    """With a reach of 0, elements of constant gradients are accepted whose denominator may be 0."""
    monkeypatch.setattr(sys.modules[accepted.__module__], "root_above", lambda radicand, *_: radicand.sqrt())
    generator = np.random.default_rng(0)
    values = before(generator, FORMATS["float32"], 40, "repeated")
    hyper = Hyperparameters(eps=1e-7, centered=True)
    assert refused(values, FORMATS["float32"], hyper, DIALECTS["keras3"], generator)[1] > 0


def test_the_filter_decides_about_constant_gradients_where_the_envelope_is_bounded():
    """A variance of a thousandth of v is not too near to 0: eps inside the root costs no speed in daily work."""
    g = np.linspace(0.1, 2.0, 1000).astype(np.float32).astype(np.float64)
    values = Before(np.ones(1000), g, g * g * (1 + 2.0**-9), g, np.zeros(1000))
    hyper, fmt = Hyperparameters(lr=0.001, alpha=0.9, eps=1e-7, centered=True), FORMATS["float32"]
    allowed = envelope(values, fmt, hyper, DIALECTS["keras3"])
    assert allowed["param"].bounded().all()
    found = accepted(values, {"param": (allowed["param"].lo + allowed["param"].hi) / 2}, fmt, hyper, DIALECTS["keras3"])
    assert found is not None
    assert found["param"][0].all()


def test_the_filter_accepts_nearly_all_of_what_a_correct_float32_implementation_does():
    """Else it would be no use: at least 99 % of everyday results, of each role."""
    generator = np.random.default_rng(0)
    theta, g, g_ave, b = (generator.normal(size=20000).astype(np.float32) for _ in range(4))
    v = (generator.random(20000) + 1).astype(np.float32)
    g_ave *= np.float32(0.1)
    hyper = Hyperparameters(momentum=0.9, centered=True, weight_decay=0.01)
    decayed = g + np.float32(0.01) * theta
    new_v = np.float32(0.99) * v + np.float32(0.01) * decayed * decayed
    new_ave = np.float32(0.99) * g_ave + np.float32(0.01) * decayed
    new_b = np.float32(0.9) * b + decayed / (np.sqrt(new_v - new_ave * new_ave) + np.float32(1e-8))
    new_theta = theta - np.float32(0.01) * new_b
    values = Before(*(each.astype(np.float64) for each in (theta, g, v, g_ave, b)))
    after = dict(zip(ROLES, (each.astype(np.float64) for each in (new_v, new_ave, new_b, new_theta)), strict=True))
    found = accepted(values, after, FORMATS["float32"], hyper)
    assert found is not None
    assert {role: inside.mean() > 0.99 for role, (inside, _) in found.items()} == dict.fromkeys(ROLES, True)
    assert all(used[inside].max() <= 1 for inside, used in found.values())


def test_the_filter_says_nothing_about_float64_hidden_state_or_bias_correction():
    """None means: ask the intervals."""
    values, after = one(1.0, 1.0, 1.0), {"param": np.array([1.0])}
    hyper = Hyperparameters()
    assert accepted(values, after, FORMATS["float32"], hyper) is not None
    assert accepted(values, after, FORMATS["float64"], hyper) is None
    assert accepted(values, after, FORMATS["complex128"], hyper) is None
    for role in ROLES[:3]:
        hidden = Before(
            **{
                **{r: getattr(values, r) for r in ("param", "grad", *ROLES[:3])},
                role: (after["param"], after["param"], None),
            }
        )
        assert accepted(hidden, after, FORMATS["float32"], hyper) is None
    assert accepted(values, after, FORMATS["float32"], hyper, Dialect("x", "x", bias_correction=True)) is None


def test_the_filter_says_nothing_about_numbers_that_may_overflow_or_are_not_finite():
    """A gradient whose square overflows, an infinite or NaN one, a negative variance, a denominator of 0."""
    after = {"param": np.array([1.0])}
    for values, eps in [
        (one(1.0, 1e20), 1e-8),
        (one(1.0, np.inf), 1e-8),
        (one(1.0, np.nan), 1e-8),
        (one(1.0, 1.0, 1.0, 5.0), 1e-8),
        (one(1.0, 1.0), 0.0),
        (one(1.0), 0.0),
        (one(np.nan, 1.0), 1e-8),
    ]:
        hyper = Hyperparameters(eps=eps, centered=True)
        found = accepted(values, after, FORMATS["float32"], hyper)
        assert found is None or not found["param"][0].any()


def test_the_filter_accepts_neither_nan_nor_infinity():
    """Those are for the intervals to judge."""
    values = one(1.0, 1.0, 1.0)
    for bad in (np.nan, np.inf, -np.inf):
        found = accepted(
            values, {"param": np.array([bad]), "square_avg": np.array([bad])}, FORMATS["float32"], Hyperparameters()
        )
        assert found is not None
        assert not any(inside.any() for inside, _ in found.values())


def test_a_role_that_the_step_does_not_set_is_never_accepted():
    """The filter knows nothing about a momentum buffer without momentum."""
    found = accepted(one(1.0, 1.0, 1.0), {"momentum_buffer": np.zeros(1)}, FORMATS["float32"], Hyperparameters())
    assert found is not None
    assert not found["momentum_buffer"][0].any()
    assert np.isnan(found["momentum_buffer"][1]).all()


def test_wide_tensors_are_filtered_in_blocks_with_the_answers_of_their_parts():
    """A block that the filter declines is declined alone; every other element has the answer it has by itself."""
    generator = np.random.default_rng(1)
    n = 16384 * 2 + 100
    values = before(generator, FORMATS["float32"], n, "tame")
    values.grad[16384 + 5] = 1e30
    after = {"param": values.param.copy(), "square_avg": values.square_avg.copy()}
    found = accepted(values, after, FORMATS["float32"], Hyperparameters())
    assert found is not None
    assert not found["param"][0][16384 : 2 * 16384].any()
    for block in (slice(0, 16384), slice(2 * 16384, n)):
        part = accepted(
            values.at(block), {r: a[block] for r, a in after.items()}, FORMATS["float32"], Hyperparameters()
        )
        assert part is not None
        for role in after:
            assert (part[role][0] == found[role][0][block]).all()
            np.testing.assert_array_equal(part[role][1], found[role][1][block])


def test_no_element_is_filtered_to_no_answer():
    """Shape (0,) in, shape (0,) out."""
    found = accepted(
        Before(*(np.zeros(0) for _ in range(5))), {"param": np.zeros(0)}, FORMATS["float32"], Hyperparameters()
    )
    assert found is not None
    assert found["param"][0].shape == found["param"][1].shape == (0,)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("name", ["float32", *HALVES])
def test_the_filter_on_torch_tensors_is_that_on_numpy_arrays(name, device):
    """The same acceptances; the same use of the ball but for what torch's root of float64 is off."""
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    rng, generator = random.Random(name), np.random.default_rng(3)
    fmt, answered = FORMATS[name], 0
    for mode, n in zip(MODES * 6, (1, 3, 50) * 10, strict=True):
        hyper = hyperparameters(rng, fmt)
        values = before(generator, fmt, n, mode)
        with np.errstate(all="ignore"):
            allowed = envelope(values, fmt, hyper)
            after = {role: stored(np.nan_to_num((x.lo + x.hi) / 2), fmt) for role, x in allowed.items()}
        ours = accepted(values, after, fmt, hyper)
        tensors = Before(*(torch.from_numpy(each).to(device) for each in elements(values)))
        theirs = accepted(
            tensors, {role: torch.from_numpy(each).to(device) for role, each in after.items()}, fmt, hyper
        )
        assert (ours is None) == (theirs is None)
        for role in ours or ():
            answered += 1
            assert (ours[role][0] == theirs[role][0].cpu().numpy()).all()
            np.testing.assert_allclose(theirs[role][1].cpu().numpy(), ours[role][1], rtol=1e-6, atol=1e-6)
    assert answered > 0


# -- balls one by one


@pytest.mark.parametrize("operation", ["add", "sub", "mul", "div", "sqrt"])
def test_every_point_of_a_ball_is_reached_by_operands_in_the_balls(operation):
    """The radius is an inner bound: the ends lie inside what corners of the operands give, and a rounding."""
    rng = random.Random(operation)
    for _ in range(3000):
        u = 2.0 ** -rng.choice([8, 11, 24])
        x, y = (rng.choice([-1, 1]) * rng.random() * 2.0 ** rng.randrange(-20, 20) for _ in range(2))
        r, s = (abs(c) * rng.choice([0.0, u, 10 * u, 0.5 * rng.random()]) for c in (x, y))
        if operation in ("div", "sqrt"):
            y, x = abs(y), abs(x) if operation == "sqrt" else x
        a, b = Ball(np.array([x]), np.array([r]), u), Ball(np.array([y]), np.array([s]), u)
        xs, ys = (x - r, x + r), (y - s, y + s)
        match operation:
            case "add":
                ball, corners = a + b, [p + q for p in xs for q in ys]
            case "sub":
                ball, corners = a - b, [p - q for p in xs for q in ys]
            case "mul":
                ball, corners = a * b, [p * q for p in xs for q in ys]
            case "div":
                ball, corners = a / b, [p / q for p in xs for q in ys]
            case _:
                ball, corners = a.sqrt(), [math.sqrt(p) for p in xs]
        low, high = min(corners), max(corners)
        radius = float(shrunk(ball)[0])
        assert float(ball.c[0]) - radius >= low - u * abs(low)
        assert float(ball.c[0]) + radius <= high + u * abs(high)


def test_the_root_of_a_ball_that_reaches_below_zero_is_nan_and_nothing_is_inside_of_it():
    """The hazard is for the intervals to judge."""
    root = Ball(np.array([1.0, 4.0]), np.array([2.0, 0.0]), 2.0**-24).sqrt()
    assert np.isnan(root.c).tolist() == [True, False]


def test_negation_and_one_minus_a_ball_are_exact():
    """Neither widens: 1 - alpha is formed once, in float64."""
    ball = Ball(np.array([0.25]), np.array([0.125]), 2.0**-24)
    assert ((-ball).c[0], (-ball).r[0]) == (-0.25, 0.125)
    assert ((1 - ball).c[0], (1 - ball).r[0]) == (0.75, 0.125)


@pytest.mark.parametrize(
    ("hyper", "case"),
    [
        ({}, {"theta": LARGEST / 8}),
        ({}, {"g": 1e19}),
        ({"eps": 0.0, "lr": 1e36}, {}),
        ({"lr": 1e-25}, {"v": 1e30}),
        ({"momentum": 1e30}, {"b": 1e10}),
        ({"lr": 1e20, "weight_decay": 1e20}, {}),
        ({"weight_decay": 1e19}, {"theta": 10.0}),
        ({}, {"theta": float("nan")}),
        ({}, {"g": float("inf")}),
    ],
)
@pytest.mark.parametrize("place", ["outside", "inside", "none"])
def test_magnitudes_that_some_order_could_overflow_are_not_decided(hyper, case, place):
    """Each by itself; everyday magnitudes are."""
    dialect = replace(SPECIFICATION, eps_place=place)
    everyday, after = {"theta": 10.0, "g": 10.0, "v": 100.0, "b": 10.0}, {"param": np.array([1.0])}
    assert accepted(one(**everyday), after, FORMATS["float32"], Hyperparameters(), dialect) is not None
    values = one(**{**everyday, **case})
    assert accepted(values, after, FORMATS["float32"], Hyperparameters(**hyper), dialect) is None
