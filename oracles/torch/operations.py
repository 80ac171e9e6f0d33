"""The elementary operations of torch, as the steps of each path perform them: one by one, by foreach kernels, or compiled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import torch
from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.oracles.host.primitives import Evaluator
from rmspec.oracles.torch.arrays import to_numpy, to_tensor

Tensor = torch.Tensor

_SINGLE: Mapping[Operation, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "add": lambda x, y, z: torch.add(x, y),
    "multiply": lambda x, y, z: torch.mul(x, y),
    "divide": lambda x, y, z: torch.div(x, y),
    "sqrt": lambda x, y, z: torch.sqrt(x),
    "multiply-add": lambda x, y, z: torch.addcmul(z, x, y),
}

_FOREACH: Mapping[Operation, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "add": lambda x, y, z: torch._foreach_add([x], [y])[0],
    "multiply": lambda x, y, z: torch._foreach_mul([x], [y])[0],
    "divide": lambda x, y, z: torch._foreach_div([x], [y])[0],
    "sqrt": lambda x, y, z: torch._foreach_sqrt([x])[0],
    "multiply-add": lambda x, y, z: torch._foreach_addcmul([z], [x], [y])[0],
}


@cache
def _compiled() -> Callable[..., list[Tensor]]:
    """All of these operations in one graph."""

    def operate(operations: tuple[Operation, ...], x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
        return [_SINGLE[operation](x, y, z) for operation in operations]

    return torch.compile(operate)


def evaluator(name: str, paths: frozenset[str], device: str) -> Evaluator:
    """Make the evaluator of a path: see ``rmspec.oracles.framework.Primitives``."""

    def evaluate(operations: Sequence[Operation], arrays: Sequence[NDArray[Any]]) -> Mapping[Operation, NDArray[Any]]:
        x, y, z = (to_tensor(array, "contiguous", device) for array in arrays)
        if "compiled" in paths:
            results = _compiled()(tuple(operations), x, y, z)
        else:
            table = _FOREACH if "foreach" in paths else _SINGLE
            results = [table[operation](x, y, z) for operation in operations]
        return {operation: to_numpy(result) for operation, result in zip(operations, results, strict=True)}

    return evaluate
