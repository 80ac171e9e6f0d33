"""The pseudocode of the page, once.

``iterate`` is one turn of the loop ``for t = 1 to ...``, in the order and with the symbols of the page: ``theta``, ``g``,
``v``, ``g_ave``, ``b``, ``gamma`` (lr), ``alpha``, ``eps``, ``lambda_`` (weight decay), ``mu`` (momentum). It is written
over anything with ``+ - * /`` and a ``sqrt``: plain arrays make it the reference optimizer, intervals make it the
envelope, balls the fast filter in front of the envelope, exact or high-precision numbers the tests of all three.

Nothing else in rmspec states the update a second time. The switches of a ``Dialect`` are the only branches that the page
does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from rmspec.impl.spec.dialect import Dialect, Hyperparameters

__all__ = ["Iterate", "Number", "Symbols", "iterate"]


class Number(Protocol):
    """A number of the pseudocode: an array, an interval, a ball, an exact number, an expression."""

    def __add__(self, operand: Self, /) -> Self: ...
    def __sub__(self, operand: Self, /) -> Self: ...
    def __mul__(self, operand: Self, /) -> Self: ...
    def __truediv__(self, operand: Self, /) -> Self: ...
    def __neg__(self, /) -> Self: ...
    def __rsub__(self, operand: int, /) -> Self: ...


N = TypeVar("N", bound=Number)


@dataclass(frozen=True, slots=True)
class Symbols(Generic[N]):
    """The hyperparameters as numbers of the arithmetic in use: ``gamma``, ``alpha``, ``eps``, ``lambda_``, ``mu``."""

    gamma: N
    alpha: N
    eps: N
    lambda_: N
    mu: N


@dataclass(frozen=True, slots=True)
class Iterate(Generic[N]):
    """The result of one iteration; ``g_ave`` and ``b`` are ``None`` if their branch was not taken.

    ``g`` is the gradient with weight decay, ``d`` the denominator: intermediates, for those who bound them.
    """

    theta: N
    v: N
    g_ave: N | None
    b: N | None
    g: N
    d: N


def iterate(
    theta: N,
    g: N,
    v: N,
    g_ave: N,
    b: N,
    symbols: Symbols[N],
    *,
    hyper: Hyperparameters,
    dialect: Dialect,
    sqrt: Callable[[N], N],
    power: Callable[[N, int], N] | None = None,
    t: int = 1,
    see: Callable[[str, N], N] | None = None,
) -> Iterate[N]:
    """One iteration: theta_{t-1}, g_t, v_{t-1}, g_ave_{t-1}, b_{t-1} to theta_t and the new state.

    ``hyper`` decides the branches (``lambda != 0``, ``centered``, ``mu > 0``), ``symbols`` are the numbers calculated
    with. ``power(alpha, t)`` and ``t`` are used by dialects with bias correction alone. ``see(role, value)`` is called
    where v (``square_avg``), g_ave (``grad_avg``) and b (``momentum_buffer``) are assigned, and returns what the lines below
    use for it: the value itself, unless somebody has seen another.
    Source: the pseudocode of the page; for the other switches the sources that ``Dialect`` names.
    """
    see = see or _unseen
    gamma, alpha, eps, lambda_, mu = symbols.gamma, symbols.alpha, symbols.eps, symbols.lambda_, symbols.mu
    if dialect.maximize:
        g = -g
    if hyper.weight_decay != 0 and dialect.decay == "l2":
        g = g + lambda_ * theta
    if hyper.weight_decay != 0 and dialect.decay == "decoupled-lr":
        theta = theta - gamma * lambda_ * theta
    if hyper.weight_decay != 0 and dialect.decay == "decoupled":
        theta = theta - lambda_ * theta

    v = see("square_avg", alpha * v + (1 - alpha) * (g * g))
    v_tilde = v
    new_g_ave: N | None = None
    first_moment = None
    if dialect.centered(hyper):
        g_ave = see("grad_avg", g_ave * alpha + (1 - alpha) * g)
        new_g_ave = first_moment = g_ave
    if dialect.bias_correction:
        assert power is not None
        weight = 1 - power(alpha, t)
        v_tilde = v_tilde / weight
        first_moment = first_moment / weight if first_moment is not None else None
    if first_moment is not None:
        v_tilde = v_tilde - first_moment * first_moment

    match dialect.eps_at(hyper):
        case "outside":
            d = sqrt(v_tilde) + eps
        case "inside":
            d = sqrt(v_tilde + eps)
        case "none":
            d = sqrt(v_tilde)

    new_b: N | None = None
    if dialect.momentum(hyper):
        if dialect.lr_place == "outside":
            new_b = see("momentum_buffer", mu * b + g / d)
            move = mu * new_b + g / d if dialect.nesterov else new_b
            theta = theta - gamma * move
        else:
            new_b = see("momentum_buffer", mu * b + gamma * g / d)
            theta = theta - (mu * new_b + gamma * g / d if dialect.nesterov else new_b)
    else:
        theta = theta - gamma * g / d
    return Iterate(theta, v, new_g_ave, new_b, g, d)


def _unseen(role: str, value: N) -> N:
    return value
