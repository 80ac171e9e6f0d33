"""The ledger of a run: the specification's view of the optimizers of a program, call by call.

It holds what an optimizer must hold: its groups with resolved options, and for each parameter what is known of its state:
exactly, because it was seen; between two arrays, because it is hidden; or not yet, because it is still initial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import Defaults, Hyperparameters
from rmspec.oracles.program.program import Group, OptionValue, TensorNumber
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.lines.batch import Carry

__all__ = ["Carry", "LedgerGroup", "OptimizerLedger", "SavedLedger", "forget_hidden", "number", "unknown_state"]

Array = NDArray[Any]


@dataclass(slots=True)
class LedgerGroup:
    """A group: its parameters, its options as numbers, and the origin of each option.

    ``sources`` maps an option to ``default``, ``constructor``, ``group``, ``changed`` or ``loaded``. ``odd`` holds the
    options that the optimizer shows otherwise, with the value that they were given: once that is found, ``options`` is
    what is shown, so that it is not found again in all that follows.
    """

    params: tuple[str, ...]
    options: dict[str, float | bool | None]
    sources: dict[str, str]
    odd: dict[str, float | bool] = field(default_factory=dict)

    def hyper(self) -> Hyperparameters | None:
        """Turn the options into hyperparameters; ``None`` if one was not given and has no documented default."""
        if any(value is None for value in self.options.values()):
            return None
        numbers: dict[str, Any] = dict(self.options)
        return Hyperparameters(**numbers)

    def show(self, options: Mapping[str, float | bool]) -> None:
        """Take over the options reported by the optimizer; keep the given value of one reported as NaN."""
        for option, value in self.options.items():
            shown = options.get(option, value)
            if value is not None and shown is not None and shown != value:
                self.odd.setdefault(option, value)
                self.options[option] = value if shown != shown else shown

    def meant(self) -> Hyperparameters:
        """The options as they were given."""
        given: dict[str, Any] = {**self.options, **self.odd}
        return Hyperparameters(**given)

    def copy(self) -> LedgerGroup:
        """An independent copy."""
        return LedgerGroup(self.params, dict(self.options), dict(self.sources), dict(self.odd))


@dataclass(slots=True)
class SavedLedger:
    """The expected content of a slot: groups, and state by the position of the parameter.

    ``edits`` were made to it; ``reshaped`` are the positions whose entry one of them reshaped; ``loaded_by`` are the optimizers
    that were given it. ``live``: it moves on with the state. ``forgotten`` is an option that its groups lack, ``counters`` are
    the counters of steps by position, as far as they were seen. ``unsure``: an optimizer with no use for these entries, or with
    need of others, may refuse them, in a later step as well.
    """

    groups: list[LedgerGroup]
    state: dict[int, dict[str, Carry]]
    steps: dict[int, int]
    optimizer: str
    edits: list[str] = field(default_factory=list)
    reshaped: set[int] = field(default_factory=set)
    loaded_by: set[str] = field(default_factory=set)
    live: bool = False
    forgotten: str = ""
    counters: dict[int, float] = field(default_factory=dict)
    unsure: bool = False

    def copy(self) -> SavedLedger:
        """An independent copy."""
        return SavedLedger(
            [group.copy() for group in self.groups],
            {position: dict(roles) for position, roles in self.state.items()},
            dict(self.steps),
            self.optimizer,
            list(self.edits),
            set(self.reshaped),
            set(self.loaded_by),
            self.live,
            self.forgotten,
            dict(self.counters),
            self.unsure,
        )

    def entry(self, index: int) -> list[int]:
        """List the positions affected by an edit of the entry ``index``: more than one for a parameter listed twice."""
        order = [param for group in self.groups for param in group.params]
        return [each for each, param in enumerate(order) if param == order[index % len(order)]]


@dataclass(slots=True)
class OptimizerLedger:
    """One optimizer: its groups, the constructor's options, the state of its parameters, and their steps so far.

    ``unlike`` tells that it was found to show other groups than these; ``own_defaults`` are the values that it shows for
    options left out of the constructor: later groups take these, documented or not. ``copy_of`` names the optimizer that it is a
    copy of; ``unsure``: it has loaded what it may refuse, and its steps may raise.
    """

    name: str
    defaults: dict[str, float | bool | None]
    given: frozenset[str]
    groups: list[LedgerGroup] = field(default_factory=list)
    state: dict[str, dict[str, Carry]] = field(default_factory=dict)
    steps: dict[str, int] = field(default_factory=dict)
    loaded_from: set[str] = field(default_factory=set)
    unlike: bool = False
    own_defaults: dict[str, float | bool] = field(default_factory=dict)
    copy_of: str = ""
    unsure: bool = False

    @classmethod
    def create(cls, name: str, options: Mapping[str, OptionValue], defaults: Defaults) -> OptimizerLedger:
        """An optimizer without groups, from the constructor's options."""
        resolved = {
            option: number(options[option]) if option in options else getattr(defaults, option) for option in OPTIONS
        }
        return cls(name, resolved, frozenset(options) & set(OPTIONS))

    def copy(self) -> OptimizerLedger:
        """An independent copy."""
        return OptimizerLedger(
            self.name,
            self.defaults,
            self.given,
            [group.copy() for group in self.groups],
            {param: dict(roles) for param, roles in self.state.items()},
            dict(self.steps),
            set(self.loaded_from),
            self.unlike,
            dict(self.own_defaults),
            self.copy_of,
            self.unsure,
        )

    def renamed(self, name: str, params: Mapping[str, str]) -> OptimizerLedger:
        """A copy under another name, of an optimizer over other parameters: ``params`` maps their names."""
        twin = self.copy()
        twin.name, twin.copy_of = name, self.name
        for group in twin.groups:
            group.params = tuple(params[param] for param in group.params)
        twin.state = {params[param]: roles for param, roles in twin.state.items() if param in params}
        twin.steps = {params[param]: steps for param, steps in twin.steps.items() if param in params}
        return twin

    def related(self, peer: OptimizerLedger) -> str:
        """The clause on a state in common with another optimizer: loaded, copied or neither."""
        if peer.name in (self.copy_of, self.name) or peer.copy_of == self.name:
            return "optimizer-copy"
        loaded = self.name in peer.loaded_from or peer.name in self.loaded_from
        return "load-isolation" if loaded else "isolation"

    def add(self, group: Group) -> LedgerGroup:
        """Add a group as a user wrote it."""
        options: dict[str, float | bool | None] = {}
        sources: dict[str, str] = {}
        for option in OPTIONS:
            if option in group.options:
                options[option], sources[option] = number(group.options[option]), "group"
            else:
                options[option] = self.defaults[option]
                sources[option] = "constructor" if option in self.given else "default"
        added = LedgerGroup(group.params, options, sources)
        added.show({option: value for option, value in self.own_defaults.items() if sources[option] == "default"})
        self.groups.append(added)
        return added

    def params(self) -> list[str]:
        """The parameters in order; a duplicate counts twice."""
        return [param for group in self.groups for param in group.params]

    def known(self, param: str, role: str) -> Carry:
        """Look up a state role."""
        return self.state.get(param, {}).get(role)

    def save(self) -> SavedLedger:
        """Expect these entries in ``state_dict`` now."""
        order = self.params()
        return SavedLedger(
            [group.copy() for group in self.groups],
            {position: dict(self.state.get(param, {})) for position, param in enumerate(order)},
            {position: self.steps.get(param, 0) for position, param in enumerate(order)},
            self.name,
        )

    def load(self, saved: SavedLedger, carried: frozenset[str] = frozenset(OPTIONS)) -> None:
        """Restore a saved state, with the options in it."""
        for group, source in zip(self.groups, saved.groups, strict=True):
            for option in carried:
                group.options[option], group.sources[option] = source.options[option], "loaded"
                group.odd.pop(option, None)
                if option in source.odd:
                    group.odd[option] = source.odd[option]
        for position, param in enumerate(self.params()):
            self.state[param] = dict(saved.state.get(position, {}))
            self.steps[param] = saved.steps.get(position, 0)
        self.loaded_from.add(saved.optimizer)
        self.unsure = saved.unsure


def unknown_state(param: Array) -> dict[str, Carry]:
    """Give the state of a parameter no bounds."""
    return dict.fromkeys(STATE_ROLES, _unknown(count_reals(param)))


def forget_hidden(roles: Mapping[str, Carry]) -> dict[str, Carry]:
    """Give no bounds to hidden roles of a parameter's state, and leave the visible ones."""
    return {role: _unknown(carry[0].size) if isinstance(carry, tuple) else carry for role, carry in roles.items()}


def _unknown(reals: int) -> Carry:
    anything = np.full(reals, np.inf)
    return -anything, anything, anything > 0


def number(value: OptionValue) -> float | bool:
    """An option of a program as a number: a tensor's is rounded to float32."""
    return float(np.float32(value.tensor)) if isinstance(value, TensorNumber) else value


def count_reals(array: Array) -> int:
    """How many reals an array holds."""
    return array.size * (2 if array.dtype.kind == "c" else 1)


def format_of(array: Array) -> str:
    """The name of an array's number format."""
    for name, fmt in FORMATS.items():
        if fmt.dtype == array.dtype:
            return name
    raise KeyError(str(array.dtype))


assert set(STATE_ROLES) == {"square_avg", "grad_avg", "momentum_buffer"}
