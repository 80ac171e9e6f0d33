"""torch tensors to NumPy arrays and back, bit for bit, in every layout of the vocabulary."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import torch
from numpy.typing import NDArray

DTYPES: dict[str, torch.dtype] = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "complex64": torch.complex64,
    "complex128": torch.complex128,
}


def to_numpy(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy of the tensor's values as a NumPy array of the same format and logical shape."""
    plain = tensor.detach().resolve_conj().resolve_neg().to("cpu").contiguous()
    if plain.dtype == torch.bfloat16:
        return np.array(plain.view(torch.int16).numpy().view(ml_dtypes.bfloat16))
    return np.array(plain.numpy())


def to_tensor(values: NDArray[Any], layout: str, device: str) -> torch.Tensor:
    """A tensor with these values, in the layout asked for; memory outside of its elements is filled with NaN."""
    if values.dtype == ml_dtypes.bfloat16:
        # Kept as 0-dim where the array is: numpy's view of a 0-dim array as another dtype is fine, a copy is needed.
        plain = torch.from_numpy(np.array(values).view(np.int16)).view(torch.bfloat16)
    else:
        plain = torch.from_numpy(np.array(values))
    plain = plain.to(device)
    if layout == "expanded" and plain.ndim:
        first = plain[tuple(slice(0, 1) for _ in plain.shape)] if plain.numel() else plain
        return first.expand(plain.shape)
    if layout == "transposed" and plain.ndim >= 2:
        return plain.permute(*reversed(range(plain.ndim))).contiguous().permute(*reversed(range(plain.ndim)))
    if layout == "strided" and plain.ndim:
        shape = (*plain.shape[:-1], 2 * plain.shape[-1] + 1)
        base = torch.full(shape, math.nan, dtype=plain.dtype, device=plain.device)
        view = base[..., : 2 * plain.shape[-1] : 2]
        view.copy_(plain)
        return view
    return plain


def shaped(array: NDArray[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    """The array in a shape of as many numbers, pairs of them as complex ones; in its own if they are others."""
    if shape is None or array.shape == shape:
        return array
    size = math.prod(shape)
    if array.size == size:
        return array.reshape(shape)
    if array.dtype.kind == "f" and array.size == 2 * size and array.dtype.itemsize in (4, 8):
        pairs = np.ascontiguousarray(array).reshape(-1)
        return pairs.view(np.complex64 if array.dtype.itemsize == 4 else np.complex128).reshape(shape)
    return array
