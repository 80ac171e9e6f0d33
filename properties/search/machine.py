"""The state machine: Hypothesis chooses the next call of a program, against the reference alone.

The machine never sees a subject, so one seed gives the same programs for every subject, and what a subject is named or
imports cannot change its cases. Hypothesis also draws constants that it finds in imported local modules; they are sealed
off here for the same reason. The programs are executed, compared and reduced by ordinary code (``runner``).
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program
from rmspec.properties.search.builder import Builder
from rmspec.properties.search.circumstances import surround
from rmspec.properties.search.provider import sealed

__all__ = ["ProgramMachine", "generate"]


class _DrawnSource:
    """Choices from Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return int(self._data.draw(st.integers(low, high)))


class ProgramMachine(RuleBasedStateMachine):
    """Builds one program and performs each call on the reference; a subclass takes the program.

    ``finished(program)`` is called once for each program, in ``teardown``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.builder: Builder | None = None
        self._session: Any = None
        self._performed = 0

    def finished(self, program: Program) -> None:
        """Take a complete program."""

    def _follow(self, data: st.DataObject, move: str) -> None:
        builder = self._built(data)
        getattr(builder, move)()
        if self._session is None:
            self._session = ReferenceSubject().session(tuple(builder.params))
        for call in builder.calls[self._performed :]:
            self._session.perform(call)
        self._performed = len(builder.calls)

    def _built(self, data: st.DataObject) -> Builder:
        if self.builder is None:
            self.builder = Builder(_DrawnSource(data))
        self.builder.source = _DrawnSource(data)
        return self.builder

    @property
    def _open(self) -> bool:
        return self.builder is not None and not self.builder.over

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        """Declare parameters and create the first optimizers."""
        self._follow(data, "start")

    @precondition(lambda self: self._open)
    @rule(data=st.data())
    def step(self, data: st.DataObject) -> None:
        """Set gradients and step."""
        self._follow(data, "step")

    @precondition(lambda self: self._open)
    @rule(data=st.data())
    def step_again(self, data: st.DataObject) -> None:
        """Step with the gradients as they are."""
        self._follow(data, "step_again")

    @precondition(lambda self: self._open)
    @rule(data=st.data(), move=st.sampled_from(("set_option", "set_grad", "step_closure", "zero_grad", "freeze")))
    def between(self, data: st.DataObject, move: str) -> None:
        """Make a call between steps."""
        self._follow(data, move)

    @precondition(lambda self: self._open)
    @rule(data=st.data(), move=st.sampled_from(("save", "load", "load", "add_param_group", "edit_state", "copy")))
    def state(self, data: st.DataObject, move: str) -> None:
        """Save, load, edit a saved state, add a group, copy the optimizer."""
        self._follow(data, move)

    @precondition(lambda self: self._open and len(self.builder.calls) > 8)
    @rule(data=st.data())
    def refused(self, data: st.DataObject) -> None:
        """End with a call for the subject to refuse."""
        self._follow(data, "refused")

    @precondition(lambda self: self.builder is not None and self.builder.over)
    @rule()
    def nothing_more(self) -> None:
        """After a refusal nothing more can be said; a machine must still have a rule to run."""

    def teardown(self) -> None:
        """Hand over the program."""
        # Hypothesis may give up an example before its first call.
        if self.builder is not None and self.builder.calls:
            self.finished(self.builder.program("found by search"))
        if self._session is not None:
            self._session.close()


def generate(root_seed: int, count: int, *, calls: int = 14) -> tuple[Program, ...]:
    """``count`` programs of about ``calls`` rules each, a pure function of the seed and the versions."""
    programs: list[Program] = []

    class Collecting(ProgramMachine):
        def finished(self, program: Program) -> None:
            programs.append(surround(program, root_seed, len(programs)))

    limits = settings(
        max_examples=count,
        stateful_step_count=calls,
        deadline=None,
        database=None,
        derandomize=False,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    with sealed():
        # ``seed`` sets an attribute that Hypothesis reads from the class.
        run_state_machine_as_test(seed(root_seed)(Collecting), settings=limits)
    return tuple(programs[:count])
