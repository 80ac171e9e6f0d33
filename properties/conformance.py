"""Base, step and frame: the verdict on one call, from what was seen before it and after it.

``Conformance`` follows a program call by call. It knows what each call is for, so it knows what must change and to what
(base, step), and that everything else must be bit-identical afterwards (frame). Base, step and frame over a run imply
conformance of the whole run, whatever its length. Source: DESIGN 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.dialect import Dialect, Hyperparameters
from rmspec.impl.envelope import STATE_ROLES
from rmspec.impl.formats import FORMATS, as_reals
from rmspec.impl.policy import Policy
from rmspec.oracles.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
    elements,
    named_rows,
)
from rmspec.oracles.subject import OPTIONS, GroupView, Observation, Outcome
from rmspec.properties.findings import Finding, Observed, Tally
from rmspec.properties.ledger import Carry, OptimizerLedger, SavedLedger, count_reals, format_of, number
from rmspec.properties.sparse import SparseStep
from rmspec.properties.stepcheck import SteppedParam, check_group

__all__ = ["Conformance"]

Array = NDArray[Any]


class Conformance:
    """The specification's view of one run.

    ``call`` takes each call with its outcome and the observations around it, and returns what it finds. ``over`` becomes
    true when the run can no longer be followed: after an unexpected exception, or the lack of an expected one.
    """

    def __init__(
        self,
        program: Program,
        dialect: Dialect,
        policy: Policy,
        tally: Tally,
        *,
        carried: frozenset[str] = frozenset(OPTIONS),
    ) -> None:
        self.program = program
        self.carried = carried
        self.dialect = dialect
        self.policy = policy
        self.tally = tally
        self.over = False
        self._ledgers: dict[str, OptimizerLedger] = {}
        self._slots: dict[str, SavedLedger] = {}
        self._bad: set[str] = set()
        self._rows: dict[str, tuple[int, ...] | None] = {}
        self._skipped: set[tuple[str, str]] = set()
        self._index = 0

    # -- the one entry

    def call(self, index: int, call: Call, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        """What one call shows."""
        self._index = index
        match call:
            case Create():
                findings = self._create(call, outcome, before, after)
            case AddParamGroup():
                findings = self._add_param_group(call, outcome, before, after)
            case Step():
                findings = self._step(call, outcome, before, after)
            case ZeroGrad():
                findings = self._zero_grad(call, outcome, before, after)
            case SetOption():
                findings = self._set_option(call, outcome, before, after)
            case Save():
                findings = self._save(call, outcome, before, after)
            case Load():
                findings = self._load(call, outcome, before, after)
            case EditState():
                findings = self._edit(call, outcome, before)
            case SetGrad() | Freeze():
                findings = self._harness(call, before, after)
        return findings

    # -- calls

    def _create(self, call: Create, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = OptimizerLedger.create(call.optimizer, call.options, self.dialect.defaults)
        names = [name for group in call.groups for name in group.params]
        across = (
            any(
                set(group.params) & {name for other in call.groups[:i] for name in other.params}
                for i, group in enumerate(call.groups)
            )
            and call.form == "groups"
        )
        tables = (call.options, *(group.options for group in call.groups))
        invalid = next((found for found in map(_invalid, tables) if found), "")
        twice = any(len(set(group.params)) != len(group.params) for group in call.groups) or (
            call.form != "groups" and len(set(names)) != len(names)
        )
        refusal = self._refusal(outcome, call.optimizer, across=across, twice=twice, invalid=invalid)
        if refusal is not None:
            self.over = True
            return [*refusal, *self._frame(before, after, "duplicate-across-groups" if across else "init-params")]
        if outcome.raised:
            self.over = True
            grouped = call.form == "groups" and any(group.options for group in call.groups)
            return [self._raised("group-options" if grouped else "params", outcome, call.optimizer)]
        groups = call.groups if call.form == "groups" else (Group(tuple(names)),)
        for group in groups:
            ledger.add(group)
        self._ledgers[call.optimizer] = ledger
        self.tally.check("init-params")
        self.tally.check("params")
        return [
            *self._frame(before, after, "init-params", optimizer=call.optimizer, fresh=ledger.params()),
            *self._groups_as_expected(ledger, after),
            *self._initial_state(ledger, ledger.params(), after),
        ]

    def _add_param_group(
        self, call: AddParamGroup, outcome: Outcome, before: Observation, after: Observation
    ) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        if ledger is None:
            return self._lost()
        params = call.group.params
        across = bool(set(params) & set(ledger.params()))
        refusal = self._refusal(
            outcome,
            call.optimizer,
            across=across,
            twice=len(set(params)) != len(params),
            invalid=_invalid(call.group.options),
        )
        if outcome.caller_dict_changed is not None:
            self.tally.observe(
                Observed("caller-dict", "changes the dict" if outcome.caller_dict_changed else "leaves the dict alone")
            )
        if refusal is not None:
            if not outcome.raised:
                return refusal
            return [*refusal, *self._frame(before, after, "duplicate-across-groups" if across else "add-param-group")]
        if outcome.raised:
            self.over = True
            return [self._raised("add-param-group", outcome, call.optimizer)]
        self.tally.check("add-param-group")
        ledger.add(call.group)
        return [
            *self._frame(before, after, "add-param-group", groups_of=call.optimizer, fresh=params),
            *self._groups_as_expected(ledger, after, added=True),
            *self._initial_state(ledger, list(params), after),
        ]

    def _refusal(
        self, outcome: Outcome, optimizer: str, *, across: bool, twice: bool, invalid: str
    ) -> list[Finding] | None:
        """Findings where a call is one that may or must be refused and the run cannot go on; ``None`` where it can."""
        if across:
            self.tally.check("duplicate-across-groups")
            if outcome.raised:
                return []
            self.over = True
            summary = "a parameter that is already in another group was accepted"
            return [self._finding("silent", "duplicate-across-groups", summary, optimizer)]
        if twice and outcome.raised:
            self.tally.check("duplicate-in-group")
            return []
        if invalid:
            self.tally.observe(Observed("refuse-invalid", f"{'refuses' if outcome.raised else 'accepts'} {invalid}"))
            self.over = not outcome.raised
            return []
        return None

    def _step(self, call: Step, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        if ledger is None:
            return self._lost()
        self.tally.steps += 1
        self.tally.check("step")
        findings = self._closure(call, outcome)
        if call.closure == "raises":
            return [*findings, *self._frame(before, after, "closure-failure")]
        if outcome.hooks is not None:
            self.tally.check("hooks")
            if outcome.hooks != (1, 1) and not outcome.raised:
                counts = f"pre-hook {outcome.hooks[0]} times, post-hook {outcome.hooks[1]} times"
                findings.append(self._finding("hooks", "hooks", f"step ran its {counts}", call.optimizer))
        if any(name in self._bad for name in ledger.params()):
            self._failed_step(outcome, before, after)
            self.over = True
            return findings
        if outcome.raised:
            self.over = True
            clause = "closure" if call.closure else "step"
            return [*findings, self._raised(clause, outcome, call.optimizer)]

        grads = dict(before.grads)
        for name, values in call.grads.items():
            declared = self.program.param(name)
            grads[name] = elements(values, declared.dtype, declared.shape)
        outside, stepped = self._step_values(call, ledger, grads, before, after)
        findings += outside
        findings += self._frame(
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
        self,
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
            initial = partial(self.dialect.initial, hyper=hyper or Hyperparameters())
            for name in dict.fromkeys(group.params):
                grad = grads.get(name)
                key = (call.optimizer, name)
                if grad is None:
                    self.tally.check("grad-none")
                    self._skipped.add(key)
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
                    key in self._skipped,
                )
                rows = None if name in call.grads else self._rows.get(name)
                if rows is None:
                    stepped.append(whole)
                    continue
                self.tally.check("sparse-rows", whole.grad.size)
                if self.dialect.sparse == "dense":
                    stepped.append(whole)
                    continue
                sparse[name] = SparseStep(whole, rows)
                findings += self._other_rows(call.optimizer, sparse[name], initial)
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
                self.dialect,
                self.policy,
                self.tally,
                call=self._index,
                optimizer=call.optimizer,
                sources=dict(group.sources),
            )
            if found and group.odd:
                # The group does not show what it was given. Which of the two it uses, another clause has asked already.
                given = partial(check_group, dialect=self.dialect, policy=self.policy, tally=Tally(), sources={})
                others, _ = given(stepped, group.meant(), call=self._index, optimizer=call.optimizer)
                wrong = {each.param for each in others if not each.hazard}
                found = [each for each in found if each.hazard or each.param in wrong]
            found = [sparse[each.param].placed(each) if each.param in sparse else each for each in found]
            for name, roles in known.items():
                held = sparse[name].spread(roles, initial) if name in sparse else roles
                ledger.state.setdefault(name, {}).update(held)
            self._count_features(position, ledger, hyper, stepped)
            if twice:
                self.tally.check("duplicate-in-group")
                found = [_reclaused(each, "duplicate-in-group") for each in found]
            findings += found
        return findings, stepped_names

    def _other_rows(self, optimizer: str, sparse: SparseStep, initial: Callable[[str], float]) -> Iterator[Finding]:
        """The rows that a sparse gradient does not name: nothing of them may change."""
        whole = sparse.whole
        for role, element, value, expected in sparse.changed(initial):
            summary = f"{role} changed in a row that the gradient does not name"
            yield self._finding(
                "frame", "sparse-rows", summary, optimizer, whole.name, role, element, value, (expected, expected)
            )

    def _count_features(
        self, position: int, ledger: OptimizerLedger, hyper: Hyperparameters, stepped: list[SteppedParam]
    ) -> None:
        """Count the clauses that one step of one group exercises besides those of its values."""
        tally, dialect, group = self.tally, self.dialect, ledger.groups[position]
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
                tally.check(f"default-{option.replace('_', '-')}", count)
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
        if any(param.layout != "contiguous" for param in self.program.params) or any(
            isinstance(call, SetGrad) and call.layout != "contiguous" for call in self.program.calls[: self._index]
        ):
            tally.check("layout", count)

    def _closure(self, call: Step, outcome: Outcome) -> list[Finding]:
        report = outcome.closure
        if not call.closure or report is None:
            return []
        if call.closure == "raises":
            self.tally.check("closure")
            self.tally.check("closure-failure")
            if report.calls == 0:
                return [self._finding("closure", "closure", "step did not call its closure", call.optimizer)]
            if outcome.raised is None:
                self.over = True
                summary = "step swallowed the exception of its closure"
                return [self._finding("closure", "closure-failure", summary, call.optimizer)]
            return []
        self.tally.check("closure")
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
        return [self._finding("closure", "closure", problem, call.optimizer)] if problem else []

    def _failed_step(self, outcome: Outcome, before: Observation, after: Observation) -> None:
        if not outcome.raised:
            behaviour = "accepts a sparse gradient"
        elif any(not _same(before.params[name], after.params[name]) for name in before.params):
            behaviour = "has stepped some parameters when it raises"
        else:
            behaviour = "has stepped no parameter when it raises"
        self.tally.observe(Observed("failed-step", behaviour))

    def _zero_grad(self, call: ZeroGrad, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        if ledger is None:
            return self._lost()
        none = call.set_to_none is not False
        clause = "zero-grad-none" if none else "zero-grad-zero"
        self.tally.check(clause)
        if outcome.raised:
            self.over = True
            return [self._raised(clause, outcome, call.optimizer)]
        findings: list[Finding] = []
        expected: dict[str, Array | None] = dict(before.grads)
        for name in ledger.params():
            grad = before.grads.get(name)
            expected[name] = None if none or grad is None else np.zeros_like(grad)
            got = after.grads.get(name)
            if got is not None and expected[name] is not None and not np.any(got != 0):
                expected[name] = got  # a zero of either sign
            if (got is None) != (expected[name] is None) or (got is not None and bool(np.any(got != 0))):
                shown = "None" if got is None else "not None" if none else "not zero"
                summary = f"after zero_grad the gradient of {name} is {shown}"
                findings.append(self._finding("grad", clause, summary, call.optimizer, name))
                break
        return [*findings, *self._frame(before, after, clause, grads=expected if not findings else None)]

    def _set_option(self, call: SetOption, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        if ledger is None or call.group >= len(ledger.groups) or outcome.raised:
            return self._lost()
        group = ledger.groups[call.group]
        for option, value in call.options.items():
            if option in OPTIONS:
                group.options[option] = number(value)
                group.sources[option] = "changed"
                group.odd.pop(option, None)
        findings = self._frame(before, after, "frame", groups_of=call.optimizer)
        shown = after.groups.get(call.optimizer)
        if shown is not None and len(shown) == len(ledger.groups):
            for index, (view, expected) in enumerate(zip(shown, ledger.groups, strict=True)):
                for option, wanted in expected.options.items():
                    if option in expected.odd:
                        continue
                    if index != call.group and wanted is not None and view.options.get(option, wanted) != wanted:
                        summary = f"changing an option of group {call.group} changed group {index}"
                        finding = self._finding(
                            "group",
                            "group-options",
                            summary,
                            call.optimizer,
                            role=option,
                            element=index,
                            observed=float(view.options[option]),
                            allowed=(float(wanted),) * 2,
                        )
                        return [*findings, finding]
        return findings

    def _save(self, call: Save, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        if ledger is None:
            return self._lost()
        self.tally.check("state-dict")
        if outcome.raised:
            self.over = True
            return [self._raised("state-dict", outcome, call.optimizer)]
        self._slots[call.slot] = ledger.save()
        findings = self._frame(before, after, "state-dict", slot=call.slot)
        held = after.slots.get(call.slot)
        if held is not None:
            for position, name in enumerate(ledger.params()):
                for role, array in before.state.get(call.optimizer, {}).get(name, {}).items():
                    other = held.get(position, {}).get(role)
                    if other is None or as_reals(other).tobytes() != as_reals(array).tobytes():
                        summary = f"state_dict does not hold the {role} of {name}"
                        return [*findings, self._finding("load", "state-dict", summary, call.optimizer, name, role)]
        return findings

    def _edit(self, call: EditState, outcome: Outcome, before: Observation) -> list[Finding]:
        saved = self._slots.get(call.slot)
        if saved is None or outcome.raised:
            return self._lost()
        self._refresh(saved, before.slots.get(call.slot))
        saved.edits.append(call.edit)
        if call.edit == "drop":
            for position in saved.entry(call.index):
                saved.state[position], saved.steps[position] = {}, 0
        elif call.edit == "reshape":
            saved.reshaped.update(saved.entry(call.index))
        elif call.edit == "shorten":
            saved.groups[-1].params = saved.groups[-1].params[:-1]
        return []

    def _load(self, call: Load, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._ledgers.get(call.optimizer)
        saved = self._slots.get(call.slot)
        if ledger is None or saved is None:
            return self._lost()
        sizes = [len(group.params) for group in ledger.groups]
        mismatch = sizes != [len(group.params) for group in saved.groups]
        # An entry without state has no tensor to reshape; of one whose state is hidden, nobody knows.
        entries = [saved.state.get(position, {}) for position in sorted(saved.reshaped)]
        reshaped = any(not isinstance(carry, tuple) for roles in entries for carry in roles.values())
        if mismatch or reshaped:
            clause = "load-mismatch" if mismatch else "load-shape"
            self.tally.check(clause)
            if outcome.raised:
                return self._frame(before, after, clause)
            self.over = True
            what = "groups of other sizes" if mismatch else "tensors of other shapes"
            return [self._finding("silent", clause, f"a saved state with {what} was accepted", call.optimizer)]
        if saved.reshaped and outcome.raised:
            # An optimizer may hold state for a parameter that was never stepped: then this is a refusal.
            return self._frame(before, after, "load-shape")
        if any(entries):
            return self._lost()
        held = [bool(roles) for roles in saved.state.values()]
        partial = "drop" in saved.edits or (any(held) and not all(held))
        clause = "load-partial" if partial else "load-state-dict"
        self.tally.check("load-state-dict", 1 + sum(held))
        if not all(held):
            self.tally.check("load-partial", len(held) - sum(held))
        if self.carried:
            self.tally.check("load-options")
        if outcome.raised:
            self.over = True
            return [self._raised(clause, outcome, call.optimizer)]
        self._refresh(saved, before.slots.get(call.slot))
        ledger.load(saved, self.carried)
        return [
            *self._loaded_state(call, ledger, after)[:1],
            *self._groups_as_expected(ledger, after),
            *self._frame(before, after, "load-state-dict", groups_of=call.optimizer, state_of=call.optimizer),
        ]

    def _refresh(self, saved: SavedLedger, seen: Mapping[int, Mapping[str, Array]] | None) -> None:
        """Take over what a slot holds now; that it may have changed since it was saved is another clause's business."""
        if seen is not None and not saved.edits:
            for position, roles in seen.items():
                saved.state.setdefault(position, {}).update(roles)

    def _loaded_state(self, call: Load, ledger: OptimizerLedger, after: Observation) -> list[Finding]:
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
                start = self._initial_value(ledger, name, role)
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
                    findings.append(self._not_restored(call, clause, name, role, known, got, start, wrong))
                    ledger.state.get(name, {}).pop(role, None)
                if got is not None:
                    ledger.state.setdefault(name, {})[role] = got
        return findings

    def _not_restored(
        self,
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
            return self._finding("load", clause, summary, call.optimizer, name, role)
        element = int(np.flatnonzero(wrong)[0])
        why = "although nothing was saved for it"
        if clause == "load-state-dict":
            why = "although the saved state of the parameter has none"
        summary = f"after load_state_dict the {role} of {name} is not initial, {why}"
        value = float(as_reals(got)[element])
        return self._finding("load", clause, summary, call.optimizer, name, role, element, value, (start, start))

    def _harness(self, call: Call, before: Observation, after: Observation) -> list[Finding]:
        if isinstance(call, SetGrad):
            (self._bad.add if call.bad else self._bad.discard)(call.param)
            self._rows[call.param] = named_rows(call, self.program.param(call.param).shape)
        return self._frame(before, after, "frame", grads=None)

    # -- base and groups

    def _groups_as_expected(self, ledger: OptimizerLedger, after: Observation, *, added: bool = False) -> list[Finding]:
        shown = after.groups.get(ledger.name)
        if shown is None or ledger.unlike:
            return []
        expected = ledger.groups
        if len(shown) != len(expected):
            ledger.unlike = True
            summary = f"the optimizer has {len(shown)} groups instead of {len(expected)}"
            return [
                self._finding(
                    "group",
                    "add-param-group" if added else "params",
                    summary,
                    ledger.name,
                    role="groups",
                    observed=float(len(shown)),
                    allowed=(float(len(expected)),) * 2,
                )
            ]
        for index, (view, group) in enumerate(zip(shown, expected, strict=True)):
            if view.params and tuple(dict.fromkeys(view.params)) != tuple(dict.fromkeys(group.params)):
                summary = f"group {index} holds the parameters {', '.join(view.params)}, not {', '.join(group.params)}"
                clause = "add-param-group" if added else "params"
                ledger.unlike = True
                return [self._finding("group", clause, summary, ledger.name, role="params", element=index)]
        found = self._options_as_expected(ledger, shown, added=added)
        for view, group in zip(shown, expected, strict=True):
            group.show(view.options)
        return found

    def _options_as_expected(
        self, ledger: OptimizerLedger, shown: Sequence[GroupView], *, added: bool
    ) -> list[Finding]:
        expected = ledger.groups
        for index, (view, group) in enumerate(zip(shown, expected, strict=True)):
            for option, value in group.options.items():
                if value is None or option not in view.options or option in group.odd:
                    continue
                clause = {
                    "default": f"default-{option.replace('_', '-')}",
                    "constructor": "group-defaults",
                    "group": "group-options",
                    "changed": "group-options",
                    "loaded": "load-options",
                }[group.sources[option]]
                if added and index < len(expected) - 1:
                    clause = "add-param-group"
                elif clause.startswith("default-") and index > 0:
                    clause = "group-defaults"
                self.tally.check(clause)
                if view.options[option] == value:
                    continue
                summary = f"{option} of group {index} is {view.options[option]!r}, not {value!r}"
                return [
                    self._finding(
                        "group",
                        clause,
                        summary,
                        ledger.name,
                        role=option,
                        element=index,
                        observed=float(view.options[option]),
                        allowed=(float(value),) * 2,
                    )
                ]
        return []

    def _initial_state(self, ledger: OptimizerLedger, names: list[str], after: Observation) -> list[Finding]:
        for name in names:
            for role, array in after.state.get(ledger.name, {}).get(name, {}).items():
                clause = f"init-{role.replace('_', '-')}"
                self.tally.check(clause, array.size)
                reals = as_reals(array)
                expected = self._initial_value(ledger, name, role)
                wrong = np.flatnonzero(reals != expected)
                if wrong.size:
                    value = float(reals[wrong[0]])
                    summary = f"the initial {role} of {name} is {value!r}, not {expected!r}"
                    return [
                        self._finding(
                            "base", clause, summary, ledger.name, name, role, int(wrong[0]), value, (expected, expected)
                        )
                    ]
        return []

    def _initial_value(self, ledger: OptimizerLedger, name: str, role: str) -> float:
        for group in ledger.groups:
            if name in group.params:
                hyper = group.hyper()
                return self.dialect.initial(role, hyper) if hyper is not None else 0.0
        return 0.0

    # -- the frame

    def _frame(
        self,
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
        self.tally.check("frame")
        if acting and len(self._ledgers) > 1:
            related = any(ledger.loaded_from - {ledger.name} for ledger in self._ledgers.values())
            self.tally.check("load-isolation" if related else "isolation")
        findings: list[Finding] = []
        stepped_params = {name for _, name in moved}
        for name, array in before.params.items():
            if name not in stepped_params and not _same(array, after.params[name]):
                findings.append(self._changed_param(name, clause, none_of, array, after.params[name]))
                break
        if grads is not None:
            expected = before.grads if grads is True else grads
            assert isinstance(expected, Mapping)
            if step_of:
                self.tally.check("grad-untouched", len(stepped_params))
            for name, grad in expected.items():
                got = after.grads.get(name)
                if (got is None) != (grad is None) or (got is not None and grad is not None and not _same(grad, got)):
                    which = "grad-untouched" if step_of else clause
                    summary = f"the gradient of {name} changed" + (" in step" if step_of else "")
                    element, value = _difference(grad, got)
                    findings.append(self._finding("frame", which, summary, step_of, name, "grad", element, value))
                    break
        findings += self._frame_state(before, after, clause, moved, none_of, state_of, acting, fresh)
        findings += self._frame_groups(before, after, clause, groups_of, acting, optimizer)
        findings += self._frame_slots(before, after, slot)
        return findings

    def _changed_param(self, name: str, clause: str, none_of: str, array: Array, now: Array) -> Finding:
        owner = next((key for key, ledger in self._ledgers.items() if name in ledger.params()), "")
        element, value = _difference(array, now)
        allowed = float(as_reals(array)[element])
        if none_of:
            mine = name in self._ledgers[none_of].params()
            clause = "grad-none" if mine else "isolation"
            summary = f"{name} changed in step, although " + (
                "its gradient is None" if mine else "it is not in the optimizer"
            )
        else:
            summary = f"{name} changed in a call that is not a step"
        return self._finding("frame", clause, summary, owner, name, "param", element, value, (allowed, allowed))

    def _frame_state(
        self,
        before: Observation,
        after: Observation,
        clause: str,
        moved: set[tuple[str, str]],
        none_of: str,
        state_of: str,
        acting: str,
        fresh: Sequence[str],
    ) -> Iterator[Finding]:
        for optimizer, ledger in self._ledgers.items():
            if optimizer == state_of:
                continue
            for name in dict.fromkeys(ledger.params()):
                if optimizer == acting and name in fresh:
                    continue
                was = before.state.get(optimizer, {}).get(name, {})
                now = after.state.get(optimizer, {}).get(name, {})
                hyper = next((group.hyper() for group in ledger.groups if name in group.params), None)
                for role in STATE_ROLES:
                    if (optimizer, name) in moved and (hyper is None or self._sets(role, hyper)):
                        continue
                    problem = self._state_changed(ledger, name, role, was.get(role), now.get(role))
                    if problem is None:
                        continue
                    element, value, expected = problem
                    passed_over = "" if (optimizer, name) in moved else none_of
                    which = self._state_clause(optimizer, clause, passed_over, acting)
                    summary = f"the {role} of {name} in optimizer {optimizer} changed" + _why(which)
                    yield self._finding(
                        "frame", which, summary, optimizer, name, role, element, value, (expected, expected)
                    )
                    if role in now:
                        ledger.state.setdefault(name, {})[role] = now[role]
                    break
                else:
                    continue
                break

    def _state_changed(
        self, ledger: OptimizerLedger, name: str, role: str, was: Array | None, now: Array | None
    ) -> tuple[int, float | None, float] | None:
        if was is None and now is None:
            return None
        expected_value = self._initial_value(ledger, name, role)
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
            if _same(was, now):
                return None
            reals, expected = as_reals(now), as_reals(was)
        if reals.shape != expected.shape:
            return 0, None, float(expected[0]) if expected.size else 0.0
        wrong = np.flatnonzero(~((reals == expected) | (np.isnan(reals) & np.isnan(expected))))
        if not wrong.size:
            return None
        return int(wrong[0]), float(reals[wrong[0]]), float(expected[wrong[0]])

    def _state_clause(self, optimizer: str, clause: str, none_of: str, acting: str) -> str:
        if acting and optimizer != acting:
            mine, other = self._ledgers.get(acting), self._ledgers[optimizer]
            related = acting in other.loaded_from or (mine is not None and optimizer in mine.loaded_from)
            return "load-isolation" if related else "isolation"
        return "grad-none" if none_of else clause

    def _frame_groups(
        self, before: Observation, after: Observation, clause: str, groups_of: str, acting: str, created: str
    ) -> Iterator[Finding]:
        for optimizer, views in before.groups.items():
            now = after.groups.get(optimizer)
            if optimizer in (groups_of, created) or views is None or now is None or views == now:
                continue
            if repr(views) == repr(now):
                continue
            which = clause
            if acting and acting != optimizer:
                which = self._state_clause(optimizer, clause, "", acting)
            yield self._finding("frame", which, f"the groups of optimizer {optimizer} changed", optimizer)

    def _frame_slots(self, before: Observation, after: Observation, slot: str) -> Iterator[Finding]:
        for name, entries in before.slots.items():
            now = after.slots.get(name)
            if name == slot or now is None:
                continue
            self.tally.check("state-dict-snapshot")
            for position, roles in entries.items():
                for role, array in roles.items():
                    other = now.get(position, {}).get(role)
                    if other is None or not _same(array, other):
                        summary = f"a state dict taken earlier changed: {role} of parameter {position}"
                        yield self._finding("frame", "state-dict-snapshot", summary, role=role)
                        return

    def _sets(self, role: str, hyper: Hyperparameters) -> bool:
        if role == "grad_avg":
            return self.dialect.centered(hyper)
        return self.dialect.momentum(hyper) if role == "momentum_buffer" else True

    # -- making findings

    def _finding(
        self,
        kind: Any,
        clause: str,
        summary: str,
        optimizer: str = "",
        param: str = "",
        role: str = "",
        element: int = 0,
        observed: float | str | None = None,
        allowed: tuple[float, float] | None = None,
    ) -> Finding:
        return Finding(
            kind, clause, self._index, summary, optimizer, param, role, element, observed=observed, allowed=allowed
        )

    def _raised(self, clause: str, outcome: Outcome, optimizer: str) -> Finding:
        assert outcome.raised is not None
        text = f"{outcome.raised.type}: {outcome.raised.message}"
        return self._finding("raised", clause, f"it raised {text}", optimizer, observed=text)

    def _lost(self) -> list[Finding]:
        self.over = True
        return []


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


def _why(clause: str) -> str:
    return {
        "isolation": " in a call on another one",
        "load-isolation": " in a call on the one that it shares a loaded state with",
        "grad-none": " in step, although its gradient is None",
    }.get(clause, " in a call that is not for it")


def _invalid(options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        if name not in OPTIONS:
            return f"an unknown option {name}"
        if not isinstance(value, bool) and not number(value) >= 0:
            return f"{name}={number(value):g}"
    return ""


def _same(x: Array, y: Array) -> bool:
    return x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()


def _difference(x: Array | None, y: Array | None) -> tuple[int, float | None]:
    if x is None or y is None or x.shape != y.shape:
        return 0, None
    a, b = as_reals(x), as_reals(y)
    wrong = np.flatnonzero(~((a == b) | (np.isnan(a) & np.isnan(b))))
    index = int(wrong[0]) if wrong.size else 0
    return index, float(b[index]) if b.size else None


def _reclaused(finding: Finding, clause: str) -> Finding:
    from dataclasses import replace

    return finding if finding.hazard else replace(finding, clause=clause)
