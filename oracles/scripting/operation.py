"""The script of one elementary operation, rounded otherwise than allowed."""

from __future__ import annotations

import re

from rmspec.oracles.framework import Framework
from rmspec.oracles.program.program import Operate
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import quoted

__all__ = ["write_operation"]


def write_operation(counterexample: Counterexample, framework: Framework) -> tuple[list[str], list[str]] | None:
    """The imports and the statements; ``None`` without the means of the framework, or for computed operands."""
    program, primitives = counterexample.program, framework.primitives
    call = program.calls[counterexample.call]
    earlier = program.calls[: counterexample.call]
    if primitives is None or not isinstance(call, Operate) or counterexample.allowed is None:
        return None
    if any(isinstance(before, Operate) for before in earlier):
        return None
    operation = next(name for name, result in call.results.items() if result == counterexample.param)
    known = framework.subjects.get(program.subject)
    expression = primitives.expression(() if known is None else known.paths, operation)
    statements = []
    device = f", device={quoted(program.device)}" if program.device else ""
    for name, operand in zip("xyz", call.operands, strict=True):
        if not re.search(rf"\b{name}\b", expression.partition(":")[2] or expression):
            continue
        declared = program.param(operand)
        value = declared.values[counterexample.element % len(declared.values)]
        array = primitives.array.format(values=[value], format=declared.dtype, device=device)
        statements.append(f"{name} = {array}")
    low, high = counterexample.allowed
    statements += [
        f"result = {primitives.number.format(array=f'({expression})')}",
        f'assert {low!r} <= result <= {high!r}, f"{{result!r}} = {{result.hex()}} is not the nearest number"',
    ]
    return list(primitives.imports), statements
