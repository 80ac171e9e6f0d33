"""Number formats: the storage formats of an optimizer's tensors, as plain data.

Complex formats are pairs of reals: their arithmetic is that of the real format of each part.
Source: IEEE 754-2019 for binary16/32/64; bfloat16 as in ``ml_dtypes``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmspec.impl.errors import RmspecError, closest, nearest

__all__ = ["FORMATS", "Format", "UnknownFormat", "as_reals", "format_named", "ulp"]


class UnknownFormat(RmspecError, ValueError):
    """No supported number format has this name; ``closest`` is the most similar one, or ``None``."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"unknown number format {name!r}{nearest(name, FORMATS)}", hint=f"choose from {', '.join(FORMATS)}"
        )
        self.args = (name,)
        self.name = name
        self.closest = closest(name, FORMATS)


@dataclass(frozen=True, slots=True)
class Format:
    """One binary floating-point storage format.

    ``name`` is the field's name of the dtype (``"float32"``); ``dtype`` its NumPy dtype; ``unit_roundoff`` is half the
    distance from 1 to the next number; ``smallest_subnormal``, ``smallest_normal`` and ``max_finite`` are exact in
    float64. ``parts`` is 2 for complex formats, else 1; all figures are those of one part.
    """

    name: str
    dtype: np.dtype[np.generic]
    unit_roundoff: float
    smallest_subnormal: float
    smallest_normal: float
    max_finite: float
    parts: int

    @property
    def part(self) -> Format:
        """The real format of one part; the format itself when it is real."""
        return self if self.parts == 1 else FORMATS["float32" if self.name == "complex64" else "float64"]

    def round(self, value: float) -> float:
        """``value`` rounded to the nearest number of (one part of) this format, ties to even."""
        part = self.part
        if part.unit_roundoff == 2.0**-53 or not math.isfinite(value):
            return float(value)
        # Not NumPy's cast: to bfloat16 it goes by way of float32, and rounds twice.
        quantum = max(math.ldexp(2 * part.unit_roundoff, math.frexp(value)[1] - 1), part.smallest_subnormal)
        nearest = round(value / quantum) * quantum
        return math.copysign(nearest if abs(nearest) <= part.max_finite else math.inf, value)


def _format(name: str, dtype: type[np.generic], parts: int = 1) -> Format:
    real = np.dtype(dtype) if parts == 1 else np.zeros((), dtype).real.dtype
    info = ml_dtypes.finfo(real)  # type: ignore[no-untyped-call]  # ml_dtypes ships no types for it
    return Format(
        name=name,
        dtype=np.dtype(dtype),
        unit_roundoff=float(info.eps) / 2,
        smallest_subnormal=float(info.smallest_subnormal),
        smallest_normal=float(info.smallest_normal),
        max_finite=float(info.max),
        parts=parts,
    )


FORMATS: dict[str, Format] = {
    fmt.name: fmt
    for fmt in (
        _format("float32", np.float32),
        _format("float64", np.float64),
        _format("float16", np.float16),
        _format("bfloat16", ml_dtypes.bfloat16),
        _format("complex64", np.complex64, parts=2),
        _format("complex128", np.complex128, parts=2),
    )
}
"""Every supported format by name, in the order in which they are searched."""


def format_named(name: str) -> Format:
    """The format of this name. Raises ``UnknownFormat`` when there is none."""
    try:
        return FORMATS[name]
    except KeyError:
        raise UnknownFormat(name) from None


def as_reals(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """``values`` of any supported format, flat and as float64, exactly; complex ones as (real, imaginary) pairs.

    Shape ``(n,)`` for real and ``(2 n,)`` for complex input of ``n`` elements.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype.kind == "c":
        flat = flat.view(flat.real.dtype)
    return flat.astype(np.float64)


def ulp(values: NDArray[np.floating], fmt: Format) -> NDArray[np.float64]:
    """The distance from each value to the next number of (one part of) a format."""
    mantissas, exponents = np.frexp(values)
    spacing = np.where(mantissas == 0, 0.0, np.ldexp(2 * fmt.unit_roundoff, exponents - 1))
    return np.asarray(np.maximum(spacing, fmt.smallest_subnormal), dtype=np.float64)
