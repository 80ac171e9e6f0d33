"""Accuracy: the errors of a path's elementary operations, measured in units in the last place.

The pseudocode needs sums, products, quotients and roots. Correctly rounded results are within half a unit in the last place
(ulp) of the exact ones; the error is taken against float64, for float64 itself against NumPy's ``longdouble`` (64 bits on
x86-64; where it is float64, errors are whole units). Sources: IEEE 754-2019, 4.3; Muller et al., Handbook of Floating-Point
Arithmetic, 2.3.2 (ulp).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import Format, ulp

__all__ = ["OPERATIONS", "SLACK", "Accuracy", "Errors", "Operation", "measure_errors"]

Operation = Literal["add", "multiply", "divide", "sqrt", "multiply-add"]

Floats = NDArray[Any]

OPERATIONS: Mapping[Operation, Callable[..., Floats]] = {
    "add": lambda x, y, z: x + y,
    "multiply": lambda x, y, z: x * y,
    "divide": lambda x, y, z: x / y,
    "sqrt": lambda x, y, z: np.sqrt(x),
    "multiply-add": lambda x, y, z: x * y + z,
}
"""Each operation on the operands x, y and z. Of a multiply-add both the fused and the separate form are legal."""

SLACK = 2.0**-9
"""The most that a measured error in ulps may be off itself: ``longdouble`` has 64 bits for 53."""

_HOPELESS = 1e6


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The accuracy of one operation in one format, over so many ``inputs`` in the range of normal numbers.

    ``worst`` is the largest error in ulps, ``off`` the number of results that are not the nearest number of the format.
    ``subnormal`` inputs have an operand or a result below the smallest normal number, and ``lost`` of them came out wrong.
    Of a multiply-add ``fused`` counts the results of one rounding alone, out of the ``distinct`` ones for which that shows.
    """

    inputs: int = 0
    worst: float = 0.0
    off: int = 0
    subnormal: int = 0
    lost: int = 0
    fused: int = 0
    distinct: int = 0

    def __add__(self, addend: Accuracy) -> Accuracy:
        return Accuracy(
            self.inputs + addend.inputs,
            max(self.worst, addend.worst),
            self.off + addend.off,
            self.subnormal + addend.subnormal,
            self.lost + addend.lost,
            self.fused + addend.fused,
            self.distinct + addend.distinct,
        )


@dataclass(frozen=True, slots=True)
class Errors:
    """The errors of the results of one operation, element by element, in ulps, and the ``nearest`` numbers (float64).

    ``normal`` are the elements in the range of normal numbers; ``accuracy`` sums up.
    """

    ulps: NDArray[np.float64]
    nearest: NDArray[np.float64]
    normal: NDArray[np.bool_]
    accuracy: Accuracy


def measure_errors(
    operation: Operation, operands: tuple[Floats, Floats, Floats], observed: Floats, fmt: Format
) -> Errors:
    """Measure the results ``observed`` of an operation; operands and results are float64 arrays of numbers of ``fmt``.

    Of a multiply-add the form is told, and no error: both forms are legal.
    """
    wide: Any = np.longdouble if fmt.unit_roundoff == 2.0**-53 else np.float64
    x, y, z = (operand.astype(wide) for operand in operands)
    with np.errstate(all="ignore"):
        exact = OPERATIONS[operation](x, y, z)
        nearest = _rounded(exact, fmt)
        errors = _ulps(observed.astype(wide), exact, fmt)
        used = {"sqrt": (x,), "multiply-add": (x, y, z)}.get(operation, (x, y))
        small = np.zeros(observed.shape, dtype=bool)
        for number in (*used, exact):
            small |= (number != 0) & (np.abs(number) < fmt.smallest_normal)
        fused = distinct = np.zeros(observed.shape, dtype=bool)
        if operation == "multiply-add":
            separate = _rounded(_rounded(x * y, fmt).astype(wide) + z, fmt)
            # Where the sum cancels, the wider arithmetic has too few digits for the exact result.
            distinct = (separate != nearest) & ~small & (np.abs(exact) > np.abs(z) / 2)
            fused = distinct & (observed == nearest)
            errors = np.zeros(observed.shape)
        wrong = ~(errors <= 0.5 + SLACK)
    normal = ~small
    accuracy = Accuracy(
        int(normal.sum()),
        float(np.max(np.where(normal, errors, 0.0), initial=0.0)),
        int((normal & wrong).sum()),
        int(small.sum()),
        int((small & wrong).sum()),
        int(fused.sum()),
        int(distinct.sum()),
    )
    return Errors(errors, nearest, normal, accuracy)


def _ulps(observed: Floats, exact: Floats, fmt: Format) -> NDArray[np.float64]:
    """The distance of each result from the exact one, in its ulps; a million for a NaN."""
    errors = np.asarray(np.abs(observed - exact) / ulp(exact, fmt), dtype=np.float64)
    return np.where(errors < _HOPELESS, errors, _HOPELESS)


def _rounded(exact: Floats, fmt: Format) -> NDArray[np.float64]:
    """The nearest numbers of the format, as float64."""
    if exact.dtype != np.float64:
        return exact.astype(np.float64)
    spacing = ulp(exact, fmt)
    # Not NumPy's cast: to bfloat16 it goes by way of float32, and rounds twice.
    return np.asarray(np.rint(exact / spacing) * spacing, dtype=np.float64)
