"""Faults of certain shapes, sizes, positions and strides, and of complex numbers."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


@fault("elementwise", "update", "momentum-update", bug_class=20, elementwise=False)
class TailLost(ForeachRMSprop):
    """Elements beyond the last multiple of 8 are not moved, in tensors of more than 8."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        for x in direction:
            if x.numel() > 8 and x.numel() % 8:
                x.view(-1)[x.numel() - x.numel() % 8 :] = 0
        super()._apply(theta, direction, h)

    def _apply_buffer(self, theta: Tensors, b: Tensors, n: Tensors, h: Hyper) -> None:
        self._apply(theta, [x.clone(memory_format=torch.contiguous_format) for x in b], h)

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return [x.contiguous() for x in super()._normalized(g, d, h)]


@fault("elementwise", "update", "momentum-update", bug_class=20, elementwise=False)
class LastOfOddLost(LoopRMSprop):
    """The last element of a tensor of odd size is not moved, when there are more than one."""

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        if theta.numel() > 1 and theta.numel() % 2:
            direction = direction.clone(memory_format=torch.contiguous_format)
            direction.view(-1)[-1] = 0
        super()._apply(theta, direction, h)


@fault("elementwise", "square-avg", bug_class=4, elementwise=False)
class Beyond64Undecayed(ForeachRMSprop):
    """Beyond the first 64 elements the square average does not forget."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        last = [x.reshape(-1)[64:].clone() for x in v]
        super()._square_average(v, g, h)
        for x, tail in zip(v, last, strict=True):
            if x.is_contiguous():
                x.view(-1)[64:] += (1 - h.alpha) * tail


@fault("elementwise", "eps-placement", bug_class=4, elementwise=False)
class Beyond1024EpsInside(ForeachRMSprop):
    """In tensors of more than 1024 elements eps is added inside the root."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [
            (x + h.eps).sqrt_() if x.numel() > 1024 else y for x, y in zip(v, super()._denominator(v, h), strict=True)
        ]


@fault("update", "momentum-update", "step", bug_class=4, elementwise=False)
class ManyTensorsLrLost(ForeachRMSprop):
    """In a group of more than three tensors the last one is moved with lr = 0.01."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        cut = 3 if len(theta) > 3 else len(theta)
        super()._apply(theta[:cut], direction[:cut], h)
        if theta[cut:]:
            super()._apply(theta[cut:], direction[cut:], replace(h, lr=0.01))


@fault("elementwise", "eps-placement", bug_class=20)
class ZeroDimEpsInside(LoopRMSprop):
    """For 0-dimensional parameters eps is added inside the root."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if v.dim() == 0 else super()._denominator(v, h)


@fault("elementwise", "update", "step", bug_class=20)
class ZeroDimNotMoved(ForeachRMSprop):
    """0-dimensional parameters are not moved."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply(theta, [x if x.dim() else torch.zeros_like(x) for x in direction], h)


@fault("elementwise", "square-avg", "complex-pairs", bug_class=20, elementwise=False)
class MatrixByRows(ForeachRMSprop):
    """The square average of a matrix is shared by the elements of a row."""

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        super()._square_average(v, g, h)
        for x in v:
            if x.dim() == 2 and x.numel():
                x.copy_(x.mean(dim=1, keepdim=True).expand_as(x))


@fault("elementwise", "square-avg", bug_class=20, elementwise=False)
class SquareAvgOfMean(LoopRMSprop):
    """The square average is formed of the mean of the squared gradients of a tensor."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        super()._square_average(v, g.square().mean().sqrt().expand_as(g) if g.numel() else g, h)


@fault("elementwise", "update", "momentum-buffer", bug_class=20, elementwise=False)
class DenominatorOfNeighbour(ForeachRMSprop):
    """Every element is divided by the denominator of its neighbour before it."""

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        return [x.reshape(-1).roll(1).reshape(x.shape) for x in super()._denominator(v, h)]


@fault("step", "elementwise", "square-avg", bug_class=20, elementwise=False)
class EmptyLastDropsGroup(ForeachRMSprop):
    """A group with an empty last tensor is not stepped at all."""

    def _step_params(self, params: list[Tensor], h: Hyper) -> None:
        if params[-1].numel():
            super()._step_params(params, h)


@fault("step", "elementwise", bug_class=20, elementwise=False)
class EmptyCrashes(LoopRMSprop):
    """An empty parameter raises."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        g.reshape(-1)[0]
        super()._square_average(v, g, h)


@fault("layout", "square-avg", bug_class=20, elementwise=False)
class TransposedGradient(LoopRMSprop):
    """The gradient is read in the order of its memory, not of its indices."""

    def _gradient(self, p: Tensor) -> Tensor:
        g = super()._gradient(p)
        if g.dim() == 2 and g.t().is_contiguous():
            return g.t().reshape(g.shape)
        return g


@fault("layout", "square-avg", bug_class=20, elementwise=False)
class ExpandedGradient(ForeachRMSprop):
    """Of an expanded gradient only the first element is used, the others count as zero."""

    def _gradient(self, p: Tensor) -> Tensor:
        g = super()._gradient(p)
        if 0 not in g.stride() or g.numel() < 2:
            return g
        first = torch.zeros(g.shape, dtype=g.dtype, device=g.device)
        first.view(-1)[0] = g[(0,) * g.dim()]
        return first


@fault("layout", "square-avg", bug_class=20, elementwise=False)
class StridedGradient(LoopRMSprop):
    """The stride of a one-dimensional gradient is ignored."""

    def _gradient(self, p: Tensor) -> Tensor:
        g = super()._gradient(p)
        if g.dim() == 1 and g.stride(0) > 1:
            return torch.as_strided(g, g.shape, (1,))
        return g


@fault("layout", "update", bug_class=20, elementwise=False)
class NonContiguousParameterCopied(ForeachRMSprop):
    """A non-contiguous parameter is moved in a copy."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply([x.contiguous() for x in theta], direction, h)


@fault("complex-pairs", bug_class=13)
class ComplexModulus(LoopRMSprop):
    """The square average of a complex parameter is formed of |g|^2, for both parts."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._is_pair = p.is_complex()
        super()._step_one(p, h)

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        if self._is_pair:
            g = g.square().sum(dim=-1, keepdim=True).sqrt().expand_as(g)
        super()._square_average(v, g, h)


@fault("complex-pairs", bug_class=13)
class ComplexAsOneNumber(LoopRMSprop):
    """A complex parameter is optimized in complex arithmetic."""

    def _real(self, tensor: Tensor) -> Tensor:
        return tensor


@fault("complex-pairs", bug_class=13)
class ComplexConjugated(ForeachRMSprop):
    """The gradient of a complex parameter is conjugated."""

    def _gradient(self, p: Tensor) -> Tensor:
        return super()._gradient(p).conj().resolve_conj()


@fault("complex-pairs", bug_class=13)
class ComplexImaginaryFrozen(LoopRMSprop):
    """The imaginary part of a complex64 parameter is not moved."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        last = p.clone()
        super()._step_one(p, h)
        if p.dtype == torch.complex64:
            torch.view_as_real(p)[..., 1] = last.imag


@fault("complex-pairs", "weight-decay", bug_class=13)
class ComplexDecayOfRealPart(LoopRMSprop):
    """Weight decay of a complex parameter reaches its real part alone."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        self._is_pair = p.is_complex()
        super()._step_one(p, h)

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        decayed = super()._decayed(g, theta, h)
        if self._is_pair:
            decayed = decayed.clone()
            decayed[..., 1] = g[..., 1]
        return decayed


@fault("elementwise", bug_class=20, elementwise=False)
class Beyond65536Still(ForeachRMSprop):
    """As a kernel launched with too few blocks: elements beyond the first 65,536 do not move."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply(theta, [_with_tail(x, 65536, 0.0) for x in direction], h)


@fault("update", "momentum-update", bug_class=4, elementwise=False)
class Beyond110TensorsStill(ForeachRMSprop):
    """As if one launch took a whole group: the tensors after the first 110 of a group do not move."""

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        super()._apply(theta[:110], direction[:110], h)


@fault("elementwise", "update", bug_class=20, elementwise=False)
class SecondThreadDoubles(LoopRMSprop):
    """The denominators in the last thread's chunk of a large tensor are doubled."""

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        threads = torch.get_num_threads()
        d = super()._denominator(v, h)
        return d if threads == 1 or v.numel() < 32768 else _with_tail(d, v.numel() - v.numel() // threads, 2.0)


def _with_tail(x: Tensor, start: int, factor: float) -> Tensor:
    """The tensor with the elements from ``start`` on multiplied."""
    if x.numel() <= start:
        return x
    scaled = x.clone(memory_format=torch.contiguous_format)
    scaled.view(-1)[start:] *= factor
    return scaled
