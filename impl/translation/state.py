"""The state of one group in another dialect: averages to the bit, buffers over or times the learning rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.translation.lines import CannotTranslate, Line, Terms
from rmspec.impl.translation.lr_history import Point, recovered
from rmspec.impl.translation.rescaling import Rescaled, over, times
from rmspec.impl.translation.saved import Array, SavedGroup, SavedParam, needed_roles

__all__ = ["carried"]


def carried(
    index: int, group: SavedGroup, target: Dialect, hyper: Hyperparameters, terms: Terms
) -> tuple[tuple[SavedParam, ...], tuple[Line, ...]]:
    """The group's parameters for ``target`` with the options ``hyper``, and a line for each role.

    Raises ``CannotTranslate``.
    """
    if not group.params:
        return (), ()
    fresh = [param.name for param in group.params if not param.arrays]
    if fresh and group.dialect.initial("square_avg", group.hyper) != target.initial("square_avg", hyper):
        raise CannotTranslate(
            f"parameter {fresh[0]} has no state yet, and its average starts elsewhere in {target.name}",
            f"at {target.initial('square_avg', hyper)!r} and not at {group.dialect.initial('square_avg', group.hyper)!r}; "
            "its shape, with which the start could be written down, is not in the file",
            "make one step with a gradient for every parameter, and save again",
        )
    roles = needed_roles(group.dialect, group.hyper)
    params = [
        replace(param, arrays={role: param.arrays[role] for role in roles if param.arrays}) for param in group.params
    ]
    lines: list[Line] = []
    for role in roles:
        if role == "momentum_buffer" and group.dialect.lr_place != target.lr_place:
            params, line = _buffers(index, group, params, target, hyper, terms)
            lines.append(line)
        else:
            count = sum(_reals(param.arrays[role]) for param in params if param.arrays)
            lines.append(Line(index, role, "exact", role, role, elements=count, note="to the bit"))
    for role, condition in (
        ("grad_avg", "the group stays uncentered"),
        ("momentum_buffer", "momentum stays 0"),
    ):
        if role not in roles and any(role in param.arrays for param in group.params):
            lines.append(Line(index, role, "exact", role, "left out", note="no update reads it", condition=condition))
    return tuple(params), tuple(lines)


def _buffers(
    index: int, group: SavedGroup, params: list[SavedParam], target: Dialect, hyper: Hyperparameters, terms: Terms
) -> tuple[list[SavedParam], Line]:
    divide = group.dialect.lr_place == "inside"
    lr = group.hyper.lr if divide else hyper.lr
    changed = group.lr_changed or ("you say that it has changed" if terms.lr_changed else "")
    still = not any(np.any(as_reals(param.arrays["momentum_buffer"])) for param in params if param.arrays)
    if terms.earlier:
        return _recovered(index, group, params, hyper, terms)
    if changed and not terms.lr_constant_from_now and not still:
        raise CannotTranslate(
            f"the learning rate has changed ({changed}), and {target.name} keeps it {target.lr_place} the momentum buffer",
            "the buffer is a sum over steps with different learning rates, and no factor turns it into the other's",
            "give the states saved at each change with --earlier FILE, or say --lr-constant-from-now if it will not change again",
        )
    if divide and lr == 0 and not still:
        raise CannotTranslate(
            "the learning rate is 0, and the momentum buffer would have to be divided by it",
            "what the buffer was before the learning rate became 0 is lost",
            "translate a state that was saved before that, with --lr-constant-from-now",
        )
    rescaled = [param if not param.arrays else _rescaled(param, lr, divide=divide) for param in params]
    results = [result for result in rescaled if isinstance(result, tuple)]
    new = [result[0] if isinstance(result, tuple) else result for result in rescaled]
    elements = sum(_reals(param.arrays["momentum_buffer"]) for param in params if param.arrays)
    inexact = sum(int(np.count_nonzero(result.inexact)) for _, result in results)
    formats = {param.arrays["momentum_buffer"].dtype.name for param in params if param.arrays}
    unit = max((FORMATS[name].unit_roundoff for name in formats), default=0.0)
    tiny = max((FORMATS[name].smallest_subnormal / 2 for name in formats), default=0.0)
    condition = f"the learning rate is {lr!r} from here on" + (
        f": {target.name} then continues as the source would, with a buffer that it would not have had itself"
        if changed
        else ", and was since the buffer was zero"
    )
    line = Line(
        index,
        "momentum_buffer",
        "rounded" if inexact else "exact",
        "momentum_buffer",
        f"momentum_buffer {'/' if divide else '*'} {lr!r}",
        bound=unit if inexact else 0.0,
        elements=elements,
        inexact=inexact,
        note=f"each rounded once: relative {unit:.3g}, or absolute {tiny:.3g} where that is more" if inexact else "",
        condition=condition,
    )
    return new, line


def _rescaled(param: SavedParam, lr: float, *, divide: bool) -> tuple[SavedParam, Rescaled]:
    values = param.arrays["momentum_buffer"]
    with np.errstate(all="ignore"):
        result = over(values, lr) if divide and lr > 0 else times(values, lr if not divide else 0.0)
    _check_range(param, values, result.values)
    return replace(param, arrays={**param.arrays, "momentum_buffer": result.values}), result


def _check_range(param: SavedParam, old: Array, new: Array) -> None:
    if bool(np.any(np.isfinite(as_reals(old)) & ~np.isfinite(as_reals(new)))):
        raise CannotTranslate(
            f"the momentum buffer of parameter {param.name} overflows {old.dtype.name} in the other dialect",
            "an infinity in it would never go away",
            "store the state in a wider format",
        )
    if bool(np.any(np.isnan(as_reals(new)))):
        raise CannotTranslate(
            f"the momentum buffer of parameter {param.name} has an infinity, and would be NaN in the other dialect",
            "no number is an infinity times 0, or one less another",
            "take a state from before it overflowed",
        )


# -- with a history


def _recovered(
    index: int, group: SavedGroup, params: list[SavedParam], hyper: Hyperparameters, terms: Terms
) -> tuple[list[SavedParam], Line]:
    divide = group.dialect.lr_place == "inside"
    new: list[SavedParam] = []
    worst, relative, elements = 0.0, 0.0, 0
    for position, param in enumerate(params):
        if not param.arrays:
            new.append(param)
            continue
        points = list(_points(index, group, param, position, terms, lr=group.hyper.lr if divide else hyper.lr))
        if divide and any(point.lr == 0 for point in points):
            raise CannotTranslate(
                "the learning rate was 0 for a time, and the momentum buffer would have to be divided by it",
                "what happened in that time left no trace in the buffer",
            )
        with np.errstate(all="ignore"):
            result = recovered(points, group.hyper.momentum, divide=divide)
        _check_range(param, param.arrays["momentum_buffer"], result.values)
        new.append(replace(param, arrays={**param.arrays, "momentum_buffer": result.values}))
        size = np.abs(as_reals(result.values))
        elements += size.size
        if size.size:
            worst = max(worst, float(np.nanmax(result.bound)))
            relative = max(relative, float(np.nanmax(result.bound / np.maximum(size, result.bound), initial=0.0)))
    line = Line(
        index,
        "momentum_buffer",
        "bounded",
        "momentum_buffer",
        f"momentum_buffer {'/' if divide else '*'} lr, from {len(terms.earlier) + 1} states",
        bound=worst,
        absolute=True,
        elements=elements,
        inexact=elements,
        note="b' = mu^n b'_0 + f (b - mu^n b_0) from each state to the next, f = "
        f"{'1/lr' if divide else 'lr'}; the bound is absolute, and at most {100 * relative:.3g} % of an element "
        "(100 % where cancellation left less than the bound)",
        condition="each earlier state was saved before its learning rate was changed, and no buffer in between was larger than "
        "those before and after",
    )
    return new, line


def _points(
    index: int, group: SavedGroup, param: SavedParam, position: int, terms: Terms, *, lr: float
) -> Iterator[Point]:
    """The buffers of one parameter through its history, oldest first. Raises ``CannotTranslate`` if they do not fit."""
    points: list[Point] = []
    for saved in terms.earlier:
        groups = saved.groups
        if len(groups) <= index or len(groups[index].params) != len(group.params):
            raise _unfit("an earlier state has other parameters", "name states of the same optimizer")
        was = groups[index]
        if was.hyper.momentum != group.hyper.momentum or was.dialect.lr_place != group.dialect.lr_place:
            raise _unfit("an earlier state has another momentum", "the formula needs one momentum throughout")
        before = was.params[position]
        if not before.arrays:
            continue
        old, now = before.arrays["momentum_buffer"], param.arrays["momentum_buffer"]
        if old.shape != now.shape or old.dtype != now.dtype:
            raise _unfit(f"parameter {param.name} has another shape or format in an earlier state", "")
        points.append(Point(_steps(before), old, was.hyper.lr))
    points.append(Point(_steps(param), param.arrays["momentum_buffer"], lr))
    points.sort(key=lambda point: point.steps)
    counts = [point.steps for point in points]
    if len(set(counts)) != len(counts) or points[-1].buffer is not param.arrays["momentum_buffer"]:
        raise _unfit(
            f"the states were saved after {', '.join(map(str, counts))} steps of parameter {param.name}",
            "the earlier ones must each have fewer steps than the next",
        )
    yield from points


def _steps(param: SavedParam) -> int:
    if param.steps is None:
        raise _unfit(
            f"the file does not say how many steps parameter {param.name} has made",
            "the powers of mu need it: use files that hold the count, or --steps N for the last",
        )
    return param.steps


def _unfit(problem: str, hint: str) -> CannotTranslate:
    return CannotTranslate(
        problem, "the momentum buffer cannot be followed through the changes of the learning rate", hint
    )


def _reals(values: Array) -> int:
    return int(values.size) * FORMATS[values.dtype.name].parts
