"""Amendments: stated differences from a specification, for judging a subject further.

A subject with a fault that is understood need not hide its others: it is judged once more, by the specification as amended.
An amendment sets switches of the dialect, documented defaults, or the number that stands for an option, in the whole of the
pseudocode or in some of its lines, in every branch or in some. The kinds are a closed list, so that whatever deviates still is
never explained away by a formula made up for it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.errors import RmspecError, nearest
from rmspec.impl.spec.dialect import OPTIONS, Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES, Value

__all__ = [
    "BRANCHES",
    "LINES",
    "Amendment",
    "BadAmendment",
    "Use",
    "amend",
    "branch_of",
    "general_switches",
    "limited",
    "line_readings",
    "parse_amendment",
    "spell_amendment",
]

LINES = ("square_avg", "grad_avg", "momentum_buffer", "param")
"""The lines of the pseudocode that assign an observable, by its role; the denominator belongs to the line that divides by it."""

BRANCHES = ("momentum", "centered", "decay")
"""The branches of the pseudocode."""

Branch = tuple[bool, bool, bool]
"""Which of ``BRANCHES`` a step takes."""

Rule = Literal["is", "times", "power", "times lr", "rounded to"]


class BadAmendment(RmspecError, ValueError):
    """A table is no amendment; the message names the key at fault."""


@dataclass(frozen=True, slots=True)
class Use:
    """The number used for an option: a fixed one (``is``), or one made of the number in the call.

    ``number`` is the factor of ``times``, the exponent of ``power``, and for ``rounded to`` the name of a number format.
    """

    rule: Rule
    number: float | bool | str = 0.0

    def of(self, given: float | bool, hyper: Hyperparameters) -> float | bool:
        """The number used in place of ``given``; ``given`` itself instead of an infinity or a NaN."""
        match self.rule:
            case "is":
                assert not isinstance(self.number, str)
                return self.number
            case "times":
                used = given * float(self.number)
            case "power":
                with np.errstate(all="ignore"):
                    used = float(np.power(float(given), float(self.number)))
            case "times lr":
                used = given * hyper.lr
            case "rounded to":
                used = FORMATS[str(self.number)].round(float(given))
        return used if math.isfinite(used) else given

    def words(self, option: str) -> str:
        """The use in a few words: ``lr is multiplied by 2``."""
        match self.rule:
            case "is":
                return f"{option} is {self.number!r}, whatever is given"
            case "times":
                return (
                    f"{option} is multiplied by {self.number:g}"
                    if self.number != -1
                    else f"{option} has the other sign"
                )
            case "power":
                return f"{option} is raised to the power of {self.number:g}"
            case "times lr":
                return f"{option} is multiplied by lr"
            case "rounded to":
                return f"{option} is rounded to {self.number}"


@dataclass(frozen=True, slots=True)
class Amendment:
    """One stated difference from a specification, named by the broken ``clause``.

    ``switches`` maps switches of a dialect to positions, ``defaults`` options to documented defaults, ``uses`` options to the
    numbers that stand for them: pairs, sorted by name. ``lines`` (some of ``LINES``) and ``branch`` (pairs of one of
    ``BRANCHES`` and whether it is taken) limit it; empty, it holds everywhere. ``formats`` are the number formats in which it
    holds; empty, all of them.
    """

    clause: str
    switches: tuple[tuple[str, Value], ...] = ()
    defaults: tuple[tuple[str, float | bool], ...] = ()
    uses: tuple[tuple[str, Use], ...] = ()
    lines: tuple[str, ...] = ()
    branch: tuple[tuple[str, bool], ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def general(self) -> bool:
        """Whether it holds in every line, branch and format, for all options."""
        return not (self.uses or self.lines or self.branch or self.formats)

    def concerns(self, branch: Branch, format: str) -> bool:
        """Whether it holds in a step of these branches, in this number format."""
        choices = dict(zip(BRANCHES, branch, strict=True))
        return all(choices[name] == value for name, value in self.branch) and (
            not self.formats or format in self.formats
        )

    def covers(self, amendment: Amendment) -> bool:
        """Whether another one is the same change, with the same limits or with more; its clause may be another."""
        return (
            (self.switches, self.defaults, self.uses) == (amendment.switches, amendment.defaults, amendment.uses)
            and _within(amendment.lines, self.lines)
            and set(self.branch) <= set(amendment.branch)
            and _within(amendment.formats, self.formats)
        )

    def words(self) -> str:
        """The amendment as a sentence without its end: ``eps is added inside the square root, with centered``."""
        parts = [SWITCHES[name].position(value).words for name, value in self.switches]
        parts += [f"{option} is {value!r} by default" for option, value in self.defaults]
        parts += [use.words(option) for option, use in self.uses]
        return limited(" and ".join(parts), self.lines, self.branch, self.formats)


def limited(
    words: str, lines: Sequence[str] = (), branch: Sequence[tuple[str, bool]] = (), formats: Sequence[str] = ()
) -> str:
    """Words, followed by their limits."""
    where = [f"in the line of {' and '.join(lines)}"] if lines else []
    where += [f"{'with' if value else 'without'} {_BRANCH_WORDS[name]}" for name, value in branch]
    where += [f"in {' and '.join(formats)}"] if formats else []
    return ", ".join((words, *where))


def _within(part: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    """Whether one limit lies within another; an empty one is no limit."""
    return not whole or (bool(part) and set(part) <= set(whole))


_BRANCH_WORDS = {"momentum": "momentum", "centered": "centered", "decay": "weight decay"}


def branch_of(dialect: Dialect, hyper: Hyperparameters) -> Branch:
    """The branches of a group with these options."""
    return dialect.momentum(hyper), dialect.centered(hyper), hyper.weight_decay != 0 and dialect.decay != "none"


def general_switches(amendments: Iterable[Amendment]) -> dict[str, Value]:
    """The switches, with their positions, set everywhere by these amendments."""
    return {name: value for amendment in amendments if amendment.general for name, value in amendment.switches}


def amend(dialect: Dialect, amendment: Amendment) -> Dialect:
    """The dialect with one more amendment."""
    amended = replace(dialect, amendments=(*dialect.amendments, amendment))
    return _set(amended, amendment) if amendment.general else amended


def _set(dialect: Dialect, amendment: Amendment) -> Dialect:
    if amendment.defaults:
        dialect = replace(dialect, defaults=replace(dialect.defaults, **dict(amendment.defaults)))  # type: ignore[arg-type]
    return replace(dialect, **dict(amendment.switches)) if amendment.switches else dialect  # type: ignore[arg-type]


@lru_cache(maxsize=4096)
def line_readings(
    dialect: Dialect, hyper: Hyperparameters, format: str
) -> Mapping[str, tuple[Dialect, Hyperparameters]]:
    """By line: the dialect and the options for reading it, in a group with these options, in this format.

    The dialects have no amendments left. Without amendments every line is read with the same two.
    """
    plain = replace(dialect, amendments=())
    if all(amendment.general for amendment in dialect.amendments):
        return MappingProxyType(dict.fromkeys(LINES, (plain, hyper)))
    branch = branch_of(plain, hyper)
    concerned = [
        amendment for amendment in dialect.amendments if not amendment.general and amendment.concerns(branch, format)
    ]
    readings = {}
    for line in LINES:
        read, options = plain, hyper
        for amendment in concerned:
            if not amendment.lines or line in amendment.lines:
                read = _set(read, amendment)
                # One line cannot take a branch that is off: its option stays 0 there.
                used = {
                    name: use.of(options.option(name), hyper)
                    for name, use in amendment.uses
                    if options.option(name) or not amendment.lines
                }
                options = replace(options, **used)
        readings[line] = read, options
    return MappingProxyType(readings)


def spell_amendment(amendment: Amendment) -> dict[str, object]:
    """An amendment as TOML and JSON have it, without its clause: ``{eps_place = "inside"}``, ``{alpha = "times 0.5"}``."""
    table: dict[str, object] = {name: SWITCHES[name].spell(value) for name, value in amendment.switches}
    for option, use in amendment.uses:
        table[option] = " ".join((use.rule, "" if use.rule == "times lr" else f"{use.number}")).strip()
    for option, value in amendment.defaults:
        table[f"default_{option}"] = value
    if amendment.lines:
        table["lines"] = list(amendment.lines)
    for name, value in amendment.branch:
        table[f"with_{name}"] = value
    if amendment.formats:
        table["formats"] = list(amendment.formats)
    return table


def parse_amendment(table: Mapping[str, object], clause: str) -> Amendment:
    """The amendment of a table as ``spell_amendment`` makes it. Raises ``BadAmendment`` or ``UnknownPosition``."""
    switches: dict[str, Value] = {}
    defaults: dict[str, float | bool] = {}
    uses: dict[str, Use] = {}
    branch: dict[str, bool] = {}
    lists: dict[str, tuple[str, ...]] = {}
    for key, data in table.items():
        if key in SWITCHES:
            switches[key] = SWITCHES[key].parse(data)
        elif key in OPTIONS:
            uses[key] = _parse_use(key, data)
        elif key.startswith("default_") and key.removeprefix("default_") in OPTIONS and isinstance(data, int | float):
            defaults[key.removeprefix("default_")] = data if isinstance(data, bool) else float(data)
        elif key.startswith("with_") and key.removeprefix("with_") in BRANCHES and isinstance(data, bool):
            branch[key.removeprefix("with_")] = data
        elif key in ("lines", "formats") and isinstance(data, list):
            known = LINES if key == "lines" else tuple(FORMATS)
            for name in data:
                if name not in known:
                    raise BadAmendment(
                        f"{key} never has {name!r}{nearest(str(name), known)}", hint=f"choose from {known}"
                    )
            lists[key] = tuple(data)
        else:
            keys = (
                *SWITCHES,
                *OPTIONS,
                *(f"default_{name}" for name in OPTIONS),
                *(f"with_{name}" for name in BRANCHES),
            )
            raise BadAmendment(
                f"an amendment has no {key} = {data!r}{nearest(key, (*keys, 'lines', 'formats'))}",
                hint="rmspec known add writes the amendment of a deviation",
            )
    if not (switches or defaults or uses):
        raise BadAmendment("an amendment changes something", hint="name a switch, an option or a default")
    return Amendment(
        clause,
        tuple(sorted(switches.items())),
        tuple(sorted(defaults.items())),
        tuple(sorted(uses.items())),
        lists.get("lines", ()),
        tuple(sorted(branch.items())),
        lists.get("formats", ()),
    )


def _parse_use(option: str, data: object) -> Use:
    if isinstance(data, str):
        for rule in ("times lr", "rounded to", "times", "power", "is"):
            rest = data.removeprefix(rule).strip()
            if not data.startswith(rule):
                continue
            if rule == "times lr" and not rest:
                return Use("times lr")
            if rule == "rounded to" and rest in FORMATS:
                return Use("rounded to", rest)
            if rule == "is" and rest in ("True", "False"):
                return Use("is", rest == "True")
            number = _number(rest)
            if rule not in ("times lr", "rounded to") and number is not None:
                return Use(rule, number)
    raise BadAmendment(
        f"{option} = {data!r} is no use of an option",
        hint="write is NUMBER, times NUMBER, power NUMBER, times lr, or rounded to FORMAT",
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
