"""The first session of a process: its optimizer was asked nothing before, and its step is the first one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from rmspec.oracles.program.program import Param
from rmspec.oracles.torch.descriptor import FRAMEWORK
from rmspec.oracles.torch.session import TorchSession


class _AnyName(dict[str, str]):
    """A mapping of every name to itself, for a state with unknown names."""

    def get(self, key: str, default: object = None) -> Any:
        """The key."""
        return key


def first_session(
    name: str, factory: Callable[..., Any] | None, device: str, fixed: Mapping[str, Any], params: tuple[Param, ...]
) -> TorchSession | None:
    """Open a session on an optimizer without a question before it, torch's without ``factory``; ``None`` if it is compiled."""
    known = FRAMEWORK.subjects.get(name)
    path = name.partition(":")[2] if known else next((keyword for keyword, value in fixed.items() if value), "")
    if path == "compiled" or (known is not None and device not in known.devices):
        return None
    return TorchSession(
        params,
        partial(factory or torch.optim.RMSprop, **(known.fixed if known else fixed)),
        _AnyName({"": ""}),
        device=device,
        differentiable=path == "differentiable",
        tensor_lr=path == "tensor-lr",
    )
