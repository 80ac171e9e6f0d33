"""Faults of the update: its sign, the learning rate, and the momentum buffer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


@fault("descent")
class Ascent(LoopRMSprop):
    """The update is added."""

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        theta.add_(direction, alpha=h.lr)


@fault("descent", "update")
class AscentForNegative(ForeachRMSprop):
    """The update is added for negative gradients."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x.abs() for x in super()._normalized(g, d, h)]


@fault("update", "momentum-update")
class LrSquared(LoopRMSprop):
    """The learning rate is applied twice."""

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        theta.add_(direction, alpha=-h.lr * h.lr)


@fault("update", "momentum-buffer", bug_class=5)
class LrInsideRoot(ForeachRMSprop):
    """The gradient is scaled by lr before the denominator's root is taken of lr * v."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return super()._denominator([x * h.lr for x in v], h)


@fault("update", "momentum-buffer")
class UpdateClipped(ForeachRMSprop):
    """The normalized gradient is clipped to [-1, 1]."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x.clamp(-1, 1) for x in super()._normalized(g, d, h)]


@fault("update", "momentum-update")
class UpdateTinyDropped(LoopRMSprop):
    """An update smaller than 1e-6 is dropped."""

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        move = direction * h.lr
        theta.sub_(move.where(move.abs() >= 1e-6, 0))


@fault("update", "momentum-buffer", bug_class=21)
class SignOnly(ForeachRMSprop):
    """Only the sign of the gradient is used when the square average is large."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x.where(y < 10, w.sign()) for x, y, w in zip(super()._normalized(g, d, h), d, g, strict=True)]


@fault("momentum-lr", bug_class=5)
class LrInBuffer(LoopRMSprop):
    """The buffer accumulates lr times the normalized gradient, as in TensorFlow."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._accumulate(b, n * h.lr, h)

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._apply_buffer(theta, b, n, replace(h, lr=1.0))


@fault("momentum-lr", bug_class=5)
class LrInBufferForeach(ForeachRMSprop):
    """The buffer accumulates lr times the normalized gradient, on the foreach path."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._accumulate(b, [x * h.lr for x in n], h)

    def _apply_buffer(self, theta: Tensors, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._apply_buffer(theta, b, n, replace(h, lr=1.0))


@fault("momentum-lr", "momentum-buffer", bug_class=5)
class LrTwiceWithMomentum(ForeachRMSprop):
    """The buffer accumulates lr times the normalized gradient, and lr is applied to it again."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._accumulate(b, [x * h.lr for x in n], h)


@fault("momentum-update")
class Nesterov(LoopRMSprop):
    """The parameter moves by mu * b + the normalized gradient."""

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        self._apply(theta, n + b * h.momentum, h)


@fault("momentum-buffer")
class Dampened(LoopRMSprop):
    """The normalized gradient enters the buffer with weight 1 - mu."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        b.mul_(h.momentum).add_(n, alpha=1 - h.momentum)


@fault("momentum-update", bug_class=8)
class BufferUnused(LoopRMSprop):
    """The buffer is kept and the parameter moves as if there were no momentum."""

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        self._apply(theta, n, h)


@fault("momentum-buffer", "momentum-update", bug_class=8)
class MomentumIgnored(ForeachRMSprop):
    """momentum is accepted and ignored."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), momentum=0.0)


@fault("momentum-buffer", "momentum-update", bug_class=8)
class MomentumAsInteger(LoopRMSprop):
    """momentum is cast to an integer."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), momentum=float(int(group["momentum"])))


@fault("momentum-update")
class BufferOld(LoopRMSprop):
    """The parameter moves by the buffer before its update."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        self._last = b.clone()
        super()._accumulate(b, n, h)

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        self._apply(theta, self._last, h)


@fault("momentum-buffer")
class BufferOfRawGradients(ForeachRMSprop):
    """The buffer accumulates gradients, and the parameter moves by the buffer over the denominator."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        self._d = d
        return g if h.momentum > 0 else super()._normalized(g, d, h)

    def _apply_buffer(self, theta: Tensors, b: Tensors, n: Tensors, h: Hyper) -> None:
        self._apply(theta, super()._normalized(b, self._d, h), h)


@fault("momentum-buffer")
class BufferDecayedBySquareOfMu(ForeachRMSprop):
    """The buffer is decayed by mu^2."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._accumulate(b, n, replace(h, momentum=h.momentum**2))


@fault("momentum-buffer")
class BufferMuAfterAdding(LoopRMSprop):
    """The buffer is decayed after the normalized gradient has been added."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        b.add_(n).mul_(h.momentum)


@fault("frame", "option-change", bug_class=9)
class BufferFedWithoutMomentum(LoopRMSprop):
    """With momentum 0 an existing buffer is overwritten by the normalized gradient."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        before = self._real(p).clone()
        super()._step_one(p, h)
        if h.momentum == 0 and h.lr > 0 and "momentum_buffer" in self.state[p]:
            self._real(self.state[p]["momentum_buffer"]).copy_((before - self._real(p)) / h.lr)


@fault("momentum-buffer", "scheduled-lr")
class BufferRestartsOnNewLr(LoopRMSprop):
    """The buffer restarts at zero when the learning rate has changed."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        rates: dict[int, float] = self.__dict__.setdefault("_rates", {})
        self._restart = rates.get(id(p), h.lr) != h.lr
        rates[id(p)] = h.lr
        super()._step_one(p, h)

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        if self._restart:
            b.zero_()
        super()._accumulate(b, n, h)


@fault("option-change", bug_class=9, inherited=True)
class MomentumSwitchCrashes(LoopRMSprop):
    """Switching momentum on after the first step raises KeyError."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if state and hyper.momentum > 0:
            state["momentum_buffer"]
        return super()._state(p, hyper)


@fault("option-change", bug_class=9, inherited=True)
class CenteredSwitchCrashes(ForeachRMSprop):
    """Switching centered on after the first step raises KeyError."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if state and hyper.centered:
            state["grad_avg"]
        return super()._state(p, hyper)


@fault("init-momentum-buffer", "option-change", "momentum-buffer", bug_class=9)
class MomentumSwitchFromGradient(ForeachRMSprop):
    """A buffer created after the first step starts at the gradient."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        if state and hyper.momentum > 0 and "momentum_buffer" not in state:
            state["momentum_buffer"] = self._gradient(p).clone()
        return super()._state(p, hyper)


@fault("momentum-buffer", bug_class=21)
class LargeBufferReset(ForeachRMSprop):
    """A buffer element beyond 10 is reset to the normalized gradient."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        super()._accumulate(b, n, h)
        for x, y in zip(b, n, strict=True):
            x.copy_(torch.where(x.abs() > 10, y, x))


@fault("update", "momentum-update", bug_class=8)
class LrAtMostTen(ForeachRMSprop):
    """A learning rate above 10 is lowered to it."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply(theta, direction, replace(h, lr=min(h.lr, 10.0)))


@fault("momentum-buffer", bug_class=8)
class MomentumIgnoredBelowHundredth(LoopRMSprop):
    """A momentum below 0.01 leaves nothing of the buffer."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._accumulate(b, n, h if h.momentum >= 0.01 else replace(h, momentum=0.0))
