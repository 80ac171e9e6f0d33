"""One step of one element with the state before it: the reduced form of a deviation in a recording."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from rmspec.oracles.recordings.chunks import Scalar


@dataclass(frozen=True, slots=True)
class OneStep:
    """``param``, ``grad`` and each entry of ``state`` as reals: one, or two for a complex element; ``state`` also maps to its
    format. ``options`` are the constructor's, ``extras`` other options of the group, ``attributes`` those of the optimizer.
    ``earlier`` steps with this gradient go before the one that counts.
    """

    dtype: str
    param: tuple[float, ...]
    grad: tuple[float, ...]
    options: Mapping[str, Scalar]
    state: Mapping[str, tuple[str, tuple[float, ...]]] = field(default_factory=dict)
    extras: Mapping[str, Scalar] = field(default_factory=dict)
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    earlier: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Stepped:
    """The observations around the reproduced step: flat reals by ``param``, ``grad`` and ``state/`` with its own name."""

    before: Mapping[str, NDArray[Any]]
    after: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A reproducing step and its observation; ``element`` is its part for a complex number, else 0."""

    step: OneStep
    observed: float
    allowed: tuple[float, float]
    element: int
