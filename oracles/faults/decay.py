"""Faults of the weight decay."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, Tensors
from rmspec.oracles.faults.listing import fault


@fault("weight-decay", bug_class=7)
class DecayDecoupled(LoopRMSprop):
    """Weight decay shrinks the parameter by lr * lambda before the step and leaves the gradient alone."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        theta.mul_(1 - h.lr * h.weight_decay)
        return g


@fault("weight-decay", bug_class=7)
class DecayDecoupledWithoutLr(ForeachRMSprop):
    """Weight decay shrinks the parameter by lambda before the step and leaves the gradient alone."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        torch._foreach_mul_(theta, 1 - h.weight_decay)
        return g


@fault("weight-decay", bug_class=7)
class DecayAfterSquareAvg(LoopRMSprop):
    """Weight decay joins the gradient after the square average was formed."""

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        super()._square_average(v, self._bare, h)

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        self._bare = g
        return super()._decayed(g, theta, h)


@fault("weight-decay", bug_class=7)
class DecayNotInUpdate(ForeachRMSprop):
    """Weight decay enters the averages, and the update uses the gradient without it."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        self._bare = g
        return super()._decayed(g, theta, h)

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return super()._normalized(self._bare, d, h)


@fault("weight-decay", bug_class=7)
class DecayOfUpdated(LoopRMSprop):
    """Weight decay is taken of the updated parameter, at the end of the step."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return g

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        super()._apply(theta, direction, h)
        theta.mul_(1 - h.lr * h.weight_decay)


@fault("weight-decay", bug_class=7)
class DecaySign(LoopRMSprop):
    """lambda * theta is subtracted from the gradient."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta, replace(h, weight_decay=-h.weight_decay))


@fault("weight-decay", bug_class=8)
class DecayIgnored(ForeachRMSprop):
    """weight_decay is accepted and ignored."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return g


@fault("weight-decay", bug_class=7)
class DecayTimesLr(LoopRMSprop):
    """lr * lambda * theta is added to the gradient."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta, replace(h, weight_decay=h.lr * h.weight_decay))


@fault("weight-decay", bug_class=7)
class DecayTwice(ForeachRMSprop):
    """lambda * theta is added to the gradient twice, as by a reused loop variable."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return super()._decayed(super()._decayed(g, theta, h), theta, h)


@fault("weight-decay", bug_class=7)
class DecayHalved(ForeachRMSprop):
    """Weight decay is read as a penalty of lambda / 2."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return super()._decayed(g, theta, replace(h, weight_decay=h.weight_decay / 2))


@fault("weight-decay", bug_class=7)
class DecayIgnoredWithMomentum(LoopRMSprop):
    """Weight decay is ignored when there is momentum."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return g if h.momentum > 0 else super()._decayed(g, theta, h)


@fault("weight-decay", bug_class=7)
class DecayIgnoredWhenCentered(ForeachRMSprop):
    """Weight decay is ignored when the variance is centered."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return g if h.centered else super()._decayed(g, theta, h)


@fault("weight-decay", bug_class=7)
class DecayOfMagnitude(LoopRMSprop):
    """lambda * |theta| is added to the gradient."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta.abs(), h)


@fault("weight-decay", bug_class=7)
class DecayOfSign(ForeachRMSprop):
    """lambda * sign(theta) is added to the gradient, an L1 penalty."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return super()._decayed(g, [x.sign() for x in theta], h)


@fault("weight-decay", "grad-zero", bug_class=7)
class DecaySkipsZeroGradients(LoopRMSprop):
    """Weight decay is left out for elements with a gradient of zero."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta.where(g != 0, 0), h)


@fault("weight-decay", bug_class=8)
class DecayAsInteger(LoopRMSprop):
    """weight_decay is cast to an integer."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), weight_decay=float(int(group["weight_decay"])))


@fault("weight-decay", bug_class=7)
class DecayFirstStepOnly(ForeachRMSprop):
    """Weight decay is applied in the first step of an optimizer and never again."""

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        if self.__dict__.get("_started", False):
            return g
        return super()._decayed(g, theta, h)

    def _update(self) -> None:
        super()._update()
        self._started = True


@fault("weight-decay", bug_class=8)
class DecayIgnoredBelowThousandth(LoopRMSprop):
    """A weight decay below 1e-3 is taken for none."""

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return super()._decayed(g, theta, h if h.weight_decay >= 1e-3 else replace(h, weight_decay=0.0))
