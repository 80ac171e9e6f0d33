"""The text beside each plot: its title, its caption in words, and the place of its numbers in the document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["PLOTS"]

Data = Mapping[str, Any]

_AT = "/verification/figures"


def _trajectories(data: Data) -> Data:
    names = [each["name"] for each in data["subjects"]]
    options = ", ".join(f"{name}={value:g}" for name, value in data["options"].items())
    if len(names) == 1:
        told = f"{names[0]} on {data['objective']} ({data['format']}, {options})."
    elif data["parted"] is None:
        told = f"{names[0]} and {names[1]} on {data['objective']} ({data['format']}, {options}): they never part."
    else:
        told = (
            f"{names[0]} and {names[1]} on {data['objective']} ({data['format']}, {options}). {names[1]} leaves the envelope at step "
            f"{data['parted']}: no legal evaluation of the dialect {data['dialect']} gets there."
        )
    steps = range(len(data["band"]))
    series = [f"{_AT}/trajectories/subjects/{index}/theta" for index in range(len(names))]
    lengths = [len(each["theta"]) for each in data["subjects"]]
    return {
        "title": "Trajectories on one objective, and the envelope as a band",
        "caption": told
        + " The band holds every legal floating-point evaluation, carried along from step to step; below, the distance "
        "from its middle.",
        "table": {
            "head": [*names, "band, from", "to"],
            "rows": [
                [
                    *(f"{at}/{step}" for at, length in zip(series, lengths, strict=True) if step < length),
                    f"{_AT}/trajectories/band/{step}/0",
                    f"{_AT}/trajectories/band/{step}/1",
                ]
                for step in steps
                if all(step < length for length in lengths)
            ],
        },
    }


def _envelope_use(data: Data) -> Data:
    formats = list(data["formats"])
    at = f"{_AT}/envelope_use"
    bins = len(data["edges_ulp"]) - 1
    return {
        "title": "Use of the envelopes by format",
        "caption": (
            "How many units in the last place a result lies from the middle of its envelope (bars), and how far the ends of "
            f"its envelope are from there (dashes), in a sample of the results of {', '.join(data['subjects'])}. How much "
            "further right the dashes are is what the envelope leaves to other orders of evaluation."
        ),
        "table": {
            "head": ["ulp, from", *(f"{name}, {what}" for name in formats for what in ("results", "ends"))],
            "rows": [
                [
                    f"{at}/edges_ulp/{index}",
                    *(f"{at}/formats/{name}/{key}/{index}" for name in formats for key in ("used", "allowed")),
                ]
                for index in range(bins)
            ],
        },
    }


def _step_map(data: Data) -> Data:
    one, other = data["dialects"]
    return {
        "title": "How far one step of two dialects differs",
        "caption": (
            f"One step of {one} and of {other} from a state v, with a gradient of sqrt(v): the relative difference over v "
            "and eps. The lines are differences of 1e-1, 1e-3 and 1e-7; beyond the last, float32 itself hardly tells the "
            "two apart, so that a tiny eps hides its place."
        ),
        "table": None,
    }


def _nan_reach(data: Data) -> Data:
    at = f"{_AT}/nan_reach"
    return {
        "title": "Where the centered variance becomes NaN",
        "caption": (
            f"centered=True with constant gradients, {data['elements']} elements in {data['format']}: the share of elements "
            "whose envelope admits a NaN by a step, over alpha. The numbers are the percentage that the reference has made "
            "NaN by then. It is the formula that does it: v - g_ave^2 is a difference of rounded numbers, and can be negative."
        ),
        "table": {
            "head": ["alpha", *(f"step {step}" for step in data["steps"])],
            "rows": [
                [f"{at}/alphas/{row}", *(f"{at}/admitted/{row}/{column}" for column in range(len(data["steps"])))]
                for row in range(len(data["alphas"]))
            ],
        },
    }


PLOTS: Mapping[str, Callable[[Data], Data]] = {
    "trajectories": _trajectories,
    "envelope_use": _envelope_use,
    "step_map": _step_map,
    "nan_reach": _nan_reach,
}
"""The title, caption and table of each plot, from its data."""
