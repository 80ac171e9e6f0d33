"""How each dialect's optimizer is constructed: the names of its options, and the switches that are options as well.

The named dialects are the variants that constructors build *by default*; some constructors can build more.
``optax.rmsprop(eps_in_sqrt=False)`` adds eps where torch does. Sources: the signatures of ``torch.optim.RMSprop``,
``keras.optimizers.RMSprop``, ``tf.compat.v1.train.RMSPropOptimizer`` and ``optax.rmsprop``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rmspec.impl.spec.dialect import Dialect, Hyperparameters

__all__ = ["CONSTRUCTORS", "Constructor", "adapted", "call", "constructor_of"]


@dataclass(frozen=True, slots=True)
class Constructor:
    """A constructor by its path: ``names`` maps our option names to its own; ``switches`` maps its switch options to ours.

    ``first`` is what stands before the options in a call. ``unset`` are options that stand for "off" when left out.
    ``groups``: it takes parameter groups with options of their own; ``one_count``: it counts the steps of all parameters as one.
    """

    path: str
    names: Mapping[str, str]
    switches: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    unset: tuple[str, ...] = ()
    groups: bool = False
    one_count: bool = False


_TORCH = Constructor(
    "torch.optim.RMSprop",
    {name: name for name in ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")},
    {"maximize": "maximize"},
    first="params",
    groups=True,
)

CONSTRUCTORS: Mapping[str, Constructor] = {
    "torch": _TORCH,
    "torch-maximize": _TORCH,
    "keras3": Constructor(
        "keras.optimizers.RMSprop",
        {
            "lr": "learning_rate",
            "alpha": "rho",
            "eps": "epsilon",
            "weight_decay": "weight_decay",
            "momentum": "momentum",
            "centered": "centered",
        },
        unset=("weight_decay",),
        one_count=True,
    ),
    "tensorflow1": Constructor(
        "tf.compat.v1.train.RMSPropOptimizer",
        {"lr": "learning_rate", "alpha": "decay", "eps": "epsilon", "momentum": "momentum", "centered": "centered"},
    ),
    "optax": Constructor(
        "optax.rmsprop",
        {"lr": "learning_rate", "alpha": "decay", "eps": "eps", "momentum": "momentum", "centered": "centered"},
        {
            "eps_in_sqrt": "eps_place",
            "initial_scale": "initial_square_avg",
            "nesterov": "nesterov",
            "bias_correction": "bias_correction",
        },
        unset=("momentum",),
    ),
}
"""By dialect; a dialect that no library builds has none, and is written with the names of the page."""

_PAGE = replace(_TORCH, path="RMSprop", switches={})


def constructor_of(dialect: Dialect) -> Constructor:
    """The constructor of a named dialect; the page's names for one that no library builds."""
    return CONSTRUCTORS.get(dialect.name, _PAGE)


def adapted(target: Dialect, source: Dialect, hyper: Hyperparameters) -> Dialect:
    """The target with each switch that its constructor can set, set as the source has it with these options."""
    switches = constructor_of(target).switches.values()
    settled = replace(source, eps_place=source.eps_at(hyper))
    changes = {name: getattr(settled, name) for name in switches}
    if changes.get("eps_place") == "none" or changes.get("initial_square_avg") == "eps":
        # optax adds eps in one place or the other; none at all is eps = 0 in either.
        changes = {name: value for name, value in changes.items() if value not in ("none", "eps")}
    return replace(target, **changes)


def call(dialect: Dialect, hyper: Hyperparameters, *, initial: bool = True) -> str:
    """The constructor call to type. ``initial`` also names the initial accumulator where there is an option for it."""
    made = constructor_of(dialect)
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
