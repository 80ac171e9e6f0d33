"""Faults of the default values of the constructor."""

from __future__ import annotations

from typing import Any

from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop, Params
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
