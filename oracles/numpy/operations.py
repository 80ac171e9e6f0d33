"""The elementary operations of NumPy, as the steps of the reference perform them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import OPERATIONS, Operation
from rmspec.oracles.host.primitives import Evaluator


def evaluator(name: str, paths: frozenset[str], device: str) -> Evaluator:
    """Make the evaluator of a path: see ``rmspec.oracles.framework.Primitives``."""

    def evaluate(operations: Sequence[Operation], arrays: Sequence[NDArray[Any]]) -> Mapping[Operation, NDArray[Any]]:
        x, y, z = arrays
        with np.errstate(all="ignore"):
            return {operation: OPERATIONS[operation](x, y, z) for operation in operations}

    return evaluate
