"""Edits of a saved state: in practice a checkpoint is not always the one just saved.

All work on the form that the page documents: a dict with ``state`` (a dict by parameter id) and ``param_groups``
(a list of dicts whose ``params`` are ids).
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from rmspec.oracles.program.program import EditState, Via


def ids(saved: dict[str, Any]) -> list[Any]:
    """The parameter ids of a saved state in the order of the parameters."""
    return [key for group in saved["param_groups"] for key in group["params"]]


def copied(saved: Any, via: Via) -> Any:
    """A saved state as a ``pickle`` or a ``deepcopy`` of it; by other ways as it is."""
    return pickle.dumps(saved) if via == "pickle" else copy.deepcopy(saved) if via == "deepcopy" else saved


def lengthened(value: Any) -> Any:
    """The numbers of an array, flat, and one more."""
    flat = np.asarray(value).reshape(-1)
    return np.concatenate([flat, flat[:1] if flat.size else np.zeros(1, flat.dtype)])


def edited(saved: dict[str, Any], edit: EditState, reshape: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy of the saved state with one edit; ``reshape`` gives an array one more element."""
    order = ids(saved)
    state = dict(saved["state"])
    groups = [{**group, "params": list(group["params"])} for group in saved["param_groups"]]
    match edit.edit:
        case "relabel":
            names = {key: 100 + 7 * (len(order) - position) for position, key in enumerate(order)}
            state = {names[key]: value for key, value in reversed(list(state.items()))}
            for group in groups:
                group["params"] = [names[key] for key in group["params"]]
        case "drop":
            state.pop(order[edit.index % len(order)], None)
        case "shorten":
            state.pop(groups[-1]["params"].pop(), None)
        case "reshape":
            key = order[edit.index % len(order)]
            if key in state:
                state[key] = {
                    name: reshape(value) if getattr(value, "ndim", 0) or name != "step" else value
                    for name, value in state[key].items()
                }
    return {**saved, "state": state, "param_groups": groups}
