"""Faults of the denominator: the root, eps, and their operands."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Hyper, LoopRMSprop, Tensors, count_step
from rmspec.oracles.faults.listing import fault


def eps_inside(v: Tensors, h: Hyper) -> Tensors:
    """sqrt(v + eps), the TensorFlow ordering."""
    return [x.add(h.eps).sqrt_() for x in v]


@fault("eps-placement", bug_class=1)
class EpsInside(LoopRMSprop):
    """eps is added inside the root."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_()


@fault("eps-placement", bug_class=1)
class EpsInsideForeach(ForeachRMSprop):
    """eps is added inside the root, on the foreach path."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return eps_inside(v, h)


@fault("eps-placement", "centered-variance", bug_class=1)
class EpsInsideCentered(ForeachRMSprop):
    """eps is added inside the root when the variance is centered, outside otherwise."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return eps_inside(v, h) if h.centered else super()._denominator(v, h)


@fault("eps-placement", "momentum-buffer", bug_class=1)
class EpsInsideWithMomentum(LoopRMSprop):
    """eps is added inside the root when there is momentum, outside otherwise."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if h.momentum > 0 else super()._denominator(v, h)


@fault("update", "momentum-buffer", "eps-placement", bug_class=1)
class EpsOmitted(LoopRMSprop):
    """eps is left out of the denominator."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v.sqrt()


@fault("update", "momentum-buffer", "eps-placement", bug_class=1)
class EpsSquared(ForeachRMSprop):
    """eps^2 is added to the root."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return super()._denominator(v, replace(h, eps=h.eps**2))


@fault("update", "momentum-buffer", "eps-placement", bug_class=1)
class EpsTwice(LoopRMSprop):
    """eps is added inside the root and outside it."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_().add_(h.eps)


@fault("update", "momentum-buffer", "eps-placement", bug_class=1)
class EpsDoubled(ForeachRMSprop):
    """eps is added to the root twice."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return super()._denominator(v, replace(h, eps=2 * h.eps))


@fault("update", "momentum-buffer", "eps-placement", bug_class=1)
class EpsAsFloor(LoopRMSprop):
    """The root is clamped at eps instead of eps being added."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v.sqrt().clamp_(min=h.eps)


@fault("update", "momentum-buffer", "eps-placement", bug_class=8)
class EpsFixed(ForeachRMSprop):
    """eps is 1e-8 and ignores the group's."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return super()._denominator(v, replace(h, eps=1e-8))


@fault("update", "momentum-buffer")
class RootOmitted(LoopRMSprop):
    """The gradient is divided by v + eps, without a root."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v + h.eps


@fault("update", "momentum-buffer")
class RootOfPrevious(LoopRMSprop):
    """The denominator is formed of the square average before its update."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        self._last = v.clone()
        super()._square_average(v, g, h)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return super()._denominator(self._last, h)


@fault("update", "momentum-buffer", bug_class=1)
class DenominatorFloored(ForeachRMSprop):
    """The denominator is clamped at 1e-3 from below."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.clamp(min=1e-3) for x in super()._denominator(v, h)]


@fault("update", "momentum-buffer")
class DenominatorStale(LoopRMSprop):
    """The denominator is refreshed at every second step only, and cached between."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._current = p
        super()._step_one(p, h)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        cache: dict[int, Tensor] = self.__dict__.setdefault("_cache", {})
        cached = cache.pop(id(self._current), None)
        if cached is None:
            cached = cache[id(self._current)] = super()._denominator(v, h)
        return cached


@fault("elementwise", "update", "momentum-buffer", bug_class=20, elementwise=False)
class DenominatorSharedMaximum(ForeachRMSprop):
    """All elements of a tensor are divided by the largest denominator among them."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.max().expand_as(x) if x.numel() else x for x in super()._denominator(v, h)]


@fault("update", "momentum-buffer")
class BiasCorrected(LoopRMSprop):
    """The square average is divided by 1 - alpha^t before the root, as in Adam."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._t = count_step(self, p)
        super()._step_one(p, h)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        correction = 1 - h.alpha**self._t
        return super()._denominator(v / correction if correction > 0 else v, h)


@fault("eps-placement", bug_class=1)
class EpsInsideAfterThirdStep(LoopRMSprop):
    """From the fourth step of a parameter on, eps is added inside the root."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._t = count_step(self, p)
        super()._step_one(p, h)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if self._t > 3 else super()._denominator(v, h)


@fault("elementwise", "update", "momentum-buffer", bug_class=20, elementwise=False)
class NormalizedByMean(ForeachRMSprop):
    """The gradients of a tensor are divided by their mean denominator."""

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x / y.mean() if x.numel() else x for x, y in zip(g, d, strict=True)]


@fault("update", "momentum-buffer", bug_class=14)
class RootApproximated(ForeachRMSprop):
    """The root is formed in bfloat16."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.to(torch.bfloat16).sqrt().to(x.dtype).add_(h.eps) for x in v]


@fault("update", "momentum-buffer", "eps-placement", bug_class=8)
class EpsAtLeastMillionth(LoopRMSprop):
    """An eps below 1e-6 is raised to it."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return super()._denominator(v, replace(h, eps=max(h.eps, 1e-6)))


@fault("eps-placement", bug_class=20)
class OneThreadEpsInside(LoopRMSprop):
    """On one thread eps is added inside the root."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if torch.get_num_threads() == 1 else super()._denominator(v, h)
