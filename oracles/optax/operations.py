"""The elementary operations of JAX, as the updates of optax perform them: one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import OPERATIONS, Operation
from rmspec.oracles.host.primitives import Evaluator
from rmspec.oracles.optax.subject import double_precision

_TABLE: Mapping[Operation, Callable[[Any, Any, Any], Any]] = {
    **OPERATIONS,
    "sqrt": lambda x, y, z: jax.numpy.sqrt(x),
}


def evaluator(name: str, paths: frozenset[str], device: str) -> Evaluator:
    """Make the evaluator of a path: see ``rmspec.oracles.framework.Primitives``."""

    def evaluate(operations: Sequence[Operation], arrays: Sequence[NDArray[Any]]) -> Mapping[Operation, NDArray[Any]]:
        with double_precision():
            x, y, z = map(jax.numpy.asarray, arrays)
            return {operation: np.array(_TABLE[operation](x, y, z)) for operation in operations}

    return evaluate
