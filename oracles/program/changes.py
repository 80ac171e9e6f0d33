"""Changes made throughout a program: to its option tables, and to the values of its parameters and gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    Differentiate,
    Group,
    Options,
    Param,
    Program,
    SetGrad,
    SetOption,
    Step,
)

__all__ = ["change_options", "change_values", "groups_of", "option_tables", "replace_tables"]

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


def groups_of(call: Call) -> tuple[Group, ...]:
    """List the groups in a call."""
    match call:
        case Create():
            return call.groups
        case AddParamGroup():
            return (call.group,)
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


def change_values(program: Program, change: Callable[[Values, Param, Param | Call], Values]) -> Program:
    """Change the values of every parameter, and of every gradient or weight in a call.

    ``change`` is given the values, their parameter, and the declaration or the call with the values in it.
    """
    declared = {param.name: param for param in program.params}

    def changed(call: Call) -> Call:
        match call:
            case SetGrad(param=name, values=tuple(values)):
                return replace(call, values=change(values, declared[name], call))
            case Differentiate(param=name, weights=weights):
                return replace(call, weights=change(weights, declared[name], call))
            case Step(grads=grads) if grads:
                return replace(
                    call, grads={name: change(values, declared[name], call) for name, values in grads.items()}
                )
            case _:
                return call

    params = tuple(replace(param, values=change(param.values, param, param)) for param in program.params)
    return replace(program, params=params, calls=tuple(changed(call) for call in program.calls))
