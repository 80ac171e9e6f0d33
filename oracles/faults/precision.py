"""Faults of number formats: narrow hyperparameters and intermediates, and faults of one format alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from rmspec.oracles.faults.base import OPTIONS, ForeachRMSprop, Group, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


def rounded(x: float, dtype: torch.dtype) -> float:
    """x in the number format dtype."""
    return float(torch.tensor(x, dtype=dtype))


def all_rounded(h: Hyper, dtype: torch.dtype) -> Hyper:
    """The hyperparameters in the number format dtype."""
    numbers: dict[str, Any] = {name: rounded(getattr(h, name), dtype) for name in OPTIONS}
    return replace(h, **numbers)


@fault("scalar-precision", bug_class=14)
class ComplementInFloat32(LoopRMSprop):
    """1 - alpha is formed of an alpha rounded to float32."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        v.mul_(h.alpha).addcmul_(g, g, value=1 - rounded(h.alpha, torch.float32))


@fault("scalar-precision", bug_class=14)
class ComplementInStorageFormat(ForeachRMSprop):
    """1 - alpha is formed of an alpha rounded to the format of the tensor."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        for x, y in zip(v, g, strict=True):
            x.mul_(h.alpha).addcmul_(y, y, value=1 - rounded(h.alpha, y.dtype))


@fault("subnormals", bug_class=14)
class PrecisionSubnormalAveragesFlushed(LoopRMSprop):
    """Averages below the smallest normal number become 0."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        super()._square_average(v, g, h)
        v.masked_fill_(v < torch.finfo(v.dtype).tiny, 0)


@fault("scalar-precision", "grad-avg", bug_class=14)
class GradAvgComplementInFloat16(LoopRMSprop):
    """The gradient average forms 1 - alpha of an alpha rounded to float16."""

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        g_ave.mul_(h.alpha).add_(g, alpha=1 - rounded(h.alpha, torch.float16))


@fault("scalar-precision", "square-avg", bug_class=14)
class AlphaInBfloat16(ForeachRMSprop):
    """alpha is rounded to bfloat16."""

    def _hyper(self, group: Group) -> Hyper:
        h = super()._hyper(group)
        return replace(h, alpha=rounded(h.alpha, torch.bfloat16))


@fault("scalar-precision", bug_class=14)
class ScalarsInFloat32(ForeachRMSprop):
    """Every hyperparameter is rounded to float32, for float64 parameters too."""

    def _hyper(self, group: Group) -> Hyper:
        return all_rounded(super()._hyper(group), torch.float32)


@fault("scalar-precision", bug_class=14)
class LrInFloat32(LoopRMSprop):
    """The learning rate is held as float32, for float64 parameters too, as in Keras."""

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        super()._apply(theta, direction, replace(h, lr=rounded(h.lr, torch.float32)))


@fault("scalar-precision", "update", "momentum-update", bug_class=14)
class LrInFloat16(ForeachRMSprop):
    """The learning rate is rounded to float16."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply(theta, direction, replace(h, lr=rounded(h.lr, torch.float16)))


@fault("scalar-precision", "momentum-buffer", bug_class=14)
class MomentumInFloat16(LoopRMSprop):
    """momentum is rounded to float16."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._accumulate(b, n, replace(h, momentum=rounded(h.momentum, torch.float16)))


@fault("scalar-precision", "update", "momentum-buffer", bug_class=14)
class EpsInFloat16(LoopRMSprop):
    """eps is rounded to float16; 1e-8 becomes 0."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return super()._denominator(v, replace(h, eps=rounded(h.eps, torch.float16)))


@fault("scalar-precision", "weight-decay", bug_class=14)
class DecayInFloat16(ForeachRMSprop):
    """weight_decay is rounded to float16."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return super()._decayed(g, theta, replace(h, weight_decay=rounded(h.weight_decay, torch.float16)))


@fault("update", "momentum-buffer", bug_class=14)
class QuotientInFloat16(LoopRMSprop):
    """The gradient is divided by the denominator in float16."""

    def _normalized(self, g: Tensor, d: Tensor, h: Hyper) -> Tensor:
        return (g.to(torch.float16) / d.to(torch.float16)).to(g.dtype)


@fault("square-avg", bug_class=14)
class SquareInBfloat16(ForeachRMSprop):
    """The square of the gradient is formed in bfloat16."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        super()._square_average(v, [x.to(torch.bfloat16).to(x.dtype) for x in g], h)


@fault("square-avg", "scalar-precision", bug_class=14)
class Float64InFloat32(LoopRMSprop):
    """The square average of float64 parameters is computed in float32."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        if v.dtype != torch.float64:
            return super()._square_average(v, g, h)
        narrow = v.float()
        super()._square_average(narrow, g.float(), h)
        v.copy_(narrow)
        return None


@fault("eps-placement", bug_class=4)
class Float16EpsInside(LoopRMSprop):
    """For float16 alone, eps is added inside the root."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if v.dtype == torch.float16 else super()._denominator(v, h)


@fault("weight-decay", bug_class=4)
class Bfloat16DecayIgnored(ForeachRMSprop):
    """For bfloat16 alone, weight decay is ignored."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        decayed = super()._decayed(g, theta, h)
        return [x if x.dtype == torch.bfloat16 else y for x, y in zip(g, decayed, strict=True)]


@fault("update", "momentum-buffer", "eps-placement", bug_class=4)
class Float32EpsDoubled(ForeachRMSprop):
    """For float32 alone, eps is added twice."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.add(h.eps) if x.dtype == torch.float32 else x for x in super()._denominator(v, h)]


@fault("momentum-buffer", bug_class=4)
class Float64Dampened(LoopRMSprop):
    """For float64 alone, the normalized gradient enters the buffer with weight 1 - mu."""

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        super()._accumulate(b, n * (1 - h.momentum) if n.dtype == torch.float64 else n, h)


@fault("centered-variance", bug_class=4)
class Float64CenteredIgnored(ForeachRMSprop):
    """For float64 alone, the variance is not centered."""

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        centered = super()._variance(v, g_ave, h)
        return [x if x.dtype == torch.float64 else y for x, y in zip(v, centered, strict=True)]


@fault("square-avg", bug_class=14)
class HalfSquareAvgStagnates(LoopRMSprop):
    """In the half formats the change of the square average is lost when it is below 5 % of it."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        last = v.clone()
        super()._square_average(v, g, h)
        if v.dtype in (torch.float16, torch.bfloat16):
            v.copy_(torch.where((v - last).abs() < 0.05 * last, last, v))
