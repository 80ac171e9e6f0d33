"""The standalone script of a deviation: at most 25 lines, with the subject's framework and without rmspec.

It makes the calls of the reduced program and ends in an assertion that fails on the subject as it is and passes on a
mended one. How a call is written is the business of each framework's folder.
"""

from __future__ import annotations

from collections.abc import Callable

from rmspec.oracles.dialects import statement
from rmspec.oracles.framework import import_reference
from rmspec.oracles.program.program import Operate
from rmspec.oracles.registry import framework_named
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import MAX_LINES, packed
from rmspec.oracles.scripting.operation import write_operation


def standalone_script(counterexample: Counterexample) -> str | None:
    """The script of a deviation, or ``None`` for a framework without scripts (NumPy, processes), and for a passing deviation."""
    framework = framework_named(counterexample.framework)
    if counterexample.passing or framework is None or not framework.script:
        return None
    if isinstance(counterexample.program.calls[counterexample.call], Operate):
        parts = write_operation(counterexample, framework)
        if parts is None:
            return None
        imports, statements = parts
    else:
        write: Callable[[Counterexample], tuple[list[str], list[str]]] = import_reference(framework.script)
        imports, statements = write(counterexample)
    title = f'"""{counterexample.clause}: {statement(counterexample.clause, counterexample.program.dialect)}."""'
    return "\n".join([title, *imports, *packed(statements, MAX_LINES - len(imports) - 1)]) + "\n"
