"""Elementary operations: a path's sums, products, quotients and roots against correct rounding, as far as the policy asks it.

A policy says what a path's operations promise; whether they do is measured, and judged here. Of a multiply-add both the fused
and the separate form are legal: the choice of the path is only counted. Numbers below the smallest normal one are a matter of
the clause ``subnormals``, for steps to decide: here they are counted. Source: DESIGN 2.1 and 2.5.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rmspec.impl.arithmetic.accuracy import SLACK, Accuracy, measure_errors
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.oracles.program.program import Operate
from rmspec.oracles.subject import Observation
from rmspec.properties.judge.expected import Expected, OperationResult, Rest
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed

__all__ = ["compare_operation", "expect_operations"]

_CLAUSE = "operation-rounding"

_WORDS = {"add": "x + y", "multiply": "x * y", "divide": "x / y", "sqrt": "sqrt(x)"}


def expect_operations(call: Operate, before: Observation) -> Expected:
    """Expect the results of the operations, and nothing else to change."""
    x, y, z = (before.params[name] for name in call.operands)
    results = tuple(OperationResult(operation, (x, y, z), name) for operation, name in call.results.items())
    return Expected((*results, Rest("frame")))


def compare_operation(run: Followed, part: OperationResult, after: Observation) -> list[Finding]:
    """Measure one operation, and find its worst result beyond the policy."""
    result = after.params[part.name]
    name = next((name for name, known in FORMATS.items() if known.dtype == result.dtype), "")
    if not name or any(operand.dtype != result.dtype or operand.shape != result.shape for operand in part.operands):
        return []
    x, y, z = (as_reals(operand) for operand in part.operands)
    observed = as_reals(result)
    errors = measure_errors(part.operation, (x, y, z), observed, FORMATS[name])
    tally, place = run.tally, (part.operation, name)
    tally.operations[place] = tally.operations.get(place, Accuracy()) + errors.accuracy
    if part.operation == "multiply-add":
        return []
    allowed = run.policy.stated(part.operation)
    wrong = errors.normal & ~(errors.ulps <= allowed + SLACK)
    tally.check(_CLAUSE, int(errors.normal.sum()))
    if not wrong.any():
        return []
    tally.fail(_CLAUSE, int(wrong.sum()) - 1)  # the comparison counts the finding itself
    worst = int(np.argmax(np.where(wrong, errors.ulps, 0.0)))
    nearest = float(errors.nearest[worst])
    finding = run.finding(
        "operation",
        _CLAUSE,
        f"{_WORDS[part.operation]} in {name} is off by {errors.ulps[worst]:.3g} units in the last place, "
        f"and {wrong.sum():,} of {wrong.size:,} results are not what the policy {run.policy.name} allows",
        param=part.name,
        role=part.operation,
        element=worst,
        observed=float(observed[worst]),
        allowed=(nearest, nearest),
    )
    return [replace(finding, operands=(float(x[worst]), float(y[worst]), float(z[worst])))]
