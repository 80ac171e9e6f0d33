"""Conformance by induction: each call of a transcript against its rule, one after the other.

A rule knows what its call is for, so it knows what must change and to what (base, step), and that everything else must be
bit-identical afterwards (frame). Base, step and frame over a run imply conformance of the whole run, whatever its length.
Source: DESIGN 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Transcript
from rmspec.properties.judge.comparison import compare
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.followed import Followed
from rmspec.properties.judge.rules import expect
from rmspec.properties.judge.stepping import follow_astray

__all__ = ["Enough", "Run", "continue_run", "judge_calls"]


@dataclass(frozen=True, slots=True)
class Run:
    """One judged program: its findings, and the number of its calls up to the end of the judgement."""

    findings: tuple[Finding, ...]
    calls: int


Enough = Callable[[int, Sequence[Finding]], bool]
"""Whether to stop after a call, given its index and its findings."""


def judge_calls(
    transcript: Transcript,
    dialect: Dialect,
    policy: Policy,
    tally: Tally,
    enough: Enough | None = None,
    *,
    live: bool = False,
) -> Run:
    """Judge call by call until the run is over, or this is ``enough``. Raises the failure of the transcript if it comes first.

    A run is over after an unexpected exception, or the lack of an expected one: nobody says what is to follow.
    """
    run = Followed(transcript.program, dialect, policy, tally, transcript.carried, live=live)
    return continue_run(run, transcript, enough)


def continue_run(run: Followed, transcript: Transcript, enough: Enough | None = None) -> Run:
    """Judge a transcript in a run with optimizers from before its first call, as ``judge_calls`` does otherwise."""
    findings: list[Finding] = []
    before = transcript.start
    for index, (call, answer) in enumerate(zip(transcript.program.calls, transcript.answers, strict=False)):
        run.index = index
        expected = expect(run, call, before)
        if expected is not None and answer.outcome.astray:
            follow_astray(run, expected, answer)
            before = answer.after
            continue
        new = [] if expected is None else compare(run, expected, answer.outcome, before, answer.after)
        findings += new
        if expected is None or run.over or (enough is not None and enough(index, new)):
            return Run(tuple(findings), index + 1)
        before = answer.after
    if transcript.failure is not None:
        raise transcript.failure
    return Run(tuple(findings), len(transcript.answers))
