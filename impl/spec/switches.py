"""The switches of a dialect, one row each: everything known about a switch beside its branch in the pseudocode.

A switch is a field of ``Dialect``; the row has its name, which is its key in TOML and JSON as well. Whoever adds a switch
adds the field, the row and the branch in ``pseudocode``: the words of the clauses, the questions of ``identify``, the
refusals of ``translate`` and the reference page follow from the row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType

from rmspec.impl.errors import RmspecError, nearest
from rmspec.impl.spec.dialect import OPTIONS, SPECIFICATION, Dialect, Hyperparameters

__all__ = [
    "ROUNDINGS",
    "SWITCHES",
    "Position",
    "Rounding",
    "Switch",
    "UnknownPosition",
    "Value",
    "has_filter",
    "set_switches",
    "spell_switches",
]

Value = str | float | bool | frozenset[str]
"""One position of a switch."""

Effect = Callable[[Dialect, Hyperparameters], Value]


class UnknownPosition(RmspecError, ValueError):
    """No dialect has this switch, or this position; ``switch`` and ``value`` are the data read."""

    def __init__(self, switch: str, value: object, message: str, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.args = (switch, value)
        self.switch = switch
        self.value = value


@dataclass(frozen=True, slots=True)
class Position:
    """One position of a switch.

    ``words`` state what a dialect in this position does; ``brief`` is the same in a few words, as the account of a
    translation has them. ``remark`` is what ``identify`` adds where it found the position, and ``resembles`` the position
    that parameters do not tell from it, if there is one. ``filtered``: the fast filter of the envelope can decide.
    """

    value: Value
    words: str
    brief: str = ""
    remark: str = ""
    resembles: Value | None = None
    filtered: bool = True


@dataclass(frozen=True, slots=True)
class Switch:
    """One difference between dialects.

    ``name``: the field of ``Dialect``. ``clause``: the id of the clause that a subject breaks whose switch is in another
    position than its dialect's. ``positions``: those with words of their own; ``describe`` finds words for any other value
    there may be (a number, or a set of options), and returns an empty string for what is no position.

    How it is asked: ``questions`` are the positions that ``identify`` tells apart by parameters, none where it does not ask;
    ``option`` is the option of a group without which nothing of the switch can be seen; ``remark`` is what ``identify``
    adds to a position that it was not asked for.

    How it is set: ``keyword`` is the usual name of the constructor's option that sets it, and ``question`` what that option
    asks, as the help of ``rmspec translate`` has it; ``spellings`` are the option's values by position, where they are not
    the positions themselves; ``explicit``: a call always names it, since libraries differ
    in the default; ``fresh``: it matters only to an optimizer that has no state yet.

    How it is translated: ``ruled`` says that a translation has a rule for it. Where there is none, a source and a target
    with different ``effect`` (the position, as far as a group with these options can tell) are refused: ``refusals`` are
    the words by the target's effect, ``why`` and ``hint`` the rest of the message. ``term`` is the field of ``Terms`` with
    which the user makes up for the difference.
    """

    name: str
    clause: str
    positions: tuple[Position, ...]
    describe: Callable[[Value], str] = lambda value: ""
    questions: tuple[Value, ...] = ()
    option: str = ""
    remark: str = ""
    keyword: str = ""
    question: str = ""
    spellings: Mapping[Value, object] = field(default_factory=dict)
    explicit: bool = False
    fresh: bool = False
    ruled: bool = False
    effect: Effect | None = None
    refusals: Mapping[Value, str] = field(default_factory=dict)
    why: str = "no choice of options makes one the other"
    hint: str = ""
    term: str = ""

    def value(self, dialect: Dialect) -> Value:
        """The position of the switch in a dialect."""
        value: Value = getattr(dialect, self.name)
        return value

    def position(self, value: Value) -> Position:
        """The row of a position; for one without a row, one with the words of ``describe``."""
        for row in self.positions:
            if row.value == value and isinstance(row.value, bool) == isinstance(value, bool):
                return row
        return Position(value, self.describe(value))

    def differs(self, dialect: Dialect) -> bool:
        """Whether a dialect has the switch in another position than the specification."""
        return self.value(dialect) != self.value(SPECIFICATION)

    def keyword_value(self, value: Value) -> object:
        """The value of the constructor's option for a position; ``None`` if the option cannot say it."""
        if self.spellings:
            return self.spellings.get(value)
        return None if isinstance(value, str) and isinstance(self.value(SPECIFICATION), float) else value

    def position_of(self, typed: object) -> Value:
        """The position for a value of the constructor's option; a value without a spelling is the position itself."""
        for value, spelling in self.spellings.items():
            if spelling == typed:
                return value
        return typed  # type: ignore[return-value]

    def spell(self, value: Value) -> object:
        """A position as TOML and JSON have it: a string, a number, a boolean, or a sorted list of strings."""
        return sorted(value) if isinstance(value, frozenset) else value

    def parse(self, data: object) -> Value:
        """The position spelled by TOML or JSON data. Raises ``UnknownPosition``."""
        value = frozenset(data) if isinstance(data, list) and all(isinstance(name, str) for name in data) else data
        value = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if isinstance(value, str | float | bool | frozenset) and self.position(value).words:
            return value
        choices = ", ".join(repr(self.spell(row.value)) for row in self.positions)
        raise UnknownPosition(
            self.name, data, f"{self.name} is never {data!r}", f"its positions are {choices}" if choices else ""
        )

    def refusal(self, source: Dialect, target: Dialect, hyper: Hyperparameters) -> str:
        """The reason against translating a group with these options; an empty string if there is none."""
        if self.ruled:
            return ""
        old, new = (self.effect(dialect, hyper) if self.effect else self.value(dialect) for dialect in (source, target))
        if old == new:
            return ""
        usual = f"{{source}}: {self.position(old).words}; {{target}}: {self.position(new).words}"
        words = self.refusals.get(new, usual)
        return words.format(source=source.name, target=target.name, momentum=hyper.momentum)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How far hyperparameters may be rounded: a position of ``scalars``, as the arithmetic reads it.

    ``to_format``: to the tensor's format; ``single``: to float32, even for float64; ``stored``: they are held rounded, so
    that 1 - alpha may be formed after alpha was.
    """

    to_format: bool = False
    single: bool = False
    stored: bool = False


ROUNDINGS: Mapping[str, Rounding] = MappingProxyType(
    {
        "double": Rounding(),
        "float32": Rounding(single=True, stored=True),
        "cast": Rounding(to_format=True),
        "storage": Rounding(to_format=True, stored=True),
        "float32-storage": Rounding(to_format=True, single=True, stored=True),
    }
)
"""By position of ``scalars``."""


def _describe_start(value: Value) -> str:
    return f"v_0 = {value:g}" if isinstance(value, float) else ""


def _describe_options(value: Value) -> str:
    known = isinstance(value, frozenset) and value and value <= set(OPTIONS)
    return f"{' and '.join(sorted(value))} held in float32" if known else ""  # type: ignore[arg-type]


_ROWS = {
    row.name: row
    for row in (
        Switch(
            "eps_place",
            "eps-placement",
            (
                Position("outside", "eps is added outside the square root"),
                Position("inside", "eps is added inside the square root"),
                Position("none", "there is no eps"),
                Position(
                    "moves",
                    "eps is added outside the square root without momentum, inside with it",
                    remark="outside the root without momentum, inside with it",
                ),
            ),
            # That eps moves with momentum is asked where it stays in neither place.
            questions=("outside", "inside", "none"),
            keyword="eps_in_sqrt",
            question="Where its eps is (optax).",
            spellings={"outside": False, "inside": True},
            explicit=True,
            ruled=True,
            effect=lambda dialect, hyper: dialect.eps_at(hyper),
        ),
        Switch(
            "initial_square_avg",
            "init-square-avg",
            (Position("eps", "v_0 = eps"),),
            describe=_describe_start,
            questions=(0.0, 1.0, "eps"),
            remark="a number of its own, found from the steps",
            keyword="initial_scale",
            question="Where its average starts (optax).",
            fresh=True,
            ruled=True,
        ),
        Switch(
            "maximize",
            "descent",
            (
                Position(False, "the step goes against the gradient", "minimizes"),
                Position(True, "the step goes with the gradient", "maximizes"),
            ),
            questions=(False, True),
            keyword="maximize",
            question="Whether it maximizes (torch).",
            refusals={
                False: "{source} maximizes, {target} minimizes",
                True: "{source} minimizes, {target} maximizes",
            },
            why="the same gradients would move the parameters the other way",
            hint="negate the loss, and say --loss-negated",
            term="loss_negated",
        ),
        Switch(
            "bias_correction",
            "update",
            (
                Position(False, "the averages are used as they are"),
                Position(True, "the averages are divided by 1 - alpha^t", filtered=False),
            ),
            questions=(False, True),
            keyword="bias_correction",
            question="Whether it corrects bias (optax).",
            refusals={
                False: "{source} corrects the bias of its averages, the other does not",
                True: "{target} corrects the bias of its averages, the other does not",
            },
            why="the correction changes with every step, and no state makes up for it",
            hint="translate once 1 - alpha^t is 1 in the format of the state, naming the source without bias correction",
        ),
        Switch(
            "centered_form",
            "centered-variance",
            (
                Position("option", "where centered is True, the variance is v_t - g_ave_t^2"),
                Position("always", "the variance is always v_t - g_ave_t^2"),
                Position(
                    "never", "the variance is v_t, never centered", remark="it takes the option centered and ignores it"
                ),
            ),
            questions=("option", "always", "never"),
            option="centered",
            effect=lambda dialect, hyper: dialect.centered(hyper),
            refusals={
                False: "the source is centered, {target} never is",
                True: "{target} is always centered, the source is not",
            },
            why="the denominators differ without bound",
        ),
        Switch(
            "decay",
            "weight-decay",
            (
                Position("l2", "weight decay adds lambda * theta to the gradient", "added to the gradient (L2)"),
                Position(
                    "decoupled-lr",
                    "weight decay multiplies the parameter by 1 - gamma * lambda",
                    "decoupled, times lr",
                ),
                Position("decoupled", "weight decay multiplies the parameter by 1 - lambda", "decoupled"),
                Position(
                    "none",
                    "there is no weight decay",
                    "no weight decay",
                    remark="it takes the option weight_decay and ignores it",
                ),
            ),
            questions=("l2", "decoupled-lr", "decoupled", "none"),
            option="weight_decay",
            ruled=True,
        ),
        Switch(
            "momentum_form",
            "momentum-buffer",
            (
                Position("option", "a buffer is kept where momentum is above 0"),
                # A buffer that is kept although momentum is 0 moves nothing: parameters do not tell it from none.
                Position("always", "a buffer is kept even where momentum is 0", resembles="option"),
                Position("never", "there is no momentum", remark="it takes the option momentum and ignores it"),
            ),
            questions=("option", "never"),
            option="momentum",
            effect=lambda dialect, hyper: dialect.reads_momentum(hyper),
            refusals={False: "the source has momentum {momentum!r}, {target} has none"},
            why="a target without momentum would drop what is in the buffer",
            hint="switch momentum off in the source first",
        ),
        Switch(
            "nesterov",
            "momentum-update",
            (
                Position(False, "the parameter moves by the new buffer"),
                Position(True, "the parameter moves by mu times the new buffer and the new increment (Nesterov)"),
            ),
            questions=(False, True),
            keyword="nesterov",
            question="Whether its momentum is Nesterov's (optax).",
            effect=lambda dialect, hyper: dialect.nesterov and hyper.momentum > 0,
            refusals={
                False: "{source} has Nesterov momentum, and {target} does not",
                True: "{source} has plain momentum, and {target} does not",
            },
            hint="switch momentum off, or stay with the dialect",
        ),
        Switch(
            "lr_place",
            "momentum-lr",
            (
                Position("outside", "the learning rate multiplies the buffer, outside it", "param -= lr * buffer"),
                Position("inside", "the learning rate is inside the buffer", "buffer += lr * g/d"),
            ),
            questions=("outside", "inside"),
            ruled=True,
        ),
        Switch(
            "scalars",
            "scalar-precision",
            (
                Position(
                    "double",
                    "hyperparameters are rounded to float32, or to float64 for float64, and no further",
                    remark="as exact as the specification asks",
                ),
                Position("float32", "hyperparameters are rounded to float32, even for float64"),
                Position(
                    "cast",
                    "hyperparameters are rounded to the tensor's format, 1 - alpha before it is",
                    resembles="double",
                ),
                Position(
                    "storage", "hyperparameters are held in the tensor's format, and 1 - alpha is formed from that"
                ),
                Position(
                    "float32-storage",
                    "hyperparameters are held in float32, then in the tensor's format, and 1 - alpha is formed from that",
                    resembles="float32",
                ),
            ),
            # What is rounded in float64, and what in float32; further rounding in the halves is not asked for.
            questions=("double", "storage", "float32"),
            ruled=True,
        ),
        Switch(
            "single",
            "scalar-precision",
            (Position(frozenset(), "no option is held in float32 on its own account"),),
            describe=_describe_options,
            ruled=True,
        ),
        Switch(
            "sparse",
            "sparse-rows",
            (
                Position("dense", "a row-sparse gradient is 0 in the rows that it does not name"),
                Position("rows", "a row-sparse gradient steps the rows that it names, and no other"),
            ),
            ruled=True,  # a saved state has no gradient
        ),
    )
}

SWITCHES: Mapping[str, Switch] = MappingProxyType(_ROWS)
"""Every switch by its name, in the order in which ``identify`` finds them out."""


@lru_cache(maxsize=4096)
def has_filter(dialect: Dialect) -> bool:
    """Whether the fast filter in front of the envelope can decide for a dialect."""
    return all(row.position(row.value(dialect)).filtered for row in _ROWS.values())


def spell_switches(dialect: Dialect) -> dict[str, object]:
    """The switches of a dialect off the specification's positions, as TOML and JSON spell them."""
    return {name: row.spell(row.value(dialect)) for name, row in _ROWS.items() if row.differs(dialect)}


def set_switches(dialect: Dialect, table: Mapping[str, object]) -> Dialect:
    """The dialect with the switches of a table of TOML or JSON set. Raises ``UnknownPosition``."""
    for name, data in table.items():
        if name not in _ROWS:
            message = f"no dialect has a switch {name!r}{nearest(name, _ROWS)}"
            raise UnknownPosition(name, data, message, f"the switches are {', '.join(_ROWS)}")
    return replace(dialect, **{name: _ROWS[name].parse(data) for name, data in table.items()})  # type: ignore[arg-type]
