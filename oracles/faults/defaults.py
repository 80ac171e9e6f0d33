"""Faults of the default values of the constructor."""

from __future__ import annotations

from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop, Params


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
