"""Calls on no optimizer: elementary operations, and derivatives.

A path's sums, products, quotients and roots are judged against correct rounding, as far as the policy asks it.
A policy says what a path's operations promise; whether they do is measured, and judged here. Of a multiply-add both the fused
and the separate form are legal: the choice of the path is only counted. Numbers below the smallest normal one are a matter of
the clause ``subnormals``, for steps to decide: here they are counted. Source: DESIGN 2.1 and 2.5.

The derivatives of a program's steps are judged against those of the pseudocode. Each step starts from the numbers seen before it, so
that nothing has to be guessed of the steps between, and the bounds are those of ``rmspec.impl.arithmetic.duals``. Where a value is
wrong, its derivatives are blocked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import SLACK, Accuracy, measure_errors
from rmspec.impl.arithmetic.duals import CUTS, Move, bound_derivatives
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.oracles.program.changes import option_tables
from rmspec.oracles.program.program import (
    Call,
    Create,
    Differentiate,
    Operate,
    Record,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
    elements,
)
from rmspec.oracles.subject import Observation, Outcome
from rmspec.properties.judge.expected import Derivatives, Expected, GroupStep, OperationResult, Rest, SteppedFrom
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.ledger import format_of

__all__ = [
    "compare_derivatives",
    "compare_operation",
    "expect_derivatives",
    "expect_operations",
    "follow_moves",
    "follow_recording",
]

_CLAUSE = "operation-rounding"

_DERIVED = "differentiable-step"

_PLAIN = Create | Record | SetGrad | SetOption | Step | ZeroGrad | Differentiate
"""The calls that a program may make before its derivatives are known: no other brings numbers from elsewhere."""

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


def follow_moves(run: Followed, part: GroupStep) -> None:
    """Note the steps of a group, in a program with derivatives."""
    for param in part.params if run.derives else ():
        run.history.setdefault(param.name, []).append((part.optimizer, _move(run, part, param)))


def _move(run: Followed, part: GroupStep, param: SteppedFrom) -> Move | None:
    """The step of one parameter; ``None`` under an unknown option."""
    hyper = part.hyper
    if hyper is None:
        return None

    def role(name: str) -> Any:
        carry = param.state.get(name)
        if carry is None:
            return np.full(param.param.size, FORMATS[param.format].round(run.dialect.initial(name, hyper)))
        return carry if isinstance(carry, tuple) else as_reals(carry)

    before = Before(as_reals(param.param), as_reals(param.grad), *(role(name) for name in STATE_ROLES))
    count = (run.grads or {}).get(param.name, 0)
    return Move(before, hyper, f"grad-{count}" if count else "", param.t)


def follow_recording(run: Followed, call: Record | SetGrad) -> None:
    """Note the beginning of the recording, and each gradient recorded."""
    if isinstance(call, Record):
        run.grads = {}
    elif run.grads is not None and call.values is not None:
        run.grads[call.param] = run.grads.get(call.param, 0) + 1


def _recorded_rate(calls: Sequence[Call]) -> bool:
    """Whether there is one lr in these calls, a tensor recorded."""
    rates = [(place, table["lr"]) for place, call in enumerate(calls) for table in option_tables(call) if "lr" in table]
    if len(rates) != 1 or not isinstance(rates[0][1], TensorNumber):
        return False
    return any(isinstance(call, Record) for call in calls[: rates[0][0]])


def expect_derivatives(run: Followed, call: Differentiate, before: Observation) -> Expected:
    """Expect the derivatives of the pseudocode after known steps, and nothing to change."""
    name = call.param
    array = before.params[name]
    moves = run.history.get(name, [])
    calls = run.program.calls[: run.index]
    known = (
        all(isinstance(earlier, _PLAIN) and not (isinstance(earlier, Step) and earlier.closure) for earlier in calls)
        and len({optimizer for optimizer, _ in moves}) <= 1
        and all(move is not None for _, move in moves)
    )
    if not known:
        return Expected((Rest("frame"),), broken_by_exception=None)
    weights = as_reals(elements(call.weights, format_of(array), array.shape))
    known_moves = tuple(move for _, move in moves if move is not None)
    part = Derivatives(name, format_of(array), weights, known_moves, _recorded_rate(calls))
    return Expected((part, Rest("frame")), broken_by_exception=_DERIVED)


def compare_derivatives(run: Followed, part: Derivatives, outcome: Outcome) -> list[Finding]:
    """Compare each derivative with its bounds, and find the worst element of each source beyond them."""
    bound = partial(
        bound_derivatives, part.moves, part.weights, FORMATS[part.format], run.dialect, policy=run.policy, lr=part.lr
    )
    bounds = bound()
    count = sum(lo.size for lo, _ in bounds.values())
    if part.name in run.wrong:
        run.tally.block(_DERIVED, count)
        return []
    observed = {
        source: np.array(outcome.derivatives.get(source) or np.zeros(lo.size)) for source, (lo, _) in bounds.items()
    }
    findings: list[Finding] = []
    for source, (lo, hi) in bounds.items():
        values = observed[source]
        if values.shape != lo.shape:
            summary = f"the derivative with respect to {_source_words(source)} has {values.size} values, and {lo.size} are due"
            findings.append(run.finding("derivative", _DERIVED, summary, "", part.name, source))
            continue
        bounded = np.isfinite(lo) & np.isfinite(hi)
        run.tally.check(_DERIVED, lo.size, int((~bounded).sum()))
        if not bounded.all():
            run.tally.doubt(_DERIVED, "a derivative has no bound", int((~bounded).sum()))
        wrong = bounded & ~((values >= lo) & (values <= hi))
        if not wrong.any():
            continue
        worst = int(np.argmax(np.where(wrong, np.nan_to_num(abs(values - (lo + hi) / 2), nan=np.inf), -1.0)))
        run.tally.fail(_DERIVED, int(wrong.sum()) - 1)  # the comparison counts the finding itself
        findings.append(
            run.finding(
                "derivative",
                _DERIVED,
                f"the derivative of {part.name} after {_steps(part)} with respect to {_source_words(source)} is wrong",
                param=part.name,
                role=source,
                element=worst,
                observed=float(values[worst]),
                allowed=(float(lo[worst]), float(hi[worst])),
            )
        )
    return _explained(findings, observed, bound) if findings else []


def _explained(findings: list[Finding], observed: dict[str, NDArray[np.float64]], bound: Any) -> list[Finding]:
    """Add the first cut in accord with all of the derivatives to the summaries."""
    for cut, words in CUTS.items():
        if all(
            observed[source].shape == lo.shape and bool(np.all((observed[source] >= lo) & (observed[source] <= hi)))
            for source, (lo, hi) in bound(cuts=(cut,)).items()
        ):
            return [replace(finding, summary=f"{finding.summary}: it is the one where {words}") for finding in findings]
    return findings


def _steps(part: Derivatives) -> str:
    return f"{len(part.moves)} step{'' if len(part.moves) == 1 else 's'}"


def _source_words(source: str) -> str:
    """The source of a derivative, as a person says it."""
    kind, _, number = source.partition("-")
    return {"start": "its start value", "lr": "lr"}.get(kind, f"gradient {number}")
