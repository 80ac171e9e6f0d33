"""Statements: the sentence of a clause in a dialect, the page's own or the one of the dialect's switches."""

from __future__ import annotations

from rmspec.impl.spec.clauses import CLAUSES, Clause
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect
from rmspec.impl.spec.formulas import formula
from rmspec.impl.spec.switches import SWITCHES

__all__ = ["statement"]


def statement(id: str, dialect: Dialect = SPECIFICATION) -> str:
    """The title of a clause; in a dialect with another statement, the other one and the dialect's name in parentheses.

    Returns an empty string for an id that no clause has.
    """
    row = CLAUSES.get(id)
    if row is None:
        return ""
    words = _describe(row, dialect)
    return row.title if words in ("", row.title) else f"{words} ({dialect.name})"


def _describe(row: Clause, dialect: Dialect) -> str:
    """Words of a dialect for a clause: its formula, its default, or its switches off the page's positions."""
    if row.formula:
        return formula(row.formula, dialect)
    if row.option:
        value = getattr(dialect.defaults, row.option)
        documented = value is not None and value != getattr(SPECIFICATION.defaults, row.option)
        return f"{row.option} is {value!r} when it is not given" if documented else ""
    switches = [switch for switch in SWITCHES.values() if switch.clause == row.id and switch.differs(dialect)]
    return "; ".join(switch.position(switch.value(dialect)).words for switch in switches)
