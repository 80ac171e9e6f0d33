"""Circumstances for the programs of a search: they change no number, and use up none of the choices of a program."""

from __future__ import annotations

from dataclasses import replace

from rmspec.oracles.program.program import Call, Create, Group, Program, SetOption, Step
from rmspec.properties.search.builder import RandomSource

__all__ = ["surround"]


def surround(program: Program, *seed: int) -> Program:
    """Give a program circumstances by chance: gradient modes of the caller, hooks from the start, a group without parameters."""
    source = RandomSource(*seed)

    def chance(percent: int) -> bool:
        return source.integer(0, 99) < percent

    # What a step makes in inference mode cannot be written to outside of it: all steps of a program, or none.
    inference, hooks = chance(4), chance(10)
    calls: list[Call] = []
    for call in program.calls:
        if isinstance(call, Create):
            call = replace(call, hooks=hooks)
        elif isinstance(call, Step):
            disabled, bases = chance(8), chance(50)
            call = replace(
                call, mode="inference_mode" if inference else "no_grad" if disabled else "", bases=call.hooks and bases
            )
        calls.append(call)
    changed = replace(program, calls=tuple(calls))
    return _with_empty_group(changed, source.integer(0, 3)) if chance(8) else changed


def _with_empty_group(program: Program, place: int) -> Program:
    """Put a group without parameters at this place of every optimizer, or last if it has fewer groups."""
    calls: list[Call] = []
    places: dict[str, int] = {}
    for call in program.calls:
        match call:
            case Create():
                groups = call.groups if call.form == "groups" else (Group(tuple(_names(call))),)
                at = places[call.optimizer] = min(place, len(groups))
                call = replace(call, groups=(*groups[:at], Group(()), *groups[at:]), form="groups")
            case SetOption() if call.group >= places[call.optimizer]:
                call = replace(call, group=call.group + 1)
        calls.append(call)
    return replace(program, calls=tuple(calls))


def _names(call: Create) -> list[str]:
    return [name for group in call.groups for name in group.params]
