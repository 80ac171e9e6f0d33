"""Reduction: from a deviating program to the shortest one with the same deviation.

RMSprop is elementwise, so most of the work is known beforehand: cut after the deviating call, project onto the element that
shows it, drop calls, then groups and parameters, then options, then simplify the numbers. A candidate counts when the
subject still deviates in the same way; fewest calls come first. A generic shrinker took 40 s where this takes milliseconds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.changes import change_values, option_tables, replace_tables
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Copy,
    Create,
    Differentiate,
    Freeze,
    Group,
    OptionValue,
    Param,
    Program,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
)
from rmspec.properties.counterexamples.variants import (
    MANY,
    PLAIN_OPTIONS,
    at_element,
    drop_dangling,
    merge_optimizers,
    plain_forms,
    plain_numbers,
    share_dicts,
    twins,
    uncopied,
)
from rmspec.properties.judge.findings import Finding

__all__ = ["reduce"]

Shows = Callable[[Program], Finding | None]
"""Runs a program and returns the finding if it is still there, in the same way."""


_PATIENCE = 20.0
"""Seconds after which a reduction ends, whatever it has found."""


_LARGE = 2**13
"""So many elements of a program make another attempt of it."""


class _Search:
    """The best program so far, and its finding.

    It gives up after so many ``attempts``: a number of runs, not a time, so that a slow machine finds the same program.
    The time is bounded as well, far above what the attempts take, for subjects whose every step is slow.
    """

    def __init__(self, program: Program, finding: Finding, shows: Shows, attempts: int) -> None:
        self.program = program
        self.finding = finding
        self._shows = shows
        self._left = attempts
        self._end = time.monotonic() + _PATIENCE
        self._tried: set[int] = set()

    @property
    def spent(self) -> bool:
        return self._left <= 0 or time.monotonic() > self._end

    def attempt(self, candidate: Program | None) -> bool:
        """Keep the candidate if it still deviates."""
        if candidate is None or candidate == self.program or self.spent:
            return False
        candidate = share_dicts(candidate)
        key = hash(repr(candidate))
        if key in self._tried:
            return False
        self._tried.add(key)
        self._left -= 1 + sum(math.prod(param.shape) for param in candidate.params) // _LARGE
        finding = self._shows(candidate)
        if finding is None:
            return False
        self.program, self.finding = candidate, finding
        return True

    def change(self, **parts: Any) -> bool:
        """Keep these parts of the program in place of its own if it still deviates."""
        return self.attempt(replace(self.program, **parts))

    def put(self, place: str | int, *new: Param | Call) -> bool:
        """Keep another parameter of a name, or other calls at an index, if it still deviates."""
        if isinstance(place, int):
            calls = self.program.calls
            return self.change(calls=(*calls[:place], *new, *calls[place + 1 :]))
        return self.change(params=tuple(new[0] if param.name == place else param for param in self.program.params))


def reduce(program: Program, finding: Finding, shows: Shows, *, attempts: int = 700) -> tuple[Program, Finding]:
    """Find the shortest program with the same finding, within so many runs; return it with its finding."""
    search = _Search(program, finding, shows, attempts)
    _cut(search)
    _make_alike(search)
    _project(search)
    for _ in range(3):
        before = search.program
        _drop_calls(search)
        _cut(search)
        search.attempt(merge_optimizers(search.program))
        search.attempt(uncopied(search.program))
        _drop_groups(search)
        _drop_params(search)
        _project(search)
        _drop_options(search)
        _simplify_calls(search)
        if search.program == before or search.spent:
            break
    _simplify_numbers(search)
    _drop_calls(search)
    return search.program, search.finding


def _cut(search: _Search) -> None:
    search.change(calls=search.program.calls[: search.finding.call + 1])


# -- projection


def _project(search: _Search) -> None:
    finding = search.finding
    declared = next((param for param in search.program.params if param.name == finding.param), None)
    if declared is not None:
        siblings = {param.name for param in search.program.params} - {
            finding.param,
            twins(search.program).get(finding.param),
        }
        if siblings and search.attempt(_without_params(search.program, siblings)):
            finding = search.finding
        fmt = FORMATS[declared.dtype]
        element = finding.element // fmt.parts
        if declared.shape != (1,) and search.attempt(at_element(search.program, element)):
            return
    for param in search.program.params[:MANY]:
        if param.shape != (1,):
            _shrink_shape(search, param.name)
    search.change(params=tuple(replace(param, layout="contiguous") for param in search.program.params))
    calls = search.program.calls
    search.change(
        calls=tuple(replace(call, layout="contiguous") if isinstance(call, SetGrad) else call for call in calls)
    )
    for index, call in enumerate(search.program.calls):
        if isinstance(call, SetGrad):
            search.put(index, replace(call, layout="contiguous"))


def _shrink_shape(search: _Search, name: str) -> None:
    declared = search.program.param(name)
    size = math.prod(declared.shape)
    if len(declared.shape) != 1 and search.attempt(_shaped(search.program, name, (size,))):
        declared = search.program.param(name)
    if len(declared.shape) == 1:
        low, high = 0, declared.shape[0]
        for small in (1, 2):
            if small < high and search.attempt(_shaped(search.program, name, (small,))):
                return
        while high - low > 1 and not search.spent:
            middle = (low + high) // 2
            if search.attempt(_shaped(search.program, name, (middle,))):
                high = middle
            else:
                low = middle
        for size in (high - 1, high - 2, high - 8):
            if size > 0:
                search.attempt(_shaped(search.program, name, (size,)))
    declared = search.program.param(name)
    parts = FORMATS[declared.dtype].parts
    for index, call in enumerate(search.program.calls):
        if isinstance(call, SetGrad) and call.param == name and call.values is not None and len(call.values) > 1:
            search.put(index, replace(call, values=call.values[:parts]))
    search.put(name, replace(declared, values=declared.values[:parts]))


def _shaped(program: Program, name: str, shape: tuple[int, ...]) -> Program:
    """One parameter in another shape; its twins by layout follow, so that saved states still fit."""
    declared = program.param(name)
    params = tuple(replace(param, shape=shape) if param.shape == declared.shape else param for param in program.params)
    return replace(program, params=params)


# -- calls


def _drop_calls(search: _Search) -> None:
    size = max(1, len(search.program.calls) // 2)
    while size >= 1 and not search.spent:
        index = len(search.program.calls) - size
        while index >= 0 and not search.spent:
            calls = search.program.calls
            left = drop_dangling((*calls[:index], *calls[index + size :]))
            if left:
                search.change(calls=left)
            index = min(index - size, len(search.program.calls) - size)
        size //= 2


# -- groups and parameters


def _drop_params(search: _Search) -> None:
    """Drop parameters, halves of them first: a group may have hundreds; a copy goes with its source."""
    size = max(1, len(search.program.params) // 2)
    while size >= 1 and not search.spent:
        index = len(search.program.params) - size
        while index >= 0 and not search.spent:
            names = [param.name for param in search.program.params]
            pairs = twins(search.program)
            dropped = {half for name in names[index : index + size] for half in (name, pairs.get(name, name))}
            if len(names) > len(dropped):
                search.attempt(_without_params(search.program, dropped))
            index = min(index, len(search.program.params)) - size
        size //= 2


def _make_alike(search: _Search) -> None:
    """Give all of many parameters one shape and one number, and each of their gradients one."""
    params = search.program.params
    if len(params) < MANY:
        return
    alike = tuple(replace(param, shape=(1,), layout="contiguous") for param in params)
    search.change(params=alike)
    search.change(params=tuple(replace(param, dtype=search.program.params[0].dtype) for param in search.program.params))
    search.attempt(change_values(search.program, lambda values, param, _: (2.0,) * FORMATS[param.dtype].parts))


def _without_params(program: Program, names: set[str]) -> Program | None:
    def left(group: Group) -> Group:
        return replace(group, params=tuple(name for name in group.params if name not in names))

    calls: list[Call] = []
    for call in program.calls:
        match call:
            case SetGrad(param=name) | Freeze(param=name) | Differentiate(param=name) if name in names:
                continue
            case Create():
                # A group that was empty before stays.
                groups = ((group, left(group)) for group in call.groups)
                call = replace(call, groups=tuple(rest for group, rest in groups if rest.params or not group.params))
                if not call.groups:
                    continue
            case AddParamGroup():
                rest = left(call.group)
                if not rest.params and call.group.params:
                    continue
                call = replace(call, group=rest)
            case Copy():
                call = replace(call, params={name: twin for name, twin in call.params.items() if name not in names})
            case Step():
                grads = {name: values for name, values in call.grads.items() if name not in names}
                call = replace(call, grads=grads)
        calls.append(call)
    valid = drop_dangling(tuple(calls))
    params = tuple(param for param in program.params if param.name not in names)
    return replace(program, params=params, calls=_settled(valid)) if valid and params else None


def _settled(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Move ``set_option`` to the last group if its own group is gone."""
    counts: dict[str, int] = {}
    settled: list[Call] = []
    for call in calls:
        if isinstance(call, Create):
            counts[call.optimizer] = len(call.groups) if call.form == "groups" else 1
        elif isinstance(call, AddParamGroup):
            counts[call.optimizer] += 1
        elif isinstance(call, SetOption) and call.group >= counts.get(call.optimizer, 1):
            call = replace(call, group=counts[call.optimizer] - 1)
        settled.append(call)
    return tuple(settled)


def _drop_groups(search: _Search) -> None:
    for index, call in enumerate(search.program.calls):
        if isinstance(call, Create) and call.groups:
            nonempty = tuple(group for group in call.groups if group.params)
            if nonempty and nonempty != call.groups:
                search.put(index, replace(call, groups=nonempty))
                call = replace(call, groups=nonempty)
            group = Group(tuple(name for group in call.groups for name in group.params))
            options = {**call.options, **call.groups[0].options}
            search.put(index, Create(call.optimizer, (group,), options, "list", hooks=call.hooks))


# -- options


def _drop_options(search: _Search) -> None:
    for index in range(len(search.program.calls)):
        call = search.program.calls[index]
        for number, table in enumerate(option_tables(call)):
            grouped = number > 0 or isinstance(call, AddParamGroup)
            for option, value in table.items():
                for simple in _simpler_options("" if grouped else option, value):
                    candidate = _with_option(search.program, index, number, option, simple)
                    if search.attempt(candidate):
                        break
                    # The numbers at hand may need an option to show anything: try it without, on other numbers.
                    if simple is None and candidate is not None and search.attempt(plain_numbers(candidate)):
                        break


def _simpler_options(option: str, value: OptionValue) -> Iterator[OptionValue | None]:
    """List values to read more easily, none at all (``None``) first."""
    yield None
    if isinstance(value, TensorNumber):
        yield value.tensor
    if option in PLAIN_OPTIONS:
        for plain in (PLAIN_OPTIONS[option],) if option in ("lr", "alpha") else (0.0, PLAIN_OPTIONS[option]):
            if plain == value:
                return
            yield plain


def _with_option(program: Program, index: int, number: int, option: str, value: OptionValue | None) -> Program | None:
    """Give an option in one table of a call a value, or leave it out; ``None`` for a call with nothing left to do."""
    call = program.calls[index]
    tables = list(option_tables(call))
    table = {name: old if name != option else value for name, old in tables[number].items()}
    tables[number] = {name: new for name, new in table.items() if new is not None}
    if isinstance(call, SetOption) and not tables[number]:
        return None
    calls = program.calls
    return replace(program, calls=(*calls[:index], replace_tables(call, tables), *calls[index + 1 :]))


def _simplify_calls(search: _Search) -> None:
    for index in range(len(search.program.calls)):
        for calls in plain_forms(search.program.calls[index]):
            if search.put(index, *calls):
                break
    if search.program.threads:
        search.change(threads=0)
    if any(param.dtype != "float32" for param in search.program.params):
        search.change(params=tuple(replace(param, dtype="float32") for param in search.program.params))


# -- numbers


def _simplify_numbers(search: _Search) -> None:
    def holder(place: str | int) -> Param | SetGrad | None:
        if isinstance(place, str):
            return search.program.param(place)
        call = search.program.calls[place]
        return call if isinstance(call, SetGrad) and call.values is not None else None

    for place in (*(param.name for param in search.program.params), *range(len(search.program.calls))):
        for position in range(4):
            owner = holder(place)
            if owner is None or owner.values is None or position >= len(owner.values):
                break
            values = owner.values
            for value in _simpler(values[position]):
                if search.put(place, replace(owner, values=(*values[:position], value, *values[position + 1 :]))):
                    break


def _simpler(value: float) -> Iterator[float]:
    """List numbers easier to read, the easiest first."""
    # Not 0 and 1, whose squares and products hide which rule was broken.
    for candidate in (2.0, 0.5, -2.0, 3.0):
        if candidate == value:
            return
        yield candidate
    if not math.isfinite(value) or value == 0:
        return
    exponent = math.floor(math.log2(abs(value)))
    if -1000 < exponent < 1000:
        power = math.copysign(2.0**exponent, value)
        if power != value:
            yield power
    for digits in (1, 2):
        rounded = float(f"{value:.{digits}g}")
        if rounded != value and math.isfinite(rounded):
            yield rounded
