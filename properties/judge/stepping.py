"""The step: new values in their envelopes, closures called as documented, everything else left alone. Source: DESIGN 2."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.spec.clauses import CLAUSE_OF_START, option_clause
from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.host.perform import Answer
from rmspec.oracles.program.program import (
    SetGrad,
    Step,
    elements,
    named_rows,
)
from rmspec.oracles.subject import Observation, Outcome
from rmspec.properties.judge.expected import Expected, GroupStep, Refusal, Rest, SteppedFrom
from rmspec.properties.judge.findings import Finding, Observed, Tally
from rmspec.properties.judge.followed import Followed, same, sized
from rmspec.properties.judge.ledger import LedgerGroup, OptimizerLedger, forget_hidden, format_of, unknown_state
from rmspec.properties.judge.sparse import SparseStep
from rmspec.properties.judge.stepcheck import check_group
from rmspec.properties.lines.batch import SteppedParam, stepped_roles

__all__ = ["compare_group_step", "compare_refused_gradient", "expect_step", "follow_astray"]

Array = NDArray[Any]


def expect_step(run: Followed, call: Step, before: Observation) -> Expected | None:
    """Expect a step to move values inside their envelopes, and to use its closure and its hooks as documented."""
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return None
    if call.closure == "raises":
        return Expected((Rest("closure-failure"),), call.optimizer, broken_by_exception=None, step=call)
    refusals = tuple(_doubts(run, ledger, call))
    last = {each.param: each for each in run.program.calls[: run.index] if isinstance(each, SetGrad)}
    grads = dict(before.grads)
    for name, values in call.grads.items():
        declared = run.program.param(name)
        grads[name] = elements(values, declared.dtype, declared.shape)
    rows = {
        name: named_rows(each, run.program.param(name).shape) for name, each in last.items() if name not in call.grads
    }
    return Expected(
        (
            *(_group_step(run, ledger, position, grads, rows, before) for position in range(len(ledger.groups))),
            Rest("frame", actor=call.optimizer, step=True, grads=not call.closure),
        ),
        call.optimizer,
        refusals,
        "" if ledger.unsure else "step",
        step=call,
        refused_gradient=any(last[name].bad for name in ledger.params() if name in last),
    )


def _doubts(run: Followed, ledger: OptimizerLedger, call: Step) -> Iterator[Refusal]:
    """List the reasons for a step to raise: an option changed to a value out of its domain, and inference mode, before or now.

    What is made in inference mode cannot be written to outside of it, and takes no part in autograd.
    """
    for group in ledger.groups:
        for option, value in group.options.items():
            if group.sources.get(option) == "changed" and value is not None and not value >= 0:
                yield Refusal("open", "", "refuse-invalid", behaviour=f"{option}={value:g} set in a group later")
                return
    modes = [step.mode for step in run.program.calls[: run.index] if isinstance(step, Step)]
    if call.mode == "inference_mode":
        yield Refusal("may", "", "failed-step", behaviour="a step in inference_mode")
    elif "inference_mode" in modes:
        yield Refusal("may", "", "failed-step", behaviour="a step after one in inference_mode")


def _group_step(
    run: Followed,
    ledger: OptimizerLedger,
    position: int,
    grads: Mapping[str, Array | None],
    rows: Mapping[str, tuple[int, ...] | None],
    before: Observation,
) -> GroupStep:
    group = ledger.groups[position]
    names = tuple(dict.fromkeys(group.params))
    visible = before.state.get(ledger.name, {})
    params: list[SteppedFrom] = []
    for name in names:
        grad = grads.get(name)
        if grad is None:
            continue
        t = ledger.steps.get(name, 0) + 1
        params.append(
            SteppedFrom(
                name,
                format_of(before.params[name]),
                before.params[name],
                grad,
                sized(before.params[name], ledger.state.get(name, {}), visible.get(name, {})),
                t,
                t == 1 and not visible.get(name),
                (ledger.name, name) in run.skipped,
                rows.get(name),
            )
        )
    passed_over = tuple(name for name in names if grads.get(name) is None)
    twice = len(set(ledger.params())) != len(ledger.params())
    views = before.groups.get(ledger.name) or ()
    options = {} if ledger.unlike or position >= len(views) else views[position].options
    return GroupStep(ledger.name, position, group.hyper(), tuple(params), passed_over, twice, options)


def _move_partners(run: Followed, ledger: OptimizerLedger, stepped: set[str]) -> None:
    """Forget the hidden state of the partners of an optimizer, after its step: they may share it."""
    for other in run.ledgers.values():
        if other is ledger or not (other.name in ledger.loaded_from or ledger.name in other.loaded_from):
            continue
        for theirs, own in zip(other.params(), ledger.params(), strict=False):
            if own in stepped:
                other.state[theirs] = forget_hidden(other.state.get(theirs, {}))


def follow_astray(run: Followed, expected: Expected, answer: Answer) -> None:
    """Take the state after a step for granted: on another path it is no check of the one under test."""
    run.tally.astray += 1
    run.tally.take(answer.outcome.paths)
    for part in expected.parts:
        if not isinstance(part, GroupStep):
            continue
        ledger, state = run.ledgers[part.optimizer], answer.after.state.get(part.optimizer, {})
        for param in part.params:
            ledger.steps[param.name] = param.t
            ledger.state.setdefault(param.name, {}).update(state.get(param.name) or unknown_state(param.param))
        run.skipped.update((part.optimizer, name) for name in part.passed_over)


def compare_group_step(run: Followed, part: GroupStep, after: Observation) -> list[Finding]:
    """Compare the values of one group with their envelopes, and bring the ledger up to date."""
    ledger = run.ledgers[part.optimizer]
    group = ledger.groups[part.group]
    moved = part.moved(after)
    hyper = part.hyper
    for name in part.passed_over:
        run.tally.check("grad-none")
        run.skipped.add((part.optimizer, name))
    for param in part.params:
        ledger.steps[param.name] = param.t
    if run.live:
        _move_partners(run, ledger, {param.name for param in part.params})
    initial = partial(run.dialect.initial, hyper=hyper or Hyperparameters())
    stepped, sparse, findings = _stepped(run, part, after, initial, _circumstances(run, part, group))
    if hyper is None:
        # Nothing can be said of this step: what it leaves is what the next one starts from.
        for each in stepped:
            ledger.state.setdefault(each.name, {}).update(each.after_state or unknown_state(each.param))
    if hyper is None or not stepped:
        group.options.update(moved)
        return findings
    judged = partial(check_group, dialect=run.dialect, policy=run.policy, call=run.index, optimizer=part.optimizer)
    own = [param for param in stepped if param.param.size or param.name not in sparse]
    if moved:
        # The change is a finding of its own; whether the step uses the value before it or after it is no second one.
        numbers: dict[str, Any] = {**group.options, **moved}
        changed = Hyperparameters(**numbers)
        fits = {
            choice: all(finding.hazard for finding in judged(own, choice, tally=Tally(), sources={})[0])
            for choice in (hyper, changed)
        }
        hyper = changed if fits[changed] and not fits[hyper] else hyper
        group.options.update(moved)
    values, known = judged(own, hyper, tally=run.tally, sources=dict(group.sources))
    if values and group.odd:
        # The group does not show what it was given. Which of the two it uses, another clause has asked already.
        others, _ = judged(stepped, group.meant(), tally=Tally(), sources={})
        wrong = {each.param for each in others if not each.hazard}
        values = [each for each in values if each.hazard or each.param in wrong]
    values = [sparse[each.param].placed(each) if each.param in sparse else each for each in values]
    for name, roles in known.items():
        carried = sparse[name].spread(roles, initial) if name in sparse else roles
        ledger.state.setdefault(name, {}).update(carried)
    _count_features(run, group, hyper, stepped)
    if part.twice:
        run.tally.check("duplicate-in-group")
        values = [each if each.hazard else replace(each, clause="duplicate-in-group") for each in values]
    return [*findings, *values]


def _stepped(
    run: Followed,
    part: GroupStep,
    after: Observation,
    initial: Callable[[str], float],
    circumstances: frozenset[str],
) -> tuple[list[SteppedParam], dict[str, SparseStep], list[Finding]]:
    """List the parameters of a step with their arrays after it, and the findings in rows to be left alone.

    Of a sparse gradient the named rows count, where the dialect steps them alone.
    """
    stepped: list[SteppedParam] = []
    sparse: dict[str, SparseStep] = {}
    findings: list[Finding] = []
    state = after.state.get(part.optimizer, {})
    for param in part.params:
        whole = SteppedParam(
            param.name,
            param.format,
            param.param,
            param.grad,
            after.params[param.name],
            param.state,
            sized(param.param, state.get(param.name, {})),
            param.t,
            param.first,
            param.skipped,
            _placed(run, param, circumstances),
            _rare(param),
        )
        if param.rows is not None:
            run.tally.check("sparse-rows", whole.grad.size)
        if param.rows is None or run.dialect.sparse == "dense":
            stepped.append(whole)
            continue
        sparse[param.name] = SparseStep(whole, param.rows)
        findings += _other_rows(run, part.optimizer, sparse[param.name], initial)
        stepped.append(sparse[param.name].touched())
    return stepped, sparse, findings


def _other_rows(
    run: Followed, optimizer: str, sparse: SparseStep, initial: Callable[[str], float]
) -> Iterator[Finding]:
    """List the rows outside a sparse gradient: they must not change."""
    whole = sparse.whole
    for role, element, value, expected in sparse.changed(initial):
        summary = f"{role} changed in a row that the gradient does not name"
        yield run.finding(
            "frame", "sparse-rows", summary, optimizer, whole.name, role, element, value, (expected, expected)
        )


def _circumstances(run: Followed, part: GroupStep, group: LedgerGroup) -> frozenset[str]:
    """List the circumstances of a group beyond a plain step."""
    ledger, call = run.ledgers[part.optimizer], run.program.calls[run.index]
    holds = {
        "closure": isinstance(call, Step) and bool(call.closure),
        "mode": isinstance(call, Step) and bool(call.mode),
        "groups": len(ledger.groups) > 1,
        "optimizers": len(run.ledgers) > 1,
        "loaded": bool(ledger.loaded_from),
        "twice": part.twice,
        **{source: source in group.sources.values() for source in ("group", "changed")},
        **{f"default {option}": source == "default" for option, source in group.sources.items()},
    }
    return frozenset(name for name, value in holds.items() if value)


def _placed(run: Followed, param: SteppedFrom, circumstances: frozenset[str]) -> frozenset[str]:
    """Add the circumstances of one parameter."""
    calls = run.program.calls[: run.index]
    holds = {
        "elements": param.param.size > 1,
        "sparse": param.rows is not None,
        "skipped": param.skipped,
        "layout": any(
            declared.name == param.name and declared.layout != "contiguous" for declared in run.program.params
        )
        or any(
            isinstance(call, SetGrad) and call.param == param.name and call.layout != "contiguous" for call in calls
        ),
    }
    return circumstances | {name for name, value in holds.items() if value}


def _count_features(run: Followed, group: LedgerGroup, hyper: Hyperparameters, stepped: list[SteppedParam]) -> None:
    """Count the clauses exercised by one step of one group besides those of its values."""
    tally = run.tally
    for param in stepped:
        count = param.param.size * FORMATS[param.format].parts
        if not count:
            continue
        readings = line_readings(run.dialect, hyper, param.format)
        (read, options), roles = readings["param"], stepped_roles(hyper, run.dialect, param.format)
        exercised = {
            "descent": True,
            "scalar-precision": True,
            "weight-decay": any(line.weight_decay and dialect.decay != "none" for dialect, line in readings.values()),
            "centered-variance": "grad_avg" in roles,
            "momentum-lr": read.momentum(options),
            "eps-placement": options.eps,
            "maximize": read.maximize,
            "layout": "layout" in param.circumstances,
        }
        for clause, exercises in exercised.items():
            if exercises:
                tally.check_lines(clause, count - param.blocked, 0, param.blocked)
        for option, source in group.sources.items():
            clause = option_clause(source, option)
            if source == "changed":
                clause = "scheduled-lr" if option == "lr" else "option-change"
            if source != "loaded":
                tally.check_lines(clause, count - param.blocked, 0, param.blocked)
        _count_values(tally, param, roles)


def _count_values(tally: Tally, param: SteppedParam, roles: tuple[str, ...]) -> None:
    """Count the clauses exercised by the values of one parameter in a step."""
    size = param.param.size * FORMATS[param.format].parts
    counts = {
        "elementwise": size if param.param.size > 1 else 0,
        "complex-pairs": size if FORMATS[param.format].parts == 2 else 0,
        **{CLAUSE_OF_START[role]: size if param.first else 0 for role in roles},
        **{topic: int(np.count_nonzero(marks)) for topic, marks in param.topics.items()},
    }
    for clause, count in counts.items():
        tally.check_lines(clause, max(count - param.blocked, 0), 0, min(count, param.blocked))


def _rare(param: SteppedFrom) -> dict[str, NDArray[np.bool_]]:
    """Mark the reals of rare kinds, by the clause about them."""
    small = [_subnormal(array) for array in (param.grad, param.param, *_arrays(param))]
    marks = {"grad-zero": as_reals(param.grad) == 0, "subnormals": np.logical_or.reduce(small)}
    return {topic: mark for topic, mark in marks.items() if mark.any()}


def _arrays(param: SteppedFrom) -> Iterator[Array]:
    return (carry for carry in param.state.values() if carry is not None and not isinstance(carry, tuple))


def compare_refused_gradient(
    run: Followed, optimizer: str, outcome: Outcome, before: Observation, after: Observation
) -> None:
    """Observe the other parameters after a step with a refused gradient."""
    if not outcome.raised:
        run.tally.observe(Observed("failed-step", "accepts a gradient of a foreign kind"))
        return
    bad = {call.param: bool(call.bad) for call in run.program.calls[: run.index] if isinstance(call, SetGrad)}
    bystanders: dict[str, list[str]] = {}
    place = next(
        (
            (row, column)
            for row, group in enumerate(run.ledgers[optimizer].groups)
            for column, name in enumerate(group.params)
            if bad.get(name)
        ),
        (0, 0),
    )
    for row, group in enumerate(run.ledgers[optimizer].groups):
        for column, name in enumerate(group.params):
            if before.grads.get(name) is None or bad.get(name):
                continue
            kind = "parameters" if row == place[0] else "groups"
            side = "before" if (row, column) < place else "after"
            bystanders.setdefault(f"the {kind} {side} the one with the refused gradient", []).append(name)
    for where, names in (bystanders or {"the parameter with the refused gradient": list(bad)}).items():
        moved = [not same(before.params[name], after.params[name]) for name in names]
        stepped = "has stepped" if all(moved) else "has stepped some of" if any(moved) else "has not stepped"
        run.tally.observe(Observed("failed-step", f"{stepped} {where} when it raises"))


def _subnormal(array: Array) -> NDArray[np.bool_]:
    """Mark the subnormal reals of an array."""
    sizes, fmt = np.abs(as_reals(array)), FORMATS.get(array.dtype.name)
    return np.zeros(sizes.shape, dtype=bool) if fmt is None else (sizes > 0) & (sizes < fmt.smallest_normal)
