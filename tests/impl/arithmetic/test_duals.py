"""Bounds of derivatives: around what every legal program finds, in forward and in reverse mode, and close to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rmspec.impl.arithmetic.duals import CUTS, Move, bound_derivatives
from rmspec.impl.arithmetic.envelope import Before
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import SPECIFICATION, Hyperparameters

torch = pytest.importorskip("torch")

COUNT = 64
Step = Callable[..., tuple[Any, ...]]


def plain(theta, g, v, m, b, lr, h):
    """The pseudocode, line by line."""
    g = g + h.weight_decay * theta if h.weight_decay else g
    v = h.alpha * v + (1 - h.alpha) * (g * g)
    m = m * h.alpha + (1 - h.alpha) * g
    d = (v - m * m if h.centered else v).sqrt() + h.eps
    if h.momentum:
        b = h.momentum * b + g / d
        return theta - lr * b, v, m, b
    return theta - lr * g / d, v, m, b


def incremental(theta, g, v, m, b, lr, h):
    """Means from their last values, squares by ``pow``, the product with lr first."""
    g = torch.add(g, theta, alpha=h.weight_decay)
    v = v + (1 - h.alpha) * (g.pow(2) - v)
    m = torch.lerp(m, g, 1 - h.alpha)
    d = (torch.addcmul(v, m, m, value=-1) if h.centered else v).pow(0.5) + h.eps
    if h.momentum:
        b = torch.addcdiv(b * h.momentum, g, d)
        return theta - b * lr, v, m, b
    return theta - (lr * g) / d, v, m, b


def backward(theta, g, v, m, b, lr, h):
    """Means from the new values where that is allowed, reciprocals, and the denominator over lr."""
    g = h.weight_decay * theta + g
    if h.alpha <= 0.5:
        v, m = g * g - h.alpha * (g * g - v), g - h.alpha * (g - m)
    else:
        v, m = v.mul(h.alpha).addcmul(g, g, value=1 - h.alpha), m + (g - m) * (1 - h.alpha)
    d = torch.sqrt(v - m.square() if h.centered else v) + h.eps
    if h.momentum:
        b = b * h.momentum + g * (1 / d)
        return theta - b * lr, v, m, b
    return theta - g / (d / lr), v, m, b


FORMS: tuple[Step, ...] = (plain, incremental, backward)


def drawn(seed: int, dtype: Any) -> tuple[list[Any], Hyperparameters, Any]:
    """Numbers of a chain of steps: a parameter and its gradients, options, and lr."""
    source = random.Random(seed)
    hyper = Hyperparameters(
        lr=float(np.float32(10 ** source.uniform(-3, 0))),
        alpha=source.choice((0.1, 0.3, 0.5, 0.75, 0.9, 0.99)),
        eps=source.choice((0.0, 1e-8, 1e-3, 0.25, 1.0)),
        weight_decay=source.choice((0.0, 0.01, 0.5)),
        momentum=source.choice((0.0, 0.5, 0.9)),
        centered=source.random() < 0.4,
    )
    torch.manual_seed(seed)
    tensors = [
        torch.randn(COUNT, dtype=dtype) * 10 ** source.uniform(-2, 2) for _ in range(1 + source.choice((1, 2, 3)))
    ]
    return tensors, hyper, torch.tensor(hyper.lr)


def chained(step: Step, tensors: list[Any], lr: Any, hyper: Hyperparameters) -> tuple[Any, list[Move]]:
    """The parameter after the steps, and the steps as they were seen."""
    theta, *grads = tensors
    state = [torch.zeros_like(theta) for _ in range(3)]
    moves = []
    for place, grad in enumerate(grads, 1):
        seen = (x.detach().double().numpy().copy() for x in (theta, grad, *state))
        moves.append(Move(Before(*seen), hyper, f"grad-{place}", place))
        theta, *state = step(theta, grad, *state, lr, hyper)
    return theta, moves


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("step", FORMS, ids=lambda step: step.__name__)
@pytest.mark.parametrize("name", ["float32", "float64"])
def test_every_form_in_both_modes_is_inside(step: Step, name: str) -> None:
    """Whatever reverse mode finds, and forward mode, lies between the ends, and most of these are close."""
    fmt, dtype = FORMATS[name], getattr(torch, name)
    judged = wide = 0
    for seed in range(20):
        tensors, hyper, rate = drawn(seed, dtype)
        leaves = [tensor.requires_grad_() for tensor in (*tensors, rate)]
        theta, moves = chained(step, leaves[:-1], leaves[-1], hyper)
        weights = torch.randn(COUNT, dtype=dtype)
        found = torch.autograd.grad(theta, leaves, weights)
        bounds = bound_derivatives(moves, weights.double().numpy(), fmt, SPECIFICATION, lr=True)
        for (source, (lo, hi)), derivative in zip(bounds.items(), found, strict=True):
            values = np.atleast_1d(derivative.double().numpy())
            bounded = np.isfinite(lo) & np.isfinite(hi)
            assert ((lo <= values) & (values <= hi))[bounded].all(), (seed, source, hyper)
            judged += bounded.sum()
            wide += (hi - lo > 1e-2 * np.maximum(abs(lo), abs(hi)))[bounded].sum()
        ones = [torch.ones_like(leaf) for leaf in leaves]
        for source, place in (("start", 0), ("grad-1", 1)):
            directions = [one if index == place else torch.zeros_like(one) for index, one in enumerate(ones)]
            _, forward = torch.func.jvp(
                lambda *values, hyper=hyper: chained_values(step, values, hyper), tuple(leaves), tuple(directions)
            )
            lo, hi = bound_derivatives(moves, np.ones(COUNT), fmt, SPECIFICATION)[source]
            values = forward.detach().double().numpy()
            bounded = np.isfinite(lo) & np.isfinite(hi)
            assert ((lo <= values) & (values <= hi))[bounded].all(), (seed, source, hyper)
    assert judged > 3000
    assert wide < judged / 4


def chained_values(step: Step, values: Any, hyper: Hyperparameters) -> Any:
    """The parameter after the steps."""
    theta, *grads, lr = values
    state = [torch.zeros_like(theta) for _ in range(3)]
    for grad in grads:
        theta, *state = step(theta, grad, *state, lr, hyper)
    return theta


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_the_exact_derivative_is_inside(name: str) -> None:
    """One power of two after the other: the derivative of one step, by hand."""
    hyper = Hyperparameters(lr=0.5, alpha=0.75, eps=0.0)
    before = Before(*(np.array([value]) for value in (2.0, 4.0, 0.0, 0.0, 0.0)))
    bounds = bound_derivatives([Move(before, hyper, "grad-1", 1)], np.ones(1), FORMATS[name], SPECIFICATION, lr=True)
    # From a state of 0 the step is lr / sqrt(1 - alpha), whatever the gradient is.
    for source, exact in (("start", 1.0), ("grad-1", 0.0), ("lr", -2.0)):
        lo, hi = bounds[source]
        assert lo[0] <= exact <= hi[0]
        assert hi[0] - lo[0] < 1e-5


def test_a_root_of_zero_has_no_bound() -> None:
    """Nor has what is divided by a number that may be 0, and nothing raises."""
    hyper = Hyperparameters(lr=0.5, alpha=0.75, eps=0.5)
    before = Before(*(np.array([value, value]) for value in (2.0, 0.0, 0.0, 0.0, 0.0)))
    bounds = bound_derivatives([Move(before, hyper, "grad-1", 1)], np.ones(2), FORMATS["float32"], SPECIFICATION)
    assert not np.isfinite(bounds["grad-1"]).any()
    assert np.array_equal(np.isfinite(bounds["start"]), np.ones((2, 2), bool))


@pytest.mark.parametrize("cut", list(CUTS))
def test_a_cut_leaves_other_derivatives(cut: str) -> None:
    """What is cut off shows in some derivative, beyond its bounds."""
    hyper = Hyperparameters(lr=0.25, alpha=0.75, eps=0.25, weight_decay=0.5, momentum=0.5, centered=True)
    tensors = [torch.tensor([value]) for value in (2.0, 0.5, -0.25)]
    _, moves = chained(plain, tensors, torch.tensor(0.25), hyper)
    whole = bound_derivatives(moves, np.ones(1), FORMATS["float32"], SPECIFICATION, lr=True)
    less = bound_derivatives(moves, np.ones(1), FORMATS["float32"], SPECIFICATION, lr=True, cuts=(cut,))
    assert any(less[source][1] < whole[source][0] or whole[source][1] < less[source][0] for source in whole)
