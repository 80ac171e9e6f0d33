"""Hypotheses: the clauses with a usual violation equal to an observed value.

Each is a rule, or a value of an option, followed by some known optimizer or by a likely mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope, misses_by_far
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.program.changes import option_tables
from rmspec.oracles.program.program import AddParamGroup, Create, Program, SetGrad
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.judge.findings import Case, Finding
from rmspec.properties.judge.ledger import number
from rmspec.properties.peeling.evidence import flushed

__all__ = ["hypotheses", "near_miss"]

_FEATURE_CLAUSE = {
    "weight_decay": "weight-decay",
    "momentum": "momentum-buffer",
    "centered": "centered-variance",
    "eps": "eps-placement",
    "alpha": "square-avg",
    "lr": "update",
}


_PLACED = ("group-options", "group-defaults", "scheduled-lr", "option-change", "load-options", "isolation")
"""Clauses about whose value of an option is used: asked before the rules about how it is used."""


def hypotheses(finding: Finding, program: Program, dialect: Dialect) -> tuple[str, ...]:
    """List the clauses with a usual violation equal to the observed value, the most specific first; maybe none."""
    case = finding.case
    if finding.kind != "value" or case is None or finding.hazard or CLAUSES[finding.clause].decided:
        return ()
    if not isinstance(finding.observed, float) or not math.isfinite(finding.observed):
        return _of_nothing(finding, case, dialect)
    value = finding.observed
    observed = np.array([value])
    before, hyper = case.before, case.hyper

    width = finding.allowed[1] - finding.allowed[0] if finding.allowed else math.inf

    def fits(before: Before = before, hyper: Hyperparameters = hyper, dialect: Dialect = dialect) -> bool:
        fmt = FORMATS[case.format]
        if not case.handed and misses_by_far(value, width, finding.role, before, fmt, hyper, dialect, t=case.t):
            return False
        bounds = envelope(before, fmt, hyper, dialect, t=case.t, see=case.see)
        interval = bounds.get(finding.role)
        return interval is not None and bool(interval.contains(observed)[0]) and _tells(interval, case, finding.role)

    def fits_rounded() -> bool:
        bounds = envelope(before, FORMATS[case.format], hyper, dialect, scalars="storage", t=case.t, see=case.see)
        narrow = bounds[finding.role]
        return bool((narrow.contains(observed) & narrow.bounded())[0])

    labels: list[str] = ["subnormals"] if flushed(finding, dialect) else []
    if _never_stepped(case, finding, dialect, fits):
        labels.append("grad-zero" if _only_zeros(program, finding) else "step")
    elif case.still:
        labels += _unmoved(case, fits)
        if labels[-1:] == ["step"] and near_miss(finding) and fits_rounded():
            # A decay rounded early may cancel the gradient.
            labels.insert(0, "scalar-precision")
    else:
        with np.errstate(over="ignore", invalid="ignore"):  # of a recording from anyone
            guesses = list(_guesses(case, finding, program, dialect))
        for label, guess in guesses:
            if label not in labels and fits(**guess):
                labels.append(label)
        rounded = fits_rounded()
        if rounded and near_miss(finding):
            labels.insert(0, "scalar-precision")
        elif rounded or any(fits(hyper=rounding) for rounding in _rounded(case)):
            labels.append("scalar-precision")
    return tuple(labels)


def _of_nothing(finding: Finding, case: Case, dialect: Dialect) -> tuple[str, ...]:
    """List the causes of a NaN or an infinity: a number, or an option in a half, became 0."""
    if flushed(finding, dialect):
        return ("subnormals",)
    if not finding.half or not isinstance(finding.observed, float):
        return ()
    bounds = envelope(case.before, FORMATS[case.format], case.hyper, dialect, scalars="storage", t=case.t, see=case.see)
    narrow = bounds.get(finding.role)
    fits = narrow is not None and bool(narrow.contains(np.array([finding.observed]))[0])
    return ("scalar-precision",) if fits else ()


def _guesses(case: Case, finding: Finding, program: Program, dialect: Dialect) -> Iterator[tuple[str, dict[str, Any]]]:
    """List other places of an option, other rules and other values of an option, with the clause broken by each."""
    replaced = [
        (label, {"hyper": changed})
        for label, changed in _options(case, finding.role, program, dialect, finding.optimizer)
    ]
    yield from (guess for guess in replaced if guess[0] in _PLACED)
    yield from _rules(case, finding.role, dialect)
    yield from replaced


def _tells(interval: Interval, case: Case, role: str) -> bool:
    """Whether an interval is bounded, and narrow beside its ends or the value before the step.

    Where the formula cancels (v - g_ave^2 after one step) it reaches from a number to a million times that, and holds nearly
    anything by chance.
    """
    lo, hi = float(interval.lo[0]), float(interval.hi[0])
    was = getattr(case.before, role)
    size = max(abs(lo), abs(hi), 0.0 if isinstance(was, tuple) else abs(float(was[0])))
    return hi - lo < math.inf and hi - lo <= max(size / 2, 4 * FORMATS[case.format].part.smallest_subnormal)


def _unmoved(case: Case, fits: Callable[..., bool]) -> list[str]:
    """The clauses on an element with nothing of it changed."""
    hyper = case.hyper
    if float(case.before.grad[0]) != 0:
        return ["step"]
    decayed = hyper.weight_decay != 0 and fits(hyper=replace(hyper, weight_decay=0.0))
    return ["grad-zero", "weight-decay"] if decayed and _nothing(case.before.square_avg) else ["grad-zero"]


def _never_stepped(case: Case, finding: Finding, dialect: Dialect, fits: Callable[[Before], bool]) -> bool:
    """Whether a value of state is as after a first step, though earlier ones left no state to see."""
    before = case.before
    unseen = [role for role in STATE_ROLES if isinstance(getattr(before, role), tuple)]
    if case.t <= 1 or finding.role not in unseen:
        return False
    initial = {role: np.full(1, dialect.initial(role, case.hyper)) for role in unseen}
    return fits(replace(before, **initial))


def _only_zeros(program: Program, finding: Finding) -> bool:
    """Whether every earlier gradient of the parameter is 0."""
    given = [
        call for call in program.calls[: finding.call] if isinstance(call, SetGrad) and call.param == finding.param
    ]
    return all(not any(call.values or ()) for call in given[:-1])


def near_miss(finding: Finding) -> bool:
    """Whether the observed value misses its envelope by a few widths at most, as early rounding in a half does."""
    if finding.allowed is None or not isinstance(finding.observed, float):
        return False
    lo, hi = finding.allowed
    return max(lo - finding.observed, finding.observed - hi) <= 4 * (hi - lo)


def _nothing(values: object) -> bool:
    return not isinstance(values, tuple) and float(values[0]) == 0  # type: ignore[index]


def _rules(case: Case, role: str, dialect: Dialect) -> Iterator[tuple[str, dict[str, object]]]:
    """List other rules followed by known optimizers, with the clause broken by each."""
    hyper = case.hyper
    if case.first:
        yield from _starts(case, role)
    if dialect.maximize:
        yield "maximize", {"dialect": replace(dialect, maximize=False)}
        if hyper.weight_decay:
            yield "maximize", {"hyper": replace(hyper, weight_decay=-hyper.weight_decay)}
    if hyper.weight_decay:
        for decay in ("none", "decoupled-lr", "decoupled", "l2"):
            yield "weight-decay", {"dialect": replace(dialect, decay=decay)}
        scaled = (-hyper.weight_decay, hyper.lr * hyper.weight_decay, hyper.weight_decay / 2, 2 * hyper.weight_decay)
        for value in scaled:
            yield "weight-decay", {"hyper": replace(hyper, weight_decay=value)}
    if role in ("param", "momentum_buffer"):
        yield from _divided(hyper, role, dialect)
        if not dialect.maximize:
            yield "descent", {"dialect": replace(dialect, maximize=True)}


def _starts(case: Case, role: str) -> Iterator[tuple[str, dict[str, object]]]:
    """List other initial values of a state role; of a hidden square average, for the parameter."""
    before, g = case.before, case.before.grad
    if role == "square_avg" or (role == "param" and "square_avg" not in case.seen):
        for start in (np.ones(1), np.zeros(1), np.full(1, case.hyper.eps), g * g):
            yield "init-square-avg", {"before": replace(before, square_avg=start)}
    elif role == "grad_avg":
        for start in (g, np.ones(1)):
            yield "init-grad-avg", {"before": replace(before, grad_avg=start)}
    elif role == "momentum_buffer":
        for start in (np.ones(1), g, before.param):
            yield "init-momentum-buffer", {"before": replace(before, momentum_buffer=start)}


def _divided(hyper: Hyperparameters, role: str, dialect: Dialect) -> Iterator[tuple[str, dict[str, object]]]:
    """List other rules of the quotient, and of momentum."""
    if hyper.eps:
        moved = replace(dialect, eps_place="inside" if dialect.eps_at(hyper) == "outside" else "outside")
        yield "eps-placement", {"dialect": moved}
        for value in (0.0, hyper.eps**2, 2 * hyper.eps):
            yield "eps-placement", {"hyper": replace(hyper, eps=value)}
        yield "eps-placement", {"hyper": replace(hyper, eps=hyper.eps**2), "dialect": moved}
    if dialect.centered(hyper):
        yield "centered-variance", {"hyper": replace(hyper, centered=False)}
    if dialect.momentum(hyper):
        clause = "momentum-update" if role == "param" else "momentum-buffer"
        lr_place = "inside" if dialect.lr_place == "outside" else "outside"
        yield "momentum-lr", {"dialect": replace(dialect, lr_place=lr_place)}  # type: ignore[arg-type]
        yield clause, {"dialect": replace(dialect, nesterov=not dialect.nesterov)}
        yield clause, {"hyper": replace(hyper, momentum=0.0)}


def _rounded(case: Case) -> Iterator[Hyperparameters]:
    """The options with one of them rounded to a narrower format."""
    for option in ("lr", "alpha", "eps", "weight_decay", "momentum"):
        value = float(case.hyper.option(option))
        for narrow in ("float16", "bfloat16", "float32"):
            rounded = FORMATS[narrow].round(value)
            if (
                rounded != value
                and math.isfinite(rounded)
                and (rounded or narrow == case.format)  # else it is ignored, for whatever reason
                and (narrow != "float32" or case.format in ("float64", "complex128"))
            ):
                changes: dict[str, float] = {option: rounded}
                yield replace(case.hyper, **changes)  # type: ignore[arg-type]


def _options(
    case: Case, role: str, program: Program, dialect: Dialect, optimizer: str
) -> Iterator[tuple[str, Hyperparameters]]:
    """Replace one option of the case by another value from the program, the page or the dialect."""
    values: dict[str, list[float | bool]] = {option: [getattr(Hyperparameters(), option)] for option in OPTIONS}
    for option in OPTIONS:
        default = getattr(dialect.defaults, option)
        if default is not None and default not in values[option]:
            values[option].append(default)
    for option, value in (item for call in program.calls for table in option_tables(call) for item in table.items()):
        if option in values and number(value) not in values[option]:
            values[option].append(number(value))
    several = len({call.optimizer for call in program.calls if isinstance(call, Create)}) > 1
    grouped = {
        call.optimizer
        for call in program.calls
        if isinstance(call, AddParamGroup) or (isinstance(call, Create) and len(call.groups) > 1)
    }
    for option, candidates in values.items():
        for value in candidates:
            if value == case.hyper.option(option):
                continue
            source = case.sources.get(option, "")
            changes: dict[str, float | bool] = {option: value}
            changed = replace(case.hyper, **changes)  # type: ignore[arg-type]
            if source in ("default", "constructor") and (several or grouped):
                # Another group of its own is nearer than another optimizer.
                if optimizer in grouped or not several:
                    yield "group-options" if source == "default" else "group-defaults", changed
                if several:
                    yield "isolation", changed
                continue
            clause = {
                "group": "group-options",
                "changed": "scheduled-lr" if option == "lr" else "option-change",
                "loaded": "load-options",
                "default": f"default-{option.replace('_', '-')}",
            }.get(source, "grad-avg" if (option, role) == ("alpha", "grad_avg") else _FEATURE_CLAUSE[option])
            yield clause, changed
