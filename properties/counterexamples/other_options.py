"""Variants of a program with other options."""

from __future__ import annotations

from dataclasses import replace

from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.changes import change_options
from rmspec.oracles.program.program import Call, Program
from rmspec.properties.counterexamples.variants import PLAIN_OPTIONS

__all__ = [
    "options_from_the_start",
    "plain_options",
    "shifted_options",
    "with_option",
    "with_saved_options",
    "with_scaled_option",
    "without_zero_decay",
]


def plain_options(program: Program) -> Program:
    """Give every option of the program a plain value: none of these makes a step leave anything unchanged."""

    def change(options: vocabulary.Options) -> vocabulary.Options:
        return {
            name: PLAIN_OPTIONS.get(name, value) if vocabulary.plain_number(value) > 0 else value
            for name, value in options.items()
        }

    return replace(program, calls=tuple(change_options(call, change) for call in program.calls))


def options_from_the_start(program: Program) -> Program:
    """Give options changed later their last values from the start, and leave the changes out."""
    last: dict[str, vocabulary.Options] = {}
    for call in program.calls:
        if isinstance(call, vocabulary.SetOption):
            last[call.optimizer] = {**last.get(call.optimizer, {}), **call.options}
    calls = tuple(
        replace(call, options={**call.options, **last.get(call.optimizer, {})})
        if isinstance(call, vocabulary.Create)
        else call
        for call in program.calls
        if not isinstance(call, vocabulary.SetOption)
    )
    return replace(program, calls=calls)


def with_saved_options(program: Program) -> Program:
    """Give each optimizer with a loaded state the options of its saver from the start."""
    created = {call.optimizer: call for call in program.calls if isinstance(call, vocabulary.Create)}
    savers = {call.slot: call.optimizer for call in program.calls if isinstance(call, vocabulary.Save)}
    models = {
        call.optimizer: created[savers[call.slot]]
        for call in program.calls
        if isinstance(call, vocabulary.Load) and savers.get(call.slot) in created
    }
    calls: list[Call] = []
    for call in program.calls:
        model = models.get(call.optimizer) if isinstance(call, vocabulary.Create) else None
        if isinstance(call, vocabulary.Create) and model is not None:
            call = replace(call, options=model.options)
            if len(call.groups) == len(model.groups):
                pairs = zip(call.groups, model.groups, strict=True)
                call = replace(call, groups=tuple(replace(group, options=alike.options) for group, alike in pairs))
        calls.append(call)
    return replace(program, calls=tuple(calls))


def with_option(program: Program, option: str, value: float | bool) -> Program:
    """Give an option this value in every table of options, and at the making of an optimizer."""

    def change(options: vocabulary.Options) -> vocabulary.Options:
        return {name: value if name == option else number for name, number in options.items()}

    calls = (change_options(call, change) for call in program.calls)
    return replace(
        program,
        calls=tuple(
            replace(call, options={**call.options, option: value})
            if isinstance(call, vocabulary.Create) and not any(option in group.options for group in call.groups)
            else call
            for call in calls
        ),
    )


def with_scaled_option(program: Program, option: str, factor: float) -> Program:
    """Multiply a number among the options by a factor."""

    def change(options: vocabulary.Options) -> vocabulary.Options:
        return {
            name: value * factor if name == option and isinstance(value, float) else value
            for name, value in options.items()
        }

    return replace(program, calls=tuple(change_options(call, change) for call in program.calls))


def shifted_options(program: Program) -> Program:
    """Move every number among the options a little: equal ones stay equal, and none is a power of two or a usual value."""

    def moved(name: str, value: vocabulary.OptionValue) -> vocabulary.OptionValue:
        if name == "alpha" and isinstance(value, float) and 0.5 < value < 1:
            return 1 - (1 - value) * 0.8125
        return value * 0.8125 if name in PLAIN_OPTIONS and isinstance(value, float) and 0 < value < 1e30 else value

    def change(options: vocabulary.Options) -> vocabulary.Options:
        return {name: moved(name, value) for name, value in options.items()}

    return replace(program, calls=tuple(change_options(call, change) for call in program.calls))


def without_zero_decay(program: Program) -> Program:
    """Leave out a weight decay of 0 from constructors."""
    calls = tuple(
        replace(call, options={name: value for name, value in call.options.items() if name != "weight_decay" or value})
        if isinstance(call, vocabulary.Create)
        else call
        for call in program.calls
    )
    return replace(program, calls=calls)
