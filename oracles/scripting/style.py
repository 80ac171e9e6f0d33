"""The interface of a framework in a standalone script: the parts common to all styles."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rmspec.oracles.names import parse_name, path_setting
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import number


@dataclass(slots=True)
class Script:
    """One program in the making: statements, and the meaning of its names."""

    deviation: Counterexample
    lines: list[str] = field(default_factory=list)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: dict[str, dict[str, vocabulary.OptionValue]] = field(default_factory=dict)

    @property
    def program(self) -> vocabulary.Program:
        """The program of the script."""
        return self.deviation.program

    def changes(self, optimizer: str) -> bool:
        """Whether an option of an optimizer is changed later."""
        return any(
            isinstance(call, vocabulary.SetOption) and call.optimizer == optimizer for call in self.program.calls
        )


def _unsaved(script: Script, call: object) -> list[str]:
    raise AssertionError(f"the caller owns the state: {call!r}")


@dataclass(frozen=True, slots=True)
class Style:
    """How one interface is written. Every function returns Python source.

    ``save``, ``load`` and ``edit`` are left out where the caller owns the state, so that no program has these calls.
    ``sparse`` writes a row-sparse gradient, from the source of its values and the rows that it names.
    """

    head: list[str]
    variable: Callable[[vocabulary.Param], list[str]]
    dense: Callable[[vocabulary.Param, str, tuple[int, ...]], str]
    create: Callable[[Script, vocabulary.Create], list[str]]
    step: Callable[[Script, str], list[str]]
    change: Callable[[Script, vocabulary.SetOption], list[str]]
    read: Callable[[Script, str, str], str]
    save: Callable[[Script, vocabulary.Save], list[str]] = _unsaved
    load: Callable[[Script, vocabulary.Load], list[str]] = _unsaved
    edit: Callable[[Script, vocabulary.EditState], list[str]] = _unsaved
    sparse: Callable[[vocabulary.Param, str, tuple[int, ...]], str] | None = None


def subject_of(program: vocabulary.Program, registered: str) -> tuple[list[str], str]:
    """Write the import of the user's class or factory, and the expression for calling it.

    A registered name needs no import, and ``registered`` is its expression.
    """
    parts = parse_name(program.subject)
    if not parts.place:
        return [], registered
    name = parts.attribute.split(".")[0]
    lines = [f"from {parts.place} import {name}"]
    if parts.file:
        folder = os.path.dirname(parts.place) or "."
        lines = [
            "import runpy, sys",
            f"sys.path.append({folder!r})",
            f"{name} = runpy.run_path({parts.place!r})[{name!r}]",
        ]
    setting = path_setting(parts.path)
    if setting is None:
        return lines, parts.attribute
    keyword, value = setting
    return [*lines, f"RMSprop = lambda **options: {parts.attribute}({keyword}={value}, **options)"], "RMSprop"


def keywords(options: dict[str, vocabulary.OptionValue], names: Mapping[str, str]) -> str:
    """Options as keyword arguments, by the interface's own names."""
    return ", ".join(f"{names.get(name, name)}={plain(value)}" for name, value in options.items())


def pairs(script: Script, optimizer: str) -> tuple[str, str]:
    """The gradients and the variables of an optimizer, as they are now."""
    names = script.members[optimizer]
    assigned = {call.param for call in script.program.calls if isinstance(call, vocabulary.SetGrad | vocabulary.Freeze)}
    grads = ", ".join(f"{name}_grad" if name in assigned else "None" for name in names)
    return grads, ", ".join(names)


def listed(values: tuple[float, ...], shape: tuple[int, ...]) -> str:
    """The values as a Python list with an element for each of the shape's."""
    count = math.prod(shape)
    if not count:
        return "[]"
    numbers = [number(value) for value in values[:count]]
    text = f"[{', '.join(numbers)}]"
    if len(numbers) == count:
        return text
    return f"({text} * {-(-count // len(numbers))})[:{count}]"


def plain(value: vocabulary.OptionValue) -> str:
    """An option as Python source: a number or a truth value."""
    value = vocabulary.plain_number(value)
    return repr(value) if isinstance(value, bool) else number(value)
