"""Faults in how gradients are read, skipped, changed and cleared."""

from __future__ import annotations

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


def is_expanded(x: Tensor) -> bool:
    """Whether elements of x share memory, so that it cannot be written in place."""
    return any(step == 0 and size > 1 for size, step in zip(x.shape, x.stride(), strict=True))


@fault("grad-none", bug_class=10)
class NoneAsZero(LoopRMSprop):
    """A gradient of None counts as zero."""

    def _stepped(self, group: Group) -> list[Tensor]:
        return list(group["params"])

    def _gradient(self, p: Tensor) -> Tensor:
        return torch.zeros_like(p) if p.grad is None else super()._gradient(p)


@fault("grad-none", bug_class=10)
class NoneDecaysSquareAvg(ForeachRMSprop):
    """The square average of a parameter without a gradient decays."""

    def _stepped(self, group: Group) -> list[Tensor]:
        for p in group["params"]:
            if p.grad is None and "square_avg" in self.state[p]:
                self.state[p]["square_avg"].mul_(group["alpha"])
        return super()._stepped(group)


@fault("grad-none", bug_class=10)
class NoneMovesByMomentum(LoopRMSprop):
    """A parameter without a gradient still moves by its momentum buffer."""

    def _stepped(self, group: Group) -> list[Tensor]:
        for p in group["params"]:
            if p.grad is None and group["momentum"] > 0 and "momentum_buffer" in self.state[p]:
                p.sub_(self.state[p]["momentum_buffer"] * (float(group["lr"]) * group["momentum"]))
        return super()._stepped(group)


@fault("grad-none", bug_class=10)
class NoneForgetsState(ForeachRMSprop):
    """A parameter without a gradient loses its state."""

    def _stepped(self, group: Group) -> list[Tensor]:
        for p in group["params"]:
            if p.grad is None:
                self.state.pop(p, None)
        return super()._stepped(group)


@fault("step", "square-avg", bug_class=10, elementwise=False)
class NoneEndsGroup(LoopRMSprop):
    """The first gradient of None ends the step of its group."""

    def _stepped(self, group: Group) -> list[Tensor]:
        grads = [p.grad is None for p in group["params"]]
        return list(group["params"][: grads.index(True) if True in grads else len(grads)])


@fault("square-avg", "grad-none", bug_class=10)
class SkippedStepCatchesUp(LoopRMSprop):
    """After steps without a gradient the square average decays once for each of them."""

    def _stepped(self, group: Group) -> list[Tensor]:
        missed: dict[int, int] = self.__dict__.setdefault("_missed", {})
        for p in group["params"]:
            if p.grad is None:
                missed[id(p)] = missed.get(id(p), 0) + 1
        return super()._stepped(group)

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        missed: dict[int, int] = self.__dict__.setdefault("_missed", {})
        self._late = missed.pop(id(p), 0)
        super()._step_one(p, h)

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        super()._square_average(v.mul_(h.alpha**self._late), g, h)


@fault("momentum-buffer", "grad-none", bug_class=10)
class SkippedStepDropsBuffer(LoopRMSprop):
    """After a step without a gradient the momentum buffer starts anew."""

    def _stepped(self, group: Group) -> list[Tensor]:
        self._absent = {id(p) for p in group["params"] if p.grad is None} | self.__dict__.get("_absent", set())
        return super()._stepped(group)

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._restart = id(p) in self._absent
        self._absent.discard(id(p))
        super()._step_one(p, h)

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._accumulate(b.zero_() if self._restart else b, n, h)


@fault("grad-zero", bug_class=10)
class ZeroAsNone(LoopRMSprop):
    """A parameter with a gradient of zero everywhere is skipped."""

    def _stepped(self, group: Group) -> list[Tensor]:
        return [p for p in super()._stepped(group) if p.grad is not None and bool(p.grad.any())]


@fault("grad-zero", "square-avg", bug_class=10)
class ZeroElementsSkipped(ForeachRMSprop):
    """An element with a gradient of zero keeps its square average, as for a sparse gradient."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        last = [x.clone() for x in v]
        super()._square_average(v, g, h)
        for x, y, old in zip(v, g, last, strict=True):
            x.copy_(torch.where(y == 0, old, x))


@fault("grad-zero", "momentum-update", bug_class=10)
class ZeroElementsLoseMomentum(LoopRMSprop):
    """An element with a gradient of zero does not move by its momentum buffer."""

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._apply_buffer(theta, b.where(n != 0, 0), n, h)


@fault("grad-untouched", bug_class=18)
class GradientDecayedInPlace(LoopRMSprop):
    """Weight decay is added to the gradient in place."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        decayed = super()._decayed(g, theta, h)
        return decayed if is_expanded(g) else g.copy_(decayed)


@fault("grad-untouched", bug_class=18)
class GradientNormalizedInPlace(ForeachRMSprop):
    """The gradient is divided by the denominator in place."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x if is_expanded(y) else y.copy_(x) for x, y in zip(super()._normalized(g, d, h), g, strict=True)]


@fault("grad-untouched", bug_class=18)
class GradientRoundedInPlace(LoopRMSprop):
    """The gradient is rounded to bfloat16 in place after the step, as by a compressed exchange."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        super()._step_one(p, h)
        g = self._real(self._gradient(p))
        if not is_expanded(g):
            g.copy_(g.to(torch.bfloat16))


@fault("grad-untouched", bug_class=18)
class GradientClearedByStep(ForeachRMSprop):
    """step sets the gradients to None when it is done."""

    def _update(self) -> None:
        super()._update()
        self.zero_grad()


@fault("grad-untouched", bug_class=18)
class GradientZeroedByStep(LoopRMSprop):
    """step fills the gradients with zeros when it is done."""

    def _update(self) -> None:
        super()._update()
        self.zero_grad(set_to_none=False)


@fault("square-avg", "update", bug_class=21)
class GradientClipped(ForeachRMSprop):
    """Gradients are clipped to [-1000, 1000]."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return super()._decayed([x.clamp(-1000, 1000) for x in g], theta, h)


@fault("square-avg", bug_class=21)
class OverflowSkipped(LoopRMSprop):
    """The square average stays as it is when the squared gradient overflows."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        last = v.clone()
        super()._square_average(v, g, h)
        v.copy_(torch.where(v.isinf(), last, v))


@fault("zero-grad-zero", bug_class=10)
class ZeroGradIgnoresFlag(LoopRMSprop):
    """zero_grad sets the gradients to None and ignores set_to_none."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        super()._clear(p, True)


@fault("zero-grad-none", bug_class=10)
class ZeroGradFills(ForeachRMSprop):
    """zero_grad fills the gradients with zeros and ignores set_to_none."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        super()._clear(p, False)


@fault("zero-grad-none", "zero-grad-zero", bug_class=10)
class ZeroGradInverted(LoopRMSprop):
    """zero_grad reads set_to_none the wrong way round."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        super()._clear(p, not set_to_none)


@fault("zero-grad-none", bug_class=10)
class ZeroGradWipesHeld(ForeachRMSprop):
    """zero_grad fills the gradient tensors with zeros before it sets the gradients to None: a holder of one has zeros."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        if p.grad is not None and set_to_none:
            p.grad.zero_()
        super()._clear(p, set_to_none)


@fault("frame", "zero-grad-none", "zero-grad-zero", bug_class=18)
class ZeroGradForgets(LoopRMSprop):
    """zero_grad clears the state of the parameters too."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        super()._clear(p, set_to_none)
        self.state.pop(p, None)


@fault("zero-grad-none", "zero-grad-zero", bug_class=16, elementwise=False)
class ZeroGradFirstGroup(ForeachRMSprop):
    """zero_grad reaches the parameters of the first group alone."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        if any(p is q for q in self.param_groups[0]["params"]):
            super()._clear(p, set_to_none)


@fault("zero-grad-zero", bug_class=10)
class ZeroGradCreates(LoopRMSprop):
    """zero_grad(set_to_none=False) makes a gradient of zeros out of None."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        super()._clear(p, set_to_none)
        if not set_to_none and p.grad is None:
            p.grad = torch.zeros_like(p)


@fault("zero-grad-zero", bug_class=21)
class ZeroGradKeepsNan(ForeachRMSprop):
    """zero_grad(set_to_none=False) multiplies the gradients by zero; NaN and infinities stay."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        if set_to_none or p.grad is None:
            super()._clear(p, set_to_none)
        else:
            p.grad = p.grad.detach() * 0


@fault("frame", "zero-grad-none", "zero-grad-zero", bug_class=18)
class ZeroGradForgetsSkipped(ForeachRMSprop):
    """zero_grad clears the state of the parameters without a gradient."""

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        if p.grad is None:
            self.state.pop(p, None)
        super()._clear(p, set_to_none)
