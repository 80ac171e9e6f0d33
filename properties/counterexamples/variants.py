"""Variants of a program: with other numbers, other options, fewer optimizers."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.changes import Values, change_values
from rmspec.oracles.program.program import Call, Param, Program, plain_number

__all__ = [
    "MANY",
    "PLAIN_OPTIONS",
    "after_others",
    "alone_with",
    "at_element",
    "drop_dangling",
    "normal_numbers",
    "plain_forms",
    "plain_numbers",
    "share_dicts",
    "stored_values",
    "twins",
    "uncopied",
    "with_gradients",
    "with_reals",
    "with_whole_state",
    "without_circumstances",
    "without_closures",
    "without_copies",
    "without_edits",
    "without_loads",
    "without_recording",
]

MANY = 8
"""From so many parameters on they are not looked at one by one."""

PLAIN_OPTIONS = {"lr": 0.5, "alpha": 0.75, "eps": 0.5, "weight_decay": 0.5, "momentum": 0.5}
"""Neither 0 and 1, which hide rules, nor 1/2 for alpha, where alpha and 1 - alpha are one."""


def drop_dangling(calls: tuple[Call, ...]) -> tuple[Call, ...]:
    """Drop the calls with a reference to an object not made by an earlier call."""
    optimizers: set[str] = set()
    slots: set[str] = set()
    valid: list[Call] = []
    for call in calls:
        if isinstance(call, vocabulary.Create) and call.dicts not in optimizers:
            call = replace(call, dicts="")
        if isinstance(call, vocabulary.Create) or (isinstance(call, vocabulary.Copy) and call.source in optimizers):
            optimizers.add(call.optimizer)
        elif hasattr(call, "optimizer") and call.optimizer not in optimizers:
            continue
        if isinstance(call, vocabulary.Save):
            slots.add(call.slot)
        elif isinstance(call, vocabulary.Load | vocabulary.EditState) and call.slot not in slots:
            continue
        valid.append(call)
    return tuple(valid)


def share_dicts(program: Program) -> Program:
    """The program with the same groups in all calls with the same dicts."""
    created: dict[str, vocabulary.Create] = {}
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, vocabulary.Create):
            first = created.get(call.dicts)
            if call.dicts:
                shared = first is not None and first.form == call.form == "groups"
                call = replace(call, groups=first.groups) if first is not None and shared else replace(call, dicts="")
            created[call.optimizer] = call
        calls.append(call)
    return replace(program, calls=tuple(calls))


def alone_with(program: Program, optimizer: str) -> Program:
    """The program with the calls on one optimizer and on the sources of its copies alone."""
    family = {optimizer}
    for call in reversed(program.calls):
        if isinstance(call, vocabulary.Copy) and call.optimizer in family:
            family.add(call.source)
    calls = drop_dangling(tuple(call for call in program.calls if getattr(call, "optimizer", optimizer) in family))
    return replace(program, calls=calls or program.calls)


def after_others(program: Program, optimizer: str) -> Program:
    """The program after the steps of two more optimizers of its kind, on other parameters and with other options."""
    created = [call for call in program.calls if isinstance(call, vocabulary.Create) and call.optimizer == optimizer]
    names = [name for call in created for group in call.groups for name in group.params]
    if not names:
        return program
    declared = program.param(names[0])
    given = {**created[0].options, **created[0].groups[0].options}
    calls: list[Call] = []
    params: list[Param] = []
    for turn in (1, 2):
        params.append(replace(declared, name=f"{declared.name}_{turn}"))
        # The same branches: an option that is off stays off.
        options: vocabulary.Options = {
            name: PLAIN_OPTIONS[name] / turn if name in PLAIN_OPTIONS and plain_number(value) else value
            for name, value in {**dict.fromkeys(("lr", "alpha", "eps"), 1.0), **given}.items()
        }
        group = vocabulary.Group((params[-1].name,))
        calls += [
            vocabulary.Create(f"{optimizer}{turn}", (group,), options, "list"),
            vocabulary.SetGrad(params[-1].name, (2.0,)),
            vocabulary.Step(f"{optimizer}{turn}"),
        ]
    return replace(program, params=(*params, *program.params), calls=(*calls, *program.calls))


def merge_optimizers(program: Program) -> Program | None:
    """Make every optimizer's calls on the first one, if the others have as many parameters."""
    created = [call for call in program.calls if isinstance(call, vocabulary.Create)]
    if len({call.optimizer for call in created}) < 2 or any(
        isinstance(call, vocabulary.Copy) for call in program.calls
    ):
        return None
    first = created[0]
    stay = [name for group in first.groups for name in group.params]
    names = {name: name for name in stay}
    for twin in created[1:]:
        leave = [name for group in twin.groups for name in group.params]
        if len(leave) != len(stay) or set(leave) & set(stay):
            return None
        names.update(zip(leave, stay, strict=True))
    calls = tuple(
        _on_optimizer(call, first.optimizer, names)
        for call in program.calls
        if call is first or not isinstance(call, vocabulary.Create)
    )
    params = tuple(param for param in program.params if param.name in stay or param.name not in names)
    return replace(program, params=params, calls=calls)


def _on_optimizer(call: Call, optimizer: str, names: dict[str, str]) -> Call:
    """The call on another optimizer, with other names of parameters."""
    if isinstance(call, vocabulary.SetGrad | vocabulary.Freeze | vocabulary.Differentiate):
        return replace(call, param=names.get(call.param, call.param))
    if isinstance(call, vocabulary.Step):
        grads = {names.get(name, name): values for name, values in call.grads.items()}
        return replace(call, optimizer=optimizer, grads=grads)
    if isinstance(call, vocabulary.EditState | vocabulary.Operate | vocabulary.Record | vocabulary.Copy):
        return call
    return replace(call, optimizer=optimizer)


def twins(program: Program) -> dict[str, str]:
    """Map each copied parameter to its copy, and each copy to its source."""
    pairs = [pair for call in program.calls if isinstance(call, vocabulary.Copy) for pair in call.params.items()]
    return dict([*pairs, *((twin, name) for name, twin in pairs)])


def uncopied(program: Program) -> Program:
    """The program with the calls on each copy made on its source."""
    calls: list[Call] = []
    sources: dict[str, str] = {}
    names: dict[str, str] = {}
    for call in program.calls:
        if isinstance(call, vocabulary.Copy):
            sources[call.optimizer] = sources.get(call.source, call.source)
            names.update({twin: names.get(name, name) for name, twin in call.params.items()})
        else:
            optimizer = getattr(call, "optimizer", "")
            calls.append(_on_optimizer(call, sources.get(optimizer, optimizer), names))
    return replace(program, calls=tuple(calls))


def without_edits(program: Program, edits: Collection[str]) -> Program:
    """The program without these edits of saved states."""
    calls = (call for call in program.calls if not (isinstance(call, vocabulary.EditState) and call.edit in edits))
    return replace(program, calls=tuple(calls))


def without_closures(program: Program) -> Program:
    """The program with the gradients set before each step, not by a closure in it."""
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, vocabulary.Step) and call.closure == "returns":
            calls += [vocabulary.SetGrad(name, values) for name, values in call.grads.items()]
            call = replace(call, closure="", grads={}, loss=0.0)
        calls.append(call)
    return replace(program, calls=tuple(calls))


def without_circumstances(program: Program) -> Program:
    """The program without the caller's gradient modes, groups without parameters and dicts given twice."""
    calls: list[Call] = []
    for call in program.calls:
        match call:
            case vocabulary.Step():
                call = replace(call, mode="", bases=False)
            case vocabulary.Create():
                groups = tuple(group for group in call.groups if group.params)
                call = replace(call, groups=groups or call.groups, dicts="")
            case vocabulary.AddParamGroup() if not call.group.params:
                continue
        calls.append(call)
    return replace(program, calls=tuple(calls))


def without_copies(program: Program) -> Program:
    """The program with each saved state taken as ``state_dict`` returns it."""
    calls = (replace(call, via="state_dict") if isinstance(call, vocabulary.Save) else call for call in program.calls)
    return replace(program, calls=tuple(calls))


def without_recording(program: Program) -> Program:
    """The program with nothing recorded, and no derivatives."""
    recording = vocabulary.Record | vocabulary.Differentiate
    return replace(program, calls=tuple(call for call in program.calls if not isinstance(call, recording)))


def with_gradients(program: Program) -> Program:
    """The program with a gradient for every parameter at each step."""
    calls: list[Call] = []
    owned: dict[str, list[str]] = {}
    given: set[str] = set()
    for call in program.calls:
        match call:
            case vocabulary.Create(groups=groups):
                owned[call.optimizer] = [name for group in groups for name in group.params]
            case vocabulary.Copy():
                owned[call.optimizer] = list(call.params.values())
            case vocabulary.AddParamGroup(group=group):
                owned.setdefault(call.optimizer, []).extend(group.params)
            case vocabulary.SetGrad(values=None):
                given.discard(call.param)
            case vocabulary.SetGrad():
                given.add(call.param)
            case vocabulary.Freeze():
                given.discard(call.param)
            case vocabulary.ZeroGrad() if call.set_to_none is not False:
                given.difference_update(owned.get(call.optimizer, ()))
            case vocabulary.Step():
                # A closure sets them anew.
                lacking = [name for name in dict.fromkeys(owned.get(call.optimizer, ())) if name not in given]
                if call.closure:
                    grads = {name: (2.0,) for name in lacking if name not in call.grads}
                    call = replace(call, grads={**call.grads, **grads})
                else:
                    calls += [vocabulary.SetGrad(name, (2.0,)) for name in lacking]
                given.update(lacking)
        calls.append(call)
    return replace(program, calls=tuple(calls))


def with_whole_state(program: Program) -> Program:
    """The program with a step of every parameter before each save, and with no entry dropped from a saved state."""
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, vocabulary.EditState) and call.edit == "drop":
            continue
        if isinstance(call, vocabulary.Save):
            calls.append(vocabulary.Step(call.optimizer))
        calls.append(call)
    return with_gradients(replace(program, calls=tuple(calls)))


def plain_forms(call: Call) -> Iterator[tuple[Call, ...]]:
    """Plain calls in place of one: no closure, no hooks, no mode, lists, deep copies, dense gradients."""
    match call:
        case vocabulary.Step() if call != vocabulary.Step(call.optimizer):
            sets = tuple(vocabulary.SetGrad(name, values) for name, values in call.grads.items())
            if 0 < len(sets) < MANY:
                yield (*sets, vocabulary.Step(call.optimizer))
            yield (vocabulary.Step(call.optimizer),)
            if call.closure and call.mode and len(sets) < MANY:
                yield (*sets, vocabulary.Step(call.optimizer, mode=call.mode))
            for plain in (
                replace(call, hooks=False, mode="", bases=False),
                replace(call, hooks=False, bases=False),
                replace(call, mode=""),
                replace(call, bases=False),
            ):
                if plain != call:
                    yield (plain,)
        case vocabulary.AddParamGroup(form="generator" | "tensor"):
            yield (replace(call, form="list"),)
        case vocabulary.Create():
            for bare in (replace(call, hooks=False, dicts=""), replace(call, hooks=False), replace(call, dicts="")):
                if bare != call:
                    yield (bare,)
            if call.form == "generator":
                yield (replace(call, form="list"),)
        case vocabulary.Save():
            yield (replace(call, via="deepcopy"),)
        case vocabulary.SetGrad(rows=tuple(rows)):
            yield (replace(call, rows=None),)
            for turn in range(min(len(rows), 4)):
                yield (replace(call, rows=rows[:turn] + rows[turn + 1 :]),)


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

    def plain(values: Values, param: Param, place: Param | Call) -> Values:
        if isinstance(place, vocabulary.Differentiate) or (isinstance(place, vocabulary.SetGrad) and place.bad):
            return values
        return tuple(number() for _ in values[: 1 if isinstance(place, vocabulary.Step) else 4])

    return change_values(program, plain)


def normal_numbers(program: Program, *, shrink: float = 2) -> Program:
    """The program with larger numbers for the small ones, their mantissas kept, so that no square is subnormal.

    What is below the root of the smallest normal number (``shrink``: the 4th, say) is raised to be a little above it.
    """

    def lift(values: Values, param: Param, place: Param | Call) -> Values:
        if isinstance(place, vocabulary.SetGrad) and place.bad:
            return values
        fmt = FORMATS[param.dtype].part
        # With room for a factor as small as 1 - alpha.
        least = math.frexp(fmt.smallest_normal)[1] / shrink
        lowest = math.ceil(least + min(8, -least / 4))
        return tuple(_at_least(float(value), lowest) for value in values)

    return change_values(program, lift)


def _at_least(value: float, exponent: int) -> float:
    mantissa, own = math.frexp(value)
    return math.ldexp(mantissa, max(own, exponent)) if value and math.isfinite(value) else value


def without_loads(program: Program) -> Program:
    """The program with no state loaded."""
    return replace(program, calls=tuple(call for call in program.calls if not isinstance(call, vocabulary.Load)))


def stored_values(program: Program) -> Program:
    """Round every number of the program to its format, so that the printed numbers are the ones used."""

    def store(values: Values, param: Param, _: object) -> Values:
        parts = FORMATS[param.dtype].parts
        count = max(min(len(values), math.prod(param.shape) * parts), 1)
        array = vocabulary.elements(values[:count], param.dtype, (-(-count // parts),))
        return tuple(float(value) for value in as_reals(array))[:count]

    return change_values(program, store)


def with_reals(program: Program) -> Program:
    """Make complex parameters real, in the format of their parts."""
    return replace(
        program, params=tuple(replace(param, dtype=FORMATS[param.dtype].part.name) for param in program.params)
    )


def at_element(program: Program, element: int) -> Program:
    """Every parameter cut down to one element, all to the same one."""

    def pick(values: Values, param: Param, place: Param | Call) -> Values:
        parts = FORMATS[param.dtype].parts
        expanded = isinstance(place, vocabulary.SetGrad) and place.layout == "expanded"
        index = 0 if expanded else min(element, max(math.prod(param.shape), 1) - 1)
        return tuple(values[(index * parts + part) % len(values)] for part in range(parts))

    def place(call: Call) -> Call:
        if not isinstance(call, vocabulary.SetGrad) or call.values is None:
            return call
        shape, rows = program.param(call.param).shape, call.rows
        if rows is not None and shape:
            rows = (0,) * rows.count(element // max(math.prod(shape[1:]), 1))
        return replace(call, layout="contiguous", rows=rows)

    picked = change_values(program, pick)
    params = tuple(replace(param, shape=(1,), layout="contiguous") for param in picked.params)
    return replace(picked, params=params, calls=tuple(place(call) for call in picked.calls))
