"""The elementary operations of Keras, as the steps of its optimizers perform them: one by one, or in a ``tf.function``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.oracles.host.primitives import Evaluator
from rmspec.oracles.keras.drivers import reader

_ELSEWHERE = ("keras:torch", "keras:jax", "keras:legacy")
"""These run in another process, or step by one kernel of TensorFlow."""


def evaluator(name: str, paths: frozenset[str], device: str) -> Evaluator | None:
    """Make the evaluator of a path: see ``rmspec.oracles.framework.Primitives``."""
    if name in _ELSEWHERE:
        return None
    import keras

    read = reader()

    def compute(operations: tuple[Operation, ...], x: Any, y: Any, z: Any) -> list[Any]:
        table = {
            "add": lambda: keras.ops.add(x, y),
            "multiply": lambda: keras.ops.multiply(x, y),
            "divide": lambda: keras.ops.divide(x, y),
            "sqrt": lambda: keras.ops.sqrt(x),
            "multiply-add": lambda: keras.ops.add(keras.ops.multiply(x, y), z),
        }
        return [table[operation]() for operation in operations]

    def evaluate(operations: Sequence[Operation], arrays: Sequence[NDArray[Any]]) -> Mapping[Operation, NDArray[Any]]:
        perform = compute
        if "function" in paths:
            import tensorflow as tf

            perform = tf.function(compute)
        with keras.device("cpu:0"):
            tensors = [keras.ops.convert_to_tensor(array, dtype=array.dtype.name) for array in arrays]
            results = perform(tuple(operations), *tensors)
        return {operation: read(result) for operation, result in zip(operations, results, strict=True)}

    return evaluate
