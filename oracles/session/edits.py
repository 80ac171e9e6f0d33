"""Edits of a saved state: in practice a checkpoint is not always the one just saved.

All work on the form that the page documents: a dict with ``state`` (a dict by parameter id) and ``param_groups``
(a list of dicts whose ``params`` are ids).
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rmspec.oracles.program.program import CopyVia, EditState, Via
from rmspec.oracles.subject import OPTIONS

BRANCHES = {"momentum_buffer": "momentum", "grad_avg": "centered"}
"""The roles of the state with the option that turns each on."""

UNKNOWN = "of_a_newer_version"
"""The name of an option, and of an entry in the state, of an optimizer that does not exist."""


def ids(saved: dict[str, Any]) -> list[Any]:
    """The parameter ids of a saved state in the order of the parameters."""
    return [key for group in saved["param_groups"] for key in group["params"]]


def copied(saved: Any, via: Via) -> Any:
    """A saved state as a ``pickle`` or a ``deepcopy`` of it; by other ways as it is."""
    return pickle.dumps(saved) if via == "pickle" else copy.deepcopy(saved) if via == "deepcopy" else saved


def copied_together(optimizer: Any, params: list[Any], via: CopyVia) -> tuple[Any, list[Any]]:
    """Copy an optimizer together with its parameters, and then the copy: the first may be the last."""
    both = (params, optimizer)
    for _ in range(2):
        both = pickle.loads(pickle.dumps(both)) if via == "pickle" else copy.deepcopy(both)
    return both[1], both[0]


def lengthened(value: Any) -> Any:
    """The numbers of an array, flat, and one more."""
    flat = np.asarray(value).reshape(-1)
    return np.concatenate([flat, flat[:1] if flat.size else np.zeros(1, flat.dtype)])


def edited(
    saved: dict[str, Any],
    edit: EditState,
    reshape: Callable[[Any], Any],
    roles: Mapping[str, str],
    elsewhere: Callable[[Any], Any] = lambda value: value,
) -> dict[str, Any]:
    """A copy of the saved state with one edit.

    ``reshape`` gives an array one more element, ``roles`` are the roles of the names in the state, ``elsewhere`` moves an array
    to another device.
    """
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
        case "elsewhere":
            state = {key: {name: elsewhere(value) for name, value in entry.items()} for key, entry in state.items()}
        case _:
            groups, state = _of_another_version(edit, groups, state, roles)
    return {**saved, "state": state, "param_groups": groups}


def _of_another_version(
    edit: EditState, groups: list[dict[str, Any]], state: dict[Any, Any], roles: Mapping[str, str]
) -> tuple[list[dict[str, Any]], dict[Any, Any]]:
    match edit.edit:
        case "older":
            groups = [{key: group[key] for key in ("params", *OPTIONS) if key in group} for group in groups]
        case "newer":
            groups = [{**group, UNKNOWN: 1.0} for group in groups]
        case "extended":
            state = {
                key: {**entry, UNKNOWN: copy.deepcopy(max(entry.values(), key=lambda value: getattr(value, "ndim", 0)))}
                for key, entry in state.items()
                if entry
            }
        case "lean":
            for group in groups:
                off = {role for role, option in BRANCHES.items() if not group.get(option)}
                for key in group["params"]:
                    if key in state:
                        state[key] = {name: value for name, value in state[key].items() if roles.get(name) not in off}
        case "uncounted":
            state = {key: {name: entry[name] for name in entry if name != "step"} for key, entry in state.items()}
        case "forget":
            option = OPTIONS[edit.index % len(OPTIONS)]
            groups = [{key: value for key, value in group.items() if key != option} for group in groups]
    return groups, state
