"""One step written by hand from the sources, in high precision: the other half of every proof about the pseudocode.

``by_hand`` shares no code with ``rmspec.impl.spec.pseudocode``. The specification is transcribed from the page of
``torch.optim.RMSprop``; the other dialects from the equations that ``Dialect`` names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gmpy2
from gmpy2 import mpfr
from legal import EXACT

from rmspec.impl.spec.dialect import Dialect, Hyperparameters

Step = dict[str, Any]


def specification(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """The page, line by line."""
    if h.weight_decay != 0:
        g = g + mpfr(h.weight_decay) * theta
    v = mpfr(h.alpha) * v + (1 - mpfr(h.alpha)) * g**2
    tilde = v
    step = {"square_avg": v}
    if h.centered:
        step["grad_avg"] = ave * mpfr(h.alpha) + (1 - mpfr(h.alpha)) * g
        tilde = tilde - step["grad_avg"] ** 2
    if h.momentum > 0:
        step["momentum_buffer"] = mpfr(h.momentum) * b + g / (gmpy2.sqrt(tilde) + mpfr(h.eps))
        step["param"] = theta - mpfr(h.lr) * step["momentum_buffer"]
    else:
        step["param"] = theta - mpfr(h.lr) * g / (gmpy2.sqrt(tilde) + mpfr(h.eps))
    return step


def maximize(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """The page with the gradient negated first."""
    return specification(theta, -g, v, ave, b, h)


def tensorflow(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """The page with the root and the addition of eps interchanged."""
    if h.weight_decay != 0:
        g = g + mpfr(h.weight_decay) * theta
    v = mpfr(h.alpha) * v + (1 - mpfr(h.alpha)) * g**2
    step = {"square_avg": v}
    if h.centered:
        step["grad_avg"] = ave * mpfr(h.alpha) + (1 - mpfr(h.alpha)) * g
        v = v - step["grad_avg"] ** 2
    update = g / gmpy2.sqrt(v + mpfr(h.eps))
    if h.momentum > 0:
        step["momentum_buffer"] = update = mpfr(h.momentum) * b + update
    step["param"] = theta - mpfr(h.lr) * update
    return step


def lr_in_the_buffer(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """Keras 3 and optax: mom = momentum * mom + lr * g / sqrt(ms - mg^2 + eps), if there is momentum; var -= mom."""
    v = v + (g**2 - v) * (1 - mpfr(h.alpha))
    step = {"square_avg": v}
    if h.centered:
        step["grad_avg"] = ave + (g - ave) * (1 - mpfr(h.alpha))
        v = v - step["grad_avg"] ** 2
    update = mpfr(h.lr) * g / gmpy2.sqrt(v + mpfr(h.eps))
    if h.momentum > 0:
        step["momentum_buffer"] = update = mpfr(h.momentum) * b + update
    step["param"] = theta - update
    return step


def tensorflow_op(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """The operations of TensorFlow: the same with a mom that is written whatever momentum is."""
    step = lr_in_the_buffer(theta, g, v, ave, b, h)
    return {**step, "momentum_buffer": step.get("momentum_buffer", theta - step["param"])}


def keras_legacy(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """Keras 2: rms = rho * rms + (1 - rho) * g^2; var -= lr * g / (sqrt(rms - mg^2) + epsilon) without momentum; with it
    mom = momentum * mom + lr * g / sqrt(rms - mg^2 + epsilon), var -= mom.
    """
    v = mpfr(h.alpha) * v + (1 - mpfr(h.alpha)) * g**2
    step = {"square_avg": v}
    if h.centered:
        step["grad_avg"] = ave * mpfr(h.alpha) + (1 - mpfr(h.alpha)) * g
        v = v - step["grad_avg"] ** 2
    update = mpfr(h.lr) * g / (gmpy2.sqrt(v) + mpfr(h.eps))
    if h.momentum > 0:
        update = mpfr(h.lr) * g / gmpy2.sqrt(v + mpfr(h.eps))
        step["momentum_buffer"] = update = mpfr(h.momentum) * b + update
    step["param"] = theta - update
    return step


def keras3(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """Keras 3: variable -= variable * weight_decay * lr first, then as TensorFlow 1."""
    if h.weight_decay != 0:
        theta = theta - theta * mpfr(h.weight_decay) * mpfr(h.lr)
    return lr_in_the_buffer(theta, g, v, ave, b, h)


def graves2013(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """Graves 2013, equations 38-45 (n, g, Delta, w): always centered, the learning rate in Delta."""
    n = mpfr(h.alpha) * v + (1 - mpfr(h.alpha)) * g**2
    mean = mpfr(h.alpha) * ave + (1 - mpfr(h.alpha)) * g
    delta = mpfr(h.lr) * g / gmpy2.sqrt(n - mean**2 + mpfr(h.eps))
    step = {"square_avg": n, "grad_avg": mean}
    if h.momentum > 0:
        step["momentum_buffer"] = delta = mpfr(h.momentum) * b + delta
    step["param"] = theta - delta
    return step


def hinton(theta: Any, g: Any, v: Any, ave: Any, b: Any, h: Hyperparameters) -> Step:
    """Lecture 6: divide the gradient by the root of the running mean of its square."""
    mean_square = mpfr(h.alpha) * v + (1 - mpfr(h.alpha)) * g**2
    return {"square_avg": mean_square, "param": theta - mpfr(h.lr) * g / gmpy2.sqrt(mean_square)}


BY_HAND: dict[str, Callable[..., Step]] = {
    "torch": specification,
    "torch-maximize": maximize,
    "tensorflow": tensorflow,
    "tensorflow-op": tensorflow_op,
    "tensorflow1": tensorflow_op,
    "keras-legacy": keras_legacy,
    "optax": lr_in_the_buffer,
    "keras3": keras3,
    "graves2013": graves2013,
    "hinton": hinton,
}


def by_hand(elements: tuple[float, ...], hyper: Hyperparameters, dialect: Dialect) -> Step:
    """The exact result of one step of one element, by role, for a named dialect."""
    with gmpy2.context(EXACT):
        return BY_HAND[dialect.name](*(mpfr(each) for each in elements), hyper)
