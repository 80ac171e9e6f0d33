"""Faults of the default values of the constructor."""

from __future__ import annotations

from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop, Params
from rmspec.oracles.faults.listing import fault


@fault("default-lr", bug_class=16)
class DefaultLr(LoopRMSprop):
    """lr is 0.001 when it is not given, as in Keras."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.001,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


@fault("default-alpha", bug_class=16)
class DefaultAlpha(ForeachRMSprop):
    """alpha is 0.9 when it is not given, as in TensorFlow."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.9,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


@fault("default-eps", bug_class=16)
class DefaultEps(LoopRMSprop):
    """eps is 1e-7 when it is not given, as in Keras."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-7,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


@fault("default-weight-decay", bug_class=16)
class DefaultWeightDecay(ForeachRMSprop):
    """weight_decay is 0.0001 when it is not given."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 1e-4,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


@fault("default-momentum", bug_class=16)
class DefaultMomentum(LoopRMSprop):
    """momentum is 0.9 when it is not given."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0.9,
        centered: bool = False,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


@fault("default-centered", bug_class=16)
class DefaultCentered(ForeachRMSprop):
    """centered is True when it is not given."""

    def __init__(
        self,
        params: Params,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = True,
    ) -> None:
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)
