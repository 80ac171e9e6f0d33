"""Gradients in the hands of somebody else, while ``zero_grad`` does its work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

__all__ = ["hold"]


def hold(gradients: Callable[[], Mapping[str, Any]], read: Callable[[Any], NDArray[Any]]) -> Callable[[], str | None]:
    """Hold the gradients of this moment; return a function for ``Outcome.held_changed``, to be called later."""
    before = {name: (grad, read(grad)) for name, grad in gradients().items() if grad is not None}

    def compare() -> str | None:
        after = gradients()
        # A gradient of zeros does not tell, nor does one that was left where it is.
        writes = {
            name: read(grad).tobytes() != values.tobytes()
            for name, (grad, values) in before.items()
            if values.any() and (after[name] is not grad or read(grad).tobytes() != values.tobytes())
        }
        return next((name for name, write in writes.items() if write), "") if writes else None

    return compare
