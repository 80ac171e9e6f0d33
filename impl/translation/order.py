"""Saved parameters in another order, and with their axes in another order, as a port of the model may need.

The kernel of a dense layer is the transpose of torch's weight, and a framework lists parameters in its own order. RMSprop is
elementwise, so that the state follows its parameter to the bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rmspec.impl.translation.lines import CannotTranslate
from rmspec.impl.translation.saved import Saved, SavedParam

__all__ = ["arranged"]


def arranged(
    saved: Saved, *, order: Sequence[int] | None = None, axes: Mapping[str, Sequence[int]] | None = None
) -> Saved:
    """The same optimizer with the axes of some parameters permuted (by name, as ``numpy.transpose``), then in a new order.

    ``order`` lists positions of the old order, as ``[2, 0, 1]``. Raises ``CannotTranslate`` for what is no permutation.
    """
    axes = axes or {}
    names = [param.name for param in saved.params()]
    for name in axes:
        if name not in names:
            raise CannotTranslate(
                f"there is no parameter {name!r} to permute", f"the file has {', '.join(names)}", "name one of those"
            )
    groups = tuple(
        replace(group, params=tuple(_permuted(param, axes.get(param.name)) for param in group.params))
        for group in saved.groups
    )
    if order is None:
        return Saved(groups)
    if len(groups) != 1:
        raise CannotTranslate(
            f"the order of parameters in {len(groups)} groups cannot be changed",
            "each belongs to its own group",
            "translate the groups one at a time with --group 0, --group 1 and so on",
        )
    if sorted(order) != list(range(len(names))):
        raise CannotTranslate(
            f"{','.join(map(str, order))} is no order of {len(names)} parameters",
            "each must be there once, counted from 0",
            f"write it as {','.join(map(str, reversed(range(len(names)))))}",
        )
    (group,) = groups
    return Saved((replace(group, params=tuple(group.params[position] for position in order)),))


def _permuted(param: SavedParam, axes: Sequence[int] | None) -> SavedParam:
    if axes is None:
        return param
    arrays = {}
    for role, values in param.arrays.items():
        if sorted(axes) != list(range(values.ndim)):
            raise CannotTranslate(
                f"{','.join(map(str, axes))} are not the axes of parameter {param.name}, of shape {values.shape}",
                "each axis must be there once, counted from 0",
                f"write them as {param.name}:{','.join(map(str, reversed(range(values.ndim))))}",
            )
        arrays[role] = np.array(np.transpose(values, axes), order="C")
    return replace(param, arrays=arrays)
