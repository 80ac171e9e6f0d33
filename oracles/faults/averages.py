"""Faults of the square average, the gradient average and the centered variance."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


@fault("square-avg")
class SquareAvgAlphaSwapped(LoopRMSprop):
    """The square average weighs its last value with 1 - alpha and the new square with alpha."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        v.mul_(1 - h.alpha).addcmul_(g, g, value=h.alpha)


@fault("square-avg")
class SquareAvgSum(ForeachRMSprop):
    """The square average is a running sum, as in Adagrad."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        torch._foreach_addcmul_(v, g, g, 1)


@fault("square-avg")
class SquareAvgUnweighted(LoopRMSprop):
    """The new square enters the square average without the factor 1 - alpha."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        v.mul_(h.alpha).addcmul_(g, g)


@fault("square-avg")
class SquareAvgAbs(LoopRMSprop):
    """The square average is formed of |g| and not of g^2."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        v.mul_(h.alpha).add_(g.abs(), alpha=1 - h.alpha)


@fault("square-avg")
class SquareAvgNeverFalls(LoopRMSprop):
    """The square average keeps its largest value, as in AMSGrad."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        last = v.clone()
        super()._square_average(v, g, h)
        v.copy_(torch.maximum(v, last))


@fault("square-avg", bug_class=14)
class SquareAvgTinyDropped(ForeachRMSprop):
    """Gradients smaller than 1e-5 do not enter the square average."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        super()._square_average(v, [x.where(x.abs() >= 1e-5, 0) for x in g], h)


@fault("square-avg", bug_class=8)
class SquareAvgAlphaFixed(ForeachRMSprop):
    """The square average uses alpha = 0.99 and ignores the group's."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        super()._square_average(v, g, replace(h, alpha=0.99))


@fault("square-avg")
class SquareAvgDecayTwice(ForeachRMSprop):
    """The last square average is decayed by alpha twice."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        torch._foreach_mul_(v, h.alpha)
        super()._square_average(v, g, h)


@fault("grad-avg", bug_class=8)
class GradAvgAlphaFixed(ForeachRMSprop):
    """The gradient average uses alpha = 0.99 and ignores the group's."""

    def _grad_average(self, g_ave: Tensors, g: Tensors, h: Hyper) -> None:
        super()._grad_average(g_ave, g, replace(h, alpha=0.99))


@fault("grad-avg", bug_class=2)
class GradAvgAlphaSwapped(LoopRMSprop):
    """The gradient average weighs its last value with 1 - alpha and the new gradient with alpha."""

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        super()._grad_average(g_ave, g, replace(h, alpha=1 - h.alpha))


@fault("grad-avg", bug_class=2)
class GradAvgUnsigned(LoopRMSprop):
    """The gradient average is formed of |g|."""

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        super()._grad_average(g_ave, g.abs(), h)


@fault("grad-avg", "weight-decay", bug_class=7)
class GradAvgUndecayed(LoopRMSprop):
    """The gradient average is formed of the gradient without weight decay."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._bare = self._real(self._gradient(p))
        super()._step_one(p, h)

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        super()._grad_average(g_ave, self._bare, h)


@fault("centered-variance", bug_class=2)
class CenteredOldAverage(LoopRMSprop):
    """The variance subtracts the square of the gradient average before its update."""

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        self._last = g_ave.clone()
        super()._grad_average(g_ave, g, h)

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return super()._variance(v, self._last, h)


@fault("centered-variance", bug_class=2)
class CenteredNotSquared(LoopRMSprop):
    """The variance subtracts the gradient average itself, not its square."""

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return v - g_ave


@fault("centered-variance", bug_class=2)
class CenteredAdded(ForeachRMSprop):
    """The variance adds the square of the gradient average."""

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        return list(torch._foreach_addcmul(v, g_ave, g_ave, 1))


@fault("centered-variance", bug_class=2)
class CenteredScaled(LoopRMSprop):
    """The variance subtracts alpha times the square of the gradient average."""

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return v.addcmul(g_ave, g_ave, value=-h.alpha)


@fault("centered-variance", bug_class=2)
class CenteredClampedAtEps(ForeachRMSprop):
    """The variance is clamped at eps from below, before the root."""

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        return [x.clamp(min=h.eps) for x in super()._variance(v, g_ave, h)]


@fault("centered-variance", bug_class=2)
class CenteredClampedAtEpsSquared(LoopRMSprop):
    """The variance is clamped at eps^2 from below, before the root."""

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return super()._variance(v, g_ave, h).clamp(min=h.eps**2)


@fault("centered-variance", bug_class=2)
class CenteredAbs(ForeachRMSprop):
    """The variance is |v - g_ave|: the square is missing and the absolute value hides the NaN."""

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        return [(x - m).abs() for x, m in zip(v, g_ave, strict=True)]


@fault("square-avg", "centered-variance", bug_class=2)
class CenteredKeptInSquareAvg(LoopRMSprop):
    """The square of the gradient average is subtracted from the stored square average, for good."""

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return v.addcmul_(g_ave, g_ave, value=-1).clamp_(min=0)


@fault("centered-variance", "grad-avg", bug_class=8)
class CenteredIgnored(ForeachRMSprop):
    """centered is accepted and ignored."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), centered=False)


@fault("option-change", "frame", "update", bug_class=9)
class CenteredSticks(LoopRMSprop):
    """centered cannot be switched off again once it was on."""

    def _hyper(self, group: Group) -> Hyper:
        centered_ones: list[int] = self.__dict__.setdefault("_seen", [])
        if group["centered"]:
            centered_ones.extend(id(p) for p in group["params"])
        return replace(super()._hyper(group), centered=id(group["params"][0]) in centered_ones)


@fault("centered-variance", bug_class=2)
class CenteredFirstStepPlain(ForeachRMSprop):
    """The first centered step of an optimizer does not subtract the gradient average."""

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        if self.__dict__.get("_started", False):
            return super()._variance(v, g_ave, h)
        self._started = True
        return v


@fault("square-avg", bug_class=8)
class AlphaAtMostNearOne(ForeachRMSprop):
    """An alpha above 0.9999 is lowered to it."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        super()._square_average(v, g, replace(h, alpha=min(h.alpha, 0.9999)))


@fault("square-avg")
class LargeHalvesClipped(LoopRMSprop):
    """A float16 gradient is clipped at 255, lest its square overflow."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        super()._square_average(v, g.clamp(-255, 255) if g.dtype == torch.float16 else g, h)
