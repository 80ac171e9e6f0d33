"""The frame: what a call must leave alone, bit by bit. Source: DESIGN 2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import as_reals
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.subject import Observation
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed, difference, same
from rmspec.properties.judge.ledger import Carry, OptimizerLedger

__all__ = ["check_frame"]

Array = NDArray[Any]


def check_frame(
    run: Followed,
    before: Observation,
    after: Observation,
    clause: str,
    *,
    optimizer: str = "",
    stepped: set[tuple[str, str]] | None = None,
    none_of: str = "",
    step_of: str = "",
    groups_of: str = "",
    state_of: str = "",
    slot: str = "",
    fresh: Sequence[str] = (),
    grads: Mapping[str, Array | None] | bool | None = True,
) -> list[Finding]:
    """What changed and must not have. ``grads`` maps the expected ones, ``True`` is as before, ``None`` unchecked.

    The state of ``fresh`` parameters is left to the clauses of its initial value.
    """
    moved = stepped or set()
    acting = step_of or groups_of or state_of or optimizer
    run.tally.check("frame")
    if acting and len(run.ledgers) > 1:
        related = any(ledger.loaded_from - {ledger.name} for ledger in run.ledgers.values())
        run.tally.check("load-isolation" if related else "isolation")
    findings: list[Finding] = []
    stepped_params = {name for _, name in moved}
    for name, array in before.params.items():
        if name not in stepped_params and not same(array, after.params[name]):
            findings.append(_changed_param(run, name, clause, none_of, array, after.params[name]))
            break
    if grads is not None:
        expected = before.grads if grads is True else grads
        assert isinstance(expected, Mapping)
        if step_of:
            run.tally.check("grad-untouched", len(stepped_params))
        for name, grad in expected.items():
            got = after.grads.get(name)
            if (got is None) != (grad is None) or (got is not None and grad is not None and not same(grad, got)):
                which = "grad-untouched" if step_of else clause
                summary = f"the gradient of {name} changed" + (" in step" if step_of else "")
                element, value = difference(grad, got)
                findings.append(run.finding("frame", which, summary, step_of, name, "grad", element, value))
                break
    findings += _frame_state(run, before, after, clause, moved, none_of, state_of, acting, fresh)
    findings += _frame_groups(run, before, after, clause, groups_of, acting, optimizer)
    findings += _frame_slots(run, before, after, slot)
    return findings


def _changed_param(run: Followed, name: str, clause: str, none_of: str, array: Array, now: Array) -> Finding:
    owner = next((key for key, ledger in run.ledgers.items() if name in ledger.params()), "")
    element, value = difference(array, now)
    allowed = float(as_reals(array)[element])
    if none_of:
        mine = name in run.ledgers[none_of].params()
        clause = "grad-none" if mine else "isolation"
        summary = f"{name} changed in step, although " + (
            "its gradient is None" if mine else "it is not in the optimizer"
        )
    else:
        summary = f"{name} changed in a call that is not a step"
    return run.finding("frame", clause, summary, owner, name, "param", element, value, (allowed, allowed))


def _frame_state(
    run: Followed,
    before: Observation,
    after: Observation,
    clause: str,
    moved: set[tuple[str, str]],
    none_of: str,
    state_of: str,
    acting: str,
    fresh: Sequence[str],
) -> Iterator[Finding]:
    for optimizer, ledger in run.ledgers.items():
        if optimizer == state_of:
            continue
        told = False
        for name in dict.fromkeys(ledger.params()):
            if optimizer == acting and name in fresh:
                continue
            was = before.state.get(optimizer, {}).get(name, {})
            now = after.state.get(optimizer, {}).get(name, {})
            hyper = next((group.hyper() for group in ledger.groups if name in group.params), None)
            for role in STATE_ROLES:
                if (optimizer, name) in moved and (hyper is None or _sets(run, role, hyper)):
                    continue
                problem = _state_changed(run, ledger, name, role, was.get(role), now.get(role))
                if problem is None:
                    continue
                element, value, expected = problem
                stepped = (optimizer, name) in moved
                which = _state_clause(run, optimizer, clause, "" if stepped else none_of, acting)
                why = _UNUSED[role] if stepped else CLAUSES[which].circumstance
                if not told:
                    summary = f"the {role} of {name} in optimizer {optimizer} changed {why}"
                    yield run.finding(
                        "frame", which, summary, optimizer, name, role, element, value, (expected, expected)
                    )
                # One is told; what follows starts from what is there.
                told = True
                if role in now:
                    ledger.state.setdefault(name, {})[role] = now[role]


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


def _state_clause(run: Followed, optimizer: str, clause: str, none_of: str, acting: str) -> str:
    if acting and optimizer != acting:
        mine, other = run.ledgers.get(acting), run.ledgers[optimizer]
        related = acting in other.loaded_from or (mine is not None and optimizer in mine.loaded_from)
        return "load-isolation" if related else "isolation"
    return "grad-none" if none_of else clause


def _frame_groups(
    run: Followed, before: Observation, after: Observation, clause: str, groups_of: str, acting: str, created: str
) -> Iterator[Finding]:
    for optimizer, views in before.groups.items():
        now = after.groups.get(optimizer)
        if optimizer in (groups_of, created) or views is None or now is None or views == now:
            continue
        if repr(views) == repr(now):
            continue
        which = clause
        if acting and acting != optimizer:
            which = _state_clause(run, optimizer, clause, "", acting)
        yield run.finding("frame", which, f"the groups of optimizer {optimizer} changed", optimizer)


def _frame_slots(run: Followed, before: Observation, after: Observation, slot: str) -> Iterator[Finding]:
    for name, entries in before.slots.items():
        now = after.slots.get(name)
        if name == slot or now is None:
            continue
        run.tally.check("state-dict-snapshot")
        for position, roles in entries.items():
            for role, array in roles.items():
                other = now.get(position, {}).get(role)
                if other is None or not same(array, other):
                    summary = f"a state dict taken earlier changed: {role} of parameter {position}"
                    yield run.finding("frame", "state-dict-snapshot", summary, role=role)
                    return


def _sets(run: Followed, role: str, hyper: Hyperparameters) -> bool:
    if role == "grad_avg":
        return run.dialect.centered(hyper)
    return run.dialect.momentum(hyper) if role == "momentum_buffer" else True


_UNUSED = {
    "square_avg": "in a step that does not use it",
    "grad_avg": "in a step that is not centered",
    "momentum_buffer": "in a step without momentum",
}
