"""Dialects: the points in the space of RMSprop variants.

Every switch is one way in which shipped implementations are known to differ; a named dialect is the set of switches
that one of them documents. Sources: the page of ``torch.optim.RMSprop`` for the specification and for its statement
about TensorFlow; Graves 2013, equations 38-45; Hinton's lecture 6; the documentation of TensorFlow 1, Keras 3 and optax.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

from rmspec.impl.errors import RmspecError, closest, nearest
from rmspec.impl.spec.constructors import PAGE, Constructor

__all__ = [
    "DIALECTS",
    "OPTIONS",
    "SPECIFICATION",
    "Defaults",
    "Dialect",
    "Hyperparameters",
    "UnknownDialect",
    "dialect_named",
]

EpsPlace = Literal["outside", "inside", "none"]


class UnknownDialect(RmspecError, ValueError):
    """No dialect of ``names`` has this name; ``closest`` is the most similar one, or ``None``."""

    def __init__(self, name: str, names: Iterable[str] = ()) -> None:
        names = tuple(names or DIALECTS)
        super().__init__(f"unknown dialect {name!r}{nearest(name, names)}", hint=f"choose from {', '.join(names)}")
        self.args = (name, names)
        self.name = name
        self.closest = closest(name, names)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The options of one parameter group, as real numbers (Python floats stand for their exact values)."""

    lr: float = 1e-2
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    def option(self, name: str) -> float | bool:
        """The value of the option ``name`` (one of the constructor's keywords)."""
        value: float | bool = getattr(self, name)
        return value


OPTIONS: tuple[str, ...] = tuple(option.name for option in fields(Hyperparameters))
"""The options of a parameter group, in the order of the page's signature."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The documented defaults of a dialect's options; ``None`` for an option without one."""

    lr: float | None = 1e-2
    alpha: float | None = 0.99
    eps: float | None = 1e-8
    weight_decay: float | None = 0.0
    momentum: float | None = 0.0
    centered: bool | None = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One variant of RMSprop: a position for each switch, documented defaults, and the constructor of a library.

    ``rmspec.impl.spec.switches`` has a row for each switch, which says what its positions do; the fields below declare
    the positions. ``defaults`` are values of options, and ``constructor`` is no part of what tells two dialects apart.
    ``amendments`` are stated differences from it, in the order in which they were found (``rmspec.impl.arithmetic.amendments``).
    """

    name: str
    title: str
    eps_place: EpsPlace | Literal["moves"] = "outside"
    initial_square_avg: float | Literal["eps"] = 0.0
    lr_place: Literal["outside", "inside"] = "outside"
    decay: Literal["l2", "decoupled-lr", "decoupled", "none"] = "l2"
    nesterov: bool = False
    bias_correction: bool = False
    centered_form: Literal["option", "always", "never"] = "option"
    momentum_form: Literal["option", "always", "never"] = "option"
    maximize: bool = False
    scalars: Literal["double", "float32", "cast", "storage", "float32-storage"] = "double"
    single: frozenset[str] = frozenset()
    sparse: Literal["dense", "rows"] = "dense"
    defaults: Defaults = field(default_factory=Defaults)
    constructor: Constructor = field(default=PAGE, compare=False, repr=False)
    amendments: tuple[Any, ...] = field(default=(), repr=False)

    def centered(self, hyper: Hyperparameters) -> bool:
        """Whether a group with these options subtracts the squared gradient average."""
        return self.centered_form == "always" or (self.centered_form == "option" and hyper.centered)

    def momentum(self, hyper: Hyperparameters) -> bool:
        """Whether a group with these options keeps a momentum buffer."""
        return self.momentum_form == "always" or (self.momentum_form == "option" and hyper.momentum > 0)

    def reads_momentum(self, hyper: Hyperparameters) -> bool:
        """Whether a step depends on the momentum buffer before it: a buffer multiplied by 0 is written, not read."""
        return self.momentum_form != "never" and hyper.momentum > 0

    def eps_at(self, hyper: Hyperparameters) -> EpsPlace:
        """The place of eps in a group with these options."""
        if self.eps_place == "moves":
            return "inside" if self.momentum(hyper) else "outside"
        return self.eps_place

    def initial(self, role: str, hyper: Hyperparameters) -> float:
        """The initial value of a state role: ``square_avg``, ``grad_avg`` or ``momentum_buffer``."""
        if role != "square_avg":
            return 0.0
        return hyper.eps if self.initial_square_avg == "eps" else float(self.initial_square_avg)


_TORCH = replace(PAGE, path="torch.optim.RMSprop", switches={"maximize": "maximize"})

_KERAS = Constructor(
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
    state_names={"square_avg": "velocity", "grad_avg": "average_gradient", "momentum_buffer": "momentum"},
)

_TENSORFLOW1 = Constructor(
    "tf.compat.v1.train.RMSPropOptimizer",
    {"lr": "learning_rate", "alpha": "decay", "eps": "epsilon", "momentum": "momentum", "centered": "centered"},
    state_names={"square_avg": "rms", "grad_avg": "mg", "momentum_buffer": "momentum"},
)

_OPTAX = Constructor(
    "optax.rmsprop",
    {"lr": "learning_rate", "alpha": "decay", "eps": "eps", "momentum": "momentum", "centered": "centered"},
    {
        "eps_in_sqrt": "eps_place",
        "initial_scale": "initial_square_avg",
        "nesterov": "nesterov",
        "bias_correction": "bias_correction",
    },
    unset=("momentum",),
    state_names={"square_avg": "nu", "grad_avg": "mu", "momentum_buffer": "trace"},
    negated=frozenset(
        {"momentum_buffer"}
    ),  # it adds its updates: its trace is the negative of a buffer that is subtracted
)

SPECIFICATION = Dialect("torch", "the specification: torch.optim.RMSprop as its page states it", constructor=_TORCH)

_NAMED = (
    SPECIFICATION,
    Dialect(
        "tensorflow",
        "the TensorFlow ordering as the page states it: eps inside the root, all else as in the specification",
        eps_place="inside",
        defaults=Defaults(None, None, None, None, None, None),
    ),
    Dialect(
        "tensorflow-op",
        "tf.raw_ops.ResourceApplyRMSProp and its centered and sparse forms, with averages that start at 0",
        eps_place="inside",
        lr_place="inside",
        decay="none",
        momentum_form="always",
        scalars="storage",
        sparse="rows",
        defaults=Defaults(None, None, None, 0.0, None, False),
    ),
    Dialect(
        "tensorflow1",
        "tf.compat.v1.train.RMSPropOptimizer",
        eps_place="inside",
        initial_square_avg=1.0,
        lr_place="inside",
        decay="none",
        momentum_form="always",
        scalars="float32-storage",
        sparse="rows",
        defaults=Defaults(None, 0.9, 1e-10, 0.0, 0.0, False),
        constructor=_TENSORFLOW1,
    ),
    Dialect(
        "keras3",
        "Keras 3 RMSprop",
        eps_place="inside",
        lr_place="inside",
        decay="decoupled-lr",
        scalars="cast",
        single=frozenset({"lr", "weight_decay"}),
        defaults=Defaults(1e-3, 0.9, 1e-7, 0.0, 0.0, False),
        constructor=_KERAS,
    ),
    Dialect(
        "keras-legacy",
        "Keras 2, tf_keras.optimizers.legacy.RMSprop: eps outside the root without momentum, inside with it",
        eps_place="moves",
        lr_place="inside",
        decay="none",
        scalars="float32-storage",
        sparse="rows",
        defaults=Defaults(1e-3, 0.9, 1e-7, 0.0, 0.0, False),
    ),
    Dialect(
        "graves2013",
        "Graves 2013, equations 38-45",
        eps_place="inside",
        lr_place="inside",
        decay="none",
        centered_form="always",
        defaults=Defaults(1e-4, 0.95, 1e-4, 0.0, 0.9, True),
    ),
    Dialect(
        "hinton",
        "Hinton's lecture 6: no eps, no momentum, never centered",
        eps_place="none",
        decay="none",
        centered_form="never",
        momentum_form="never",
        defaults=Defaults(None, 0.9, 0.0, 0.0, 0.0, False),
    ),
    Dialect(
        "optax",
        "optax.rmsprop",
        eps_place="inside",
        lr_place="inside",
        decay="none",
        scalars="cast",
        defaults=Defaults(None, 0.9, 1e-8, 0.0, 0.0, False),
        constructor=_OPTAX,
    ),
    Dialect("torch-maximize", "the specification with maximize=True", maximize=True, constructor=_TORCH),
)

DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.name: dialect for dialect in _NAMED})
"""Every named dialect; ``torch`` is the specification."""


def dialect_named(name: str) -> Dialect:
    """The dialect of this name (``specification`` is another name of ``torch``). Raises ``UnknownDialect``."""
    dialect = SPECIFICATION if name == "specification" else DIALECTS.get(name)
    if dialect is None:
        raise UnknownDialect(name)
    return dialect
