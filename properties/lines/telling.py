"""Telling checks: would they have failed under the usual violation of a clause?

A pass tells on an element where the envelope is disjoint from the one under the violation, which is data in the row of the
clause (``Clause.usual``): an amendment, or one of the words below. It is asked of samples, after the search, so that it costs
the search nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import parse_amendment
from rmspec.impl.arithmetic.envelope import ROLES, STATE_ROLES, Before, estimate
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.spec.clauses import Clause
from rmspec.impl.spec.dialect import OPTIONS, Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES
from rmspec.properties.lines.batch import line_clause
from rmspec.properties.lines.by_line import Question, disjoint
from rmspec.properties.lines.cells import Cell, Sample

__all__ = ["concerns", "lines_of", "tells"]

Booleans = NDArray[np.bool_]

_NARROWER = {"float64": "float32", "complex128": "float32", "complex64": "float32"}
"""The format to which a hyperparameter is rounded too early, where it is not the format of the tensor."""


def concerns(clause: Clause, cell: Cell, sample: Sample) -> bool:
    """Whether a sample is a check of a clause at all."""
    sources = sample.sources
    if clause.where == "pairs" and sample.handed:
        # Elements with lines in error, which are not whole pairs.
        return False
    if clause.where and clause.where not in (*cell.circumstances, *(["pairs"] if cell.pairs else [])):
        return False
    if clause.starts:
        return sample.first
    if clause.option:
        return sources.get(clause.option) == "default"
    if clause.changes:
        return any(sources.get(option) == "changed" for option in _changes(clause))
    return not clause.option_sources or any(source in clause.option_sources for source in sources.values())


def tells(clause: Clause, sample: Sample) -> Mapping[str, Booleans]:
    """Mark, by line, the telling elements of a sample: a pass there proves something of the clause."""
    if clause.id not in sample.telling:
        sample.telling[clause.id] = _marks(clause, sample)
    return sample.telling[clause.id]


def _marks(clause: Clause, sample: Sample) -> Mapping[str, Booleans]:
    question, before = sample.question, sample.before
    marks: dict[str, Booleans] = {}
    usual = dict(clause.usual)
    hidden = bool(clause.absorbed_by) and isinstance(getattr(before, clause.absorbed_by), tuple)
    if hidden and sample.sources.get("lr") != "changed":
        # State that was carried the other way would have hidden it.
        return {}
    lines = lines_of(clause)
    if clause.formula in ("theta", "theta with b"):
        name = line_clause("param", question.hyper, question.dialect, question.format.name)
        lines = lines if name == clause.id else ()
    if "element" in usual:
        for role, interval in sample.plain.items():
            marks[role] = _moved(interval, getattr(before, role))
    else:
        violated = _violated(clause, sample)
        if "numbers" not in usual and not _differ(lines, sample, *violated):
            return {}
        plain, rival = sample.plain, violated[0].envelope(violated[1], sample.handed)
        for role, interval in rival.items():
            if role in plain:
                marks[role] = disjoint(plain[role], interval)
        if "numbers" in usual:
            small = question.format.part.smallest_normal
            for role, interval in plain.items():
                tiny = ((interval.lo > 0) & (interval.hi < small)) | ((interval.hi < 0) & (interval.lo > -small))
                marks[role] |= np.asarray(tiny)
    return {role: marked for role, marked in marks.items() if role in lines}


def lines_of(clause: Clause) -> tuple[str, ...]:
    """List the lines with telling checks of a clause."""
    if clause.computes:
        return (clause.computes,)
    return ("param",) if clause.formula in ("theta", "theta with b") else ROLES


def _moved(interval: Interval, before: Any) -> Booleans:
    if isinstance(before, tuple):
        return np.zeros(before[0].shape, dtype=bool)
    return np.asarray(interval.bounded() & ~interval.contains(before))


def _differ(lines: tuple[str, ...], sample: Sample, question: Question, before: Before) -> bool:
    """Whether any of these lines has another value under the violation, evaluated once.

    One evaluation is a legal one, inside of its envelope: where it is the same under both rules, the envelopes meet.
    """
    if sample.handed or any(isinstance(getattr(sample.before, role), tuple) for role in STATE_ROLES):
        return True
    plain = sample.question
    was = estimate(sample.before, plain.format, plain.hyper, plain.dialect, t=plain.t)
    now = estimate(before, question.format, question.hyper, question.dialect, t=question.t)
    return any(
        role in was and not np.array_equal(was[role], now[role], equal_nan=True) for role in lines if role in now
    )


def _violated(clause: Clause, sample: Sample) -> tuple[Question, Before]:
    """The rules and the numbers of a step under the usual violation of a clause."""
    question, before = sample.question, sample.before
    ((name, value), *_) = clause.usual
    match name:
        case "start":
            ones = np.full(
                before.param.shape, 1.0 if question.dialect.initial(clause.starts, question.hyper) != 1 else 0.0
            )
            before = replace(before, **{clause.starts: ones})
        case "gradient":
            before = replace(before, grad=_grads(before, str(value)))
        case "numbers":
            before = _flushed(before, question.format.part.smallest_normal)
        case "options":
            question = replace(question, hyper=_changed_options(clause, sample))
        case _:
            question = question.amended(parse_amendment(_table(clause, question), clause.id))
    return question, before


def _grads(before: Before, word: str) -> Any:
    if word == "of a neighbour":
        return np.roll(before.grad, 1)
    pairs = before.grad[: len(before.grad) // 2 * 2].reshape(-1, 2)
    return np.repeat(np.hypot(pairs[:, 0], pairs[:, 1]), 2)


def _flushed(before: Before, small: float) -> Before:
    values = {name: getattr(before, name) for name in ("param", "grad", *STATE_ROLES)}
    zeroed = {
        name: array if isinstance(array, tuple) else np.where(np.abs(array) < small, 0.0, array)
        for name, array in values.items()
    }
    return Before(**zeroed)


def _changes(clause: Clause) -> tuple[str, ...]:
    return ("lr",) if clause.changes == "lr" else tuple(option for option in OPTIONS if option != "lr")


def _changed_options(clause: Clause, sample: Sample) -> Hyperparameters:
    """Change every option from the sources of the clause."""
    hyper = sample.question.hyper
    sources = ("changed",) if clause.changes else clause.option_sources
    names = _changes(clause) if clause.changes else OPTIONS
    values: dict[str, Any] = {}
    for name in names:
        value = hyper.option(name)
        if sample.sources.get(name) in sources:
            values[name] = not value if isinstance(value, bool) else value / 2 if value else 0.5
    return replace(hyper, **values)


def _table(clause: Clause, question: Question) -> dict[str, object]:
    table: dict[str, object] = dict(clause.usual)
    for name, value in table.items():
        if value == "other":
            table[name] = SWITCHES[name].spell(_changed_switch(question.dialect, name))
        elif value == "rounded to storage":
            table[name] = f"rounded to {_NARROWER.get(question.format.name, question.format.name)}"
    return table


def _changed_switch(dialect: Dialect, name: str) -> Any:
    return next(position.value for position in SWITCHES[name].positions if position.value != getattr(dialect, name))
