"""Row-sparse gradients: the rows that are named take the step, and the others stay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from remade import Faulty

from rmspec.impl.reference import RMSprop
from rmspec.impl.spec.dialect import SPECIFICATION, dialect_named
from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.numpy.subject import ReferenceSession, ReferenceSubject
from rmspec.oracles.program.program import (
    Create,
    Group,
    Param,
    Program,
    SetGrad,
    Step,
    from_json,
    gradient,
    named_rows,
    to_json,
)
from rmspec.properties.check import check
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import run

ROWS = dialect_named("tensorflow-op")
OPTIONS: dict[str, Any] = {"lr": 0.125, "alpha": 0.75, "eps": 0.0625, "momentum": 0.5}


def program(*grads: SetGrad, shape: tuple[int, ...] = (4, 2)) -> Program:
    """A step after each gradient."""
    calls = [call for grad in grads for call in (grad, Step("A"))]
    param = Param("p", "float32", shape, (2.0, 0.5, -3.0))
    return Program((param,), (Create("A", (Group(("p",)),), dict(OPTIONS), "list"), *calls))


class Touching(RMSprop):
    """Steps every row, with a gradient of 0 where a sparse one names none."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for param in group["params"]:
                param.rows = None
        return super().step(closure)


class Moving(RMSprop):
    """Leaves the averages of the other rows alone, and decays their parameter."""

    def step(self, closure: Any = None) -> Any:
        returned = super().step(closure)
        for group in self.param_groups:
            for param in group["params"]:
                if param.rows is not None and param.grad is not None:
                    others = np.setdiff1d(np.arange(param.data.shape[0]), param.rows)
                    param.data[others] *= np.float32(0.5)
        return returned


class Hidden(ReferenceSubject):
    """The reference with its state out of sight."""

    def __init__(self) -> None:
        super().__init__(ROWS)

    def session(self, params: tuple[Param, ...]) -> ReferenceSession:
        session = super().session(params)
        seen = session.observe
        session.observe = lambda: replace(seen(), state={}, slots={})  # type: ignore[method-assign]
        return session


def clauses(subject: ReferenceSubject, tried: Program) -> list[str]:
    """The clauses of what a program shows."""
    return [finding.clause for finding in run(tried, subject, ROWS).findings if not finding.hazard]


TWO = (SetGrad("p", (0.5, -2.0)), SetGrad("p", (2.0, 1.0, -0.5), rows=(1, 3)), SetGrad("p", (1.0,), rows=(0,)))


def test_a_gradient_is_dense_with_zeros_in_the_rows_that_it_does_not_name() -> None:
    """Its values are those of the whole shape; a row that is named twice counts twice; one that is not there is left out."""
    call = SetGrad("p", (1.0, 2.0, 3.0), rows=(2, 0, 2, 9))
    dense = gradient(call, "float32", (3,))
    assert dense is not None
    assert dense.tolist() == [1.0, 0.0, 6.0]
    assert named_rows(call, (3,)) == (2, 0, 2)
    assert named_rows(call, ()) is None
    assert gradient(SetGrad("p", None, rows=(0,)), "float32", (3,)) is None


def test_rows_survive_the_json_form() -> None:
    """A stored program has the rows that it was written with."""
    tried = program(*TWO)
    assert from_json(to_json(tried)) == tried


def test_a_negative_row_is_refused() -> None:
    """Rows count from 0."""
    data = to_json(program(SetGrad("p", (1.0,), rows=(1,))))
    data["calls"][1]["rows"] = [-1]
    with pytest.raises(MalformedProgram, match="minimum"):
        from_json(data)


def test_the_reference_steps_the_named_rows_alone_where_its_dialect_says_so() -> None:
    """In the specification's dialect the others are stepped with a gradient of 0: their average decays."""
    rows, dense = [], []
    for dialect, seen in ((ROWS, rows), (SPECIFICATION, dense)):
        session = ReferenceSubject(dialect).session(program(*TWO).params)
        for call in program(*TWO[:2]).calls:
            session.perform(call)
        seen += session.observe().state["A"]["p"]["square_avg"][:, 0].tolist()
    assert rows[0] == rows[2] == pytest.approx(0.25 * 0.25)
    assert dense[0] == dense[2] == pytest.approx(0.75 * rows[0])
    assert rows[1] == dense[1]


@pytest.mark.parametrize("subject", [ReferenceSubject(ROWS), Hidden()], ids=["seen", "hidden"])
@pytest.mark.parametrize("shape", [(4, 2), (4,), (1,), (5, 1, 2)], ids=str)
def test_a_correct_sparse_step_passes(subject: ReferenceSubject, shape: tuple[int, ...]) -> None:
    """Whether its state can be seen or not, and in any shape."""
    tally = Tally()
    run(program(*TWO, shape=shape), subject, ROWS, tally=tally)
    assert clauses(subject, program(*TWO, shape=shape)) == []
    assert tally.checks["sparse-rows"] > 0


@pytest.mark.parametrize("kind", [Touching, Moving])
def test_a_sparse_step_that_touches_other_rows_is_caught(kind: type[RMSprop]) -> None:
    """By the clause of sparse gradients, in the whole check, and in few calls."""
    result = check(Faulty(kind, "tensorflow-op"), profile="smoke", formats=("float32",))
    assert [each.clause for each in result.deviations] == ["sparse-rows"]
    assert len(result.deviations[0].program.calls) <= 5


def test_hidden_state_of_other_rows_is_carried_along() -> None:
    """A fault in the rows that were passed over shows when they are stepped again."""

    class Late(Hidden):
        def session(self, params: tuple[Param, ...]) -> ReferenceSession:
            session = super().session(params)
            made = session._create

            def create(call: Create) -> RMSprop:
                optimizer = made(call)
                optimizer.__class__ = Touching
                return optimizer

            session._create = create  # type: ignore[method-assign]
            return session

    zero_momentum = replace(program(*TWO), calls=(Create("A", (Group(("p",)),), {**OPTIONS, "momentum": 0.0}, "list"),))
    tried = replace(zero_momentum, calls=(*zero_momentum.calls, *program(*TWO).calls[1:]))
    assert clauses(Late(), tried) == ["momentum-update"]
    assert clauses(Hidden(), tried) == []
