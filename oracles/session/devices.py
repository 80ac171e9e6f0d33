"""The device of an array, in one spelling for all frameworks."""

from __future__ import annotations

from typing import Any

__all__ = ["device_name"]


def device_name(array: Any) -> str:
    """The device of an array in the words of its framework, as ``cuda:0``, ``cpu`` without a number; empty if it has none."""
    places = getattr(array, "devices", None)
    place: Any = min(places(), key=lambda device: device.id) if callable(places) else getattr(array, "device", "")
    # JAX has objects, TensorFlow paths such as /job:localhost/replica:0/task:0/device:GPU:0.
    text = f"{place.platform}:{place.id}" if hasattr(place, "platform") else str(place).rpartition("device:")[2]
    kind = text.lower().partition(":")[0]
    return kind if kind == "cpu" else text.lower()
