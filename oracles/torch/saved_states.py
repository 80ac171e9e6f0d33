"""State of an optimizer: its counters of steps, the ways of saved states out and back, and to another device."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from rmspec.oracles.program.program import Via
from rmspec.oracles.session import edits

__all__ = ["Elsewhere", "counted_steps", "move_elsewhere", "opened_state", "reshaped", "saved_state"]


class Elsewhere(torch.Tensor):
    """A tensor on another device by its own account, with its ``contents`` on this one.

    As between devices, an operation on it and on a tensor from here raises ``RuntimeError``, unless that is a number without
    dimensions; it can be copied, and moved here.
    """

    contents: torch.Tensor

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> Elsewhere:
        """A tensor of the same shape and format."""
        make: Any = torch.Tensor._make_wrapper_subclass
        tensor: Elsewhere = make(cls, values.size(), dtype=values.dtype, device="meta")
        tensor.contents = values
        return tensor

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch calls it with the operation first
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Perform an operation on the contents, and give its result the right device."""
        options = dict(kwargs or {})
        plain = [
            leaf
            for leaf in tree_leaves((args, options))
            if isinstance(leaf, torch.Tensor) and not isinstance(leaf, cls)
        ]
        values = tree_map_only(cls, lambda tensor: tensor.contents, args)
        if operation is torch.ops.aten.copy_.default:
            operation(*values, **options)
            return args[0]
        if any(tensor.dim() for tensor in plain):
            raise RuntimeError("Expected all tensors to be on the same device, but found at least two devices")
        device = options.pop("device", None)
        result = operation(*values, **options)
        away = device is None or torch.device(device).type == "meta"
        return tree_map_only(torch.Tensor, cls, result) if away else result


def move_elsewhere(value: Any) -> Any:
    """A tensor of a saved state moved to another device: from a GPU to the CPU, from the CPU to a stand-in.

    A number stays: torch keeps its counter of steps on the CPU.
    """
    if not isinstance(value, torch.Tensor) or not value.dim():
        return value
    return value.cpu() if value.device.type != "cpu" else Elsewhere(value.detach().clone())


def reshaped(value: Any) -> Any:
    """The numbers of a tensor, flat, and one more."""
    flat = torch.as_tensor(value).reshape(-1)
    return torch.cat([flat, flat[:1] if flat.numel() else torch.zeros(1, dtype=flat.dtype, device=flat.device)])


def saved_state(state: Any, via: Via) -> Any:
    """A state dict as a pickle, a deep copy or a file of it; by other ways as it is."""
    if via != "file":
        return edits.copied(state, via)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def opened_state(saved: Any, via: str) -> Any:
    """The state dict in a pickle, a file or a copy."""
    match via:
        case "pickle":
            return pickle.loads(saved)
        case "file":
            return torch.load(io.BytesIO(saved), weights_only=True)
        case "deepcopy":
            # Again at each load: what is loaded may be changed by later steps, the slot must not.
            return copy.deepcopy(saved)
        case _:
            return saved


def counted_steps(param: str, entry: object) -> dict[str, float]:
    """The counter of steps in a parameter's state; empty without one."""
    value = entry.get("step") if isinstance(entry, Mapping) else None
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        value = value.item()
    return {param: float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else {}
