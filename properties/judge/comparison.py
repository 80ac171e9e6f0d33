"""The comparer: the expectations of a call, against its outcome and the observation after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.program.program import Copy, Create, Step, op
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
from rmspec.properties.judge.stepping import compare_group_step, compare_refused_gradient

__all__ = ["compare"]

_PAGE = Hyperparameters()


def compare(
    run: Followed, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding]:
    """Compare one call with its expectations, count the checks, and bring the ledgers up to date."""
    tally = run.tally
    findings = list(_left_mode(run, expected, outcome))
    if expected.step is not None:
        findings += _compare_step(run, expected.step, outcome)
    if expected.reports_dict and outcome.caller_dict_changed is not None:
        behaviour = "changes {}" if outcome.caller_dict_changed else "leaves {} alone"
        tally.observe(Observed("caller-dict", behaviour.format(expected.reports_dict)))
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
        if _lacks_attribute(run, expected, outcome):
            return findings
        return [*findings, run.raised(clause, outcome, expected.optimizer)] if clause else findings
    for accepted in expected.accepted:
        tally.check(accepted)
    if expected.ledger is not None:
        run.ledgers[expected.optimizer] = expected.ledger
    if expected.saved is not None:
        run.slots[expected.slot] = expected.saved
    findings += _compare_parts(run, expected, outcome, before, after)
    for finding in findings:
        if finding.kind != "value":
            # Of values each real is counted, where they are compared.
            tally.fail(finding.clause)
        elif not finding.hazard:
            run.wrong.add(finding.param)
    return findings


def _lacks_attribute(run: Followed, expected: Expected, outcome: Outcome) -> bool:
    """Whether a step of a copy lacks an attribute: torch's base class leaves all but defaults, state and groups out of copies."""
    ledger = run.ledgers.get(expected.optimizer)
    copied = expected.step is not None and ledger is not None and bool(ledger.copy_of)
    return copied and outcome.raised is not None and outcome.raised.type == "AttributeError"


def _compare_parts(
    run: Followed, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding]:
    findings: list[Finding] = []
    for part in expected.parts:
        if isinstance(part, ZeroedGrads):
            findings += _compare_holder(run, part, outcome)
        if isinstance(part, Rest) and any(finding.kind == "grad" for finding in findings):
            # One finding on gradients is enough.
            part = replace(part, grads=False)
        findings += _compare_part(run, part, expected, outcome, before, after)
    return [*findings, *compare_counters(run, expected, before, after)]


def _refused(
    run: Followed, expected: Expected, outcome: Outcome, before: Observation, after: Observation
) -> list[Finding] | None:
    """Compare with the first reason to refuse the call; ``None`` if no reason decides."""
    for reason in expected.refusals:
        if reason.rule == "may" and not outcome.raised:
            if reason.behaviour:
                list(_answer(run, reason, expected.optimizer, outcome, after))
            continue
        findings = list(_answer(run, reason, expected.optimizer, outcome, after))
        run.over = reason.ends or not outcome.raised
        if reason.rest and (reason.ends or outcome.raised):
            changed = compare_rest(run, Rest(reason.rest), frozenset(), before, after)
            findings += changed
            # Of an optimizer that was half changed nobody says what is to follow.
            run.over = run.over or bool(changed)
        return findings
    return None


def _answer(run: Followed, reason: Refusal, optimizer: str, outcome: Outcome, after: Observation) -> Iterator[Finding]:
    if reason.behaviour:
        answer = "refuses" if outcome.raised else "accepts"
        shows = bool(reason.option) and not outcome.raised
        rest = _shown_option(run.ledgers[optimizer], reason.option, after) if shows else ""
        run.tally.observe(Observed(reason.clause, f"{answer} {reason.behaviour}{rest}"))
    if reason.rule == "open" or reason.behaviour:
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


def _compare_step(run: Followed, call: Step, outcome: Outcome) -> list[Finding]:
    """Compare how a step used its closure and its hooks."""
    run.tally.steps += 1
    run.tally.take(outcome.paths)
    run.tally.check("step")
    findings = _closure(run, call, outcome)
    if call.closure != "raises" and outcome.hooks is not None:
        run.tally.check("hooks")
        role, problem = ("", "") if outcome.raised else _hook_problem(run, call, outcome)
        if problem:
            findings.append(run.finding("hooks", "hooks", problem, call.optimizer, role=role))
    return findings


def _hook_problem(run: Followed, call: Step, outcome: Outcome) -> tuple[str, str]:
    """The problem with the hooks of a step, after a word for its kind; two empty strings for none."""
    assert outcome.hooks is not None
    if outcome.hooks != (1, 1):
        return "", f"step ran its pre-hook {outcome.hooks[0]} times, post-hook {outcome.hooks[1]} times"
    if outcome.hook_runs is None:
        return "", ""
    makers = [maker for maker in run.program.calls[: run.index] if isinstance(maker, Create | Copy)]
    maker = next((maker for maker in reversed(makers) if maker.optimizer == call.optimizer), None)
    # Whether a copy has the hooks of its original is open, and they count the steps of that one.
    early = isinstance(maker, Create) and maker.hooks
    due = [(kind, number) for kind in ("pre", "post") for number in ((0, 1) if early else (1,))]
    runs = [(hook.kind, hook.number) for hook in outcome.hook_runs]
    if runs.count(("pre", 0)) != early or runs.count(("post", 0)) != early:
        counts = f"pre-hook {runs.count(('pre', 0))} times, post-hook {runs.count(('post', 0))} times"
        return "start", f"step ran the hooks from the start otherwise than once: {counts}"
    if runs != due:
        names = ", ".join(f"{kind}-hook {number + 1}" for kind, number in runs)
        return "order", f"step ran its hooks in another order than they were registered in: {names}"
    stranger = next((hook for hook in outcome.hook_runs if not hook.optimizer), None)
    if stranger is not None:
        return "argument", f"step gave a {stranger.kind}-hook another first argument than the optimizer"
    early_or_late = next((hook for hook in outcome.hook_runs if hook.misplaced), None)
    if early_or_late is not None:
        side = (
            "after it had changed a parameter"
            if early_or_late.kind == "pre"
            else "before the last change of a parameter"
        )
        return "moment", f"step ran a {early_or_late.kind}-hook {side}"
    return "", ""


def _closure(run: Followed, call: Step, outcome: Outcome) -> list[Finding]:
    report = outcome.closure
    if not call.closure or report is None:
        return []
    if call.closure == "raises":
        run.tally.check("closure")
        run.tally.check("closure-failure")
        if report.calls == 0:
            return [run.finding("closure", "closure", "step did not call its closure", call.optimizer)]
        if outcome.raised is None:
            run.over = True
            summary = "step swallowed the exception of its closure"
            return [run.finding("closure", "closure-failure", summary, call.optimizer)]
        return []
    run.tally.check("closure")
    run.tally.check("closure-call")
    if outcome.raised:
        return []
    if report.calls == 0:
        return [run.finding("closure", "closure", "step called its closure 0 times", call.optimizer)]
    if report.moved_before:
        problem = "step changed a parameter before it called its closure"
        return [run.finding("closure", "closure", problem, call.optimizer)]
    problem = ""
    if report.calls != 1:
        problem = f"step called its closure {report.calls} times"
    elif not report.grad_enabled:
        problem = "step called its closure with gradients disabled"
    elif report.returned is None:
        problem = "step(closure) returned None instead of the loss"
    elif report.returned != call.loss:
        problem = f"step(closure) returned {report.returned!r} instead of the loss {call.loss!r}"
    return [run.finding("closure", "closure-call", problem, call.optimizer)] if problem else []


def _left_mode(run: Followed, expected: Expected, outcome: Outcome) -> Iterator[Finding]:
    """Find another gradient mode after the call than the caller's."""
    if not outcome.mode_left:
        return
    call = run.program.calls[run.index]
    words = {"enabled": "gradients enabled", "disabled": "gradients disabled", "inference": "inference mode on"}
    clause = "closure-failure" if expected.step is not None and expected.step.closure == "raises" else "frame"
    summary = f"{op(call)} left {words[outcome.mode_left]}, against the caller's mode"
    yield run.finding("mode", clause, summary, expected.optimizer)


def _compare_holder(run: Followed, part: ZeroedGrads, outcome: Outcome) -> Iterator[Finding]:
    """Find a gradient in the hands of somebody else with other values; zeros in place of None are open."""
    name = outcome.held_changed
    if name is None:
        return
    if not part.none:
        how = "in place" if name else "with a tensor of its own"
        run.tally.observe(Observed("caller-dict", f"zero_grad(set_to_none=False) puts zeros {how}"))
        return
    run.tally.check(part.clause)
    if name:
        summary = f"zero_grad wrote to the gradient tensor of {name}, which somebody else may hold"
        yield run.finding("grad", part.clause, summary, part.optimizer, name, "holder")


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
