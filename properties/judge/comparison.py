"""The comparer: the expectations of a call, against its outcome and the observation after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.subject import Observation, Outcome
from rmspec.properties.judge.expected import (
    CopiedOptimizer,
    Derivatives,
    Expected,
    GroupStep,
    InitialState,
    OperationResult,
    OtherGroups,
    Part,
    Refusal,
    Rest,
    RestoredState,
    SavedState,
    ShownGroups,
    ZeroedGrads,
)
from rmspec.properties.judge.findings import Finding, Observed
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.frames import compare_counters, compare_rest
from rmspec.properties.judge.groups import compare_groups, compare_initial_state, compare_other_groups
from rmspec.properties.judge.ledger import OptimizerLedger
from rmspec.properties.judge.operations import compare_derivatives, compare_operation, follow_moves
from rmspec.properties.judge.saving import compare_copied_optimizer, compare_restored_state, compare_saved_state
from rmspec.properties.judge.stepping import compare_group_step, compare_refused_gradient, compare_step

__all__ = ["compare"]

_PAGE = Hyperparameters()


def compare(
    run: Followed, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding]:
    """Compare one call with its expectations, count the checks, and bring the ledgers up to date."""
    tally = run.tally
    findings = [] if expected.step is None else compare_step(run, expected.step, outcome)
    if expected.reports_dict and outcome.caller_dict_changed is not None:
        behaviour = "changes the dict" if outcome.caller_dict_changed else "leaves the dict alone"
        tally.observe(Observed("caller-dict", behaviour))
    if expected.refused_gradient:
        compare_refused_gradient(run, expected.optimizer, outcome, before, after)
        run.over = True
        return findings
    refused = _refused(run, expected, outcome, before, after)
    if refused is not None:
        return [*findings, *refused]
    clause = expected.broken_by_exception
    raised = bool(outcome.raised) and clause is not None
    for tested, count in expected.tests.items():
        # What raised has done nothing of what it was called for.
        (tally.block if raised else tally.check)(tested, count)
    if clause is not None and raised:
        run.over = True
        return [*findings, run.raised(clause, outcome, expected.optimizer)] if clause else findings
    for accepted in expected.accepted:
        tally.check(accepted)
    if expected.ledger is not None:
        run.ledgers[expected.optimizer] = expected.ledger
    if expected.saved is not None:
        run.slots[expected.slot] = expected.saved
    for part in expected.parts:
        if isinstance(part, Rest) and any(finding.kind == "grad" for finding in findings):
            # One finding on gradients is enough.
            part = replace(part, grads=False)
        findings += _compare_part(run, part, expected, outcome, before, after)
    findings += compare_counters(run, expected, before, after)
    for finding in findings:
        if finding.kind != "value":
            # Of values each real is counted, where they are compared.
            tally.fail(finding.clause)
        elif not finding.hazard:
            run.wrong.add(finding.param)
    return findings


def _refused(
    run: Followed, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding] | None:
    """Compare with the first reason to refuse the call; ``None`` if no reason decides."""
    for reason in expected.refusals:
        if reason.rule == "may" and not outcome.raised:
            continue
        findings = list(_answer(run, reason, expected.optimizer, outcome, after))
        run.over = reason.ends or not outcome.raised
        if reason.ends or outcome.raised:
            changed = compare_rest(run, Rest(reason.rest), frozenset(), before, after)
            findings += changed
            # Of an optimizer that was half changed nobody says what is to follow.
            run.over = run.over or bool(changed)
        return findings
    return None


def _answer(run: Followed, reason: Refusal, optimizer: str, outcome: Outcome, after: Observation) -> Iterator[Finding]:
    if reason.rule == "open":
        if reason.behaviour:
            answer = "refuses" if outcome.raised else "accepts"
            rest = (
                ""
                if outcome.raised or not reason.option
                else _shown_option(run.ledgers[optimizer], reason.option, after)
            )
            run.tally.observe(Observed(reason.clause, f"{answer} {reason.behaviour}{rest}"))
        return
    if reason.clause:
        run.tally.check(reason.clause)
    if reason.rule == "must" and not outcome.raised:
        yield run.finding("silent", reason.clause, reason.silence, optimizer)


def _shown_option(ledger: OptimizerLedger, option: str, after: Observation) -> str:
    """Describe the value of an option left out of a checkpoint."""
    views = after.groups.get(ledger.name)
    if not views or not ledger.groups:
        return ""
    value = views[0].options.get(option)
    if value is None:
        return ", and its groups then have none"
    if value == ledger.groups[0].options[option]:
        return ", and keeps its own"
    if value == ledger.defaults[option]:
        return ", and takes its default"
    return ", and takes the page's default" if value == _PAGE.option(option) else ", and takes another value"


def _compare_part(
    run: Followed, part: Part, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding]:
    match part:
        case Rest():
            return compare_rest(run, part, expected.free(run.dialect), before, after)
        case GroupStep():
            follow_moves(run, part)
            return compare_group_step(run, part, after)
        case ShownGroups():
            return compare_groups(run, part, after)
        case OtherGroups():
            return compare_other_groups(run, part, after)
        case InitialState():
            return compare_initial_state(run, part, after)
        case ZeroedGrads():
            return list(_compare_zeroed(run, part, before, after))
        case SavedState():
            return compare_saved_state(run, part, before, after)
        case CopiedOptimizer():
            return compare_copied_optimizer(run, part, before, after)
        case RestoredState():
            return compare_restored_state(run, part, after)
        case OperationResult():
            return compare_operation(run, part, after)
        case Derivatives():
            return compare_derivatives(run, part, outcome)


def _compare_zeroed(run: Followed, part: ZeroedGrads, before: Observation, after: Observation) -> Iterator[Finding]:
    """Find the first gradient left neither ``None`` nor zero, as is due; a zero may have either sign."""
    for name in part.names:
        none = part.none or before.grads.get(name) is None
        grad = after.grads.get(name)
        if (grad is None) != none or (grad is not None and bool(np.any(grad != 0))):
            state = "None" if grad is None else "not None" if part.none else "not zero"
            summary = f"after zero_grad the gradient of {name} is {state}"
            yield run.finding("grad", part.clause, summary, part.optimizer, name)
            return
