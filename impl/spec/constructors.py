"""Constructors: the names of an optimizer for its options and its state, each written here alone.

Sources: the signatures of ``torch.optim.RMSprop``, ``keras.optimizers.RMSprop``, ``tf.compat.v1.train.RMSPropOptimizer`` and
``optax.rmsprop``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["PAGE", "Constructor"]


@dataclass(frozen=True, slots=True)
class Constructor:
    """A constructor by its path: ``names`` maps our option names to its own; ``switches`` maps its switch options to ours.

    ``first`` is what stands before the options in a call. ``unset`` are options that stand for "off" when left out.
    ``groups``: it takes parameter groups with options of their own; ``one_count``: it counts the steps of all parameters as one.
    ``state_names`` maps the roles of the state to the optimizer's own names; ``negated`` are the roles that it keeps with the
    other sign.
    """

    path: str
    names: Mapping[str, str]
    switches: Mapping[str, str] = field(default_factory=dict)
    first: str = ""
    unset: tuple[str, ...] = ()
    groups: bool = False
    one_count: bool = False
    state_names: Mapping[str, str] = field(
        default_factory=lambda: {role: role for role in ("square_avg", "grad_avg", "momentum_buffer")}
    )
    negated: frozenset[str] = frozenset()


PAGE = Constructor(
    "RMSprop",
    {name: name for name in ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")},
    first="params",
    groups=True,
)
"""The page's own names, for a dialect that no library builds."""
