"""Constructor calls: a dialect with the switches set by its constructor, and the call to type.

The named dialects are the variants that constructors build *by default*; some constructors can build more.
``optax.rmsprop(eps_in_sqrt=False)`` adds eps where torch does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES

__all__ = ["adapted", "call"]


def adapted(target: Dialect, source: Dialect, hyper: Hyperparameters) -> Dialect:
    """The target, with each switch of its constructor set as the source has it for a group with these options.

    What the constructor's option cannot say stays as it is: ``optax.rmsprop`` adds eps in one place or the other, and none
    at all is eps = 0 in either.
    """
    changes: dict[str, Any] = {}
    for name in target.constructor.switches.values():
        row = SWITCHES[name]
        value = row.effect(source, hyper) if row.effect and row.spellings else row.value(source)
        if row.keyword_value(value) is not None:
            changes[name] = value
    return replace(target, **changes)


def call(dialect: Dialect, hyper: Hyperparameters, *, initial: bool = True) -> str:
    """The constructor call to type. ``initial`` also names the initial accumulator, if the constructor takes it."""
    constructor = dialect.constructor
    parts = [constructor.first] if constructor.first else []
    for ours, theirs in constructor.names.items():
        option = hyper.option(ours)
        if option != 0 or ours not in constructor.unset:
            parts.append(f"{theirs}={option!r}")
    for theirs, name in constructor.switches.items():
        row = SWITCHES[name]
        value = row.value(dialect)
        if row.explicit or (value != row.value(SPECIFICATION) and (initial or not row.fresh)):
            parts.append(f"{theirs}={row.keyword_value(value)!r}")
    return f"{constructor.path}({', '.join(parts)})"
