"""The numbers behind the plots of a report. Those of subjects come from the report's JSON; the rest is calculated here.

Nothing here runs a subject: the maps are those of the pseudocode itself, over plain arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.pseudocode import Symbols, iterate
from rmspec.oracles.dialects import dialect_named, dialects
from rmspec.properties.trajectory import band

__all__ = ["envelope_use", "figures", "nan_reach", "step_map", "trajectories"]

Data = dict[str, Any]

_V = np.logspace(-16, 2, 73)
_EPS = np.logspace(-10, -1, 37)
_ALPHAS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
_STEPS = (1, 2, 3, 5, 7, 10, 15, 22, 33, 50, 75, 110, 160, 240, 360, 540, 800, 1200)
_ELEMENTS = 512


def figures(subjects: Sequence[Mapping[str, Any]]) -> Data:
    """The data of the four plots; one is ``None`` if there is nothing to plot."""
    return {
        "trajectories": trajectories(subjects),
        "envelope_use": envelope_use(subjects),
        "step_map": step_map(*_pair(subjects)),
        "nan_reach": nan_reach(),
    }


def trajectories(subjects: Sequence[Mapping[str, Any]]) -> Data | None:
    """Pair the first subject with the one to part from it first, and the band of the first one's dialect.

    They part at the first step after which the second is outside the band; ``parted`` is ``None`` where it never is.
    """
    driven = [each for each in subjects if each.get("trajectory")]
    if not driven:
        return None
    first, *others = driven
    ends = band(dialect_named(first["dialect"]), policy=POLICIES[first["policy"]])

    def left(subject: Mapping[str, Any]) -> float:
        values = [float(each) for each in subject["trajectory"]["theta"]]
        outside = (step for step, (x, (lo, hi)) in enumerate(zip(values, ends, strict=False)) if not lo <= x <= hi)
        return next(outside, math.inf)

    shown = [first, *sorted(others, key=left)[:1]]
    parted = left(shown[-1])
    told = first["trajectory"]
    return {
        "objective": told["objective"],
        "format": told["format"],
        "options": told["options"],
        "dialect": first["dialect"],
        "parted": None if parted == math.inf else int(parted),
        "subjects": [{"name": each["name"], "theta": each["trajectory"]["theta"]} for each in shown],
        "band": [list(each) for each in ends],
    }


def envelope_use(subjects: Sequence[Mapping[str, Any]]) -> Data | None:
    """The histograms of all subjects together, by format."""
    found: dict[str, Data] = {}
    edges: list[Any] = []
    names: list[str] = []
    for subject in subjects:
        use = subject.get("envelope_use")
        if not use or not use["formats"]:
            continue
        if edges and edges != use["edges_ulp"]:
            continue
        edges = use["edges_ulp"]
        names.append(subject["name"])
        for name, counts in use["formats"].items():
            held = found.setdefault(
                name, {"results": 0, "used": [0] * len(counts["used"]), "allowed": [0] * len(counts["used"])}
            )
            held["results"] += counts["results"]
            for key in ("used", "allowed"):
                held[key] = [one + two for one, two in zip(held[key], counts[key], strict=True)]
    return {"subjects": names, "edges_ulp": edges, "formats": found} if found else None


def step_map(one: Dialect, other: Dialect) -> Data:
    """How far one step of two dialects differs, relatively to the larger step, over v and eps.

    Both start from the state v with a gradient of sqrt(v), so that v stays as it is; lr is 1, theta and the buffer are 0.
    """
    v, eps = np.meshgrid(_V, _EPS)
    with np.errstate(all="ignore"):
        steps = [np.abs(_step(dialect, v, eps)) for dialect in (one, other)]
        largest = np.maximum(*steps)
        differs = np.where(largest > 0, np.abs(steps[0] - steps[1]) / largest, 0.0)
    return {
        "dialects": [one.name, other.name],
        "v": [float(f"{each:.6g}") for each in _V],
        "eps": [float(f"{each:.6g}") for each in _EPS],
        "difference": [[float(f"{each:.4g}") for each in row] for row in differs],
    }


@cache
def nan_reach() -> Data:
    """Map the onset of NaN in the centered update, over alpha and steps: constant gradients in float32.

    ``admitted`` is the share of elements whose envelope admits a NaN in a step, or whose update already is one;
    ``reached`` the share of those that the reference itself has made NaN by then.
    """
    gradients = np.logspace(-3, 3, _ELEMENTS).astype(np.float32)
    tables = [_nan_row(alpha, gradients) for alpha in _ALPHAS]
    return {
        "alphas": list(_ALPHAS),
        "steps": list(_STEPS),
        "elements": _ELEMENTS,
        "format": "float32",
        "admitted": [admitted for admitted, _ in tables],
        "reached": [reached for _, reached in tables],
    }


def _nan_row(alpha: float, gradients: Any) -> tuple[list[float], list[float]]:
    param = Parameter(np.ones(_ELEMENTS, dtype=np.float32))
    optimizer = RMSprop([param], alpha=alpha, centered=True)
    hyper = Hyperparameters(alpha=alpha, centered=True)
    zeros = np.zeros(_ELEMENTS)
    admitted, reached = [], []
    for step in range(1, _STEPS[-1] + 1):
        if step in _STEPS:
            state = optimizer.state.get(id(param), {})
            v, g_ave = (np.asarray(state.get(role, zeros), np.float64) for role in ("square_avg", "grad_avg"))
            before = Before(param.data.astype(np.float64), gradients.astype(np.float64), v, g_ave, zeros)
            nan = envelope(before, FORMATS["float32"], hyper, t=step)["param"].nan
            possible = np.isnan(param.data) | (False if nan is None else np.asarray(nan))
            admitted.append(round(float(np.mean(possible)), 4))
        param.grad = gradients
        optimizer.step()
        if step in _STEPS:
            reached.append(round(float(np.isnan(param.data).mean()), 4))
    return admitted, reached


def _step(dialect: Dialect, v: Any, eps: Any) -> Any:
    hyper = Hyperparameters(lr=1.0, alpha=0.5)
    zero = np.zeros_like(v)
    result = iterate(
        zero,
        np.sqrt(v),
        v,
        zero,
        zero,
        Symbols(1.0, 0.5, eps, 0.0, 0.0),
        hyper=hyper,
        dialect=dialect,
        sqrt=np.sqrt,
        power=math.pow,
    )
    return result.theta


def _pair(subjects: Sequence[Mapping[str, Any]]) -> tuple[Dialect, Dialect]:
    """Choose the first two dialects with different denominators; else the specification and TensorFlow's ordering."""
    spoken = [dialect_named(each["dialect"]) for each in subjects if each["dialect"] and each["dialect"] in dialects()]
    first = spoken[0] if spoken else SPECIFICATION
    fallback = DIALECTS["tensorflow"] if first.eps_place != "inside" else SPECIFICATION
    return first, next((each for each in spoken if each.eps_place != first.eps_place), fallback)
