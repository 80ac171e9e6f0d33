"""The standalone script of a deviation: at most 25 lines, with the subject's framework and without rmspec.

It makes the calls of the reduced program and ends in an assertion that fails on the subject as it is and passes on a
mended one. How a call is written is the business of each framework's folder.
"""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from rmspec.oracles.dialects import statement
from rmspec.oracles.framework import Framework, import_reference
from rmspec.oracles.names import parse_name
from rmspec.oracles.program.changes import program_names, rename
from rmspec.oracles.program.program import Operate
from rmspec.oracles.registry import framework_named
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import MAX_LINES, packed
from rmspec.oracles.scripting.operation import write_operation


def standalone_script(counterexample: Counterexample) -> str | None:
    """The script of a deviation, or ``None`` for a framework without scripts (NumPy, processes)."""
    framework = framework_named(counterexample.framework)
    if framework is None or not framework.script or not parse_name(counterexample.program.subject).writable:
        return None
    parts = _write(counterexample, framework)
    names = program_names(counterexample.program)
    if parts is not None and not all(map(_PLAIN.fullmatch, names)):
        parts = _write(with_own_names(counterexample, names, framework), framework)
    if parts is None:
        return None
    imports, statements = parts
    title = title_line(counterexample.clause, counterexample.program.dialect)
    return "\n".join([title, *imports, *packed(statements, MAX_LINES - len(imports) - 1)]) + "\n"


_PLAIN = re.compile(r"[AB]|[pq]\d*|s\d|theta")
"""The names of rmspec's own programs: no script has another use for them."""


def title_line(clause: str, dialect: str) -> str:
    """The first line of a script: the clause as a docstring."""
    text = f"{clause}: {statement(clause, dialect)}."
    return f'"""{text}"""' if text.isprintable() and not {'"', "\\"} & set(text) else repr(text)


def _write(counterexample: Counterexample, framework: Framework) -> tuple[list[str], list[str]] | None:
    if isinstance(counterexample.program.calls[counterexample.call], Operate):
        return write_operation(counterexample, framework)
    write: Callable[[Counterexample], tuple[list[str], list[str]]] = import_reference(framework.script)
    return write(counterexample)


def with_own_names(counterexample: Counterexample, names: list[str], framework: Framework) -> Counterexample:
    """The counterexample, its names changed if the script, or Python, has another use for them.

    The script is written with names that nothing else has: whatever else is in it then is in use.
    """
    strange = {name: f"rmspec_{index}_name" for index, name in enumerate(names)}
    parts = _write(_renamed(counterexample, strange), framework)
    words = set(re.findall(r"\w+", "\n".join(parts[0] + parts[1]))) if parts is not None else set()
    derived = {word.removeprefix(own) for word in words for own in strange.values() if word.startswith(own)}
    taken_names = words | set(keyword.kwlist) | set(dir(builtins))
    changed: dict[str, str] = {}
    for name in names:
        free = name
        while taken_names & {free + ending for ending in derived}:
            free += "_"
        taken_names |= {free + ending for ending in derived}
        changed[name] = free
    return _renamed(counterexample, changed)


def _renamed(counterexample: Counterexample, names: Mapping[str, str]) -> Counterexample:
    program = rename(counterexample.program, names)
    optimizer, param = (names.get(name, name) for name in (counterexample.optimizer, counterexample.param))
    return replace(counterexample, program=program, optimizer=optimizer, param=param)  # type: ignore[type-var]
