"""Saved states: what ``state_dict`` must hold, and what ``load_state_dict`` must restore, refuse or start anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.program.program import (
    EditState,
    Load,
    Save,
)
from rmspec.oracles.subject import Observation, Outcome
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.frames import check_frame
from rmspec.properties.judge.groups import check_groups
from rmspec.properties.judge.ledger import OptimizerLedger, SavedLedger, format_of

__all__ = ["check_edit", "check_load", "check_save"]

Array = NDArray[Any]


def check_save(run: Followed, call: Save, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
    """What ``state_dict`` lacks of the state that was seen."""
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return run.lost()
    run.tally.check("state-dict")
    if outcome.raised:
        run.over = True
        return [run.raised("state-dict", outcome, call.optimizer)]
    run.slots[call.slot] = ledger.save()
    findings = check_frame(run, before, after, "state-dict", slot=call.slot)
    held = after.slots.get(call.slot)
    if held is not None:
        for position, name in enumerate(ledger.params()):
            for role, array in before.state.get(call.optimizer, {}).get(name, {}).items():
                other = held.get(position, {}).get(role)
                if other is None or as_reals(other).tobytes() != as_reals(array).tobytes():
                    summary = f"state_dict does not hold the {role} of {name}"
                    return [*findings, run.finding("load", "state-dict", summary, call.optimizer, name, role)]
    return findings


def check_edit(run: Followed, call: EditState, outcome: Outcome, before: Observation) -> list[Finding]:
    """Edit what the slot must hold as the program edits the saved state itself."""
    saved = run.slots.get(call.slot)
    if saved is None or outcome.raised:
        return run.lost()
    _refresh(run, saved, before.slots.get(call.slot))
    saved.edits.append(call.edit)
    if call.edit == "drop":
        for position in saved.entry(call.index):
            saved.state[position], saved.steps[position] = {}, 0
    elif call.edit == "reshape":
        saved.reshaped.update(saved.entry(call.index))
    elif call.edit == "shorten":
        saved.groups[-1].params = saved.groups[-1].params[:-1]
    return []


def check_load(run: Followed, call: Load, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
    """What ``load_state_dict`` has not restored, or has accepted and must refuse."""
    ledger = run.ledgers.get(call.optimizer)
    saved = run.slots.get(call.slot)
    if ledger is None or saved is None:
        return run.lost()
    sizes = [len(group.params) for group in ledger.groups]
    mismatch = sizes != [len(group.params) for group in saved.groups]
    # An entry without state has no tensor to reshape; of one whose state is hidden, nobody knows.
    entries = [saved.state.get(position, {}) for position in sorted(saved.reshaped)]
    reshaped = any(not isinstance(carry, tuple) for roles in entries for carry in roles.values())
    if mismatch or reshaped:
        clause = "load-mismatch" if mismatch else "load-shape"
        run.tally.check(clause)
        if outcome.raised:
            return check_frame(run, before, after, clause)
        run.over = True
        what = "groups of other sizes" if mismatch else "tensors of other shapes"
        return [run.finding("silent", clause, f"a saved state with {what} was accepted", call.optimizer)]
    if saved.reshaped and outcome.raised:
        # An optimizer may hold state for a parameter that was never stepped: then this is a refusal.
        return check_frame(run, before, after, "load-shape")
    if any(entries):
        return run.lost()
    held = [bool(roles) for roles in saved.state.values()]
    partial = "drop" in saved.edits or (any(held) and not all(held))
    clause = "load-partial" if partial else "load-state-dict"
    run.tally.check("load-state-dict", 1 + sum(held))
    if not all(held):
        run.tally.check("load-partial", len(held) - sum(held))
    if run.carried:
        run.tally.check("load-options")
    if outcome.raised:
        run.over = True
        return [run.raised(clause, outcome, call.optimizer)]
    _refresh(run, saved, before.slots.get(call.slot))
    ledger.load(saved, run.carried)
    return [
        *_loaded_state(run, call, ledger, after)[:1],
        *check_groups(run, ledger, after),
        *check_frame(run, before, after, "load-state-dict", groups_of=call.optimizer, state_of=call.optimizer),
    ]


def _refresh(run: Followed, saved: SavedLedger, seen: Mapping[int, Mapping[str, Array]] | None) -> None:
    """Take over what a slot holds now; that it may have changed since it was saved is another clause's business."""
    if seen is not None and not saved.edits:
        for position, roles in seen.items():
            saved.state.setdefault(position, {}).update(roles)


def _loaded_state(run: Followed, call: Load, ledger: OptimizerLedger, after: Observation) -> list[Finding]:
    """Where the state is not what was saved. The ledger takes over what is there: later steps start from that."""
    findings: list[Finding] = []
    for name in dict.fromkeys(ledger.params()):
        shown = after.state.get(call.optimizer, {}).get(name, {})
        fmt = FORMATS[format_of(after.params[name])]
        clause = "load-state-dict" if ledger.state.get(name) else "load-partial"
        for role in STATE_ROLES:
            known = ledger.known(name, role)
            if isinstance(known, tuple):
                continue
            got = shown.get(role)
            start = run.initial_value(ledger, name, role)
            wrong: Array | None = None
            if known is None:
                wrong = None if got is None else as_reals(got) != start
            elif got is None:
                wrong = as_reals(known) != start
            else:
                with np.errstate(over="ignore"):
                    rounded = as_reals(known).astype(fmt.part.dtype).astype(np.float64)
                exact, reals = as_reals(known), as_reals(got)
                if reals.shape != exact.shape:
                    wrong = np.ones(1, dtype=bool)
                else:
                    wrong = ~((reals == rounded) | (reals == exact) | (np.isnan(reals) & np.isnan(exact)))
            if wrong is not None and bool(np.any(wrong)):
                findings.append(_not_restored(run, call, clause, name, role, known, got, start, wrong))
                ledger.state.get(name, {}).pop(role, None)
            if got is not None:
                ledger.state.setdefault(name, {})[role] = got
    return findings


def _not_restored(
    run: Followed,
    call: Load,
    clause: str,
    name: str,
    role: str,
    known: Array | None,
    got: Array | None,
    start: float,
    wrong: Array,
) -> Finding:
    if known is not None or got is None:
        what = "gone" if got is None else "not what was saved"
        summary = f"after load_state_dict the {role} of {name} is {what}"
        return run.finding("load", clause, summary, call.optimizer, name, role)
    element = int(np.flatnonzero(wrong)[0])
    why = "although nothing was saved for it"
    if CLAUSES[clause].expects != "initial":
        why = "although the saved state of the parameter has none"
    summary = f"after load_state_dict the {role} of {name} is not initial, {why}"
    value = float(as_reals(got)[element])
    return run.finding("load", clause, summary, call.optimizer, name, role, element, value, (start, start))
