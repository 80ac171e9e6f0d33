"""Build programs call by call, for the state machine and for the sweeps.

A ``Builder`` knows which calls are legal now; a ``Source`` makes the choices. Numbers are drawn exponent first (powers of
ten and of two, signs, zeros, subnormals, near-overflow) with few mantissa bits, because uniform floats hide eps and
underflow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.program import Call, Param, Program

__all__ = ["DECADES", "Builder", "RandomSource", "Source", "decade_value", "exponents"]

T = TypeVar("T")
CREATE_FORMS: tuple[vocabulary.CreateForm, ...] = ("list", "generator", "groups")
ADD_FORMS: tuple[vocabulary.AddForm, ...] = ("list", "generator", "tensor")
VIAS: tuple[vocabulary.Via, ...] = ("deepcopy", "deepcopy", "file", "pickle", "state_dict")
PARAM_LAYOUTS: tuple[vocabulary.Layout, ...] = ("contiguous", "contiguous", "contiguous", "transposed", "strided")
GRAD_LAYOUTS: tuple[vocabulary.Layout, ...] = (*PARAM_LAYOUTS, "expanded")
EDITS: tuple[vocabulary.Edit, ...] = ("relabel", "relabel", "drop", "drop", "older", "newer")

SHAPES: tuple[tuple[int, ...], ...] = ((1,), (), (2,), (3,), (2, 3), (0,), (7,), (17,), (4, 5), (33,), (65,), (3, 1, 2))
VALUES: dict[str, tuple[float, ...]] = {
    "lr": (2.0**-7, 0.01, 0.1, 1.0, 0.5, 2.0**-3, 1e-3, 0.0),
    "alpha": (0.875, 0.99, 0.9, 0.5, 0.0, 0.999, 0.75, 1 - 2.0**-10, 1.0, 0.3),
    "eps": (2.0**-7, 1e-8, 0.01, 0.1, 1.0, 1e-5, 0.0),
    "weight_decay": (0.0, 2.0**-7, 0.1, 0.01, 0.5, 1.0),
    "momentum": (0.0, 0.875, 0.9, 0.5, 0.99, 1.0),
}
"""The values to choose an option from, most often: each is one at which something shows."""

DECADES = range(-12, 4)
"""The powers of ten for an option; of alpha and momentum those below 0 for the distance from 0, or from 1."""

_DECADES_SHARE = 8
"""An option has a number of its decades once for so many times that it has one of its values."""


class Source(Protocol):
    """A source of choices: Hypothesis, or a seeded generator."""

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        ...


class RandomSource:
    """Choices from NumPy's generator with a seed."""

    def __init__(self, *seed: int) -> None:
        self._generator = np.random.default_rng(list(seed))

    def integer(self, low: int, high: int) -> int:
        """A whole number from ``low`` to ``high``, both included."""
        return int(self._generator.integers(low, high + 1))


def exponents(dtype: str) -> tuple[int, int]:
    """The binary exponents of a format, from those of its smallest numbers to beyond its largest."""
    fmt = FORMATS[dtype].part
    return math.frexp(fmt.smallest_subnormal)[1] - 1, math.frexp(fmt.max_finite)[1] + 1


def decade_value(name: str, exponent: int, mantissa: float, *, near_one: bool = False) -> float:
    """A value of an option in a decade: ``mantissa`` times a power of ten; of alpha and momentum one below 1, or as near to 1."""
    if name not in ("alpha", "momentum"):
        return float(f"{mantissa}e{exponent}")
    distance = float(f"{mantissa}e{min(exponent, -1)}")
    return 1 - distance if near_one else distance


@dataclass(slots=True)
class _Optimizer:
    groups: list[list[str]]
    twin: str = ""


@dataclass(slots=True)
class _Slot:
    optimizer: str
    sizes: list[int]


@dataclass(slots=True)
class Builder:
    """A program in the making. ``formats`` are the number formats to draw from, the first most often.

    With ``wide`` parameters have up to ``wide`` elements, otherwise a few dozen at most.
    """

    source: Source
    formats: tuple[str, ...] = tuple(FORMATS)
    wide: int = 0
    params: list[Param] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    _optimizers: dict[str, _Optimizer] = field(default_factory=dict)
    _slots: dict[str, _Slot] = field(default_factory=dict)
    _copies: dict[str, str] = field(default_factory=dict)
    _over: bool = False

    def program(self, note: str = "") -> Program:
        """The program built so far."""
        return Program(tuple(self.params), tuple(self.calls), note)

    # -- choices

    def choose(self, options: Sequence[T]) -> T:
        """One of the options."""
        return options[self.source.integer(0, len(options) - 1)]

    def chance(self, percent: int) -> bool:
        """True in this many of a hundred cases."""
        return self.source.integer(0, 99) < percent

    def number(self, dtype: str) -> float:
        """A number for a tensor of this format, exponent first."""
        fmt = FORMATS[dtype].part
        kind = self.source.integer(0, 19)
        if kind == 0:
            return 0.0
        if kind == 1:
            return self._signed(fmt.smallest_subnormal * self.source.integer(1, 9))
        if kind == 2:
            return self._signed(fmt.max_finite * 2.0 ** -self.source.integer(1, 6))
        if kind == 3:
            return self._signed(math.sqrt(fmt.max_finite) * 2.0 ** self.source.integer(-2, 1))
        mantissa = self.source.integer(8, 15) / 8
        if kind == 4:
            # The square is subnormal, or underflows.
            lowest, normal = math.log2(fmt.smallest_subnormal), math.log2(fmt.smallest_normal)
            return self._signed(mantissa * 2.0 ** self.source.integer(int(lowest / 2) - 2, int(normal / 2) + 1))
        if kind < 12:
            return self._signed(mantissa * 2.0 ** self.source.integer(-8, 4))
        return self._signed(float(f"{self.source.integer(1, 9)}e{self.source.integer(-5, 2)}"))

    def _signed(self, value: float) -> float:
        return -value if self.chance(50) else value

    def values(self, param: Param) -> tuple[float, ...]:
        """Draw values to repeat until they fill a parameter: few for a small one, one an element for a wide one."""
        count = math.prod(param.shape) * FORMATS[param.dtype].parts
        if self.wide and count > 64:
            return self._many(param.dtype, count)
        return tuple(self.number(param.dtype) for _ in range(min(max(count, 1), self.source.integer(1, 4))))

    def _many(self, dtype: str, count: int) -> tuple[float, ...]:
        """Many numbers at once: exponents first, a seeded generator for the rest."""
        generator = np.random.default_rng(self.source.integer(0, 2**31 - 1))
        spread = 3 if dtype == "float16" else 6
        values = generator.standard_normal(count) * 10.0 ** generator.integers(-spread, 2, count)
        if self.chance(20):
            values[generator.integers(0, count, count // 8)] = 0.0
        if self.chance(20):
            few = generator.integers(0, count, count // 32)
            values[few] = np.ldexp(generator.uniform(-1, 1, few.size), generator.integers(*exponents(dtype), few.size))
        return tuple(float(value) for value in values)

    def options(self, *, most: bool) -> dict[str, vocabulary.OptionValue]:
        """Options for a constructor or a group: most of them, or few."""
        keep = 75 if most else 30
        options: dict[str, vocabulary.OptionValue] = {}
        for name in VALUES:
            if self.chance(keep):
                options[name] = self.option_value(name)
        if self.chance(keep):
            options["centered"] = self.chance(50)
        return options

    def option_value(self, name: str) -> float:
        """A value of an option: most often one of its table, else a number of any sensible decade."""
        values = VALUES[name]
        turn = self.source.integer(0, len(values) * (_DECADES_SHARE + 1) - 1)
        if turn < len(values) * _DECADES_SHARE:
            return values[turn % len(values)]
        decade = self.source.integer(DECADES.start, DECADES.stop - 1)
        mantissa = self.source.integer(10, 99) / 10
        return decade_value(name, decade, mantissa, near_one=name in ("alpha", "momentum") and self.chance(50))

    # -- the beginning

    def start(self) -> None:
        """Declare parameters and create the first optimizer, and now and then a second one over its own parameters."""
        count = self.source.integer(1, 3)
        for index in range(count):
            self.params.append(self._param(f"p{index}"))
        names = [param.name for param in self.params]
        members = names if count == 1 or self.chance(50) else names[:-1]
        options = self.options(most=True)
        if self.chance(8):
            options["lr"] = vocabulary.TensorNumber(self.choose((2.0**-7, 0.5)))
        split = self.source.integer(0, len(members) - 1)
        if split and self.chance(60):
            groups = (
                vocabulary.Group(tuple(members[:split]), self._group_options()),
                vocabulary.Group(tuple(members[split:]), self._group_options()),
            )
            self.calls.append(vocabulary.Create("A", groups, options, "groups"))
            self._optimizers["A"] = _Optimizer([members[:split], members[split:]])
        else:
            form = self.choose(CREATE_FORMS)
            grouped = self._group_options() if form == "groups" else {}
            self.calls.append(vocabulary.Create("A", (vocabulary.Group(tuple(members), grouped),), options, form))
            self._optimizers["A"] = _Optimizer([members])
        if self.chance(40):
            self._twin(options)
        if self.chance(15):
            # In the place of each parameter that A has by the time of the copy.
            for param in self.params[:count]:
                self._copies[param.name] = f"c{param.name[1:]}"
                self.params.append(replace(param, name=self._copies[param.name]))

    def _twin(self, options: dict[str, vocabulary.OptionValue]) -> None:
        groups = []
        for group in self._optimizers["A"].groups:
            twins = []
            for name in group:
                declared = next(param for param in self.params if param.name == name)
                twin = Param(f"q{name[1:]}", declared.dtype, declared.shape, declared.values, declared.layout)
                self.params.append(twin)
                twins.append(twin.name)
            groups.append(twins)
        options = dict(options) if self.chance(60) else self.options(most=True)
        self.calls.append(
            vocabulary.Create("B", tuple(vocabulary.Group(tuple(group)) for group in groups), options, "groups")
        )
        self._optimizers["B"] = _Optimizer(groups, twin="A")
        self._optimizers["A"].twin = "B"

    def _group_options(self) -> dict[str, vocabulary.OptionValue]:
        return self.options(most=False) if self.chance(60) else {}

    def _param(self, name: str) -> Param:
        dtype = self.formats[0] if self.chance(50) else self.choose(self.formats)
        if self.wide and self.chance(70):
            shape: tuple[int, ...] = (self.source.integer(65, self.wide),)
        else:
            shape = self.choose(SHAPES)
        layout = self.choose(PARAM_LAYOUTS)
        bare = Param(name, dtype, shape, (1.0,), layout)
        return Param(name, dtype, shape, self.values(bare), layout)

    # -- one more call

    @property
    def over(self) -> bool:
        """Tell whether the program has ended with a refused call."""
        return self._over

    def set_grad(self) -> None:
        """Set one gradient: values, zeros, or None."""
        self._grad(self.choose(self.params))

    def _grad(self, param: Param) -> None:
        kind = self.source.integer(0, 9)
        if kind == 0:
            self.calls.append(vocabulary.SetGrad(param.name, None))
        elif kind == 1:
            self.calls.append(vocabulary.SetGrad(param.name, (0.0,)))
        else:
            layout = self.choose(GRAD_LAYOUTS)
            rows = self._rows(param.shape[0]) if param.shape and param.shape[0] > 1 and self.chance(10) else None
            self.calls.append(
                vocabulary.SetGrad(param.name, self.values(param), layout if rows is None else "contiguous", rows=rows)
            )

    def _rows(self, count: int) -> tuple[int, ...]:
        """Choose the rows of a sparse gradient: one, or every other one."""
        first = self.source.integer(0, count - 1)
        return (first,) if self.chance(50) else tuple(range(first % 2, count, 2))

    def step(self) -> None:
        """Set the gradients of an optimizer's parameters, and step."""
        name = self.choose(tuple(self._optimizers))
        for group in self._optimizers[name].groups:
            for param in self.params:
                if param.name in group and self.chance(80):
                    self._grad(param)
        self.calls.append(vocabulary.Step(name, hooks=self.chance(10)))

    def step_again(self) -> None:
        """Step once or several times with the gradients as they are."""
        name = self.choose(tuple(self._optimizers))
        self.calls.extend([vocabulary.Step(name)] * self.source.integer(1, 3))

    def step_closure(self) -> None:
        """Step with a closure; it sets the gradients."""
        name = self.choose(tuple(self._optimizers))
        members = {param for group in self._optimizers[name].groups for param in group}
        grads = {param.name: self.values(param) for param in self.params if param.name in members}
        if self.chance(25):
            self.calls.append(vocabulary.Step(name, "raises"))
        else:
            self.calls.append(vocabulary.Step(name, "returns", grads, self.choose((0.5, -2.0, 3.25))))

    def zero_grad(self) -> None:
        """Clear the gradients in one of the two forms, or by default."""
        self.calls.append(vocabulary.ZeroGrad(self.choose(tuple(self._optimizers)), self.choose((None, True, False))))

    def add_param_group(self) -> None:
        """Add a parameter without an optimizer."""
        name = self.choose(tuple(self._optimizers))
        members = {param for optimizer in self._optimizers.values() for group in optimizer.groups for param in group}
        members |= set(self._copies.values())
        free = [param for param in self.params if param.name not in members]
        if not free:
            return
        added = [self.choose(free).name]
        form = self.choose(ADD_FORMS)
        self.calls.append(vocabulary.AddParamGroup(name, vocabulary.Group(tuple(added), self._group_options()), form))
        self._optimizers[name].groups.append(added)

    def set_option(self) -> None:
        """Change the learning rate of a group as a schedule does, or now and then another option."""
        name = self.choose(tuple(self._optimizers))
        group = self.source.integer(0, len(self._optimizers[name].groups) - 1)
        option = self.choose((*["lr"] * 6, "weight_decay", "alpha", "eps", "momentum"))
        if option == "momentum" and not self.chance(50):
            options: dict[str, vocabulary.OptionValue] = {"centered": self.chance(50)}
        else:
            options = {option: self.option_value(option)}
        self.calls.append(vocabulary.SetOption(name, group, options))

    def save(self) -> None:
        """Save an optimizer's state."""
        name = self.choose(tuple(self._optimizers))
        slot = f"s{self.source.integer(0, 1)}"
        via = self.choose(VIAS)
        self.calls.append(vocabulary.Save(name, slot, via))
        self._slots[slot] = _Slot(name, [len(group) for group in self._optimizers[name].groups])

    def load(self) -> None:
        """Load a saved state into an optimizer with the same groups."""
        fitting = [
            (slot, name)
            for slot, saved in self._slots.items()
            for name, optimizer in self._optimizers.items()
            if [len(group) for group in optimizer.groups] == saved.sizes and (name == saved.optimizer or optimizer.twin)
        ]
        if fitting:
            slot, name = self.choose(fitting)
            self.calls.append(vocabulary.Load(name, slot))

    def edit_state(self) -> None:
        """Relabel the parameters of a saved state, or drop one of them."""
        if self._slots:
            slot = self.choose(tuple(self._slots))
            self.calls.append(vocabulary.EditState(slot, self.choose(EDITS), self.source.integer(0, 2)))

    def copy(self) -> None:
        """Copy the first optimizer together with its parameters, once."""
        if self._copies and "C" not in self._optimizers:
            groups = self._optimizers["A"].groups
            params = {name: self._copies[name] for group in groups for name in group}
            self.calls.append(vocabulary.Copy("C", "A", params, self.choose(("deepcopy", "pickle"))))
            self._optimizers["C"] = _Optimizer([[params[name] for name in group] for group in groups])

    def freeze(self) -> None:
        """Freeze a parameter, or unfreeze it."""
        self.calls.append(vocabulary.Freeze(self.choose(self.params).name, self.chance(60)))

    def refused(self) -> None:
        """End with a call for the subject to refuse."""
        name = self.choose(tuple(self._optimizers))
        members = [param for group in self._optimizers[name].groups for param in group]
        kind = self.source.integer(0, 3)
        if kind == 0:
            self.calls.append(vocabulary.AddParamGroup(name, vocabulary.Group((self.choose(members),))))
        elif kind == 1 and self._slots:
            slot = self.choose(tuple(self._slots))
            self.calls += [vocabulary.EditState(slot, "shorten"), vocabulary.Load(name, slot)]
        elif kind == 2 and self._slots:
            slot = self.choose(tuple(self._slots))
            self.calls += [
                vocabulary.EditState(slot, "reshape", self.source.integer(0, 2)),
                vocabulary.Load(name, slot),
            ]
        else:
            self.calls.append(
                vocabulary.AddParamGroup(
                    name, vocabulary.Group((self.choose(members),), {"lr": self.choose(VALUES["lr"])})
                )
            )
        self._over = True
