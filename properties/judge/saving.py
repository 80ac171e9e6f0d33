"""Saved states and copies: the duties of ``state_dict``, of ``load_state_dict`` (restore, refuse or start anew), and of a copy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS, Format, as_reals
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.program.program import (
    Copy,
    EditState,
    Load,
    Save,
)
from rmspec.oracles.session.edits import BRANCHES
from rmspec.oracles.subject import OPTIONS, VERSION_EDITS, GroupView, Observation
from rmspec.properties.judge.expected import (
    CopiedOptimizer,
    Expected,
    Refusal,
    Rest,
    RestoredState,
    SavedState,
    ShownGroups,
)
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.ledger import OptimizerLedger, SavedLedger, forget_hidden, format_of

__all__ = [
    "compare_copied_optimizer",
    "compare_restored_state",
    "compare_saved_state",
    "expect_copy",
    "expect_edit",
    "expect_load",
    "expect_save",
]

Array = NDArray[Any]


def expect_save(run: Followed, call: Save, before: Observation) -> Expected | None:
    """Expect ``state_dict`` to hold the state, and to change nothing."""
    ledger = run.ledgers.get(call.optimizer)
    if ledger is None:
        return None
    saved = ledger.save()
    saved.live = run.live and call.via == "state_dict"
    if call.via != "state_dict":
        counts = before.steps.get(call.optimizer, {})
        saved.counters = {position: counts[name] for position, name in enumerate(ledger.params()) if name in counts}
    return Expected(
        (Rest("state-dict"), SavedState(call.optimizer, call.slot, tuple(ledger.params()))),
        call.optimizer,
        broken_by_exception="state-dict",
        slot=call.slot,
        saved=saved,
        tests={"state-dict": 1},
        accepted=() if call.via == "state_dict" else ("state-dict-copy",),
    )


def compare_saved_state(run: Followed, part: SavedState, before: Observation, after: Observation) -> list[Finding]:
    """Find the first array of the state missing from the slot."""
    entries = after.slots.get(part.slot)
    if entries is None:
        return []
    for position, name in enumerate(part.names):
        for role, array in before.state.get(part.optimizer, {}).get(name, {}).items():
            saved = entries.get(position, {}).get(role)
            if saved is None or as_reals(saved).tobytes() != as_reals(array).tobytes():
                summary = f"state_dict does not hold the {role} of {name}"
                return [run.finding("load", "state-dict", summary, part.optimizer, name, role)]
    return []


def expect_edit(run: Followed, call: EditState, before: Observation) -> Expected | None:
    """Apply the program's edits of the saved state to the expected one."""
    if call.slot not in run.slots:
        return None
    saved = _refreshed(run.slots[call.slot], before.slots.get(call.slot))
    saved.edits.append(call.edit)
    if call.edit == "drop":
        for position in saved.entry(call.index):
            saved.state[position], saved.steps[position] = {}, 0
            saved.counters.pop(position, None)
    elif call.edit == "reshape":
        saved.reshaped.update(saved.entry(call.index))
    elif call.edit == "lean":
        _make_lean(saved)
        saved.unsure |= not _goes_without(run.ledgers.get(saved.optimizer), before)
    elif call.edit == "extended":
        saved.unsure = True
    elif call.edit == "uncounted":
        saved.counters.clear()
    elif call.edit == "forget":
        saved.forgotten = OPTIONS[call.index % len(OPTIONS)]
    elif call.edit == "shorten":
        saved.groups[-1].params = saved.groups[-1].params[:-1]
    return Expected(slot=call.slot, saved=saved)


def _make_lean(saved: SavedLedger) -> None:
    """Leave out the state of unused branches."""
    order = [group for group in saved.groups for _ in group.params]
    for position, group in enumerate(order):
        roles = saved.state.get(position, {})
        for role, option in BRANCHES.items():
            if not group.options[option]:
                roles.pop(role, None)


def _goes_without(ledger: OptimizerLedger | None, before: Observation) -> bool:
    """Whether parameters stepped with a branch off have no state for it: an optimizer with this habit does without."""
    if ledger is None:
        return False
    state = before.state.get(ledger.name, {})
    lacking: set[str] = set()
    for group in ledger.groups:
        stepped = [state[param] for param in group.params if state.get(param) and ledger.steps.get(param)]
        for role, option in BRANCHES.items():
            if stepped and not group.options[option] and group.sources[option] in ("default", "constructor", "group"):
                if any(role in roles for roles in stepped):
                    return False
                lacking.add(role)
    return lacking == set(BRANCHES)


def expect_load(run: Followed, call: Load, before: Observation) -> Expected | None:
    """Expect ``load_state_dict`` to restore the saved state, or to refuse it.

    What lacks an entry starts anew.
    """
    ledger = run.ledgers.get(call.optimizer)
    saved = run.slots.get(call.slot)
    if ledger is None or saved is None:
        return None
    sizes = [len(group.params) for group in ledger.groups]
    mismatch = sizes != [len(group.params) for group in saved.groups]
    # An entry without state has no tensor to reshape; of one whose state is hidden, nobody knows.
    entries = [saved.state.get(position, {}) for position in sorted(saved.reshaped)]
    reshaped = any(not isinstance(carry, tuple) for roles in entries for carry in roles.values())
    if mismatch or reshaped:
        clause = "load-mismatch" if mismatch else "load-shape"
        silence = (
            f"a saved state with {'groups of other sizes' if mismatch else 'tensors of other shapes'} was accepted"
        )
        return Expected(optimizer=call.optimizer, refusals=(Refusal("must", clause, clause, silence),))
    if saved.forgotten:
        behaviour = f"a checkpoint whose groups lack {saved.forgotten}"
        refusal = Refusal("open", "load-version", "load-without-option", behaviour=behaviour, option=saved.forgotten)
        return Expected(optimizer=call.optimizer, refusals=(refusal,))
    version = not set(VERSION_EDITS).isdisjoint(saved.edits)
    # An optimizer may hold state for a parameter that was never stepped: then an exception is a refusal of its shape.
    refusals = [Refusal("may", "load-shape")] if saved.reshaped else []
    refusals += [Refusal("open", "load-shape")] if any(entries) else []
    refusals += [Refusal("may", "load-version")] if saved.unsure or "uncounted" in saved.edits else []
    refusals += [Refusal("may", "load-device")] if "elsewhere" in saved.edits else []
    full = [bool(roles) for roles in saved.state.values()]
    partial = "drop" in saved.edits or (any(full) and not all(full))
    tests = {"load-state-dict": 1 + sum(full)}
    if not all(full):
        tests["load-partial"] = len(full) - sum(full)
    if run.carried:
        tests["load-options"] = 1
    if version:
        tests["load-version"] = 1
    if "elsewhere" in saved.edits:
        tests["load-device"] = 1
    saved, ledger = _refreshed(saved, before.slots.get(call.slot)), ledger.copy()
    if saved.live:
        _move_on(saved, run.ledgers[saved.optimizer])
    ledger.load(saved, run.carried)
    saved.loaded_by.add(call.optimizer)
    return Expected(
        (
            RestoredState(call.optimizer, call.slot, tuple(dict.fromkeys(ledger.params()))),
            ShownGroups(call.optimizer),
            Rest("load-state-dict", actor=call.optimizer),
        ),
        call.optimizer,
        tuple(refusals),
        "load-version" if version else "load-partial" if partial else "load-state-dict",
        ledger,
        call.slot,
        saved,
        tests,
    )


def _refreshed(saved: SavedLedger, arrays: Mapping[int, Mapping[str, Array]] | None) -> SavedLedger:
    """Copy a ledger of a slot, with its arrays as they are now.

    That they may have changed since they were saved is another clause's business.
    """
    saved = saved.copy()
    for position, roles in () if arrays is None else arrays.items():
        if not saved.edits:
            saved.state.setdefault(position, {}).update(roles)
        elif position not in saved.reshaped:
            # An edit takes away and adds nothing: what is left is live as before.
            known = saved.state.get(position, {})
            known.update({role: array for role, array in roles.items() if role in known})
    return saved


def _move_on(saved: SavedLedger, owner: OptimizerLedger) -> None:
    """Give hidden state in a live state dict the values of its owner by now; no bounds once it was loaded."""
    for position, param in enumerate(owner.params()):
        roles = saved.state.get(position, {})
        if any(isinstance(carry, tuple) for carry in roles.values()):
            visible = {role: carry for role, carry in roles.items() if not isinstance(carry, tuple)}
            now = {**owner.state.get(param, {}), **visible}
            saved.state[position] = forget_hidden(now) if saved.loaded_by else now
            saved.steps[position] = owner.steps.get(param, 0)


def compare_restored_state(run: Followed, part: RestoredState, after: Observation) -> list[Finding]:
    """Find the first role with another value than the saved one.

    The ledger takes over what is there: later steps start from that.
    """
    findings: list[Finding] = []
    ledger = run.ledgers[part.optimizer]
    for name in part.names:
        shown = after.state.get(part.optimizer, {}).get(name, {})
        fmt = FORMATS[format_of(after.params[name])]
        clause = "load-state-dict" if ledger.state.get(name) else "load-partial"
        for role in STATE_ROLES:
            known = ledger.known(name, role)
            if isinstance(known, tuple):
                continue
            got = shown.get(role)
            start = run.initial_value(ledger, name, role)
            wrong = _differs(known, got, start, fmt)
            if wrong is not None and bool(np.any(wrong)):
                findings.append(_not_restored(run, part.optimizer, clause, name, role, known, got, start, wrong))
                ledger.state.get(name, {}).pop(role, None)
            if got is not None:
                ledger.state.setdefault(name, {})[role] = got
    return findings[:1]


def _differs(known: Array | None, got: Array | None, start: float, fmt: Format) -> Array | None:
    """Mark the reals changed by more than a rounding to the format; a missing array has its initial value ``start``."""
    if known is None or got is None:
        array = got if known is None else known
        return None if array is None else np.asarray(as_reals(array) != start)
    exact, reals = as_reals(known), as_reals(got)
    if reals.shape != exact.shape:
        return np.ones(1, dtype=bool)
    with np.errstate(over="ignore"):
        rounded = exact.astype(fmt.part.dtype).astype(np.float64)
    return np.asarray(~((reals == rounded) | (reals == exact) | (np.isnan(reals) & np.isnan(exact))))


def _not_restored(
    run: Followed,
    optimizer: str,
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
        return run.finding("load", clause, summary, optimizer, name, role)
    element = int(np.flatnonzero(wrong)[0])
    why = "although nothing was saved for it"
    if CLAUSES[clause].expects != "initial":
        why = "although the saved state of the parameter has none"
    summary = f"after load_state_dict the {role} of {name} is not initial, {why}"
    value = float(as_reals(got)[element])
    return run.finding("load", clause, summary, optimizer, name, role, element, value, (start, start))


def expect_copy(run: Followed, call: Copy) -> Expected | None:
    """Expect the copy to be as its source is, and to change nothing."""
    source = run.ledgers.get(call.source)
    if source is None or set(source.params()) != set(call.params):
        return None
    run.skipped |= {(call.optimizer, call.params[name]) for name in call.params if (call.source, name) in run.skipped}
    return Expected(
        (CopiedOptimizer(call.source, call.optimizer, call.params), Rest("optimizer-copy", actor=call.optimizer)),
        call.optimizer,
        broken_by_exception="optimizer-copy",
        ledger=source.renamed(call.optimizer, call.params),
        tests={"optimizer-copy": 1},
    )


def compare_copied_optimizer(
    run: Followed, part: CopiedOptimizer, before: Observation, after: Observation
) -> list[Finding]:
    """Find the first quantity of the copy with another value than its source."""
    for name, twin in part.params.items():
        pairs: dict[str, tuple[Array, Array | None]] = {"param": (before.params[name], after.params[twin])}
        was, now = (
            state.get(key, {})
            for state, key in ((before.state.get(part.source, {}), name), (after.state.get(part.copy, {}), twin))
        )
        pairs |= {role: (was[role], now.get(role)) for role in STATE_ROLES if role in was}
        for role, (array, copied) in pairs.items():
            if copied is None or as_reals(copied).tobytes() != as_reals(array).tobytes():
                summary = f"the copy of the optimizer does not have the {role} of {name}"
                return [run.finding("load", "optimizer-copy", summary, part.copy, twin, role)]
    views = before.groups.get(part.source)
    expected = [
        GroupView(tuple(part.params.get(name, name) for name in view.params), view.options) for view in views or ()
    ]
    copied_views = after.groups.get(part.copy)
    if views is not None and repr(list(copied_views or ())) != repr(expected):
        summary = "the copy of the optimizer does not have its groups"
        return [run.finding("load", "optimizer-copy", summary, part.copy, role="groups")]
    return []
