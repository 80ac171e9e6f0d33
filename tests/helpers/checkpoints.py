"""Saved optimizers for the tests of the files that hold them."""

from collections.abc import Mapping

import numpy as np

from rmspec.impl import DIALECTS, Hyperparameters, Saved, SavedGroup, SavedParam
from rmspec.impl.translation.saved import needed_roles

SHAPES = ((2, 3), (3,), ())


def optimizer(name: str, hyper: Hyperparameters, *, dtype: object = np.float32, steps: int | None = 10) -> Saved:
    """A saved optimizer of a named dialect: three parameters with numbers of their own."""
    dialect = DIALECTS[name]
    rng = np.random.default_rng(len(name))
    params = []
    for index, shape in enumerate(SHAPES):
        arrays = {
            role: np.asarray(rng.random(shape) - (role != "square_avg")).astype(dtype)
            for role in needed_roles(dialect, hyper)
        }
        params.append(SavedParam(str(index), arrays, steps))
    return Saved((SavedGroup(dialect, hyper, tuple(params)),))


def facts(saved: Saved) -> list[object]:
    """Everything about a saved optimizer, to compare."""

    def bits(arrays: Mapping[str, np.ndarray]) -> dict[str, object]:
        return {role: (each.dtype.name, each.shape, each.tobytes()) for role, each in sorted(arrays.items())}

    return [
        (group.dialect, group.hyper, [(param.name, param.steps, bits(param.arrays)) for param in group.params])
        for group in saved.groups
    ]
