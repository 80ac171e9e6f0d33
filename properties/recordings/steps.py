"""One recorded step as a transcript: a call of ``step`` on an optimizer made earlier, judged like every other call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Answer, Transcript
from rmspec.oracles.program.program import Program, Step
from rmspec.oracles.subject import OPTIONS, Observation, Outcome
from rmspec.properties.judge.conformance import continue_run
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.ledger import OptimizerLedger

__all__ = ["OPTIMIZER", "judge_step", "observe", "open_run"]

OPTIMIZER = "A"
"""The name of the recorded optimizer in its transcripts."""

_STEP = Program((), (Step(OPTIMIZER),))


def observe(
    values: Mapping[str, Mapping[str, NDArray[Any]]], formats: Mapping[str, str], roles: Mapping[str, str]
) -> Observation:
    """Convert recorded values to an observation. ``formats`` are those of the parameters, ``roles`` maps names of their state."""
    return Observation(
        {name: arrays["param"].view(FORMATS[formats[name]].dtype) for name, arrays in values.items()},
        {name: arrays.get("grad") for name, arrays in values.items()},
        {},
        {
            OPTIMIZER: {
                name: {
                    role: arrays[f"state/{key}"]
                    for key, role in roles.items()
                    if f"state/{key}" in arrays and arrays[f"state/{key}"].size == arrays["param"].size
                }
                for name, arrays in values.items()
            }
        },
        {},
    )


def open_run(
    ledger: OptimizerLedger, dialect: Dialect, policy: Policy, tally: Tally, skipped: set[tuple[str, str]]
) -> Followed:
    """A run at a step of the optimizer of ``ledger``; ``skipped`` are the parameters passed over by earlier steps."""
    return Followed(_STEP, dialect, policy, tally, frozenset(OPTIONS), {OPTIMIZER: ledger}, skipped=skipped)


def judge_step(run: Followed, before: Observation, after: Observation) -> tuple[Finding, ...]:
    """Judge one step of an open run, and bring its ledger up to date."""
    answers = (Answer(Outcome(), after),)
    return continue_run(run, Transcript(_STEP, before, answers, frozenset(OPTIONS), run.carried)).findings
