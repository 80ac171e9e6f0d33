"""Changes made throughout a program: to its option tables, to the values of its parameters and gradients, to its names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Operate,
    Options,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
)

__all__ = ["change_options", "change_values", "option_tables", "program_names", "rename", "replace_tables"]

Values = tuple[float, ...]


def option_tables(call: Call) -> tuple[Options, ...]:
    """List the option tables of a call: the constructor's and then each group's, the group's, or those changed."""
    match call:
        case Create():
            return (call.options, *(group.options for group in call.groups))
        case AddParamGroup():
            return (call.group.options,)
        case SetOption():
            return (call.options,)
        case _:
            return ()


def replace_tables(call: Call, tables: Sequence[Options]) -> Call:
    """Give a call these option tables, in the order of ``option_tables``."""
    match call:
        case Create():
            own, *rest = tables
            groups = zip(call.groups, rest, strict=True)
            return replace(call, options=own, groups=tuple(replace(group, options=table) for group, table in groups))
        case AddParamGroup():
            return replace(call, group=replace(call.group, options=tables[0]))
        case SetOption():
            return replace(call, options=tables[0])
        case _:
            return call


def change_options(call: Call, change: Callable[[Options], Options]) -> Call:
    """Change every option table of a call."""
    return replace_tables(call, [change(table) for table in option_tables(call)])


def change_values(program: Program, change: Callable[[Values, Param, Param | SetGrad | Step], Values]) -> Program:
    """Change the values of every parameter, and of every gradient in a call.

    ``change`` is given the values, their parameter, and the declaration or the call with the values in it.
    """
    declared = {param.name: param for param in program.params}

    def changed(call: Call) -> Call:
        match call:
            case SetGrad(param=name, values=tuple(values)):
                return replace(call, values=change(values, declared[name], call))
            case Step(grads=grads) if grads:
                return replace(
                    call, grads={name: change(values, declared[name], call) for name, values in grads.items()}
                )
            case _:
                return call

    params = tuple(replace(param, values=change(param.values, param, param)) for param in program.params)
    return replace(program, params=params, calls=tuple(changed(call) for call in program.calls))


def program_names(program: Program) -> list[str]:
    """The names in a program, of parameters, optimizers and slots, each once."""
    names = [param.name for param in program.params]
    for call in program.calls:
        names += [value for key in ("optimizer", "slot") if isinstance(value := getattr(call, key, None), str)]
    return list(dict.fromkeys(names))


def rename(program: Program, names: Mapping[str, str]) -> Program:
    """Give parameters, optimizers and slots other names; one without another keeps its own."""

    def name(old: str) -> str:
        return names.get(old, old)

    def group(old: Group) -> Group:
        return replace(old, params=tuple(map(name, old.params)))

    def call(old: Call) -> Call:
        match old:
            case Operate(operands=(x, y, z), results=results):
                return Operate((name(x), name(y), name(z)), {key: name(param) for key, param in results.items()})
            case SetGrad() | Freeze():
                return replace(old, param=name(old.param))
            case EditState():
                return replace(old, slot=name(old.slot))
            case Save() | Load():
                return replace(old, optimizer=name(old.optimizer), slot=name(old.slot))
            case Create():
                return replace(old, optimizer=name(old.optimizer), groups=tuple(map(group, old.groups)))
            case AddParamGroup():
                return replace(old, optimizer=name(old.optimizer), group=group(old.group))
            case Step():
                grads = {name(param): values for param, values in old.grads.items()}
                return replace(old, optimizer=name(old.optimizer), grads=grads)
            case _:
                return replace(old, optimizer=name(old.optimizer))

    params = tuple(replace(param, name=name(param.name)) for param in program.params)
    return replace(program, params=params, calls=tuple(map(call, program.calls)))
