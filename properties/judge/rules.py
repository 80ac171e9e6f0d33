"""The rules: for each kind of call one function from the call and the observation before it to its expectations.

A rule looks at nothing that the call does. It returns ``None`` where there is nothing to be said of the call any more, as of
one on an optimizer that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Copy,
    Create,
    Differentiate,
    EditState,
    Freeze,
    Group,
    Load,
    Operate,
    Record,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.subject import OPTIONS, Observation
from rmspec.properties.judge.expected import (
    Expected,
    InitialState,
    OtherGroups,
    Refusal,
    Rest,
    ShownGroups,
    ZeroedGrads,
)
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.ledger import OptimizerLedger, number
from rmspec.properties.judge.operations import expect_derivatives, expect_operations, follow_recording
from rmspec.properties.judge.saving import expect_copy, expect_edit, expect_load, expect_save
from rmspec.properties.judge.stepping import expect_step

__all__ = ["expect"]


def expect(run: Followed, call: Call, before: Observation) -> Expected | None:
    """Apply the rule of a call."""
    match call:
        case Create():
            return _create(run, call)
        case AddParamGroup():
            return _add_param_group(run, call)
        case Step():
            return expect_step(run, call, before)
        case ZeroGrad():
            return _zero_grad(run, call)
        case SetOption():
            return _set_option(run, call)
        case Save():
            return expect_save(run, call, before)
        case Load():
            return expect_load(run, call, before)
        case EditState():
            return expect_edit(run, call, before)
        case Copy():
            return expect_copy(run, call)
        case Operate():
            return expect_operations(call, before)
        case Differentiate():
            return expect_derivatives(run, call, before)
        case SetGrad() | Freeze() | Record():
            if not isinstance(call, Freeze):
                follow_recording(run, call)
            # These are the program's own doing, not the optimizer's.
            return Expected((Rest("frame", grads=False),), broken_by_exception=None)


def _create(run: Followed, call: Create) -> Expected:
    names = tuple(name for group in call.groups for name in group.params)
    grouped = call.form == "groups"
    across = grouped and any(
        set(group.params) & {name for earlier in call.groups[:i] for name in earlier.params}
        for i, group in enumerate(call.groups)
    )
    twice = any(len(set(group.params)) != len(group.params) for group in call.groups) or (
        not grouped and len(set(names)) != len(names)
    )
    tables = (call.options, *(group.options for group in call.groups))
    doors = ("the constructor", *("a group of the constructor" for _ in call.groups))
    invalid = (_invalid(table, door) for table, door in zip(tables, doors, strict=True))
    ledger = OptimizerLedger.create(call.optimizer, call.options, run.dialect.defaults)
    for group in call.groups if grouped else (Group(names),):
        ledger.add(group)
    return Expected(
        (
            Rest("init-params", actor=call.optimizer),
            ShownGroups(call.optimizer),
            InitialState(call.optimizer, tuple(ledger.params())),
        ),
        call.optimizer,
        (
            *_refusals(across, twice, next((text for text in invalid if text), ""), "init-params", ends=True),
            *_emptiness(call.groups if grouped else (), "init-params", "a group of the constructor"),
        ),
        "params",
        ledger,
        accepted=("init-params", "params"),
        reports_dict="the dicts of the constructor" if grouped else "",
    )


def _add_param_group(run: Followed, call: AddParamGroup) -> Expected | None:
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return None
    params = call.group.params
    across = bool(set(params) & set(ledger.params()))
    twice = len(set(params)) != len(params)
    ledger = ledger.copy()
    ledger.add(call.group)
    return Expected(
        (
            Rest("add-param-group", actor=call.optimizer),
            ShownGroups(call.optimizer, added=True),
            InitialState(call.optimizer, tuple(params)),
        ),
        call.optimizer,
        (
            *_refusals(across, twice, _invalid(call.group.options, "add_param_group"), "add-param-group", ends=False),
            *_emptiness((call.group,), "add-param-group", "add_param_group"),
        ),
        "add-param-group",
        ledger,
        accepted=("add-param-group",),
        reports_dict="the dict",
    )


def _refusals(across: bool, twice: bool, invalid: str, rest: str, *, ends: bool) -> tuple[Refusal, ...]:
    """The reasons to refuse a group: its parameters are in another one, are listed ``twice``, or an option is ``invalid``."""
    reasons = []
    if across:
        clause, silence = "duplicate-across-groups", "a parameter that is already in another group was accepted"
        reasons.append(Refusal("must", clause, clause, silence, ends=ends))
    if twice:
        reasons.append(Refusal("may", rest, "duplicate-in-group", ends=ends))
    if invalid:
        reasons.append(Refusal("open", rest, "refuse-invalid", behaviour=invalid, ends=ends))
    return tuple(reasons)


def _emptiness(groups: tuple[Group, ...], rest: str, door: str) -> tuple[Refusal, ...]:
    """The reason to refuse a group without parameters, if there is one: the page says nothing of it."""
    if all(group.params for group in groups):
        return ()
    return (Refusal("may", rest, "refuse-invalid", behaviour=f"no parameters in {door}"),)


def _zero_grad(run: Followed, call: ZeroGrad) -> Expected | None:
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return None
    zeroed = ZeroedGrads(call.optimizer, tuple(ledger.params()), call.set_to_none is not False)
    return Expected(
        (zeroed, Rest(zeroed.clause)),
        call.optimizer,
        broken_by_exception=zeroed.clause,
        tests={zeroed.clause: 1},
    )


def _set_option(run: Followed, call: SetOption) -> Expected | None:
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None or call.group >= len(ledger.groups):
        return None
    ledger = ledger.copy()
    group = ledger.groups[call.group]
    for option, value in call.options.items():
        if option in OPTIONS:
            group.options[option] = number(value)
            group.sources[option] = "changed"
            group.odd.pop(option, None)
    parts = (Rest("frame", actor=call.optimizer), OtherGroups(call.optimizer, call.group))
    return Expected(parts, call.optimizer, ledger=ledger)


def _invalid(options: Mapping[str, Any], door: str) -> str:
    """Name the first option nobody need take, and the ``door`` of its entry.

    An optimizer may refuse at one door what it accepts at another.
    """
    for name, value in options.items():
        if name not in OPTIONS:
            return f"an unknown option {name} in {door}"
        if not isinstance(value, bool) and not number(value) >= 0:
            return f"{name}={number(value):g} in {door}"
    return ""
