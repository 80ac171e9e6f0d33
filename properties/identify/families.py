"""Other optimizers than RMSprop, in enough detail to name them.

Each family is its update over intervals, like the pseudocode. What was seen is compared with intervals that are as wide as
one format less precise would make them, so that every order of evaluation is inside: a family is named for the
reader's convenience, and no verdict rests on the name.
Sources: the pages of ``torch.optim`` and of ``keras.optimizers`` for these classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval
from rmspec.properties.identify.probes import Moment, Trace

__all__ = ["Family", "named"]


@dataclass(frozen=True, slots=True)
class Family:
    """An optimizer with one choice of its hidden options: its ``title``, its update, and its numbers."""

    title: str
    update: Callable[[_Numbers, dict[str, Interval]], Interval]
    constants: Mapping[str, float] = field(default_factory=dict)


class _Numbers:
    """One step of one element as intervals: ``theta``, ``g``, ``t``, and hyperparameters by name."""

    def __init__(self, trace: Trace, moment: Moment, t: int, constants: Mapping[str, float]) -> None:
        fmt = FORMATS[{"float64": "float32", "float32": "bfloat16"}.get(trace.format, "bfloat16")]
        self._arithmetic = Arithmetic(fmt, np.ones(1))
        self._options = {**constants, **moment.options}
        self.t = t
        self.sign = float(np.sign(moment.grad))
        self.theta = self.number(moment.before)
        self.g = self.number(moment.grad)

    def number(self, value: float) -> Interval:
        return self._arithmetic.point(np.full(1, value))

    def option(self, name: str, power: int = 1) -> Interval:
        return self._arithmetic.coefficient(float(self._options[name]) ** power)

    def mean(self, name: str, old: Interval, new: Interval) -> Interval:
        beta = self.option(name)
        return (beta * old + (1 - beta) * new).settle()

    def larger(self, x: Interval, y: Interval) -> Interval:
        return self._arithmetic.between(np.maximum(x.lo, y.lo), np.maximum(x.hi, y.hi))


def _sgd(n: _Numbers, state: dict[str, Interval]) -> Interval:
    return n.theta - n.option("lr") * n.g


def _momentum(n: _Numbers, state: dict[str, Interval]) -> Interval:
    b = state["b"] = (n.option("momentum") * state.get("b", n.number(0.0)) + n.g).settle()
    return n.theta - n.option("lr") * b


def _nesterov(n: _Numbers, state: dict[str, Interval]) -> Interval:
    b = state["b"] = (n.option("momentum") * state.get("b", n.number(0.0)) + n.g).settle()
    return n.theta - n.option("lr") * (n.g + n.option("momentum") * b).settle()


def _adagrad(n: _Numbers, state: dict[str, Interval]) -> Interval:
    v = state["v"] = (state.get("v", n.option("start")) + n.g * n.g).settle()
    return n.theta - n.option("lr") * n.g / (v.sqrt() + n.option("eps"))


def _adadelta(n: _Numbers, state: dict[str, Interval]) -> Interval:
    v = state["v"] = n.mean("rho", state.get("v", n.number(0.0)), (n.g * n.g).settle())
    u = state.get("u", n.number(0.0))
    delta = ((u + n.option("eps")).sqrt() / (v + n.option("eps")).sqrt() * n.g).settle()
    state["u"] = n.mean("rho", u, (delta * delta).settle())
    return n.theta - n.option("lr") * delta


def _adam(n: _Numbers, state: dict[str, Interval]) -> Interval:
    m, v = _moments(n, state)
    first, second = 1 - n.option("beta1", n.t), 1 - n.option("beta2", n.t)
    theta = _decayed(n, n.theta)
    return theta - n.option("lr") * (m / first) / ((v / second).sqrt() + n.option("eps"))


def _adamax(n: _Numbers, state: dict[str, Interval]) -> Interval:
    m = state["m"] = n.mean("beta1", state.get("m", n.number(0.0)), n.g)
    size = (n.larger(n.g, -n.g) + n.option("eps")).settle()
    u = state["u"] = n.larger((n.option("beta2") * state.get("u", n.number(0.0))).settle(), size)
    return n.theta - n.option("lr") * m / ((1 - n.option("beta1", n.t)) * u)


def _rprop(n: _Numbers, state: dict[str, Interval]) -> Interval:
    last, size = float(state.get("sign", n.number(0.0)).lo[0]), state.get("size", n.option("lr"))
    if last * n.sign > 0:
        size = n.option("growth") * size
    elif last * n.sign < 0:
        size, n.sign = n.option("shrinkage") * size, 0.0
    state["sign"], state["size"] = n.number(n.sign), size.settle()
    return n.theta - n.number(n.sign) * state["size"]


def _moments(n: _Numbers, state: dict[str, Interval]) -> tuple[Interval, Interval]:
    m = state["m"] = n.mean("beta1", state.get("m", n.number(0.0)), n.g)
    v = state["v"] = n.mean("beta2", state.get("v", n.number(0.0)), (n.g * n.g).settle())
    return m, v


def _decayed(n: _Numbers, theta: Interval) -> Interval:
    return theta - n.option("lr") * n.option("weight_decay") * theta


def _families() -> Iterator[Family]:
    """The families, the simplest first."""
    yield Family("SGD", _sgd)
    for momentum in (0.9, 0.99, 0.95, 0.5):
        yield Family("SGD with momentum", _momentum, {"momentum": momentum})
        yield Family("SGD with Nesterov momentum", _nesterov, {"momentum": momentum})
    for eps in (1e-10, 1e-7, 1e-8):
        for start in (0.0, 0.1, 1.0):
            yield Family("Adagrad", _adagrad, {"start": start, "eps": eps})
    for betas in ((0.9, 0.999), (0.9, 0.95), (0.9, 0.99)):
        constants = {"beta1": betas[0], "beta2": betas[1]}
        for eps in (1e-8, 1e-7):
            yield Family("Adam", _adam, {**constants, "eps": eps, "weight_decay": 0.0})
            yield Family("AdamW", _adam, {**constants, "eps": eps, "weight_decay": 0.01})
            yield Family("Adamax", _adamax, {**constants, "eps": eps})
    for eps in (1e-6, 1e-7):
        for rho in (0.9, 0.95):
            yield Family("Adadelta", _adadelta, {"rho": rho, "eps": eps})
    yield Family("Rprop", _rprop, {"growth": 1.2, "shrinkage": 0.5})


def named(traces: Sequence[Trace], decaying: Trace | None = None) -> str:
    """Name the family behind all of the traces, or nothing.

    ``decaying`` is a trace with weight decay, where the subject takes that: what is Adam without may be AdamW with it.
    """
    if not all(trace.moments and all("lr" in moment.options for moment in trace.moments) for trace in traces):
        return ""
    for family in _families():
        if all(_explains(family, trace) for trace in traces):
            if family.title == "Adam" and decaying is not None and _explains(family, decaying):
                return "AdamW"
            return family.title
    return ""


def _explains(family: Family, trace: Trace) -> bool:
    state: dict[str, Interval] = {}
    for t, moment in enumerate(trace.moments, 1):
        if not math.isfinite(moment.after):
            return False
        with np.errstate(all="ignore"):
            found = family.update(_Numbers(trace, moment, t, family.constants), state).settle()
        if not bool(found.contains(np.full(1, moment.after))[0]):
            return False
    return True
