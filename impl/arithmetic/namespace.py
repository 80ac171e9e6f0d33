"""The array API namespace of an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

__all__ = ["namespace_of"]


def namespace_of(array: Any) -> Any:
    """Return NumPy for its own arrays, and a namespace of array-api-compat for others.

    NumPy follows the standard. For it array-api-compat would import all of NumPy, test helpers and Fortran included.
    """
    return np if isinstance(array, np.ndarray | np.generic) else array_namespace(array)
