"""The step: new values in their envelopes, closures called as documented, everything else left alone. Source: DESIGN 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.spec.clauses import CLAUSE_OF_DEFAULT
from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.program.program import (
    SetGrad,
    Step,
    elements,
)
from rmspec.oracles.subject import Observation, Outcome
from rmspec.properties.judge.findings import Finding, Observed, Tally
from rmspec.properties.judge.followed import Followed, same
from rmspec.properties.judge.frames import check_frame
from rmspec.properties.judge.ledger import Carry, OptimizerLedger, count_reals, format_of
from rmspec.properties.judge.sparse import SparseStep
from rmspec.properties.judge.stepcheck import SteppedParam, check_group

__all__ = ["check_step"]

Array = NDArray[Any]


def check_step(run: Followed, call: Step, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
    """What a step has done to values, closures and gradients, and to what it must leave alone."""
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return run.lost()
    run.tally.steps += 1
    run.tally.check("step")
    findings = _closure(run, call, outcome)
    if call.closure == "raises":
        return [*findings, *check_frame(run, before, after, "closure-failure")]
    if outcome.hooks is not None:
        run.tally.check("hooks")
        if outcome.hooks != (1, 1) and not outcome.raised:
            counts = f"pre-hook {outcome.hooks[0]} times, post-hook {outcome.hooks[1]} times"
            findings.append(run.finding("hooks", "hooks", f"step ran its {counts}", call.optimizer))
    if any(name in run.bad for name in ledger.params()):
        _failed_step(run, outcome, before, after)
        run.over = True
        return findings
    if outcome.raised:
        run.over = True
        clause = "closure" if call.closure else "step"
        return [*findings, run.raised(clause, outcome, call.optimizer)]

    grads = dict(before.grads)
    for name, values in call.grads.items():
        declared = run.program.param(name)
        grads[name] = elements(values, declared.dtype, declared.shape)
    outside, stepped = _step_values(run, call, ledger, grads, before, after)
    findings += outside
    findings += check_frame(
        run,
        before,
        after,
        "frame",
        stepped={(call.optimizer, name) for name in stepped},
        none_of=call.optimizer,
        grads=None if call.closure else grads,
        step_of=call.optimizer,
    )
    return findings


def _step_values(
    run: Followed,
    call: Step,
    ledger: OptimizerLedger,
    grads: Mapping[str, Array | None],
    before: Observation,
    after: Observation,
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    stepped_names: list[str] = []
    seen_before = before.state.get(call.optimizer, {})
    seen_after = after.state.get(call.optimizer, {})
    twice = len(set(ledger.params())) != len(ledger.params())
    for position, group in enumerate(ledger.groups):
        hyper = group.hyper()
        stepped: list[SteppedParam] = []
        sparse: dict[str, SparseStep] = {}
        initial = partial(run.dialect.initial, hyper=hyper or Hyperparameters())
        for name in dict.fromkeys(group.params):
            grad = grads.get(name)
            key = (call.optimizer, name)
            if grad is None:
                run.tally.check("grad-none")
                run.skipped.add(key)
                continue
            stepped_names.append(name)
            ledger.steps[name] = ledger.steps.get(name, 0) + 1
            state = dict(ledger.state.get(name, {}))
            state.update(seen_before.get(name, {}))
            whole = SteppedParam(
                name,
                format_of(before.params[name]),
                before.params[name],
                grad,
                after.params[name],
                state,
                seen_after.get(name, {}),
                ledger.steps[name],
                ledger.steps[name] == 1 and not seen_before.get(name),
                key in run.skipped,
            )
            rows = None if name in call.grads else run.rows.get(name)
            if rows is None:
                stepped.append(whole)
                continue
            run.tally.check("sparse-rows", whole.grad.size)
            if run.dialect.sparse == "dense":
                stepped.append(whole)
                continue
            sparse[name] = SparseStep(whole, rows)
            findings += _other_rows(run, call.optimizer, sparse[name], initial)
            stepped.append(sparse[name].touched())
        if hyper is None:
            # Nothing can be said of this step: what it leaves is what the next one starts from.
            for each in stepped:
                ledger.state.setdefault(each.name, {}).update(each.after_state or _unknown(each.param))
        if hyper is None or not stepped:
            continue
        found, known = check_group(
            [each for each in stepped if each.param.size or each.name not in sparse],
            hyper,
            run.dialect,
            run.policy,
            run.tally,
            call=run.index,
            optimizer=call.optimizer,
            sources=dict(group.sources),
        )
        if found and group.odd:
            # The group does not show what it was given. Which of the two it uses, another clause has asked already.
            given = partial(check_group, dialect=run.dialect, policy=run.policy, tally=Tally(), sources={})
            others, _ = given(stepped, group.meant(), call=run.index, optimizer=call.optimizer)
            wrong = {each.param for each in others if not each.hazard}
            found = [each for each in found if each.hazard or each.param in wrong]
        found = [sparse[each.param].placed(each) if each.param in sparse else each for each in found]
        for name, roles in known.items():
            held = sparse[name].spread(roles, initial) if name in sparse else roles
            ledger.state.setdefault(name, {}).update(held)
        _count_features(run, position, ledger, hyper, stepped)
        if twice:
            run.tally.check("duplicate-in-group")
            found = [_reclaused(each, "duplicate-in-group") for each in found]
        findings += found
    return findings, stepped_names


def _other_rows(
    run: Followed, optimizer: str, sparse: SparseStep, initial: Callable[[str], float]
) -> Iterator[Finding]:
    """The rows that a sparse gradient does not name: nothing of them may change."""
    whole = sparse.whole
    for role, element, value, expected in sparse.changed(initial):
        summary = f"{role} changed in a row that the gradient does not name"
        yield run.finding(
            "frame", "sparse-rows", summary, optimizer, whole.name, role, element, value, (expected, expected)
        )


def _count_features(
    run: Followed, position: int, ledger: OptimizerLedger, hyper: Hyperparameters, stepped: list[SteppedParam]
) -> None:
    """Count the clauses that one step of one group exercises besides those of its values."""
    tally, dialect, group = run.tally, run.dialect, ledger.groups[position]
    count = sum(each.param.size * FORMATS[each.format].parts for each in stepped)
    if not count:
        return
    tally.check("descent", count)
    tally.check("scalar-precision", count)
    if hyper.weight_decay and dialect.decay != "none":
        tally.check("weight-decay", count)
    if dialect.centered(hyper):
        tally.check("centered-variance", count)
    if dialect.momentum(hyper):
        tally.check("momentum-lr", count)
    if hyper.eps:
        tally.check("eps-placement", count)
    if dialect.maximize:
        tally.check("maximize", count)
    for option, source in group.sources.items():
        if source == "default":
            tally.check(CLAUSE_OF_DEFAULT[option], count)
        elif source == "group":
            tally.check("group-options", count)
        elif source == "constructor":
            tally.check("group-defaults", count)
        elif source == "changed":
            tally.check("scheduled-lr" if option == "lr" else "option-change", count)
    for each in stepped:
        size = each.param.size * FORMATS[each.format].parts
        zeros = int(np.count_nonzero(each.grad == 0))
        if zeros:
            tally.check("grad-zero", zeros)
        small = sum(_subnormal(array) for array in (each.grad, each.param, *each.after_state.values()))
        if small:
            tally.check("subnormals", small)
        if each.param.size > 1:
            tally.check("elementwise", size)
        if FORMATS[each.format].parts == 2:
            tally.check("complex-pairs", size)
        if each.first:
            tally.check("init-square-avg", size)
            if dialect.centered(hyper):
                tally.check("init-grad-avg", size)
            if dialect.momentum(hyper):
                tally.check("init-momentum-buffer", size)
    if any(param.layout != "contiguous" for param in run.program.params) or any(
        isinstance(call, SetGrad) and call.layout != "contiguous" for call in run.program.calls[: run.index]
    ):
        tally.check("layout", count)


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
    if outcome.raised:
        return []
    problem = ""
    if report.calls != 1:
        problem = f"step called its closure {report.calls} times"
    elif not report.grad_enabled:
        problem = "step called its closure with gradients disabled"
    elif report.moved_before:
        problem = "step changed a parameter before it called its closure"
    elif report.returned is None:
        problem = "step(closure) returned None instead of the loss"
    elif report.returned != call.loss:
        problem = f"step(closure) returned {report.returned!r} instead of the loss {call.loss!r}"
    return [run.finding("closure", "closure", problem, call.optimizer)] if problem else []


def _failed_step(run: Followed, outcome: Outcome, before: Observation, after: Observation) -> None:
    if not outcome.raised:
        behaviour = "accepts a sparse gradient"
    elif any(not same(before.params[name], after.params[name]) for name in before.params):
        behaviour = "has stepped some parameters when it raises"
    else:
        behaviour = "has stepped no parameter when it raises"
    run.tally.observe(Observed("failed-step", behaviour))


def _subnormal(array: Array) -> int:
    """How many reals of an array are subnormal numbers of its format."""
    fmt = FORMATS.get(array.dtype.name)
    if fmt is None:
        return 0
    sizes = np.abs(as_reals(array))
    return int(np.count_nonzero((sizes > 0) & (sizes < fmt.smallest_normal)))


def _unknown(param: Array) -> dict[str, Carry]:
    """What is known of hidden state after a step that could not be followed."""
    anything = np.full(count_reals(param), np.inf)
    return dict.fromkeys(STATE_ROLES, (-anything, anything, anything > 0))


def _reclaused(finding: Finding, clause: str) -> Finding:
    from dataclasses import replace

    return finding if finding.hazard else replace(finding, clause=clause)
