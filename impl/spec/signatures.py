"""The constructor call of a dialect, and the switches that a constructor can set.

The named dialects are the variants that constructors build *by default*; some constructors can build more.
``optax.rmsprop(eps_in_sqrt=False)`` adds eps where torch does.
"""

from __future__ import annotations

from dataclasses import replace

from rmspec.impl.spec.dialect import Dialect, Hyperparameters

__all__ = ["adapted", "call"]


def adapted(target: Dialect, source: Dialect, hyper: Hyperparameters) -> Dialect:
    """The target with each switch that its constructor can set, set as the source has it with these options."""
    switches = target.constructor.switches.values()
    settled = replace(source, eps_place=source.eps_at(hyper))
    changes = {name: getattr(settled, name) for name in switches}
    if changes.get("eps_place") == "none" or changes.get("initial_square_avg") == "eps":
        # optax adds eps in one place or the other; none at all is eps = 0 in either.
        changes = {name: value for name, value in changes.items() if value not in ("none", "eps")}
    return replace(target, **changes)


def call(dialect: Dialect, hyper: Hyperparameters, *, initial: bool = True) -> str:
    """The constructor call to type. ``initial`` also names the initial accumulator where there is an option for it."""
    made = dialect.constructor
    parts = [made.first] if made.first else []
    for ours, theirs in made.names.items():
        value = hyper.option(ours)
        if value == 0 and ours in made.unset:
            continue
        parts.append(f"{theirs}={value!r}")
    for theirs, ours in made.switches.items():
        value = getattr(dialect, ours)
        if ours == "eps_place":
            parts.append(f"{theirs}={value == 'inside'}")
        elif ours == "initial_square_avg":
            if initial and value != 0.0:
                parts.append(f"{theirs}={value!r}")
        elif value:
            parts.append(f"{theirs}={value!r}")
    return f"{made.path}({', '.join(parts)})"
