"""Performing: a transcript says what happened, knows no specification, and can be judged again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from programs import P, Spoilt, create, program, step

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import AddParamGroup, Group, Param, Save, SetGrad, Step
from rmspec.oracles.subject import Outcome, Raised
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import judge, run

TWO_STEPS = program(create(), step(p=2.0), step(p=0.5))


def test_a_transcript_holds_an_answer_to_every_call() -> None:
    """Where nothing raises, each call has its outcome and the observation after it."""
    transcript = perform(TWO_STEPS, ReferenceSubject())
    assert len(transcript.answers) == len(TWO_STEPS.calls)
    assert transcript.failure is None
    assert transcript.start.params["p"] == 1.0
    assert transcript.answers[-1].after.params["p"] < 1.0


def test_nothing_is_performed_after_an_exception_of_a_step() -> None:
    """Of an optimizer whose step has raised nobody promises anything."""
    raising = Spoilt(answer=lambda call, outcome: Outcome(Raised("E", "no")) if isinstance(call, Step) else outcome)
    assert len(perform(TWO_STEPS, raising).answers) == 3


def test_a_refusal_ends_nothing() -> None:
    """Groups are added in order to be refused; the program goes on after that."""
    refused = program(create(), AddParamGroup("A", Group(("p",))), step(p=1.0))
    transcript = perform(refused, ReferenceSubject())
    assert transcript.answers[1].outcome.raised
    assert len(transcript.answers) == len(refused.calls)


def test_what_a_call_leaves_alone_is_kept_once() -> None:
    """A long program on a wide tensor takes no more memory than what its calls change."""
    wide = program(create(), SetGrad("p", (1.0,)), Step("A"), Save("A", "s"), params=(Param("p", "float32", (1000,)),))
    transcript = perform(wide, ReferenceSubject())
    arrays = [each.after.params["p"] for each in transcript.answers]
    assert arrays[0] is arrays[1]
    assert arrays[2] is not arrays[1]
    assert arrays[3] is arrays[2]


def test_one_transcript_is_judged_under_two_dialects() -> None:
    """Judging runs nothing: what conforms to one dialect deviates from another, in the same transcript."""
    options = {"lr": 0.125, "alpha": 0.75, "eps": 0.25, "weight_decay": 0.0, "momentum": 0.0, "centered": False}
    sharp = program(create(**options), step(p=1.0))
    transcript = perform(sharp, ReferenceSubject())
    assert judge(transcript, SPECIFICATION).findings == ()
    assert [each.clause for each in judge(transcript, DIALECTS["tensorflow"]).findings] == ["update"]
    assert judge(transcript, SPECIFICATION).findings == ()


def test_judging_counts_what_running_counts() -> None:
    """A run is a transcript, judged."""
    first, second = Tally(), Tally()
    run(TWO_STEPS, ReferenceSubject(), SPECIFICATION, tally=first)
    judge(perform(TWO_STEPS, ReferenceSubject()), SPECIFICATION, tally=second)
    assert (first.programs, first.steps, first.checks) == (second.programs, second.steps, second.checks)


class Breaking(ReferenceSubject):
    """Fails at the step, and gives its parameter away before that where ``spoilt``."""

    def __init__(self, spoilt: bool) -> None:
        super().__init__()
        self._spoilt = spoilt

    def session(self, params: tuple[Param, ...]) -> Any:
        made = super().session(params)
        inner = made.perform

        def perform_or_break(call: Any) -> Outcome:
            if isinstance(call, Step):
                raise SubjectFailed("gone")
            return Outcome(Raised("E", "no")) if self._spoilt and isinstance(call, Save) else inner(call)

        made.perform = perform_or_break  # type: ignore[method-assign]
        return made


def test_a_failure_counts_only_where_the_run_comes_so_far() -> None:
    """A subject that breaks down fails the judgement; not so where a deviation had ended the run before."""
    plain = program(create(), SetGrad("p", (1.0,)), Step("A"), params=(P,))
    transcript = perform(plain, Breaking(spoilt=False))
    assert isinstance(transcript.failure, SubjectFailed)
    with pytest.raises(SubjectFailed, match="gone"):
        judge(transcript, SPECIFICATION)
    saving = program(create(), Save("A", "s"), Step("A"), params=(P,))
    assert [each.clause for each in judge(perform(saving, Breaking(spoilt=True)), SPECIFICATION).findings] == [
        "state-dict"
    ]


def test_observations_are_not_changed_by_judging() -> None:
    """A transcript is data: judging it leaves every array as it was."""
    transcript = perform(TWO_STEPS, ReferenceSubject())
    held = [each.after.params["p"].copy() for each in transcript.answers]
    judge(transcript, DIALECTS["tensorflow"])
    assert all(
        np.array_equal(copy, each.after.params["p"]) for copy, each in zip(held, transcript.answers, strict=True)
    )
