"""Reduction: from a deviating program to the shortest one with the same deviation.

RMSprop is elementwise, so most of the work is known beforehand: cut after the deviating call, project onto the element that
shows it, drop calls, then groups and parameters, then options, then simplify the numbers. A candidate counts when the
subject still deviates in the same way; fewest calls come first. A generic shrinker took 40 s where this takes milliseconds.
Source: DESIGN 2.2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    elements,
    plain_number,
)
from rmspec.properties.judge.findings import Finding

__all__ = ["alone_with", "plain_numbers", "plain_options", "reduce", "stored_values", "without_closures"]

Shows = Callable[[Program], Finding | None]
"""Runs a program and returns the finding if it is still there, in the same way."""


_PATIENCE = 20.0
"""Seconds after which a reduction ends, whatever it has found."""


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
        key = hash(repr(candidate))
        if key in self._tried:
            return False
        self._tried.add(key)
        self._left -= 1
        found = self._shows(candidate)
        if found is None:
            return False
        self.program, self.finding = candidate, found
        return True


def reduce(program: Program, finding: Finding, shows: Shows, *, attempts: int = 700) -> tuple[Program, Finding]:
    """Find the shortest program with the same finding, within so many runs; return it with its finding."""
    search = _Search(program, finding, shows, attempts)
    _cut(search)
    _project(search)
    for _ in range(3):
        before = search.program
        _drop_calls(search)
        _cut(search)
        search.attempt(_one_optimizer(search.program))
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
    search.attempt(replace(search.program, calls=search.program.calls[: search.finding.call + 1]))


# -- projection


def _project(search: _Search) -> None:
    finding = search.finding
    declared = next((param for param in search.program.params if param.name == finding.param), None)
    if declared is not None:
        if len(search.program.params) > 1 and search.attempt(_only(search.program, {finding.param})):
            finding = search.finding
        fmt = FORMATS[declared.dtype]
        element = finding.element // fmt.parts
        if declared.shape != (1,) and search.attempt(_element(search.program, element)):
            return
    for param in search.program.params:
        if param.shape != (1,):
            _shrink_shape(search, param.name)
    plain = replace(search.program, params=tuple(replace(each, layout="contiguous") for each in search.program.params))
    search.attempt(plain)
    search.attempt(
        replace(
            search.program,
            calls=tuple(
                replace(call, layout="contiguous") if isinstance(call, SetGrad) else call
                for call in search.program.calls
            ),
        )
    )
    for index, call in enumerate(search.program.calls):
        if isinstance(call, SetGrad) and call.layout != "contiguous":
            search.attempt(_with_call(search.program, index, replace(call, layout="contiguous")))


def _element(program: Program, element: int) -> Program:
    """Every parameter cut down to one element, all to the same one."""
    shapes = {param.name: param for param in program.params}

    def pick(values: tuple[float, ...], param: Param, layout: str) -> tuple[float, ...]:
        parts = FORMATS[param.dtype].parts
        count = max(math.prod(param.shape), 1)
        where = 0 if layout == "expanded" else min(element, count - 1)
        return tuple(values[(where * parts + part) % len(values)] for part in range(parts))

    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, SetGrad) and call.values is not None:
            param = shapes[call.param]
            rows = call.rows
            if rows is not None and param.shape:
                row = element // max(math.prod(param.shape[1:]), 1)
                rows = (0,) * rows.count(row)
            calls.append(replace(call, values=pick(call.values, param, call.layout), layout="contiguous", rows=rows))
        elif isinstance(call, Step) and call.grads:
            grads = {name: pick(values, shapes[name], "") for name, values in call.grads.items()}
            calls.append(replace(call, grads=grads))
        else:
            calls.append(call)
    params = tuple(
        replace(param, shape=(1,), values=pick(param.values, param, ""), layout="contiguous")
        for param in program.params
    )
    return replace(program, params=params, calls=tuple(calls))


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
    for index, call in enumerate(search.program.calls):
        if isinstance(call, SetGrad) and call.param == name and call.values is not None and len(call.values) > 1:
            parts = FORMATS[declared.dtype].parts
            search.attempt(_with_call(search.program, index, replace(call, values=call.values[:parts])))
    search.attempt(
        _with_param(search.program, replace(declared, values=declared.values[: FORMATS[declared.dtype].parts]))
    )


def _shaped(program: Program, name: str, shape: tuple[int, ...]) -> Program:
    """One parameter in another shape; its twins by layout follow, so that saved states still fit."""
    declared = program.param(name)
    params = tuple(replace(param, shape=shape) if param.shape == declared.shape else param for param in program.params)
    return replace(program, params=params)


def _only(program: Program, names: set[str]) -> Program | None:
    """Drop the other parameters from the program, and then the calls without anything to do."""
    return _without_params(program, {param.name for param in program.params} - names)


# -- calls


def _drop_calls(search: _Search) -> None:
    size = max(1, len(search.program.calls) // 2)
    while size >= 1 and not search.spent:
        index = len(search.program.calls) - size
        while index >= 0 and not search.spent:
            calls = search.program.calls
            kept = _valid((*calls[:index], *calls[index + size :]))
            if kept is not None:
                search.attempt(replace(search.program, calls=kept))
            index -= size
            index = min(index, len(search.program.calls) - size)
        size //= 2


def _valid(calls: tuple[Call, ...]) -> tuple[Call, ...] | None:
    """Drop the calls with a reference to an object not made by an earlier call."""
    optimizers: set[str] = set()
    slots: set[str] = set()
    kept: list[Call] = []
    for call in calls:
        if isinstance(call, Create):
            optimizers.add(call.optimizer)
        elif hasattr(call, "optimizer") and call.optimizer not in optimizers:
            continue
        if isinstance(call, Save):
            slots.add(call.slot)
        elif isinstance(call, Load | EditState) and call.slot not in slots:
            continue
        kept.append(call)
    return tuple(kept) if kept else None


def _one_optimizer(program: Program) -> Program | None:
    """Make every optimizer's calls on the first one, if the others have as many parameters."""
    created = [call for call in program.calls if isinstance(call, Create)]
    if len({call.optimizer for call in created}) < 2:
        return None
    first = created[0]
    kept = [name for group in first.groups for name in group.params]
    names = {name: name for name in kept}
    for other in created[1:]:
        others = [name for group in other.groups for name in group.params]
        if len(others) != len(kept) or set(others) & set(kept):
            return None
        names.update(zip(others, kept, strict=True))
    calls = tuple(
        _renamed(call, first.optimizer, names)
        for call in program.calls
        if call is first or not isinstance(call, Create)
    )
    params = tuple(param for param in program.params if param.name in kept or param.name not in names)
    return replace(program, params=params, calls=calls)


def _renamed(call: Call, optimizer: str, names: dict[str, str]) -> Call:
    if isinstance(call, SetGrad | Freeze):
        return replace(call, param=names.get(call.param, call.param))
    if isinstance(call, Step):
        grads = {names.get(name, name): values for name, values in call.grads.items()}
        return replace(call, optimizer=optimizer, grads=grads)
    if isinstance(call, EditState):
        return call
    return replace(call, optimizer=optimizer)


def alone_with(program: Program, optimizer: str) -> Program:
    """The program with the calls on one optimizer alone."""
    others = {call.optimizer for call in program.calls if isinstance(call, Create)} - {optimizer}
    kept = _valid(tuple(call for call in program.calls if getattr(call, "optimizer", "") not in others))
    return program if kept is None else replace(program, calls=kept)


def without_closures(program: Program) -> Program:
    """The program with the gradients set before each step, not by a closure in it."""
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, Step) and call.closure == "returns":
            calls += [SetGrad(name, values) for name, values in call.grads.items()]
            call = replace(call, closure="", grads={}, loss=0.0)
        calls.append(call)
    return replace(program, calls=tuple(calls))


# -- groups and parameters


def _drop_params(search: _Search) -> None:
    for name in [param.name for param in search.program.params]:
        if len(search.program.params) > 1:
            search.attempt(_without_params(search.program, {name}))


def _without_params(program: Program, names: set[str]) -> Program | None:
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, SetGrad | Freeze) and call.param in names:
            continue
        if isinstance(call, Create):
            groups = tuple(
                replace(group, params=tuple(name for name in group.params if name not in names))
                for group in call.groups
            )
            groups = tuple(group for group in groups if group.params)
            if not groups:
                continue
            call = replace(call, groups=groups)
        elif isinstance(call, AddParamGroup):
            left = tuple(name for name in call.group.params if name not in names)
            if not left:
                continue
            call = replace(call, group=replace(call.group, params=left))
        elif isinstance(call, Step) and call.grads:
            call = replace(call, grads={name: values for name, values in call.grads.items() if name not in names})
        calls.append(call)
    kept = _valid(tuple(calls))
    params = tuple(param for param in program.params if param.name not in names)
    if kept is None or not params:
        return None
    return replace(program, params=params, calls=_settled(kept))


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
        if not isinstance(call, Create):
            continue
        if len(call.groups) > 1:
            names = tuple(name for group in call.groups for name in group.params)
            options = {**call.options, **call.groups[0].options}
            search.attempt(_with_call(search.program, index, Create(call.optimizer, (Group(names),), options, "list")))
        current = search.program.calls[index]
        if (
            isinstance(current, Create)
            and len(current.groups) == 1
            and (current.form != "list" or current.groups[0].options)
        ):
            merged = Create(
                current.optimizer,
                (Group(current.groups[0].params),),
                {**current.options, **current.groups[0].options},
                "list",
            )
            search.attempt(_with_call(search.program, index, merged))


# -- options


def _drop_options(search: _Search) -> None:
    for index in range(len(search.program.calls)):
        call = search.program.calls[index]
        for option in list(_tables(call)):
            for value in _simpler_options(option, _tables(search.program.calls[index]).get(option)):
                candidate = _with_option(search.program, index, option, value)
                if search.attempt(candidate):
                    break
                # The numbers at hand may need an option to show anything: try it without, on other numbers.
                if value is _ABSENT and candidate is not None and search.attempt(plain_numbers(candidate)):
                    break


def plain_numbers(program: Program, turn: int = 0) -> Program:
    """The program with plain numbers for every parameter and gradient: other ones each ``turn``, for turns from 1 on."""
    used = 0

    def number() -> float:
        nonlocal used
        used += 1
        if not turn:
            return (2.0, 0.5, -3.0)[used % 3]
        mantissa = 8 + (used * 5 + turn * 3) % 8
        return math.ldexp(mantissa, (used * 3 + turn * 2) % 7 - 7) * (-1 if (used + turn) % 3 == 0 else 1)

    params = tuple(replace(param, values=tuple(number() for _ in param.values[:4])) for param in program.params)
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, SetGrad) and call.values is not None and not call.bad:
            calls.append(replace(call, values=tuple(number() for _ in call.values[:4])))
        elif isinstance(call, Step) and call.grads:
            calls.append(replace(call, grads={key: (number(),) for key in call.grads}))
        else:
            calls.append(call)
    return replace(program, params=params, calls=tuple(calls))


def plain_options(program: Program) -> Program:
    """Give every option of the program a plain value: none of these makes a step leave anything unchanged."""
    plain = {"lr": 0.5, "alpha": 0.75, "eps": 0.5, "weight_decay": 0.5, "momentum": 0.5}

    def changed(options: dict[str, Any]) -> dict[str, Any]:
        return {name: plain.get(name, value) if plain_number(value) > 0 else value for name, value in options.items()}

    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, Create):
            groups = tuple(replace(group, options=changed(group.options)) for group in call.groups)
            call = replace(call, groups=groups, options=changed(call.options))
        elif isinstance(call, AddParamGroup):
            call = replace(call, group=replace(call.group, options=changed(call.group.options)))
        elif isinstance(call, SetOption):
            call = replace(call, options=changed(call.options))
        calls.append(call)
    return replace(program, calls=tuple(calls))


_ABSENT = object()


def _simpler_options(option: str, value: object) -> Iterator[object]:
    yield _ABSENT
    if isinstance(value, TensorNumber):
        yield value.tensor
    plain: dict[str, tuple[float, ...]] = {
        # Neither 0 and 1 where they hide a rule, nor 1/2 for alpha, where alpha and 1 - alpha are one.
        "lr": (0.5,),
        "alpha": (0.75,),
        "eps": (0.0, 0.5),
        "weight_decay": (0.0, 0.5),
        "momentum": (0.0, 0.5),
    }
    for candidate in plain.get(option, ()):
        if candidate == value:
            return
        yield candidate


def _tables(call: Call) -> dict[str, object]:
    """The options of a call, the groups' as ``(group, name)``."""
    if isinstance(call, Create):
        found: dict[str, object] = dict(call.options)
        for position, group in enumerate(call.groups):
            found.update({f"{position}.{name}": value for name, value in group.options.items()})
        return found
    if isinstance(call, AddParamGroup):
        return {f"0.{name}": value for name, value in call.group.options.items()}
    return dict(call.options) if isinstance(call, SetOption) else {}


def _with_option(program: Program, index: int, option: str, value: object) -> Program | None:
    call = program.calls[index]
    position, _, name = option.rpartition(".")

    def changed(options: dict[str, Any]) -> dict[str, Any]:
        rest = {key: each for key, each in options.items() if key != name}
        return rest if value is _ABSENT else {key: value if key == name else each for key, each in options.items()}

    new: Call
    if isinstance(call, Create) and position:
        groups = list(call.groups)
        groups[int(position)] = replace(groups[int(position)], options=changed(dict(groups[int(position)].options)))
        new = replace(call, groups=tuple(groups))
    elif isinstance(call, AddParamGroup):
        new = replace(call, group=replace(call.group, options=changed(dict(call.group.options))))
    elif isinstance(call, SetOption):
        options = changed(dict(call.options))
        if not options:
            return None
        new = replace(call, options=options)
    elif isinstance(call, Create):
        new = replace(call, options=changed(dict(call.options)))
    else:
        return None
    return _with_call(program, index, new)


def _simplify_calls(search: _Search) -> None:
    """Plain forms of calls: no closure, no hooks, lists, deep copies."""
    for index in range(len(search.program.calls)):
        call = search.program.calls[index]
        simpler: list[Call] = []
        if isinstance(call, Step) and (call.closure or call.hooks):
            simpler = [Step(call.optimizer)]
            if call.grads:
                grads = [SetGrad(name, values) for name, values in call.grads.items()]
                inserted = (*search.program.calls[:index], *grads, Step(call.optimizer))
                if search.attempt(replace(search.program, calls=(*inserted, *search.program.calls[index + 1 :]))):
                    continue
        elif (isinstance(call, AddParamGroup) and call.form != "list") or (
            isinstance(call, Create) and call.form == "generator"
        ):
            simpler = [replace(call, form="list")]
        elif isinstance(call, Save) and call.via != "deepcopy":
            simpler = [replace(call, via="deepcopy")]
        elif isinstance(call, SetGrad) and call.rows is not None:
            fewer = [call.rows[:turn] + call.rows[turn + 1 :] for turn in range(min(len(call.rows), 4))]
            simpler = [replace(call, rows=None), *(replace(call, rows=rows) for rows in fewer)]
        for candidate in simpler:
            search.attempt(_with_call(search.program, index, candidate))
    for param in search.program.params:
        if param.dtype != "float32":
            renamed = tuple(replace(each, dtype="float32") for each in search.program.params)
            search.attempt(replace(search.program, params=renamed))
            break


# -- numbers


def _simplify_numbers(search: _Search) -> None:
    for name in [param.name for param in search.program.params]:
        declared = search.program.param(name)
        for position in range(min(len(declared.values), 4)):
            for value in _simpler(search.program.param(name).values[position]):
                current = search.program.param(name)
                values = (*current.values[:position], value, *current.values[position + 1 :])
                if search.attempt(_with_param(search.program, replace(current, values=values))):
                    break
    for index in range(len(search.program.calls)):
        call = search.program.calls[index]
        if isinstance(call, SetGrad) and call.values is not None:
            for position in range(min(len(call.values), 4)):
                for value in _simpler(call.values[position]):
                    current_call = search.program.calls[index]
                    assert isinstance(current_call, SetGrad)
                    assert current_call.values is not None
                    new = (*current_call.values[:position], value, *current_call.values[position + 1 :])
                    if search.attempt(_with_call(search.program, index, replace(current_call, values=new))):
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
    rounded = float(f"{value:.1g}")
    if rounded != value and math.isfinite(rounded):
        yield rounded
    rounded = float(f"{value:.2g}")
    if rounded != value and math.isfinite(rounded):
        yield rounded


# -- replacing parts


def _with_call(program: Program, index: int, call: Call) -> Program:
    return replace(program, calls=(*program.calls[:index], call, *program.calls[index + 1 :]))


def _with_param(program: Program, param: Param) -> Program:
    return replace(program, params=tuple(param if each.name == param.name else each for each in program.params))


def stored_values(program: Program) -> Program:
    """Round every number of the program to its format, so that the printed numbers are the ones used."""

    def rounded(values: tuple[float, ...], param: Param) -> tuple[float, ...]:
        parts = FORMATS[param.dtype].parts
        count = max(min(len(values), math.prod(param.shape) * parts), 1)
        array = elements(values[:count], param.dtype, (-(-count // parts),))
        return tuple(float(each) for each in as_reals(array))[:count]

    declared = {param.name: param for param in program.params}
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, SetGrad) and call.values is not None:
            calls.append(replace(call, values=rounded(call.values, declared[call.param])))
        elif isinstance(call, Step) and call.grads:
            calls.append(
                replace(call, grads={name: rounded(values, declared[name]) for name, values in call.grads.items()})
            )
        else:
            calls.append(call)
    return replace(
        program,
        params=tuple(replace(param, values=rounded(param.values, param)) for param in program.params),
        calls=tuple(calls),
    )
