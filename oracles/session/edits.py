"""Edits of a saved state: in practice a checkpoint is not always the one just saved.

All work on the form that the page documents: a dict with ``state`` (a dict by parameter id) and ``param_groups``
(a list of dicts whose ``params`` are ids).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rmspec.oracles.program.program import EditState

__all__ = ["edited", "ids"]


def ids(saved: dict[str, Any]) -> list[Any]:
    """The parameter ids of a saved state in the order of the parameters."""
    return [key for group in saved["param_groups"] for key in group["params"]]


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
