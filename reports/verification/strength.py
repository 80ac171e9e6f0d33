"""The strength of the suite: how many faults of each class it catches, and how fast; measured beforehand and stored.

``data/strength.json`` holds one row for each optimizer of ``rmspec.oracles.faults`` and where it was measured;
``python tests/bench/stored.py strength`` measures it again.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from rmspec.reports.documents import stored_json

__all__ = ["BUG_CLASSES", "strength"]

BUG_CLASSES: Mapping[int, str] = {
    0: "a plain slip in the pseudocode",
    1: "eps inside or outside the root, left out, or of another size",
    2: "the centered variance",
    3: "optimizers that share state",
    4: "two execution paths of one implementation that disagree",
    5: "the learning rate inside the momentum buffer",
    6: "the initial accumulator",
    7: "weight decay missing, misplaced, unscaled or decoupled",
    8: "a hyperparameter that is accepted and ignored",
    9: "momentum or centered switched on after the first step",
    10: "None and zero gradients confused",
    11: "load_state_dict: casts, shapes, order, options",
    12: "a failure that leaves half a step or half a checkpoint",
    13: "a complex number taken for one number instead of two",
    14: "half precision and rounded hyperparameters",
    15: "duplicate or overlapping parameters",
    16: "parameter groups: defaults, explicit values, validation",
    17: "old or partial checkpoints",
    18: "a gradient or an accumulator that a step must not change",
    19: "hooks and closures",
    20: "strides, scalars, empty tensors and odd sizes",
    21: "overflow and infinities",
    22: "lr as a tensor",
    23: "differentiable mode",
    24: "the step counter",
    25: "the domain of the constructor's arguments",
}
"""What each class of faults is, by the number that faults and stored programs carry."""


def strength() -> dict[str, Any]:
    """The measurements by class: faults, how many are caught, seconds to the first deviation, calls of its program."""
    stored: dict[str, Any] = stored_json("data/strength.json")
    rows: list[dict[str, Any]] = stored["faults"]
    return {
        "provenance": stored["provenance"],
        "total": _row(rows),
        "classes": [
            {"class": number, "title": BUG_CLASSES.get(number, "another"), **_row(found)}
            for number in sorted({row["class"] for row in rows})
            if (found := [row for row in rows if row["class"] == number])
        ],
    }


def _row(rows: list[dict[str, Any]]) -> dict[str, Any]:
    caught = [row for row in rows if row["caught"]]
    seconds = [row["seconds"] for row in caught]
    return {
        "faults": len(rows),
        "caught": len(caught),
        "named": sum(row["named"] for row in caught),
        "seconds_median": round(statistics.median(seconds), 3) if seconds else None,
        "seconds_slowest": max(seconds, default=None),
        "calls_median": statistics.median(row["calls"] for row in caught) if caught else None,
        "calls_longest": max((row["calls"] for row in caught), default=None),
    }
