"""From a recorded deviation to one step for anyone to run: the recorded element on a fresh optimizer.

First the step as it was recorded, with its state, so that it shows the numbers of the run; then without those options and
attributes that it does not need. Where that shows nothing the fault may count its calls out of sight: then as many steps go
before as the run had made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.program.program import Create, Group, Options, Param, Program, SetGrad, Step
from rmspec.oracles.recordings.chunks import Scalar
from rmspec.oracles.recordings.onestep import OneStep, Reproduction, Stepped
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.counterexamples.hypotheses import hypotheses
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.ledger import LedgerGroup, OptimizerLedger
from rmspec.properties.recordings.steps import OPTIMIZER, judge_step, observe, open_run
from rmspec.properties.recordings.verify import RecordedDeviation, hyperparameters

__all__ = ["Question", "question", "reproduced"]

Performs = Callable[[OneStep], Stepped]


@dataclass(frozen=True, slots=True)
class Question:
    """The step to reproduce, its real options, and the deviating role and clause."""

    step: OneStep
    hyper: Hyperparameters
    dialect: Dialect
    policy: Policy
    roles: Mapping[str, str]
    role: str
    clause: str
    repeats: tuple[int, ...] = ()


def question(recorded: RecordedDeviation, roles: Mapping[str, str], policy: Policy, device: str) -> Question | None:
    """Pose the question of a recorded deviation; ``None`` unless it is about the values after a step."""
    deviation, index = recorded.deviation, recorded.param
    if deviation.kind != "value":
        return None
    before, group = recorded.step.before[index], recorded.group
    dtype = deviation.program.params[0].dtype
    parts = FORMATS[dtype].parts
    place = deviation.element // parts * parts
    state: dict[str, tuple[str, tuple[float, ...]]] = {}
    for key, array in before.items():
        if key.startswith("state/"):
            if array.size == before["param"].size and key != "state/step":
                kind = f"complex{2 * array.dtype.itemsize * 8}" if parts == 2 else array.dtype.name
                state[key.removeprefix("state/")] = kind, tuple(float(value) for value in array[place : place + parts])
            else:
                state[key.removeprefix("state/")] = "number", (float(array[0]),)
    hyper = hyperparameters(group, recorded.step, recorded.dialect)
    counted = before.get("state/step")
    repeats = {recorded.step.number - 1, *(() if counted is None else (int(counted[0]),))}
    return Question(
        OneStep(
            dtype,
            tuple(float(value) for value in before["param"][place : place + parts]),
            tuple(float(value) for value in before["grad"][place : place + parts]),
            {name: value for name, value in group.options.items() if name in OPTIONS},
            state,
            {name: value for name, value in group.options.items() if name not in OPTIONS and name != "param_names"},
            {name: value for name, value in recorded.step.attributes.items() if not name.startswith("_opt_")},
            device=device,
        ),
        hyper,
        recorded.dialect,
        policy,
        dict(roles),
        deviation.role,
        deviation.clause,
        tuple(sorted(count for count in repeats if 0 < count <= 1_000_000)),
    )


def reproduced(ask: Question, start: OneStep, performs: Performs) -> Reproduction | None:
    """Find a step with the same deviation and as little as possible of ``start``; ``None`` if there is none."""
    best = _shows(ask, start, performs)
    for count in () if best is not None else ask.repeats:
        best = _shows(ask, replace(start, state={}, earlier=count), performs)
        if best is not None:
            break
    if best is None:
        return None
    for less in _less(best.step):
        best = _shows(ask, less(best.step), performs) or best
    return best


def _less(step: OneStep) -> Iterator[Callable[[OneStep], OneStep]]:
    """Ways to have less to a step, each tried on the shortest so far."""
    if step.extras:
        yield lambda step: replace(step, extras={})
    if step.attributes:
        yield lambda step: replace(step, attributes={})
    for name in step.extras:
        yield lambda step, name=name: replace(step, extras=_without(step.extras, name))  # type: ignore[misc]
    for name in step.attributes:
        yield lambda step, name=name: replace(step, attributes=_without(step.attributes, name))  # type: ignore[misc]


def _without(values: Mapping[str, Scalar], name: str) -> dict[str, Scalar]:
    return {key: value for key, value in values.items() if key != name}


def _shows(ask: Question, step: OneStep, performs: Performs) -> Reproduction | None:
    try:
        stepped = performs(step)
    except SubjectFailed:
        return None
    for finding in _findings(ask, step, stepped):
        if finding.role != ask.role or finding.hazard or finding.allowed is None:
            continue
        if isinstance(finding.observed, float) and ask.clause in (finding.clause, *_explained(ask, step, finding)):
            return Reproduction(step, finding.observed, finding.allowed, finding.element)
    return None


def _findings(ask: Question, step: OneStep, stepped: Stepped) -> tuple[Finding, ...]:
    group = LedgerGroup(("p",), {option: ask.hyper.option(option) for option in OPTIONS}, {})
    ledger = OptimizerLedger(OPTIMIZER, {}, frozenset(), [group], steps={"p": step.earlier})
    before, after = (observe({"p": values}, {"p": step.dtype}, ask.roles) for values in (stepped.before, stepped.after))
    return judge_step(open_run(ledger, ask.dialect, ask.policy, Tally(), set()), before, after)


def _explained(ask: Question, step: OneStep, finding: Finding) -> tuple[str, ...]:
    options: Options = {name: value for name, value in step.options.items() if not isinstance(value, str)}
    program = Program(
        (Param("p", step.dtype, (1,), step.param),),
        (Create("A", (Group(("p",)),), options, "list"), SetGrad("p", step.grad), Step("A")),
    )
    return hypotheses(finding, program, ask.dialect)
