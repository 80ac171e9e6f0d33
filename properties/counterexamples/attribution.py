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

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Copy,
    Create,
    EditState,
    Freeze,
    Load,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
)
from rmspec.oracles.subject import VERSION_EDITS
from rmspec.properties.counterexamples.hypotheses import hypotheses
from rmspec.properties.counterexamples.other_options import (
    options_from_the_start,
    with_option,
    with_saved_options,
    with_scaled_option,
    without_zero_decay,
)
from rmspec.properties.counterexamples.variants import (
    alone_with,
    plain_numbers,
    uncopied,
    with_gradients,
    with_reals,
    with_whole_state,
    without_circumstances,
    without_closures,
    without_copies,
    without_edits,
    without_loads,
    without_recording,
)
from rmspec.properties.judge.findings import Case, Finding
from rmspec.properties.peeling.evidence import flushed

__all__ = ["attribute", "has_layouts"]

_SCALES = (0.5, 0.75, 1.25, 1.5)
"""An option by which a deviation is explained is tried with so many other values: one of them may hide it as well."""


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
        return _raised(program, finding, deviates)
    if finding.kind != "value" or finding.case is None:
        return finding.clause
    if deviates is not None and _is_complex(program, finding) and not deviates(with_reals(program)):
        return "complex-pairs"
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
    lost = _outdated(program, finding, deviates) or _lost_by_load(program, finding, deviates)
    if lost:
        return lost
    if held[:2] == ["grad-zero", "weight-decay"] and deviates is not None:
        # Nothing moved, with a gradient of 0 and with weight decay: which of the two was passed over?
        return held[1] if deviates(plain_numbers(program)) else held[0]
    if held[:1] == ["step"] and deviates is not None and not deviates(plain_numbers(program)):
        # Other numbers move: it was not passed over, its update is lost.
        return finding.clause
    if held:
        return held[0]
    history = _history(program, finding, deviates, apart=apart)
    if (
        history in ("scheduled-lr", "option-change")
        and deviates is not None
        and deviates(options_from_the_start(program))
    ):
        # The change is no circumstance: it deviates where the options are what they are from the start.
        history = ""
    return history or _feature(finding, program, dialect, deviates) or finding.clause


def _rounded_early(finding: Finding, program: Program, dialect: Dialect, labels: tuple[str, ...] | None) -> bool:
    if labels is not None and "scalar-precision" not in labels:
        return False
    return hypotheses(finding, program, dialect)[:1] == ("scalar-precision",)


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
    if has_layouts(program):
        return "layout"
    size = math.prod(declared.shape)
    if size != 1 or declared.shape != (1,):
        return "elementwise"
    return ""


def _sparse(program: Program) -> bool:
    return any(isinstance(call, SetGrad) and call.rows is not None for call in program.calls)


def has_layouts(program: Program) -> bool:
    """Whether a parameter or a gradient has a layout of its own."""
    return any(param.layout != "contiguous" for param in program.params) or any(
        isinstance(call, SetGrad) and call.layout != "contiguous" for call in program.calls
    )


def _apart(program: Program, finding: Finding, deviates: Callable[[Program], bool] | None) -> bool:
    """Whether the deviation is there without the other optimizers as well, so that it is not one of sharing."""
    if deviates is None or not finding.optimizer:
        return False
    alone = alone_with(program, finding.optimizer)
    return alone != program and deviates(alone)


def _is_complex(program: Program, finding: Finding) -> bool:
    return any(param.name == finding.param and FORMATS[param.dtype].parts == 2 for param in program.params)


def _used(case: Case) -> Iterator[str]:
    """The roles of the state for the branches taken, besides the square average."""
    if case.hyper.centered:
        yield "grad_avg"
    if case.hyper.momentum:
        yield "momentum_buffer"


def _lost_by_load(program: Program, finding: Finding, deviates: Callable[[Program], bool] | None) -> str:
    """Name the clause of a hidden state lost by a load: with the saved options it deviates as well, and not unloaded."""
    loads = [call for call in program.calls[: finding.call] if isinstance(call, Load)]
    case = finding.case
    hidden = case is not None and not {*STATE_ROLES[:1], *_used(case)} <= set(case.seen)
    if not loads or not hidden or deviates is None:
        return ""
    alike = with_saved_options(program)
    if not deviates(alike) or deviates(without_loads(alike)):
        return ""
    dropped = any(isinstance(call, EditState) and call.edit == "drop" for call in program.calls)
    return "load-partial" if dropped else "load-state-dict"


def _outdated(program: Program, finding: Finding, deviates: Callable[[Program], bool] | None) -> str:
    """Name the clause on copies, or on checkpoints of another version, if the deviation is gone without them."""
    calls = program.calls[: finding.call]
    if deviates is None:
        return ""
    if any(isinstance(call, Copy) for call in calls) and not deviates(uncopied(program)):
        return "optimizer-copy"
    for clause, edits in (("load-version", VERSION_EDITS), ("load-device", ("elsewhere",))):
        edited = any(isinstance(call, EditState) and call.edit in edits for call in calls)
        if edited and not deviates(without_edits(program, edits)):
            return clause
    return ""


def _raised(program: Program, finding: Finding, deviates: Callable[[Program], bool] | None) -> str:
    """Name the clause of an exception: first of a circumstance, if it is gone without it.

    A step passes over what has no gradient; that there is no state for it then is for the other calls to stand.
    """
    call = program.calls[finding.call]
    outdated = _outdated(program, finding, deviates)
    if outdated:
        return outdated
    bare = without_circumstances(program)
    if deviates is not None and bare != program and not deviates(bare):
        return finding.clause
    circumstances = [("closure", without_closures(program)), ("differentiable-step", without_recording(program))]
    if isinstance(call, Step):
        circumstances.append(("grad-none", with_gradients(program)))
    needed = [
        clause
        for clause, changed in circumstances
        if deviates is not None and changed != program and not deviates(changed)
    ]
    if isinstance(call, Load) and not needed and finding.clause == "load-partial" and deviates is not None:
        return "load-state-dict" if deviates(with_whole_state(program)) else "load-partial"
    if isinstance(call, Save) and deviates is not None and not deviates(without_copies(program)):
        return "state-dict-copy"
    if isinstance(call, Create) and call.form == "groups" and any(group.options for group in call.groups):
        needed.append("group-options")
    return needed[0] if needed else _history(program, finding, deviates) or finding.clause


def _history(
    program: Program,
    finding: Finding,
    deviates: Callable[[Program], bool] | None = None,
    *,
    apart: bool = False,
) -> str:
    """Name the call needed by the deviation besides plain steps, by the clause about it."""
    calls = program.calls[: finding.call + 1]
    last = calls[-1] if calls else None
    if isinstance(last, Step) and last.closure and (deviates is None or not deviates(without_closures(program))):
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
        case EditState(edit=edit) if edit in VERSION_EDITS:
            return "load-version"
        case EditState(edit="elsewhere"):
            return "load-device"
        case Copy():
            return "optimizer-copy"
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
    if has_layouts(program):
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
        if deviates is None:
            return True
        if deviates(with_option(program, option, off)):
            return False
        # Other numbers round otherwise: what goes with the option may go with any change of it, and proves nothing then.
        others = () if isinstance(off, bool) else (with_scaled_option(program, option, factor) for factor in _SCALES)
        return sum(not deviates(other) for other in others) <= 1

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
