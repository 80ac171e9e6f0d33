"""Attribution: from a finding in a reduced program to the one broken clause.

A value outside its envelope says which line of the pseudocode is wrong, not why. Two kinds of evidence narrow it down.

- *Hypotheses*: does the observed number lie in the envelope of a different rule (eps inside the root, no weight decay, the
  learning rate inside the buffer, an option of another group)? Then that rule's clause broke.
- *Necessity*: the reduction has dropped every call and option that the deviation does not need. What is left is needed:
  more than one element, a layout, a complex format, a load, a closure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from rmspec.impl.arithmetic.envelope import Before, envelope, misses_by_far
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.program.changes import option_tables
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Load,
    Program,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.counterexamples.variants import (
    alone_with,
    options_from_the_start,
    plain_numbers,
    with_option,
    with_reals,
    without_closures,
    without_zero_decay,
)
from rmspec.properties.judge.findings import Case, Finding
from rmspec.properties.judge.ledger import number
from rmspec.properties.peeling.evidence import flushed

__all__ = ["attribute", "hypotheses"]

_FEATURE_CLAUSE = {
    "weight_decay": "weight-decay",
    "momentum": "momentum-buffer",
    "centered": "centered-variance",
    "eps": "eps-placement",
    "alpha": "square-avg",
    "lr": "update",
}


def attribute(
    finding: Finding,
    program: Program,
    dialect: Dialect,
    deviates: Callable[[Program], bool] | None = None,
    *,
    labels: tuple[str, ...] | None = None,
) -> str:
    """Name the clause broken by a finding, given its reduced program.

    ``deviates`` tells whether a changed program still shows it; it is asked a handful of times. ``labels`` are the
    hypotheses that held before the reduction: one that holds only for the simplified numbers is a coincidence.
    """
    if finding.hazard or CLAUSES[finding.clause].decided:
        return finding.clause
    if finding.kind == "raised":
        return _history(program, finding) or finding.clause
    if finding.kind != "value" or finding.case is None:
        return finding.clause
    if flushed(finding, dialect) and (labels is None or "subnormals" in labels):
        return "subnormals"
    if finding.half and _rounded_early(finding, program, dialect, labels):
        # The vector loops of a framework may round where its loops over the rest do not: that is rounding all the same.
        return "scalar-precision"
    structural = _structural(finding, program, deviates)
    if structural:
        return structural
    held = [each for each in hypotheses(finding, program, dialect) if labels is None or each in labels]
    apart = _apart(program, finding, deviates)
    held = [each for each in held if each != "isolation" or not apart]
    if held[:2] == ["grad-zero", "weight-decay"] and deviates is not None:
        # Nothing moved, with a gradient of 0 and with weight decay: which of the two was passed over?
        return held[1] if deviates(plain_numbers(program)) else held[0]
    if held:
        return held[0]
    history = _history(program, finding, apart=apart)
    if (
        history in ("scheduled-lr", "option-change")
        and deviates is not None
        and deviates(options_from_the_start(program))
    ):
        # The change is no circumstance: it deviates where the options are what they are from the start.
        history = ""
    return history or _feature(finding, program, dialect, deviates) or finding.clause


_PLACED = ("group-options", "group-defaults", "scheduled-lr", "option-change", "load-options", "isolation")
"""Clauses about whose value of an option is used: asked before the rules about how it is used."""


def hypotheses(finding: Finding, program: Program, dialect: Dialect) -> tuple[str, ...]:
    """List the clauses with a usual violation equal to the observed value, the most specific first; maybe none."""
    case = finding.case
    if finding.kind != "value" or case is None or finding.hazard or CLAUSES[finding.clause].decided:
        return ()
    if not isinstance(finding.observed, float) or not math.isfinite(finding.observed):
        return ("subnormals",) if flushed(finding, dialect) else ()
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
        return interval is not None and bool((interval.contains(observed) & interval.bounded())[0])

    found: list[str] = ["subnormals"] if flushed(finding, dialect) else []
    if not case.still:
        others = list(_options(case, finding.role, program, dialect, finding.optimizer))
        for label, changed in others:
            if label in _PLACED and label not in found and fits(hyper=changed):
                found.append(label)
        for label, guess in _rules(case, finding.role, dialect):
            if label not in found and fits(**guess):  # type: ignore[arg-type]
                found.append(label)
        for label, changed in others:
            if label not in found and fits(hyper=changed):
                found.append(label)
        narrow = envelope(before, FORMATS[case.format], hyper, dialect, scalars="storage", t=case.t, see=case.see)[
            finding.role
        ]
        rounded = bool((narrow.contains(observed) & narrow.bounded())[0])
        if rounded and _near(finding):
            found.insert(0, "scalar-precision")
        elif rounded or any(fits(hyper=each) for each in _rounded(case)):
            found.append("scalar-precision")
    elif float(before.grad[0]) == 0:
        decayed = hyper.weight_decay != 0 and fits(hyper=replace(hyper, weight_decay=0.0))
        found += ["grad-zero", "weight-decay"] if decayed and _nothing(before.square_avg) else ["grad-zero"]
    else:
        found.append("step")
    return tuple(found)


def _rounded_early(finding: Finding, program: Program, dialect: Dialect, labels: tuple[str, ...] | None) -> bool:
    if labels is not None and "scalar-precision" not in labels:
        return False
    return hypotheses(finding, program, dialect)[:1] == ("scalar-precision",)


def _near(finding: Finding) -> bool:
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
    others = len({call.optimizer for call in program.calls if isinstance(call, Create)}) > 1
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
            if source in ("default", "constructor") and (others or grouped):
                # Another group of its own is nearer than another optimizer.
                if optimizer in grouped or not others:
                    yield "group-options" if source == "default" else "group-defaults", changed
                if others:
                    yield "isolation", changed
                continue
            clause = {
                "group": "group-options",
                "changed": "scheduled-lr" if option == "lr" else "option-change",
                "loaded": "load-options",
                "default": f"default-{option.replace('_', '-')}",
            }.get(source, "grad-avg" if (option, role) == ("alpha", "grad_avg") else _FEATURE_CLAUSE[option])
            yield clause, changed


def _structural(finding: Finding, program: Program, deviates: Callable[[Program], bool] | None) -> str:
    """Name the needs of the deviation besides values: a format, a layout, more than one element."""
    declared = next((param for param in program.params if param.name == finding.param), None)
    if declared is None or deviates is None:
        return ""
    if FORMATS[declared.dtype].parts == 2 and not deviates(with_reals(program)):
        return "complex-pairs"
    if any(isinstance(call, Step) and call.closure for call in program.calls) and not deviates(
        without_closures(program)
    ):
        return "closure"
    if _sparse(program):
        return "sparse-rows"
    if _layouts(program):
        return "layout"
    size = math.prod(declared.shape)
    if size != 1 or declared.shape != (1,):
        return "elementwise"
    return ""


def _sparse(program: Program) -> bool:
    return any(isinstance(call, SetGrad) and call.rows is not None for call in program.calls)


def _layouts(program: Program) -> bool:
    return any(param.layout != "contiguous" for param in program.params) or any(
        isinstance(call, SetGrad) and call.layout != "contiguous" for call in program.calls
    )


def _apart(program: Program, finding: Finding, deviates: Callable[[Program], bool] | None) -> bool:
    """Whether the deviation is there without the other optimizers as well, so that it is not one of sharing."""
    if deviates is None or not finding.optimizer:
        return False
    alone = alone_with(program, finding.optimizer)
    return alone != program and deviates(alone)


def _history(program: Program, finding: Finding, *, apart: bool = False) -> str:
    """Name the call needed by the deviation besides plain steps, by the clause about it."""
    calls = program.calls[: finding.call + 1]
    last = calls[-1] if calls else None
    if isinstance(last, Step) and last.closure:
        return "closure"
    case = finding.case
    if case is not None and case.skipped:
        return "grad-none"
    named = next((clause for call in reversed(calls) if (clause := _about(call))), "")
    if named:
        return named
    optimizers = {call.optimizer for call in calls if isinstance(call, Create)}
    if len(optimizers) > 1 and not apart:
        return "isolation"
    if any(isinstance(call, Create) and len(call.groups) > 1 for call in calls):
        return "group-options"
    return _shape(program) if finding.kind == "raised" else ""


def _about(call: Call) -> str:
    """Name the clause about a call; none for a plain step."""
    match call:
        case SetOption(options=options):
            return "scheduled-lr" if set(options) == {"lr"} else "option-change"
        case EditState(edit="drop"):
            return "load-partial"
        case Load():
            return "load-state-dict"
        case AddParamGroup():
            return "add-param-group"
        case ZeroGrad(set_to_none=set_to_none):
            return "zero-grad-zero" if set_to_none is False else "zero-grad-none"
        case Freeze() | SetGrad(values=None):
            return "grad-none"
    return ""


def _shape(program: Program) -> str:
    """Name the clause about the kind of the parameters, or of the gradients."""
    if _sparse(program):
        return "sparse-rows"
    if _layouts(program):
        return "layout"
    if any(FORMATS[param.dtype].parts == 2 for param in program.params):
        return "complex-pairs"
    return "elementwise" if any(param.shape != (1,) for param in program.params) else ""


def _feature(finding: Finding, program: Program, dialect: Dialect, deviates: Callable[[Program], bool] | None) -> str:
    """Name the branch of the pseudocode needed by the deviation: it is gone once the branch is switched off."""
    case = finding.case
    assert case is not None
    hyper = case.hyper

    def needs(option: str, off: float | bool) -> bool:
        return deviates is None or not deviates(with_option(program, option, off))

    if hyper.weight_decay and needs("weight_decay", 0.0):
        return "weight-decay"
    left = without_zero_decay(program)
    if left != program and dialect.defaults.weight_decay is not None and deviates is not None and not deviates(left):
        # A decay of 0 that is applied: it makes a NaN of an infinity.
        return "weight-decay"
    divides = finding.role in ("param", "momentum_buffer")
    if hyper.centered and divides and needs("centered", False):
        return "centered-variance"
    if finding.role == "param" and hyper.momentum > 0:
        return "momentum-update"
    if divides and hyper.eps and deviates is not None and needs("eps", 0.0):
        return "eps-placement"
    return ""
