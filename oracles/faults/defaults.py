"""Faults of the constructor: its default values; and its switches, on one execution path alone."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rmspec.oracles.faults.base import (
    DifferentiableRMSprop,
    ForeachRMSprop,
    Group,
    Hyper,
    LoopRMSprop,
    Params,
    SwitchedRMSprop,
    Tensors,
)
from rmspec.oracles.faults.listing import fault


@fault("default-lr", bug_class=16)
class DefaultLr(LoopRMSprop):
    """lr is 0.001 when it is not given, as in Keras."""

    def __init__(self, params: Params, lr: float = 0.001, **options: Any) -> None:
        super().__init__(params, lr=lr, **options)


@fault("default-alpha", bug_class=16)
class DefaultAlpha(ForeachRMSprop):
    """alpha is 0.9 when it is not given, as in TensorFlow."""

    def __init__(self, params: Params, alpha: float = 0.9, **options: Any) -> None:
        super().__init__(params, alpha=alpha, **options)


@fault("default-eps", bug_class=16)
class DefaultEps(LoopRMSprop):
    """eps is 1e-7 when it is not given, as in Keras."""

    def __init__(self, params: Params, eps: float = 1e-7, **options: Any) -> None:
        super().__init__(params, eps=eps, **options)


@fault("default-weight-decay", bug_class=16)
class DefaultWeightDecay(ForeachRMSprop):
    """weight_decay is 0.0001 when it is not given."""

    def __init__(self, params: Params, weight_decay: float = 1e-4, **options: Any) -> None:
        super().__init__(params, weight_decay=weight_decay, **options)


@fault("default-momentum", bug_class=16)
class DefaultMomentum(LoopRMSprop):
    """momentum is 0.9 when it is not given."""

    def __init__(self, params: Params, momentum: float = 0.9, **options: Any) -> None:
        super().__init__(params, momentum=momentum, **options)


@fault("default-centered", bug_class=16)
class DefaultCentered(ForeachRMSprop):
    """centered is True when it is not given."""

    def __init__(self, params: Params, centered: bool = True, **options: Any) -> None:
        super().__init__(params, centered=centered, **options)


@fault("eps-placement", switch="foreach")
class ForeachWithoutEps(SwitchedRMSprop):
    """With foreach=True, eps is left out."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.sqrt() for x in v] if self.together else super()._denominator(v, h)


@fault("elementwise", "update", switch="foreach", elementwise=False)
class ForeachOddTail(SwitchedRMSprop):
    """With foreach=True, the last of an odd number of elements does not move."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        tails = [x.reshape(-1)[-1].clone() if x.numel() % 2 and x.numel() > 1 else None for x in theta]
        super()._apply(theta, direction, h)
        for x, last in zip(theta, tails, strict=True):
            if self.together and last is not None:
                x[tuple(size - 1 for size in x.shape)] = last


@fault("grad-avg", switch="foreach")
class ForeachGradAverageWithSquareRate(SwitchedRMSprop):
    """With foreach=True, the average of the gradients takes alpha squared."""

    def _grad_average(self, g_ave: Tensors, g: Tensors, h: Hyper) -> None:
        alpha = h.alpha**2 if self.together else h.alpha
        for average, x in zip(g_ave, g, strict=True):
            average.mul_(alpha).add_(x, alpha=1 - alpha)


@fault("maximize", switch="maximize")
class MaximizeTakenForNothing(SwitchedRMSprop):
    """maximize is accepted, and the step goes down the gradient."""

    def _gradient(self, p: Tensor) -> Tensor:
        return ForeachRMSprop._gradient(self, p)


@fault("maximize", switch="maximize")
class MaximizeNegatesDecay(SwitchedRMSprop):
    """With maximize=True, weight decay is negated with the gradient."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        if not self.upward:
            return super()._decayed(g, theta, h)
        return [x - h.weight_decay * p for x, p in zip(g, theta, strict=True)]


@fault("momentum-update", switch="maximize")
class MaximizeNegatesTheBuffer(SwitchedRMSprop):
    """With maximize=True, the step along the buffer goes down."""

    def _apply_buffer(self, theta: Tensors, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._apply_buffer(theta, [-x for x in b] if self.upward else b, n, h)


@fault("differentiable-step", bug_class=23, switch="differentiable")
class SquareAverageUnrecorded(DifferentiableRMSprop):
    """With differentiable=True the square average is updated under no_grad."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        with torch.no_grad():
            super()._square_average(v, g, h)


@fault("differentiable-step", bug_class=23, switch="differentiable")
class BufferUnrecorded(DifferentiableRMSprop):
    """With differentiable=True the momentum buffer is updated under no_grad."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        with torch.no_grad():
            super()._accumulate(b, n, h)


@fault("differentiable-step", bug_class=23, switch="differentiable")
class DecayOfData(DifferentiableRMSprop):
    """With differentiable=True weight decay reads the data of the parameter, without its history."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta.data, h)


@fault("differentiable-step", bug_class=23, switch="differentiable")
class RateAsNumber(DifferentiableRMSprop):
    """With differentiable=True a tensor for lr is made a number."""

    def _hyper(self, group: Group) -> Hyper:
        return LoopRMSprop._hyper(self, {**group, "lr": float(group["lr"])})


@fault("differentiable-step", bug_class=23, switch="differentiable")
class StateDetached(DifferentiableRMSprop):
    """With differentiable=True each step starts from a state without the history of the steps before."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state = super()._state(p, hyper)
        state.update({name: state[name].detach().clone() for name in self._roles(hyper)})
        return state


@fault("differentiable-step", bug_class=23, switch="differentiable")
class RootInPlace(DifferentiableRMSprop):
    """With differentiable=True eps is added in place to the root needed by its own derivative."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v.sqrt().add_(h.eps)


@fault("differentiable-step", bug_class=23, switch="differentiable", inherited=True)
class AverageInPlace(DifferentiableRMSprop):
    """With differentiable=True the average of the gradients is updated in place, after its square was taken."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        before = self.state[p].get("grad_avg")
        state = super()._state(p, hyper)
        if before is not None and hyper.centered:
            state["grad_avg"] = before
        return state
