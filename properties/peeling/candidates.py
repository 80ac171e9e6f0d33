"""The closed list of amendments to explain a value: switches, options used otherwise, other defaults.

What a candidate says is simple enough to be somebody's mistake or another library's choice. Whatever the list lacks is
reported as it is, never explained by a formula made up for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmspec.impl.arithmetic.amendments import LINES, Amendment, Use
from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.clauses import CLAUSE_OF_DEFAULT
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES, Value

__all__ = ["USUAL", "Setting", "candidates", "pairs_by_simplicity", "reached_lines"]

USUAL: Mapping[str, tuple[float | bool, ...]] = {
    "lr": (1e-2, 1e-3, 1e-4, 0.1, 1.0, 5e-4, 2e-4, 1e-5),
    "alpha": (0.99, 0.9, 0.95, 0.999, 0.5),
    "eps": (1e-8, 1e-7, 1e-10, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.0, 1e-12, 1.0),
    "momentum": (0.0, 0.9, 0.99, 0.95, 0.5),
    "weight_decay": (0.0, 1e-2, 1e-4),
    "centered": (False, True),
}
"""Values that libraries choose: the documented defaults first."""

_FACTORS = (-1.0, 2.0, 0.5, 10.0, 0.1)
_DENOMINATOR = ("momentum_buffer", "param")
_LINES_OF = {
    "square_avg": ("square_avg",),
    "grad_avg": ("grad_avg",),
    "momentum_buffer": _DENOMINATOR,
    "param": _DENOMINATOR,
}


@dataclass(frozen=True, slots=True)
class Setting:
    """The setting of a deviating value: its ``role``, the options of the step, its branch, and the roles in sight.

    ``visible`` are the roles of the state that the subject shows; ``hidden_groups`` says that it shows no groups.
    """

    role: str
    hyper: Hyperparameters
    momentum: bool
    centered: bool
    decay: bool
    visible: frozenset[str]
    hidden_groups: bool = False

    def upstream(self, role: str) -> bool:
        """Whether a state role may be at fault for this value: it is the role itself, or it cannot be seen."""
        return role == self.role or (role not in self.visible and STATE_ROLES.index(role) < _order(self.role))


def _order(role: str) -> int:
    return STATE_ROLES.index(role) if role in STATE_ROLES else len(STATE_ROLES)


def candidates(setting: Setting, dialect: Dialect) -> Iterator[Amendment]:
    """The amendments to explain a value in this setting, the simplest first, none limited to a branch."""
    offered: set[Amendment] = set()
    for candidate in _all(setting, dialect):
        if candidate not in offered:
            offered.add(candidate)
            yield candidate


def reached_lines(amendment: Amendment) -> tuple[str, ...]:
    """The lines with another formula under an amendment; of the others the inputs may change."""
    if amendment.lines:
        return amendment.lines
    names = _touched(amendment)
    if names == {"initial_square_avg"}:
        return ("square_avg",)
    return ("square_avg", "grad_avg") if names == {"alpha"} else LINES


def pairs_by_simplicity(every: Sequence[Amendment]) -> Iterator[tuple[Amendment, Amendment]]:
    """The pairs of a list ordered by simplicity, those with the first ones first; none with one change twice."""
    for total in range(1, 2 * len(every)):
        for first in range(max(0, total - len(every) + 1), (total + 1) // 2):
            pair = every[first], every[total - first]
            if not _touched(pair[0]) & _touched(pair[1]):
                yield pair


def _touched(amendment: Amendment) -> set[str]:
    """The switches and options changed by an amendment."""
    return {name for name, _ in (*amendment.switches, *amendment.uses, *amendment.defaults)}


def _all(setting: Setting, dialect: Dialect) -> Iterator[Amendment]:
    yield from _defaults(setting, dialect)
    yield from _switches(setting, dialect)
    for option, clause in _options_read(setting, dialect):
        for use in _uses(option, setting.hyper):
            broken = _broken(option, use, dialect) or clause
            yield Amendment(broken, uses=((option, use),))
            for lines in _limits(option, setting):
                yield Amendment(broken, uses=((option, use),), lines=lines)
    if _reads_eps(setting, dialect):
        for place in ("outside", "inside"):
            if place != dialect.eps_at(setting.hyper):
                for use in (Use("power", 2.0), Use("power", 0.5)):
                    yield Amendment("eps-placement", (("eps_place", place),), uses=(("eps", use),))


def _broken(option: str, use: Use, dialect: Dialect) -> str:
    """The clause about a use of an option in any line; else empty."""
    if use.rule == "rounded to":
        return "scalar-precision"
    if use == Use("times", -1.0):
        # Of weight decay: the gradient is negated after the decay instead of before it.
        return {"lr": "descent", "weight_decay": "maximize" if dialect.maximize else ""}.get(option, "")
    return ""


def _defaults(setting: Setting, dialect: Dialect) -> Iterator[Amendment]:
    """List other defaults, for hidden groups: visible ones show theirs."""
    if not setting.hidden_groups:
        return
    for option, clause in CLAUSE_OF_DEFAULT.items():
        documented = getattr(dialect.defaults, option)
        for value in USUAL[option]:
            if documented is not None and value != documented:
                yield Amendment(clause, defaults=((option, value),))


def _switches(setting: Setting, dialect: Dialect) -> Iterator[Amendment]:
    for name, lines in _switches_read(setting, dialect):
        row = SWITCHES[name]
        for value in _positions(name, dialect):
            if name == "decay" and lines and value != "none":
                # A line of the state has no other decay than that of the gradient.
                continue
            clause = "maximize" if name == "maximize" and dialect.maximize else row.clause
            if name == "momentum_form" and setting.role == "param":
                clause = "momentum-update"
            yield Amendment(clause, ((name, value),), lines=lines)


def _positions(name: str, dialect: Dialect) -> Iterator[Value]:
    row = SWITCHES[name]
    mine = row.value(dialect)
    for value in dict.fromkeys((*row.questions, *(position.value for position in row.positions))):
        if value != mine or isinstance(value, bool) != isinstance(mine, bool):
            yield value


def _switches_read(setting: Setting, dialect: Dialect) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The switches to show in this value, each with the lines to limit it to; none: everywhere."""
    role = setting.role
    if setting.upstream("square_avg"):
        yield "initial_square_avg", ()
    if setting.decay:
        yield "decay", ()
        yield from (("decay", lines) for lines in (_LINES_OF[role], (role,)))
    if role != "square_avg" or setting.decay:
        # The square of a gradient has no sign, but for the decay added to it.
        yield "maximize", ()
    if _divides(setting, dialect):
        yield "eps_place", ()
        yield "centered_form", ()
        yield "centered_form", _DENOMINATOR
        yield "momentum_form", ()
        yield "bias_correction", ()
    if setting.momentum and role in _DENOMINATOR:
        yield "lr_place", ()
        yield "lr_place", (role,)
        yield "nesterov", ()
    if setting.momentum and role == "param":
        yield "momentum_form", ("param",)
    yield "scalars", ()


def _options_read(setting: Setting, dialect: Dialect) -> Iterator[tuple[str, str]]:
    """The options behind a value, each with the clause broken by a wrong use of it."""
    role = setting.role
    if setting.decay:
        yield "weight_decay", "weight-decay"
    if setting.upstream("square_avg"):
        yield "alpha", "square-avg"
    elif setting.centered and setting.upstream("grad_avg"):
        yield "alpha", "grad-avg"
    if _reads_eps(setting, dialect):
        yield "eps", "eps-placement"
    if setting.momentum and setting.upstream("momentum_buffer"):
        yield "momentum", "momentum-buffer" if role == "momentum_buffer" else "momentum-update"
    if role == "param" or (role == "momentum_buffer" and dialect.lr_place == "inside"):
        yield "lr", "momentum-update" if setting.momentum else "update"


def _divides(setting: Setting, dialect: Dialect) -> bool:
    """Whether the line divides by the denominator; a parameter moved by a visible buffer does not."""
    by_buffer = setting.momentum and "momentum_buffer" in setting.visible and not dialect.nesterov
    return setting.role == "momentum_buffer" or (setting.role == "param" and not by_buffer)


def _reads_eps(setting: Setting, dialect: Dialect) -> bool:
    return _divides(setting, dialect) and setting.hyper.eps != 0 and dialect.eps_at(setting.hyper) != "none"


def _limits(option: str, setting: Setting) -> Iterator[tuple[str, ...]]:
    """The lines to limit another use of an option to, besides everywhere."""
    if option == "alpha" and setting.centered:
        yield (setting.role if setting.role in ("square_avg", "grad_avg") else "square_avg",)
    if option == "weight_decay" or (option == "momentum" and setting.role in _DENOMINATOR):
        yield (setting.role,)


def _uses(option: str, hyper: Hyperparameters) -> Iterator[Use]:
    given = hyper.option(option)
    for value in USUAL[option]:
        # Without a weight decay, whatever is given, is a position of the switch ``decay``.
        if value != given and (option != "weight_decay" or value):
            yield Use("is", value)
    for factor in _FACTORS if option != "alpha" else (0.5,):
        yield Use("times", factor)
    if option in ("eps", "weight_decay", "lr", "alpha"):
        yield Use("power", 2.0)
        yield Use("power", 0.5)
    if option in ("weight_decay", "eps"):
        yield Use("times lr")
    for narrow in ("float16", "bfloat16", "float32"):
        yield Use("rounded to", narrow)
