"""Standalone scripts for optimizers with gradients and variables as arguments of a step.

Each framework has a ``Style``: how a variable, a gradient, an optimizer and a step are written, and how a value is read.
What the calls of a program and its assertion are is the same for all.
"""

from __future__ import annotations

import math

from rmspec.impl.spec.clauses import CLAUSES, UNNAMED
from rmspec.impl.spec.dialect import SPECIFICATION, Hyperparameters
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.program.program import Create, EditState, Freeze, Load, Save, SetGrad, SetOption, Step, named_rows
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import bounds_check, final_call
from rmspec.oracles.scripting.style import Script, Style, listed


def applied_statements(deviation: Counterexample, style: Style) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation; the last statement but its print asserts."""
    script = Script(deviation)
    for param in script.program.params:
        script.lines += style.variable(param)
    calls = script.program.calls[: deviation.call + 1]
    saved = _restorable(deviation)
    for call in calls[:-1]:
        if saved is not None and call == saved:
            # Before it is saved: a fault may change what it saves.
            script.lines.append(f"saved = {style.read(script, saved.optimizer, _counterpart(deviation, saved))}")
        script.lines += _call(script, style, call)
    before, after = _check(script, style)
    script.lines += [*before, *final_call(deviation, _call(script, style, calls[-1]), after)]
    return style.head, script.lines


def _call(script: Script, style: Style, call: object) -> list[str]:
    match call:
        case Create():
            names = tuple(name for group in call.groups for name in group.params)
            script.members[call.optimizer] = names
            script.options[call.optimizer] = {**call.options, **call.groups[0].options}
            return style.create(script, call)
        case SetGrad():
            return [f"{call.param}_grad = {_gradient(script, style, call)}"]
        case Step():
            return style.step(script, call.optimizer)
        case SetOption():
            return style.change(script, call)
        case Save():
            return style.save(script, call)
        case Load():
            return style.load(script, call)
        case EditState():
            return style.edit(script, call)
        case Freeze():
            return [f"{call.param}_grad = None"]
        case _:
            raise AssertionError(f"not asked of this subject: {call!r}")


def _gradient(script: Script, style: Style, call: SetGrad) -> str:
    if call.values is None:
        return "None"
    param = script.program.param(call.param)
    if call.bad:
        return style.dense(param, listed(call.values, (*param.shape, 2)), (*param.shape, 2))
    rows = named_rows(call, param.shape)
    if rows is None:
        return style.dense(param, listed(call.values, param.shape), param.shape)
    row_size = math.prod(param.shape[1:])
    whole = [call.values[index % len(call.values)] for index in range(math.prod(param.shape))]
    named = tuple(value for row in rows for value in whole[row * row_size : (row + 1) * row_size])
    shape = (len(rows), *param.shape[1:])
    assert style.sparse is not None
    return style.sparse(param, listed(named or (0.0,), shape), rows)


def _restorable(deviation: Counterexample) -> Save | None:
    """Find the save before a lossy load; ``None`` if there was nothing to restore for this parameter."""
    load = deviation.program.calls[deviation.call]
    if deviation.kind != "load" or not deviation.param or deviation.allowed is not None or not isinstance(load, Load):
        return None
    calls = deviation.program.calls[: deviation.call]
    return next((call for call in reversed(calls) if isinstance(call, Save) and call.slot == load.slot), None)


def _counterpart(deviation: Counterexample, saved: Save) -> str:
    """The saved parameter at the position of the deviating one."""
    members = {
        call.optimizer: [name for group in call.groups for name in group.params]
        for call in deviation.program.calls
        if isinstance(call, Create)
    }
    return members[saved.optimizer][members[deviation.optimizer].index(deviation.param)]


def _check(script: Script, style: Style) -> tuple[list[str], list[str]]:
    deviation = script.deviation
    text = repr(deviation.summary[:100])
    read = style.read(script, deviation.optimizer, deviation.param) if deviation.param else ""
    if deviation.kind in ("value", "base") and deviation.allowed is not None:
        return [], bounds_check(
            f"float({read}[{deviation.element}])", deviation.allowed, plain=deviation.plain, finite=deviation.hazard
        )
    if deviation.kind == "frame" and deviation.param:
        place = f"[{deviation.element}]" if CLAUSES.get(deviation.clause, UNNAMED).compares == "element" else ""
        return [f"before = {read}{place}"], [
            f"after = {read}{place}",
            'print("before", before, "after", after)',
            f"assert (before == after).all(), {text}",
        ]
    if deviation.kind == "load" and deviation.param:
        if _restorable(deviation) is not None:
            expected = "saved"
        else:
            expected = repr(
                dialect_named(script.program.dialect or SPECIFICATION.name).initial(deviation.role, Hyperparameters())
            )
        return [], [
            f"loaded = {read}",
            f'print("expected", {expected}, "loaded", loaded)',
            f"assert (loaded == {expected}).all(), {text}",
        ]
    return [], ['print("passed: it raised nothing")']
