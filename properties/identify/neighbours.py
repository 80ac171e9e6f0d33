"""Neighbours: the named dialects in agreement with all observations of a subject, or else the closest ones.

``identify`` asks with the positions that its probes left, ``check`` with those of the specification as amended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from rmspec.impl.arithmetic.amendments import Amendment, general_switches
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.switches import SWITCHES as ROWS
from rmspec.oracles.dialects import dialects
from rmspec.properties.identify.answer import Neighbour
from rmspec.properties.identify.explanation import SWITCHES, Value, alternatives

__all__ = ["ROUNDINGS", "named_after", "neighbours", "read_position"]

ROUNDINGS = ("double", "storage", "float32")
"""How far scalars are rounded: not at all; in float32, where ``1 - alpha`` is formed after; in float64 as well."""


def neighbours(positions: Mapping[str, tuple[Value, ...]]) -> list[Neighbour]:
    """List the named dialects with the fewest switches outside ``positions``, those left of each switch."""
    moving = len(positions["momentum_form"]) == 1
    every = [
        Neighbour(
            name, tuple(switch for switch, left in positions.items() if not _agrees(switch, left, dialect, moving))
        )
        for name, dialect in dialects().items()
    ]
    fewest = min(len(neighbour.differs) for neighbour in every)
    closest = [neighbour for neighbour in every if len(neighbour.differs) == fewest]
    if not fewest:
        # Of those that allow the rounding, first those that allow no more.
        closest.sort(
            key=lambda neighbour: read_position(dialects()[neighbour.name], "scalars") not in positions["scalars"]
        )
    return closest


def named_after(dialect: Dialect, amendments: Iterable[Amendment], options: Collection[str]) -> tuple[str, ...]:
    """Name the dialects in agreement with an amended one, for a subject with these options.

    Amendments limited to lines, branches or formats do not count: they are no dialect.
    """
    set_so = replace(dialect, amendments=(), **general_switches(amendments))  # type: ignore[arg-type]
    positions = {
        name: (read_position(set_so, name),) if _shows(name, options) else alternatives(name) for name in SWITCHES
    }
    return tuple(neighbour.name for neighbour in neighbours(positions) if not neighbour.differs)


def read_position(dialect: Dialect, switch: str, moving: bool = True) -> Value:
    """The position of a switch as far as it can be told from parameters: see ``alternatives``.

    ``moving`` tells whether momentum was seen: without it eps that moves with momentum stays outside.
    """
    value: Value = getattr(dialect, switch)
    if switch == "eps_place" and value == "moves" and not moving:
        return "outside"
    if switch == "scalars" and "lr" in dialect.single:
        return "float32"
    resembles = ROWS[switch].position(value).resembles
    return value if resembles is None else resembles  # type: ignore[return-value]


def _agrees(switch: str, left: tuple[Value, ...], dialect: Dialect, moving: bool) -> bool:
    value = read_position(dialect, switch, moving)
    if switch == "scalars":
        # A dialect says how far scalars may be rounded: one that rounds less agrees.
        return any(ROUNDINGS.index(str(position)) <= ROUNDINGS.index(str(value)) for position in left)
    return value in left


def _shows(switch: str, options: Collection[str]) -> bool:
    """Whether a subject with these options shows a switch."""
    feature = CLAUSES[ROWS[switch].clause].feature
    return feature is None or feature in options
