"""Verifying a recording: each step by itself, from the values before it, and everything a step must leave alone.

As in a check, no tolerance is chosen and no error adds up: a step is compared with the envelope of the recorded values before
it, so a deviation at step 700 is seen at step 700, whatever happened until then.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect, Hyperparameters
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, SetOption, Step
from rmspec.oracles.recordings.chunks import BadRecording, RecordedGroup, RecordedStep, Scalar, Values
from rmspec.oracles.recordings.reader import Lost, Recording
from rmspec.oracles.registry import registered_names
from rmspec.oracles.subject import OPTIONS, STATE_SYNONYMS, Observation
from rmspec.properties.counterexamples.described import described, recognized
from rmspec.properties.counterexamples.hypotheses import hypotheses
from rmspec.properties.events import Deviation
from rmspec.properties.judge.expected import Quantity, Rest
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.followed import Followed, same
from rmspec.properties.judge.frames import compare_rest
from rmspec.properties.judge.ledger import Carry, LedgerGroup, OptimizerLedger, count_reals
from rmspec.properties.known import Known, applies
from rmspec.properties.recordings.steps import OPTIMIZER, judge_step, observe, open_run

__all__ = ["RecordedDeviation", "Verified", "hyperparameters", "state_roles", "verify"]

_LOOKS = 8


@dataclass(frozen=True, slots=True)
class RecordedDeviation:
    """A deviation, or a hazard, at a recorded step.

    ``deviation`` tells it as a check does, with the step as a program of one element; ``param`` is the index of the parameter
    in the recording, ``position`` the flat index of the element in the parameter. ``occurrences`` counts the steps and
    parameters that show it, ``last`` is the last such step.
    """

    step: RecordedStep
    group: RecordedGroup
    param: int
    position: int
    deviation: Deviation
    dialect: Dialect
    occurrences: int = 1
    last: int = 0


@dataclass(slots=True)
class Verified:
    """The result of a verification: steps checked, steps ``lost``, the first deviation of each kind, hazards."""

    recording: Recording
    dialect: str
    policy: str
    steps: int = 0
    first_step: int = 0
    last_step: int = 0
    frames: int = 0
    tally: Tally = field(default_factory=Tally)
    roles: Mapping[str, str] = field(default_factory=dict)
    deviations: list[RecordedDeviation] = field(default_factory=list)
    hazards: list[RecordedDeviation] = field(default_factory=list)
    changed_outside: dict[str, int] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)

    @property
    def first(self) -> RecordedDeviation | None:
        """The first deviation outside of every list."""
        return next((recorded for recorded in self.deviations if recorded.deviation.known is None), None)


def verify(
    recording: Recording, *, dialect: str | None = None, policy: Policy = STRICT, known: tuple[Known, ...] = ()
) -> Verified:
    """Verify each complete step of a recording. Raises ``BadRecording`` for an unreadable one."""
    return _Verification(recording, dialect, policy, known).run()


def hyperparameters(group: RecordedGroup, step: RecordedStep, dialect: Dialect) -> Hyperparameters:
    """Read the options of a group at a step: its own, else an attribute, else the dialect's default.

    Raises ``BadRecording`` where none of them tells.
    """
    values: dict[str, Any] = {}
    for option in OPTIONS:
        value = group.options.get(option, step.attributes.get(option, getattr(dialect.defaults, option)))
        if value is None or isinstance(value, str):
            if option in ("momentum", "weight_decay", "centered"):
                value = 0.0
            else:
                raise BadRecording(
                    f"the optimizer has no option {option}, and the dialect {dialect.name} documents no default",
                    "without it no step can be verified",
                    "name the dialect that it speaks, as in --dialect torch",
                )
        values[option] = bool(value) if option == "centered" else float(value)
    return Hyperparameters(**values)


def state_roles(recording: Recording, dialect: Dialect) -> dict[str, str]:
    """Match names of the optimizer's state with roles: by name, by value after a step, by a usual synonym."""
    roles: dict[str, str] = {}
    odd: dict[str, set[str]] = {}
    for step in islice(recording.steps(), _LOOKS):
        for group in step.groups:
            hyper = hyperparameters(group, step, dialect)
            for index in group.params:
                after = step.after.get(index, {})
                for key in (key.removeprefix("state/") for key in after if key.startswith("state/")):
                    if key in STATE_ROLES:
                        roles[key] = key
                    elif key != "step" and after[f"state/{key}"].size == after["param"].size:
                        fits = _fitting(recording, step, index, key, hyper, dialect)
                        odd[key] = odd[key] & fits if key in odd else fits
    for key, fits in odd.items():
        free = fits - set(roles.values())
        role = next(iter(free)) if len(free) == 1 else STATE_SYNONYMS.get(key)
        if role is not None and role not in roles.values():
            roles[key] = role
    return roles


def _fitting(
    recording: Recording, step: RecordedStep, index: int, key: str, hyper: Hyperparameters, dialect: Dialect
) -> set[str]:
    """List the roles with an envelope around a state entry's values after a step, from its values before."""
    before, after = step.before[index], step.after[index]
    if "grad" not in before or not before["param"].size:
        return set(STATE_ROLES)
    own = before.get(f"state/{key}")
    zeros = np.zeros(before["param"].size)
    start = zeros if own is None else as_reals(own)
    moving = as_reals(before["grad"]) != 0
    values = as_reals(after[f"state/{key}"])
    fitting: set[str] = set()
    # The buffer needs the averages, which are not known yet: it is what fits neither of them.
    for role in ("square_avg", "grad_avg"):
        state = {name: start if name == role else zeros for name in STATE_ROLES}
        case = Before(as_reals(before["param"]), as_reals(before["grad"]), **state)
        bounds = envelope(case, FORMATS[recording.params[index].dtype], replace(hyper, centered=True), dialect)
        if bool(np.all(bounds[role].contains(values)[moving])):
            fitting.add(role)
    return fitting or {"momentum_buffer"}


class _Verification:
    def __init__(self, recording: Recording, dialect: str | None, policy: Policy, known: tuple[Known, ...]) -> None:
        source = recording.source
        self.recording = recording
        self.fixed = dialect is not None
        self.dialect = dialect_named(dialect or SPECIFICATION.name)
        self.policy = policy
        self.roles = state_roles(recording, self.dialect)
        names = [param.name for param in recording.params]
        # Of two models in one optimizer parameters may have one name.
        counts = Counter(names)
        self.names = [name if counts[name] == 1 else f"{name} ({index})" for index, name in enumerate(names)]
        self.indices = {name: index for index, name in enumerate(self.names)}
        self.formats = {name: param.dtype for name, param in zip(self.names, recording.params, strict=True)}
        self.verified = Verified(recording, self.dialect.name, policy.name, roles=self.roles)
        subject = source.subject or source.called
        baselines = () if subject in registered_names() else ("torch", "torch:foreach")
        self.known = [entry for entry in known if applies(entry, subject, source.versions)]
        self.inherited = [
            (name, entry)
            for name in baselines
            for entry in known
            if entry.inheritable and applies(entry, name, source.versions)
        ]
        self.last: RecordedStep | None = None
        self.ledger = OptimizerLedger(OPTIMIZER, {}, frozenset())
        self.skipped: set[tuple[str, str]] = set()
        self.earlier: dict[int, Mapping[str, Scalar]] = {}
        self.deviations: dict[tuple[object, ...], RecordedDeviation] = {}
        self.counts: Counter[tuple[object, ...]] = Counter()

    def run(self) -> Verified:
        verified = self.verified
        for step in self.recording.contents():
            if isinstance(step, Lost):
                verified.lost.append(step)
                continue
            verified.first_step = verified.first_step or step.number
            verified.last_step = step.number
            verified.steps += 1
            if self.last is None or self.last.number != step.number - 1 or "load_state_dict" in step.events:
                self.ledger.state.clear()
            for group in filter(lambda group: group.params, step.groups):
                dialect = self.dialect
                if not self.fixed and group.options.get("maximize"):
                    dialect = replace(dialect, maximize=True)
                hyper = hyperparameters(group, step, dialect)
                options: dict[str, float | bool | None] = {option: hyper.option(option) for option in OPTIONS}
                self.ledger.groups = [LedgerGroup((), options, self._sources(step, group))]
                run = open_run(self.ledger, dialect, self.policy, verified.tally, self.skipped)
                if self.last is not None and self.last.number == step.number - 1:
                    self._between(run, self.last, step, group)
                self._step(run, step, group, hyper)
            self.last = step
        recorded = list(self.deviations.values())
        verified.deviations = [entry for entry in recorded if not entry.deviation.hazard]
        verified.hazards = [entry for entry in recorded if entry.deviation.hazard]
        return verified

    def _observe(self, group: RecordedGroup, *moments: Values) -> list[Observation]:
        """The recorded moments of a group, as far as its parameters are in each of them."""
        common = {self.names[index]: index for index in group.params if all(index in values for values in moments)}
        return [
            observe({name: values[index] for name, index in common.items()}, self.formats, self.roles)
            for values in moments
        ]

    def _between(self, run: Followed, last: RecordedStep, step: RecordedStep, group: RecordedGroup) -> None:
        """Check the state between two steps: only ``load_state_dict`` may change it."""
        before, now = self._observe(group, last.after, step.before)
        self.ledger.groups[0].params = tuple(before.params)
        outside = self.verified.changed_outside
        self.verified.frames += len(before.params)
        for name, array in before.params.items():
            if not same(array, now.params[name]):
                # The user's to do: weights are clipped, averaged, loaded.
                outside[name] = outside.get(name, 0) + 1
        if "load_state_dict" in step.events:
            return
        params = frozenset(Quantity("param", "", name) for name in before.params)
        for finding in compare_rest(run, Rest("frame", grads=False), params, before, now):
            summary = f"the {finding.role} of {finding.param} changed between two steps"
            self._take_up(step, group, replace(finding, summary=summary), run.dialect, ())

    def _step(self, run: Followed, step: RecordedStep, group: RecordedGroup, hyper: Hyperparameters) -> None:
        # A hook of the user's may have dropped a gradient before the step was recorded.
        grads = {index: {"grad": arrays["grad"]} for index, arrays in step.before.items() if "grad" in arrays}
        values = {index: {**grads.get(index, {}), **arrays} for index, arrays in step.after.items()}
        before, after = self._observe(group, step.before, values)
        self.ledger.groups[0].params = tuple(before.params)
        for name in before.params:
            visible = {*before.state[OPTIMIZER][name], *after.state[OPTIMIZER][name]}
            bounds = self.ledger.state.get(name, {})
            self.ledger.state[name] = {
                role: carry if isinstance(carry := bounds.get(role), tuple) else _anything(role, before.params[name])
                for role in _used(hyper, run.dialect) - visible
            }
        findings = judge_step(run, before, after)
        for finding in findings:
            self._take_up(step, group, finding, run.dialect, findings)
        if any(grad is not None for grad in before.grads.values()):
            self.earlier.update(dict.fromkeys(group.params, group.options))

    def _sources(self, step: RecordedStep, group: RecordedGroup) -> dict[str, str]:
        """List options with values unlike the last step's or another group's: a step may have used an old one."""
        sources: dict[str, str] = {}
        earlier = self.earlier.get(group.params[0], group.options)
        for option in OPTIONS:
            value = group.options.get(option)
            if earlier.get(option) != value:
                sources[option] = "loaded" if "load_state_dict" in step.events else "changed"
            elif any(sibling.options.get(option) != value for sibling in step.groups):
                sources[option] = "group"
        return sources

    # -- findings

    def _take_up(
        self,
        step: RecordedStep,
        group: RecordedGroup,
        finding: Finding,
        dialect: Dialect,
        siblings: tuple[Finding, ...],
    ) -> None:
        index = self.indices[finding.param]
        param = self.recording.params[index]
        half = param.dtype in ("float16", "bfloat16")
        label = (finding.kind, finding.clause, finding.role, finding.hazard, half)
        self.counts[label] += 1
        if self.counts[label] > _LOOKS:
            # The same again, as far as it goes: counted with the first.
            key = next(key for key in self.deviations if key[: len(label)] == label)
        else:
            program = self._program(step, group, index, finding, dialect)
            deviation = recognized(
                described(
                    replace(finding, param=param.name),
                    program,
                    _clause(finding, program, dialect, siblings),
                    call=len(program.calls) - 1,
                    optimizer=OPTIMIZER,
                    framework="torch",
                    state_names={role: key for key, role in self.roles.items()},
                ),
                self.known,
                self.inherited,
            )
            key = (*label, deviation.clause, deviation.known)
            if key not in self.deviations:
                place = finding.element // FORMATS[param.dtype].parts
                position = place if param.positions is None else param.positions[place]
                self.deviations[key] = RecordedDeviation(step, group, index, position, deviation, dialect, 0)
        first = self.deviations[key]
        self.deviations[key] = replace(first, occurrences=first.occurrences + 1, last=step.number)

    def _program(
        self, step: RecordedStep, group: RecordedGroup, index: int, finding: Finding, dialect: Dialect
    ) -> Program:
        """The step as a program: every group with one parameter, the options before, their change, a gradient, the step."""
        param = self.recording.params[index]
        parts = FORMATS[param.dtype].parts
        place = finding.element // parts * parts

        def one(array: NDArray[Any]) -> tuple[float, ...]:
            return tuple(float(value) for value in array[place : place + parts])

        now = _options(group.options)
        first = _options(self.earlier.get(index, group.options))
        names = ["p", *(f"q{number}" for number in range(len(step.groups) - 1))]
        tables = [first, *(_options(sibling.options) for sibling in step.groups if sibling is not group)]
        values = one(step.before[index]["param"])
        calls: list[Any] = [
            Create(OPTIMIZER, tuple(Group((name,), table) for name, table in zip(names, tables, strict=True)))
            if len(names) > 1
            else Create(OPTIMIZER, (Group(("p",)),), first, "list")
        ]
        changed = {name: value for name, value in now.items() if first.get(name) != value}
        if changed:
            calls.append(SetOption(OPTIMIZER, 0, changed))
        grad = step.before[index].get("grad")
        if grad is not None:
            calls.append(SetGrad("p", one(grad)))
        calls.append(Step(OPTIMIZER))
        return Program(
            tuple(Param(name, param.dtype, (1,), values) for name in names),
            tuple(calls),
            subject=self.recording.source.subject,
            dialect=dialect.name,
            policy=self.policy.name,
            device="" if self.recording.source.device == "cpu" else self.recording.source.device,
        )


def _clause(finding: Finding, program: Program, dialect: Dialect, siblings: tuple[Finding, ...]) -> str:
    """Find the clause behind every finding of this kind at the step."""
    labels = hypotheses(finding, program, dialect)
    for sibling in [kin for kin in siblings if kin.key == finding.key and kin is not finding][:_LOOKS]:
        shared = hypotheses(sibling, program, dialect)
        labels = tuple(label for label in labels if label in shared)
    return labels[0] if labels else finding.clause


def _used(hyper: Hyperparameters, dialect: Dialect) -> set[str]:
    """List the roles of the state set by a step."""
    unused = {"grad_avg": not dialect.centered(hyper), "momentum_buffer": not dialect.momentum(hyper)}
    return {role for role in STATE_ROLES if not unused.get(role)}


def _anything(role: str, param: NDArray[Any]) -> Carry:
    """The bounds of a state out of sight, in the middle of a run."""
    size = count_reals(param)
    return np.full(size, 0.0 if role == "square_avg" else -math.inf), np.full(size, math.inf), None


def _options(options: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: options[name] for name in OPTIONS if name in options and not isinstance(options[name], str)}
