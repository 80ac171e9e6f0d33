"""The frame: everything a call must leave alone, bit by bit. Source: DESIGN 2."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import as_reals
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.subject import GroupView, Observation
from rmspec.properties.judge.expected import CopiedOptimizer, Expected, GroupStep, Quantity, Rest, RestoredState
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed, difference, same
from rmspec.properties.judge.ledger import Carry, OptimizerLedger

__all__ = ["compare_counters", "compare_rest"]

Array = NDArray[Any]


def compare_rest(
    run: Followed, rest: Rest, free: frozenset[Quantity], before: Observation, after: Observation
) -> list[Finding]:
    """Find the changes outside the ``free`` observables."""
    run.tally.check("frame")
    if rest.actor and len(run.ledgers) > 1:
        related = any(ledger.loaded_from - {ledger.name} for ledger in run.ledgers.values())
        run.tally.check("load-isolation" if related else "isolation")
    findings: list[Finding] = []
    for name, array in before.params.items():
        if Quantity("param", "", name) not in free and not same(array, after.params[name]):
            findings.append(_changed_param(run, name, rest, array, after.params[name]))
            break
    if rest.grads:
        findings += _changed_grad(run, rest, free, before, after)
    findings += _changed_state(run, rest, free, before, after)
    findings += _changed_groups(run, rest, free, before, after)
    findings += _changed_slots(run, rest, free, before, after)
    return findings


def compare_counters(run: Followed, expected: Expected, before: Observation, after: Observation) -> list[Finding]:
    """Find the first counter of steps of the acting optimizer with another number than it should have after the call.

    Whatever it begins with: a step adds one for each parameter that it steps, a load and a copy take it over. What another
    optimizer does to a shared counter it does to the rest of the state as well.
    """
    groups = [part for part in expected.parts if isinstance(part, GroupStep)]
    stepped = {(group.optimizer, param.name) for group in groups for param in group.params}
    due = {
        (optimizer, name): count + ((optimizer, name) in stepped)
        for optimizer, counts in before.steps.items()
        if optimizer == expected.optimizer
        for name, count in counts.items()
    }
    for part in expected.parts:
        if isinstance(part, RestoredState):
            counters = run.slots[part.slot].counters
            order = run.ledgers[part.optimizer].params()
            due = {(part.optimizer, name): counters[place] for place, name in enumerate(order) if place in counters}
        elif isinstance(part, CopiedOptimizer):
            counts = before.steps.get(part.source, {})
            due = {(part.copy, part.params[name]): count for name, count in counts.items() if name in part.params}
    for (optimizer, name), count in due.items() if not any(group.twice for group in groups) else ():
        shown = after.steps.get(optimizer, {}).get(name)
        idle = shown == 0 == before.steps.get(optimizer, {}).get(name)  # a number that never counts is no counter
        if shown is None or idle or optimizer not in run.ledgers:
            continue
        run.tally.check("step-counter")
        if shown != count:
            summary = f"the counter of steps of {name} is {shown:g}, not {count:g}"
            return [run.finding("frame", "step-counter", summary, optimizer, name, "step", 0, shown, (count, count))]
    return []


def _changed_param(run: Followed, name: str, rest: Rest, array: Array, now: Array) -> Finding:
    clause = rest.clause
    owner = next((key for key, ledger in run.ledgers.items() if name in ledger.params()), "")
    element, value = difference(array, now)
    allowed = float(as_reals(array)[element])
    if rest.step:
        mine = name in run.ledgers[rest.actor].params()
        clause = "grad-none" if mine else _state_clause(run, owner, rest) if owner else "isolation"
        summary = f"{name} changed in step, although " + (
            "its gradient is None" if mine else "it is not in the optimizer"
        )
    else:
        summary = f"{name} changed in a call that is not a step"
    return run.finding("frame", clause, summary, owner, name, "param", element, value, (allowed, allowed))


def _changed_grad(
    run: Followed, rest: Rest, free: frozenset[Quantity], before: Observation, after: Observation
) -> Iterator[Finding]:
    if rest.step:
        run.tally.check("grad-untouched", sum(quantity.kind == "param" for quantity in free))
    for name, grad in before.grads.items():
        now = after.grads.get(name)
        if Quantity("grad", "", name) in free or now is grad:
            continue
        if now is None or grad is None or not same(grad, now):
            clause = "grad-untouched" if rest.step else rest.clause
            summary = f"the gradient of {name} changed" + (" in step" if rest.step else "")
            element, value = difference(grad, now)
            actor = rest.actor if rest.step else ""
            yield run.finding("frame", clause, summary, actor, name, "grad", element, value)
            return


def _changed_state(
    run: Followed, rest: Rest, free: frozenset[Quantity], before: Observation, after: Observation
) -> Iterator[Finding]:
    for optimizer, ledger in run.ledgers.items():
        first = True
        for name in dict.fromkeys(ledger.params()):
            was = before.state.get(optimizer, {}).get(name, {})
            now = after.state.get(optimizer, {}).get(name, {})
            for role in STATE_ROLES:
                if Quantity(role, optimizer, name) in free:
                    continue
                problem = _state_changed(run, ledger, name, role, was.get(role), now.get(role))
                if problem is None:
                    continue
                element, value, expected = problem
                stepped = rest.step and optimizer == rest.actor and Quantity("param", "", name) in free
                clause = _state_clause(run, optimizer, rest, stepped)
                why = _UNUSED[role] if stepped else CLAUSES[clause].circumstance
                if first:
                    summary = f"the {role} of {name} in optimizer {optimizer} changed {why}"
                    yield run.finding(
                        "frame", clause, summary, optimizer, name, role, element, value, (expected, expected)
                    )
                # One is reported; what follows starts from what is there.
                first = False
                if role in now:
                    ledger.state.setdefault(name, {})[role] = now[role]
                else:
                    ledger.state.get(name, {}).pop(role, None)


def _state_changed(
    run: Followed, ledger: OptimizerLedger, name: str, role: str, was: Array | None, now: Array | None
) -> tuple[int, float | None, float] | None:
    if was is None and now is None:
        return None
    expected_value = run.initial_value(ledger, name, role)
    if was is None:
        assert now is not None
        known: Carry = ledger.known(name, role)
        if isinstance(known, tuple):
            return None
        reals = as_reals(now)
        expected = np.full(reals.shape, expected_value) if known is None else as_reals(known)
    elif now is None:
        reals = as_reals(was)
        expected = np.full(reals.shape, expected_value)
    else:
        if same(was, now):
            return None
        reals, expected = as_reals(now), as_reals(was)
    if reals.shape != expected.shape:
        return 0, None, float(expected[0]) if expected.size else 0.0
    wrong = np.flatnonzero(~((reals == expected) | (np.isnan(reals) & np.isnan(expected))))
    if not wrong.size:
        return None
    return int(wrong[0]), float(reals[wrong[0]]), float(expected[wrong[0]])


def _state_clause(run: Followed, optimizer: str, rest: Rest, stepped: bool = False) -> str:
    if rest.actor and optimizer != rest.actor:
        mine, theirs = run.ledgers.get(rest.actor), run.ledgers[optimizer]
        return "isolation" if mine is None else mine.related(theirs)
    return "grad-none" if rest.step and not stepped else rest.clause


def _changed_groups(
    run: Followed, rest: Rest, free: frozenset[Quantity], before: Observation, after: Observation
) -> Iterator[Finding]:
    for optimizer, views in before.groups.items():
        now = after.groups.get(optimizer)
        if Quantity("groups", optimizer) in free or views is None or now is None:
            continue
        if rest.step and optimizer == rest.actor and len(views) == len(now):
            yield from _changed_lr(run, optimizer, views, now)
            # It is asked alone.
            views, now = (
                tuple(replace(view, options={**view.options, "lr": 0.0}) for view in group_views)
                for group_views in (views, now)
            )
        if views == now:
            continue
        if repr(views) == repr(now):
            continue
        clause = rest.clause
        if rest.actor and rest.actor != optimizer:
            clause = _state_clause(run, optimizer, rest)
        yield run.finding("frame", clause, f"the groups of optimizer {optimizer} changed", optimizer)


def _changed_lr(
    run: Followed, optimizer: str, views: tuple[GroupView, ...], now: tuple[GroupView, ...]
) -> Iterator[Finding]:
    """Find the first group with another learning rate after a step than before it."""
    rates = [(view.options.get("lr"), later.options.get("lr")) for view, later in zip(views, now, strict=True)]
    run.tally.check("lr-untouched", sum(lr is not None for lr, _ in rates))
    for index, (lr, changed) in enumerate(rates):
        if lr is not None and changed is not None and lr != changed and not (lr != lr and changed != changed):
            summary = f"step changed lr of group {index} from {lr!r} to {changed!r}"
            yield run.finding(
                "frame", "lr-untouched", summary, optimizer, "", "lr", index, float(changed), (float(lr), float(lr))
            )
            return


def _changed_slots(
    run: Followed, rest: Rest, free: frozenset[Quantity], before: Observation, after: Observation
) -> Iterator[Finding]:
    for name, entries in before.slots.items():
        now = after.slots.get(name)
        if Quantity("slot", "", name) in free or now is None:
            continue
        clause = _slot_clause(run, rest, name)
        run.tally.check(clause)
        for position, roles in entries.items():
            for role, array in ((role, roles[role]) for role in STATE_ROLES if role in roles):
                other = now.get(position, {}).get(role)
                if other is None or not same(array, other):
                    summary = f"a state dict taken earlier changed: {role} of parameter {position}"
                    yield run.finding("frame", clause, summary, role=role)
                    return


def _slot_clause(run: Followed, rest: Rest, name: str) -> str:
    """Name the clause of a saved state in a call: the one on loading, if the optimizer was given the state."""
    saved = run.slots.get(name)
    if saved is None or not rest.actor:
        return "state-dict-snapshot"
    mine = run.ledgers.get(rest.actor)
    theirs = mine is not None and rest.actor != saved.optimizer and saved.optimizer in mine.loaded_from
    return "load-isolation" if theirs or rest.actor in saved.loaded_by else "state-dict-snapshot"


_UNUSED = {
    "square_avg": "in a step that does not use it",
    "grad_avg": "in a step that is not centered",
    "momentum_buffer": "in a step without momentum",
}
