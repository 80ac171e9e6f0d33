"""Base, step and frame: the verdict on one call, from the observations before it and after it.

``Conformance`` follows a transcript call by call. It knows what each call is for, so it knows what must change and to what
(base, step), and that everything else must be bit-identical afterwards (frame). Base, step and frame over a run imply
conformance of the whole run, whatever its length. Source: DESIGN 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.program.program import (
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
    named_rows,
)
from rmspec.oracles.subject import OPTIONS, Observation, Outcome
from rmspec.properties.judge.findings import Finding, Observed, Tally
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.frames import check_frame
from rmspec.properties.judge.groups import check_groups, check_initial_state
from rmspec.properties.judge.ledger import OptimizerLedger, number
from rmspec.properties.judge.saving import check_edit, check_load, check_save
from rmspec.properties.judge.stepping import check_step

__all__ = ["Conformance", "Run", "judge_calls"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One judged program: its findings, and the number of its calls up to the end of the judgement."""

    findings: tuple[Finding, ...]
    calls: int


def judge_calls(transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally) -> Run:
    """Judge call by call until the run is over. Raises the failure of the transcript if it comes first."""
    conformance = Conformance(transcript.program, dialect, policy, tally, carried=transcript.carried)
    findings: list[Finding] = []
    before = transcript.start
    for index, (call, answer) in enumerate(zip(transcript.program.calls, transcript.answers, strict=False)):
        findings += conformance.call(index, call, answer.outcome, before, answer.after)
        if conformance.over:
            return Run(tuple(findings), index + 1)
        before = answer.after
    if transcript.failure is not None:
        raise transcript.failure
    return Run(tuple(findings), len(transcript.answers))


class Conformance:
    """The specification's view of one run.

    ``call`` takes each call with its outcome and the observations around it, and returns what it finds. ``over`` becomes
    true when the run can no longer be followed: after an unexpected exception, or the lack of an expected one. ``carried``
    are the options that a saved state of the subject carries.
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
        self._run = Followed(program, dialect, policy, tally, carried)

    @property
    def over(self) -> bool:
        """Whether the run can no longer be followed."""
        return self._run.over

    def call(self, index: int, call: Call, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        """What one call shows."""
        self._run.index = index
        match call:
            case Create():
                findings = self._create(call, outcome, before, after)
            case AddParamGroup():
                findings = self._add_param_group(call, outcome, before, after)
            case Step():
                findings = check_step(self._run, call, outcome, before, after)
            case ZeroGrad():
                findings = self._zero_grad(call, outcome, before, after)
            case SetOption():
                findings = self._set_option(call, outcome, before, after)
            case Save():
                findings = check_save(self._run, call, outcome, before, after)
            case Load():
                findings = check_load(self._run, call, outcome, before, after)
            case EditState():
                findings = check_edit(self._run, call, outcome, before)
            case SetGrad() | Freeze():
                findings = self._harness(call, before, after)
        return findings

    def _create(self, call: Create, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = OptimizerLedger.create(call.optimizer, call.options, self._run.dialect.defaults)
        names = [name for group in call.groups for name in group.params]
        across = (
            any(
                set(group.params) & {name for other in call.groups[:i] for name in other.params}
                for i, group in enumerate(call.groups)
            )
            and call.form == "groups"
        )
        tables = (call.options, *(group.options for group in call.groups))
        doors = ("the constructor", *("a group of the constructor" for _ in call.groups))
        refused = ((_invalid(table), door) for table, door in zip(tables, doors, strict=True))
        invalid, door = next((pair for pair in refused if pair[0]), ("", ""))
        twice = any(len(set(group.params)) != len(group.params) for group in call.groups) or (
            call.form != "groups" and len(set(names)) != len(names)
        )
        refusal = self._refusal(outcome, call.optimizer, across=across, twice=twice, invalid=invalid, door=door)
        if refusal is not None:
            self._run.over = True
            return [
                *refusal,
                *check_frame(self._run, before, after, "duplicate-across-groups" if across else "init-params"),
            ]
        if outcome.raised:
            self._run.over = True
            grouped = call.form == "groups" and any(group.options for group in call.groups)
            return [self._run.raised("group-options" if grouped else "params", outcome, call.optimizer)]
        groups = call.groups if call.form == "groups" else (Group(tuple(names)),)
        for group in groups:
            ledger.add(group)
        self._run.ledgers[call.optimizer] = ledger
        self._run.tally.check("init-params")
        self._run.tally.check("params")
        return [
            *check_frame(self._run, before, after, "init-params", optimizer=call.optimizer, fresh=ledger.params()),
            *check_groups(self._run, ledger, after),
            *check_initial_state(self._run, ledger, ledger.params(), after),
        ]

    def _add_param_group(
        self, call: AddParamGroup, outcome: Outcome, before: Observation, after: Observation
    ) -> list[Finding]:
        ledger = self._run.ledgers.get(call.optimizer)
        if ledger is None:
            return self._run.lost()
        params = call.group.params
        across = bool(set(params) & set(ledger.params()))
        refusal = self._refusal(
            outcome,
            call.optimizer,
            across=across,
            twice=len(set(params)) != len(params),
            invalid=_invalid(call.group.options),
            door="add_param_group",
        )
        if outcome.caller_dict_changed is not None:
            self._run.tally.observe(
                Observed("caller-dict", "changes the dict" if outcome.caller_dict_changed else "leaves the dict alone")
            )
        if refusal is not None:
            if not outcome.raised:
                return refusal
            return [
                *refusal,
                *check_frame(self._run, before, after, "duplicate-across-groups" if across else "add-param-group"),
            ]
        if outcome.raised:
            self._run.over = True
            return [self._run.raised("add-param-group", outcome, call.optimizer)]
        self._run.tally.check("add-param-group")
        ledger.add(call.group)
        return [
            *check_frame(self._run, before, after, "add-param-group", groups_of=call.optimizer, fresh=params),
            *check_groups(self._run, ledger, after, added=True),
            *check_initial_state(self._run, ledger, list(params), after),
        ]

    def _refusal(
        self, outcome: Outcome, optimizer: str, *, across: bool, twice: bool, invalid: str, door: str
    ) -> list[Finding] | None:
        """Findings where a call is one that may or must be refused and the run cannot go on; ``None`` where it can.

        ``door`` is where ``invalid`` came in: an optimizer may refuse at one door what it accepts at another.
        """
        if across:
            self._run.tally.check("duplicate-across-groups")
            if outcome.raised:
                return []
            self._run.over = True
            summary = "a parameter that is already in another group was accepted"
            return [self._run.finding("silent", "duplicate-across-groups", summary, optimizer)]
        if twice and outcome.raised:
            self._run.tally.check("duplicate-in-group")
            return []
        if invalid:
            answer = "refuses" if outcome.raised else "accepts"
            self._run.tally.observe(Observed("refuse-invalid", f"{answer} {invalid} in {door}"))
            self._run.over = not outcome.raised
            return []
        return None

    def _zero_grad(self, call: ZeroGrad, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._run.ledgers.get(call.optimizer)
        if ledger is None:
            return self._run.lost()
        none = call.set_to_none is not False
        clause = "zero-grad-none" if none else "zero-grad-zero"
        self._run.tally.check(clause)
        if outcome.raised:
            self._run.over = True
            return [self._run.raised(clause, outcome, call.optimizer)]
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
                findings.append(self._run.finding("grad", clause, summary, call.optimizer, name))
                break
        return [*findings, *check_frame(self._run, before, after, clause, grads=expected if not findings else None)]

    def _set_option(self, call: SetOption, outcome: Outcome, before: Observation, after: Observation) -> list[Finding]:
        ledger = self._run.ledgers.get(call.optimizer)
        if ledger is None or call.group >= len(ledger.groups) or outcome.raised:
            return self._run.lost()
        group = ledger.groups[call.group]
        for option, value in call.options.items():
            if option in OPTIONS:
                group.options[option] = number(value)
                group.sources[option] = "changed"
                group.odd.pop(option, None)
        findings = check_frame(self._run, before, after, "frame", groups_of=call.optimizer)
        shown = after.groups.get(call.optimizer)
        if shown is not None and len(shown) == len(ledger.groups):
            for index, (view, expected) in enumerate(zip(shown, ledger.groups, strict=True)):
                for option, wanted in expected.options.items():
                    if option in expected.odd:
                        continue
                    if index != call.group and wanted is not None and view.options.get(option, wanted) != wanted:
                        summary = f"changing an option of group {call.group} changed group {index}"
                        finding = self._run.finding(
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

    def _harness(self, call: Call, before: Observation, after: Observation) -> list[Finding]:
        if isinstance(call, SetGrad):
            (self._run.bad.add if call.bad else self._run.bad.discard)(call.param)
            self._run.rows[call.param] = named_rows(call, self._run.program.param(call.param).shape)
        return check_frame(self._run, before, after, "frame", grads=None)


def _invalid(options: Mapping[str, Any]) -> str:
    for name, value in options.items():
        if name not in OPTIONS:
            return f"an unknown option {name}"
        if not isinstance(value, bool) and not number(value) >= 0:
            return f"{name}={number(value):g}"
    return ""
