"""The hyperparameters of a saved optimizer: from its file, from the user, from its dialect's documentation."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from rmspec.impl.spec.dialect import OPTIONS, Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES, Switch, UnknownPosition
from rmspec.oracles.dialects import dialects
from rmspec.oracles.errors import InputProblem

Value = float | bool


class BadCheckpoint(InputProblem):
    """A file is no saved state of RMSprop, or lacks something, or contradicts the user."""


@dataclass(frozen=True, slots=True)
class Given:
    """The user's own word on the source: ``options`` and ``switches`` by our names.

    ``defaults`` lets documented defaults stand in for what nobody says, lr aside; ``constructs`` that of lr as well. ``key`` is
    where in a file the state is; ``group`` takes one parameter group alone; ``steps`` is the count where the file has none.
    """

    options: Mapping[str, Value] = field(default_factory=dict)
    switches: Mapping[str, Value] = field(default_factory=dict)
    defaults: bool = False
    constructs: bool = False
    key: str | None = None
    group: int | None = None
    steps: int | None = None


def option_flag(dialect: Dialect, option: str) -> str:
    """The option as the dialect's own constructor calls it, as it is typed."""
    return "--" + dialect.constructor.names.get(option, option).replace("_", "-")


def resolve_options(
    dialect: Dialect, stored: Mapping[str, Value], given: Given, *, where: str
) -> tuple[Dialect, Hyperparameters]:
    """The variant and the options of one group: ``stored`` is from its file, by our names, switches among them.

    Raises ``BadCheckpoint`` where the two contradict each other, or nobody says.
    """
    values: dict[str, Value] = {}
    missing = []
    for option in OPTIONS:
        user_value, default = given.options.get(option), getattr(dialect.defaults, option)
        if option in stored:
            values[option] = _agreed(dialect, option, stored[option], user_value, where)
        elif user_value is not None:
            values[option] = user_value
        elif option not in dialect.constructor.names:
            values[option] = 0.0
        elif default is not None and (given.constructs or (given.defaults and option != "lr")):
            values[option] = default
        else:
            missing.append(option)
    if missing:
        names = " ".join(f"{option_flag(dialect, name)}{'' if name == 'centered' else ' ...'}" for name in missing)
        known = all(getattr(dialect.defaults, name) is not None for name in missing if name != "lr")
        raise BadCheckpoint(
            f"{where} does not say {', '.join(dialect.constructor.names[name] for name in missing)}",
            "without it there is no telling what the state means",
            f"add {names}"
            + (", or --defaults where they are the documented defaults" if known and not given.defaults else ""),
        )
    for option, value in values.items():
        if option != "centered" and not 0 <= value <= sys.float_info.max:
            raise BadCheckpoint(f"{option} is {value!r}", "it must be a finite number, 0 or larger", "correct it")
    switches = _switches(dialect, stored, given, where)
    centered = bool(values["centered"]) or dialect.centered_form == "always"
    return replace(dialect, **switches), Hyperparameters(  # type: ignore[arg-type]
        float(values["lr"]),
        float(values["alpha"]),
        float(values["eps"]),
        float(values["weight_decay"]),
        float(values["momentum"]),
        centered,
    )


def options_in(dialect: Dialect, table: Mapping[str, object], *, where: str) -> dict[str, Value]:
    """Options under the constructor's own names, as ours. Raises ``BadCheckpoint`` for a name or a value foreign to it."""
    constructor = dialect.constructor
    ours = {**{theirs: name for name, theirs in constructor.names.items()}, **constructor.switches}
    values: dict[str, Value] = {}
    for name, value in table.items():
        if name not in ours:
            constructors = [variant.constructor for variant in dialects().values()]
            elsewhere = any(name in (*peer.names.values(), *peer.switches) for peer in constructors)
            raise BadCheckpoint(
                f"{where} has the option {name!r}",
                f"{constructor.path} takes {', '.join(ours)}",
                "name the dialect that the file is of with --from"
                if elsewhere
                else "no dialect has it: translate the state of an RMSprop that goes without",
            )
        if value is None and name in constructor.unset:
            value = 0.0
        if not isinstance(value, int | float):
            raise BadCheckpoint(
                f"{where} has {name} {value!r}",
                "it is not a number",
                "a schedule has to be given as the number in use now",
            )
        switch = SWITCHES.get(ours[name])
        values[ours[name]] = value if switch is None else _position(switch, value, where)
    return values


def _position(switch: Switch, value: object, where: str) -> Value:
    try:
        return switch.parse(switch.spell(switch.position_of(value)))  # type: ignore[return-value]
    except UnknownPosition as error:
        raise BadCheckpoint(f"{where} has {error.what}", "no dialect does that", error.hint) from None


def _agreed(dialect: Dialect, option: str, stored: Value, user_value: Value | None, where: str) -> Value:
    if user_value is None or user_value == stored or (option == "lr" and float(np.float32(user_value)) == stored):
        return stored
    raise BadCheckpoint(
        f"{where} says {option} {stored!r}, and you say {user_value!r}",
        "the state was made with the one that is saved",
        f"leave {option_flag(dialect, option)} out, and change it after the translation",
    )


def _switches(dialect: Dialect, stored: Mapping[str, Value], given: Given, where: str) -> dict[str, Value]:
    allowed = dialect.constructor.switches.values()
    values = {name: stored[name] for name in allowed if name in stored}
    for name, value in given.switches.items():
        if name not in allowed and getattr(dialect, name) != value:
            raise BadCheckpoint(
                f"{dialect.name} has no option for {name.replace('_', ' ')}",
                "its constructor does not take it",
                f"leave it out; {dialect.name} takes {', '.join(dialect.constructor.names.values())}",
            )
        if name in values and values[name] != value:
            raise BadCheckpoint(f"{where} says {name} {values[name]!r}, and you say {value!r}", hint="leave it out")
        values[name] = value
    return values
