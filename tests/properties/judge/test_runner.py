"""The runner: one program on one subject, call by call, with everything let go of at the end."""

from __future__ import annotations

from typing import Any

import pytest
from programs import P, Spoilt, create, findings, program, step

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import AddParamGroup, Group, Param, SetGrad, Step
from rmspec.oracles.subject import Outcome, Raised
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import retarget, run

TWO_STEPS = program(create(), step(p=2.0), step(p=0.5))


def test_a_run_performs_every_call_of_a_program() -> None:
    """Without a finding all calls are performed, and the tally counts the program, its steps and their elements."""
    tally = Tally()
    done = run(TWO_STEPS, ReferenceSubject(), SPECIFICATION, tally=tally)
    assert (done.findings, done.calls) == ((), 5)
    assert (tally.programs, tally.steps, tally.element_checks) == (1, 2, 4)


def test_a_run_ends_where_it_can_no_longer_be_followed() -> None:
    """After an exception where none is due nothing more is performed."""
    raising = Spoilt(answer=lambda call, outcome: Outcome(Raised("E", "no")) if isinstance(call, Step) else outcome)
    done = run(TWO_STEPS, raising, SPECIFICATION)
    assert [(each.kind, each.clause, each.call) for each in done.findings] == [("raised", "step", 2)]
    assert done.calls == 3


def test_a_run_goes_on_after_a_wrong_value() -> None:
    """The next step starts from what is there, so that one fault is one finding a step."""

    def spoil(session: Any, call: Any) -> None:
        if isinstance(call, Step):
            session._params["p"].data += 1

    found = findings(TWO_STEPS, Spoilt(spoil))
    assert [(each.kind, each.call) for each in found] == [("value", 2), ("value", 4)]


def test_findings_are_in_the_order_of_the_calls() -> None:
    """A later call never comes before an earlier one."""

    def spoil(session: Any, call: Any) -> None:
        session._params["p"].data += 1

    calls = [each.call for each in findings(TWO_STEPS, Spoilt(spoil))]
    assert calls == sorted(calls)
    assert set(calls) == set(range(5))


def test_a_session_is_closed_even_where_the_subject_fails() -> None:
    """A subject that breaks down is let go of, and its error comes through."""
    closed = []

    class Failing(ReferenceSubject):
        def session(self, params: tuple[Param, ...]) -> Any:
            made = super().session(params)
            made.close = lambda: closed.append(True)  # type: ignore[method-assign]
            made.perform = self.fail  # type: ignore[method-assign]
            return made

        def fail(self, call: Any) -> Outcome:
            raise SubjectFailed("gone")

    with pytest.raises(SubjectFailed, match="gone"):
        run(TWO_STEPS, Failing(), SPECIFICATION)
    assert closed == [True]


def test_a_call_on_an_optimizer_that_is_not_there_ends_the_run() -> None:
    """Where the constructor was refused, the calls that follow say nothing."""
    refused = program(create(lr=-1.0), AddParamGroup("A", Group(("p",))), SetGrad("p", (1.0,)), Step("A"))
    assert run(refused, ReferenceSubject(), SPECIFICATION).findings == ()


@pytest.mark.parametrize(
    ("formats", "dtypes"),
    [
        (("float32", "float64", "complex64"), ["float32", "complex64"]),
        (("float16",), ["float16", "float16"]),
        (("float64", "float16"), ["float64", "float64"]),
        (("complex128", "float64"), ["float64", "complex128"]),
        (("complex128",), ["complex128", "complex128"]),
    ],
)
def test_a_program_is_retargeted_to_the_formats_there_are(formats: tuple[str, ...], dtypes: list[str]) -> None:
    """A real format becomes the first real one, a complex one the first complex one, else the first of all."""
    mixed = program(params=(P, Param("q", "complex64")))
    assert [param.dtype for param in retarget(mixed, formats).params] == dtypes
    assert retarget(mixed, ("float32", "complex64")) is mixed
