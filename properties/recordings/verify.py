"""Verifying a recording: each step by itself, from the values before it, and everything a step must leave alone.

As in a check, no tolerance is chosen and no error adds up: a step is compared with the envelope of the recorded values before
it, so a deviation at step 700 is seen at step 700, whatever happened until then.
"""

from __future__ import annotations

import math
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
from rmspec.oracles.recordings.reader import BadRecording, Lost, RecordedGroup, RecordedStep, Recording, Scalar
from rmspec.oracles.registry import registered_names
from rmspec.oracles.subject import OPTIONS, STATE_SYNONYMS
from rmspec.properties.counterexamples.attribution import hypotheses
from rmspec.properties.counterexamples.described import described, recognized
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.ledger import Carry
from rmspec.properties.judge.stepcheck import SteppedParam, check_group
from rmspec.properties.known import Known, applies

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
        return next((each for each in self.deviations if each.deviation.known is None), None)


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
    found: set[str] = set()
    # The buffer needs the averages, which are not known yet: it is what fits neither of them.
    for role in ("square_avg", "grad_avg"):
        state = {name: start if name == role else zeros for name in STATE_ROLES}
        case = Before(as_reals(before["param"]), as_reals(before["grad"]), **state)
        bounds = envelope(case, FORMATS[recording.params[index].dtype], replace(hyper, centered=True), dialect)
        if bool(np.all(bounds[role].contains(values)[moving])):
            found.add(role)
    return found or {"momentum_buffer"}


class _Verification:
    def __init__(self, recording: Recording, dialect: str | None, policy: Policy, known: tuple[Known, ...]) -> None:
        source = recording.source
        self.recording = recording
        self.given = dialect
        self.dialect = dialect_named(dialect or SPECIFICATION.name)
        self.policy = policy
        self.roles = state_roles(recording, self.dialect)
        self.names = {role: key for key, role in self.roles.items()}
        self.verified = Verified(recording, self.dialect.name, policy.name, roles=self.roles)
        named = [source.subject or source.called]
        inherited = () if named[0] in registered_names() else ("torch", "torch:foreach")
        self.known = [entry for entry in known if applies(entry, named[0], source.versions)]
        self.inherited = [
            (name, entry)
            for name in inherited
            for entry in known
            if entry.inheritable and applies(entry, name, source.versions)
        ]
        self.last: RecordedStep | None = None
        self.bounds: dict[int, dict[str, Carry]] = {}
        self.counts: dict[int, int] = {}
        self.passed: set[int] = set()
        self.earlier: dict[int, Mapping[str, Scalar]] = {}
        self.found: dict[tuple[object, ...], RecordedDeviation] = {}
        self.labelled: dict[tuple[object, ...], int] = {}

    def run(self) -> Verified:
        verified = self.verified
        for step in self.recording.contents():
            if isinstance(step, Lost):
                verified.lost.append(step)
                continue
            verified.first_step = verified.first_step or step.number
            verified.last_step = step.number
            verified.steps += 1
            verified.tally.steps += 1
            self._between(step)
            for number, group in enumerate(step.groups):
                self._group(step, number, group)
            self.last = step
        found = list(self.found.values())
        verified.deviations = [each for each in found if not each.deviation.hazard]
        verified.hazards = [each for each in found if each.deviation.hazard]
        return verified

    # -- between two steps

    def _between(self, step: RecordedStep) -> None:
        """Check the state between two steps: only ``load_state_dict`` may change it."""
        if self.last is None or self.last.number != step.number - 1:
            self.bounds.clear()
            return
        if "load_state_dict" in step.events:
            self.bounds.clear()
        for group in step.groups:
            for index in group.params:
                held, now = self.last.after.get(index), step.before.get(index)
                if held is None or now is None:
                    continue
                self.verified.frames += 1
                name = self.recording.params[index].name
                if held["param"].tobytes() != now["param"].tobytes():
                    # The user's to do: weights are clipped, averaged, loaded.
                    self.verified.changed_outside[name] = self.verified.changed_outside.get(name, 0) + 1
                if "load_state_dict" in step.events:
                    continue
                for role, key in self.names.items():
                    entry = f"state/{key}"
                    if entry in held:
                        self.verified.tally.check("frame", held[entry].size)
                        finding = _moved(held[entry], now.get(entry), "frame", role, name, "between two steps")
                        if finding is not None:
                            self._found(step, group, index, finding, self._dialect(group), ())

    # -- one step of one group

    def _dialect(self, group: RecordedGroup) -> Dialect:
        if self.given is None and group.options.get("maximize"):
            return replace(self.dialect, maximize=True)
        return self.dialect

    def _group(self, step: RecordedStep, number: int, group: RecordedGroup) -> None:
        dialect = self._dialect(group)
        hyper = hyperparameters(group, step, dialect)
        used = {"square_avg", *(["grad_avg"] if dialect.centered(hyper) else [])}
        used |= {"momentum_buffer"} if dialect.momentum(hyper) else set()
        stepped: list[SteppedParam] = []
        indices: dict[str, int] = {}
        for index in group.params:
            before, after = step.before.get(index), step.after.get(index)
            if before is None or after is None:
                continue
            if index in step.skipped or "grad" not in before:
                self.passed.add(index)
                self._still(step, group, index, dialect)
                continue
            self.counts[index] = self.counts.get(index, 0) + 1
            each = self._stepped(index, before, after, used)
            indices[each.name] = index
            stepped.append(each)
            self._untouched(step, group, index, hyper, dialect)
        if not stepped:
            return
        findings, carried = check_group(
            stepped,
            hyper,
            dialect,
            self.policy,
            self.verified.tally,
            call=0,
            optimizer="A",
            sources=self._sources(step, group),
        )
        for name, roles in carried.items():
            self.bounds[indices[name]] = {key: each for key, each in roles.items() if isinstance(each, tuple)}
        for finding in findings:
            self._found(step, group, indices[finding.param], finding, dialect, tuple(findings))
        for index in group.params:
            self.earlier[index] = group.options

    def _sources(self, step: RecordedStep, group: RecordedGroup) -> dict[str, str]:
        """List options with values unlike the last step's or another group's: a step may have used an old one."""
        sources: dict[str, str] = {}
        earlier = self.earlier.get(group.params[0], group.options)
        for option in OPTIONS:
            value = group.options.get(option)
            if earlier.get(option) != value:
                sources[option] = "loaded" if "load_state_dict" in step.events else "changed"
            elif any(each.options.get(option) != value for each in step.groups):
                sources[option] = "group"
        return sources

    def _stepped(self, index: int, before: Mapping[str, Any], after: Mapping[str, Any], used: set[str]) -> SteppedParam:
        known: dict[str, Carry] = {}
        size = before["param"].size
        for role in STATE_ROLES:
            entry = f"state/{self.names.get(role, role)}"
            if entry in before:
                known[role] = before[entry]
            elif entry not in after and role in used:
                # It cannot be seen at all: anything that such a value can be, or what followed from the step before.
                lowest = 0.0 if role == "square_avg" else -math.inf
                anything: Carry = (np.full(size, lowest), np.full(size, math.inf), None)
                known[role] = self.bounds.get(index, {}).get(role, anything)
        return SteppedParam(
            str(index),
            self.recording.params[index].dtype,
            before["param"],
            before["grad"],
            after["param"],
            known,
            {role: after[f"state/{key}"] for role, key in self.names.items() if f"state/{key}" in after},
            self.counts[index],
            not any(f"state/{key}" in before for key in self.names.values()),
            index in self.passed,
        )

    def _untouched(
        self, step: RecordedStep, group: RecordedGroup, index: int, hyper: Hyperparameters, dialect: Dialect
    ) -> None:
        """Check the gradient, and state without a use in this step."""
        before, after = step.before[index], step.after[index]
        name = self.recording.params[index].name
        self.verified.tally.check("grad-untouched", before["grad"].size)
        if "grad" in after:
            finding = _moved(before["grad"], after["grad"], "grad-untouched", "grad", name, "in step")
            if finding is not None:
                self._found(step, group, index, finding, dialect, ())
        idle = {"grad_avg": dialect.centered(hyper), "momentum_buffer": dialect.momentum(hyper)}
        for role, used in idle.items():
            entry = f"state/{self.names.get(role, role)}"
            if not used and entry in before:
                finding = _moved(
                    before[entry], after.get(entry), "frame", role, name, "in step, which has no use for it"
                )
                if finding is not None:
                    self._found(step, group, index, finding, dialect, ())

    def _still(self, step: RecordedStep, group: RecordedGroup, index: int, dialect: Dialect) -> None:
        """Check a parameter without a gradient in this step."""
        before, after = step.before[index], step.after[index]
        name = self.recording.params[index].name
        self.verified.tally.check("grad-none", before["param"].size)
        for role, entry in (("param", "param"), *((role, f"state/{key}") for role, key in self.names.items())):
            if entry in before:
                what = "in step, although its gradient is None"
                finding = _moved(before[entry], after.get(entry), "grad-none", role, name, what)
                if finding is not None:
                    self._found(step, group, index, finding, dialect, ())
                    return

    # -- what was found

    def _found(
        self,
        step: RecordedStep,
        group: RecordedGroup,
        index: int,
        finding: Finding,
        dialect: Dialect,
        others: tuple[Finding, ...],
    ) -> None:
        param = self.recording.params[index]
        half = param.dtype in ("float16", "bfloat16")
        sight = (finding.kind, finding.clause, finding.role, finding.hazard, half)
        self.labelled[sight] = self.labelled.get(sight, 0) + 1
        if self.labelled[sight] > _LOOKS:
            # The same again, as far as it goes: counted with the first.
            key = next(key for key in self.found if key[: len(sight)] == sight)
        else:
            program = self._program(step, group, index, finding, dialect)
            clause = self._clause(finding, program, dialect, others)
            deviation = self._deviation(replace(finding, param=param.name), program, clause)
            key = (*sight, clause, deviation.known)
            if key not in self.found:
                parts = FORMATS[param.dtype].parts
                place = finding.element // parts
                position = place if param.positions is None else param.positions[place]
                self.found[key] = RecordedDeviation(step, group, index, position, deviation, dialect, 0)
        held = self.found[key]
        self.found[key] = replace(held, occurrences=held.occurrences + 1, last=step.number)

    def _clause(self, finding: Finding, program: Program, dialect: Dialect, others: tuple[Finding, ...]) -> str:
        """Find the clause behind every finding of this kind at the step."""
        labels = hypotheses(finding, program, dialect)
        for each in [each for each in others if each.key == finding.key and each is not finding][:_LOOKS]:
            kin = hypotheses(each, program, dialect)
            labels = tuple(label for label in labels if label in kin)
        return labels[0] if labels else finding.clause

    def _program(
        self, step: RecordedStep, group: RecordedGroup, index: int, finding: Finding, dialect: Dialect
    ) -> Program:
        """The step as a program: every group with one parameter, the options before, their change, a gradient, the step."""
        param = self.recording.params[index]
        parts = FORMATS[param.dtype].parts
        place = finding.element // parts * parts

        def one(array: NDArray[Any]) -> tuple[float, ...]:
            return tuple(float(each) for each in array[place : place + parts])

        now = _options(group.options)
        first = _options(self.earlier.get(index, group.options))
        names = ["p", *(f"q{number}" for number in range(len(step.groups) - 1))]
        tables = [first, *(_options(each.options) for each in step.groups if each is not group)]
        values = one(step.before[index]["param"])
        calls: list[Any] = [
            Create("A", tuple(Group((name,), table) for name, table in zip(names, tables, strict=True)))
            if len(names) > 1
            else Create("A", (Group(("p",)),), first, "list")
        ]
        changed = {name: value for name, value in now.items() if first.get(name) != value}
        if changed:
            calls.append(SetOption("A", 0, changed))
        grad = step.before[index].get("grad")
        if grad is not None:
            calls.append(SetGrad("p", one(grad)))
        calls.append(Step("A"))
        return Program(
            tuple(Param(name, param.dtype, (1,), values) for name in names),
            tuple(calls),
            subject=self.recording.source.subject,
            dialect=dialect.name,
            policy=self.policy.name,
            device="" if self.recording.source.device == "cpu" else self.recording.source.device,
        )

    def _deviation(self, finding: Finding, program: Program, clause: str) -> Deviation:
        deviation = described(
            finding,
            program,
            clause,
            call=len(program.calls) - 1,
            optimizer="A",
            framework="torch",
            state_names=self.names,
        )
        return recognized(deviation, self.known, self.inherited)


def _options(options: Mapping[str, Scalar]) -> dict[str, Any]:
    return {name: options[name] for name in OPTIONS if name in options and not isinstance(options[name], str)}


def _moved(
    held: NDArray[Any], now: NDArray[Any] | None, clause: str, role: str, name: str, when: str
) -> Finding | None:
    """Report the first element of values changed without permission."""
    if now is not None and held.dtype == now.dtype and held.tobytes() == now.tobytes():
        return None
    if now is None or now.size != held.size:
        return Finding("frame", clause, 0, f"the {role} of {name} is gone {when}", "A", name, role)
    was, is_ = as_reals(held), as_reals(now)
    differs = np.flatnonzero(~((was == is_) | (np.isnan(was) & np.isnan(is_))))
    element = int(differs[0]) if differs.size else 0
    value, expected = float(is_[element]), float(was[element])
    return Finding(
        "frame",
        clause,
        0,
        f"the {role} of {name} changed {when}",
        "A",
        name,
        role,
        element,
        held.size,
        value,
        (expected, expected),
    )
