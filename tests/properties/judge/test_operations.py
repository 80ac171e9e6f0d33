"""Elementary operations of a path: each one rounded otherwise is found, by its own clause, and no correct one is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rmspec.impl.arithmetic.accuracy import OPERATIONS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy import operations as numpy_operations
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties import check
from rmspec.properties.judge.findings import Tally
from rmspec.properties.judge.runner import judge
from rmspec.properties.search import operations as search

CLAUSE = "operation-rounding"

Change = Callable[[str, np.ndarray], np.ndarray]


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Change], None]:
    """Change the results of NumPy's operations; few inputs are enough."""
    monkeypatch.setattr(search, "INPUTS", 400)
    correct = numpy_operations.evaluator

    def install(change: Change) -> None:
        def evaluator(*arguments: Any) -> Any:
            evaluate = correct(*arguments)
            return lambda names, arrays: {name: change(name, array) for name, array in evaluate(names, arrays).items()}

        monkeypatch.setattr(numpy_operations, "evaluator", evaluator)

    return install


def further(array: np.ndarray) -> np.ndarray:
    """The next number of the format."""
    if array.dtype.name == "bfloat16":
        return (array.view(np.uint16) + 1).view(array.dtype)
    return np.nextafter(array, np.inf, dtype=array.dtype)


def only(operation: str, format: str = "") -> Change:
    return lambda name, array: further(array) if name == operation and format in ("", array.dtype.name) else array


def programs(*formats: str) -> list[Program]:
    return list(search.operation_programs(formats or ("float32", "float64", "float16", "bfloat16", "complex64")))


def findings(program: Program, policy: str = "strict") -> tuple[Any, ...]:
    return judge(perform(program, ReferenceSubject()), SPECIFICATION, policy=POLICIES[policy]).findings


def test_correct_operations_have_no_finding(changed: Callable[[Change], None]) -> None:
    """In every real format; all of them are counted."""
    changed(lambda name, array: array)
    asked = programs()
    assert [program.params[0].dtype for program in asked] == ["float32", "float64", "float16", "bfloat16"]
    for program in asked:
        tally = Tally()
        assert judge(perform(program, ReferenceSubject()), SPECIFICATION, tally=tally).findings == ()
        assert {operation for operation, _ in tally.operations} == set(OPERATIONS)
        assert tally.checks[CLAUSE] > 1500
        assert CLAUSE not in tally.failed


@pytest.mark.parametrize("format", ["float32", "float64", "float16", "bfloat16"])
@pytest.mark.parametrize("operation", ["add", "divide", "sqrt"])
def test_a_result_beside_the_nearest_is_found(operation: str, format: str, changed: Callable[[Change], None]) -> None:
    """By the clause on operations, with the operation and its operands; a product is an operand as well."""
    changed(only(operation))
    (finding,) = findings(*programs(format))
    assert (finding.kind, finding.clause, finding.role) == ("operation", CLAUSE, operation)
    assert f" in {format} is off by " in finding.summary
    assert len(finding.operands) == 3


def test_a_wrong_product_is_found(changed: Callable[[Change], None]) -> None:
    """In each of the two calls that multiply."""
    changed(only("multiply"))
    assert {finding.role for finding in findings(*programs("float32"))} == {"multiply"}


@pytest.mark.parametrize("operation", ["divide", "sqrt"])
def test_a_policy_allows_what_it_states(operation: str, changed: Callable[[Change], None]) -> None:
    """Two units in a quotient or a root, and none more; of a sum nothing."""
    changed(only(operation))
    assert findings(*programs("float32"), policy="approximate-division") == ()
    changed(lambda name, array: further(further(array)) if name == "add" else array)
    assert {finding.role for finding in findings(*programs("float32"), policy="approximate-division")} == {"add"}


def test_flushed_subnormal_numbers_are_counted_alone(changed: Callable[[Change], None]) -> None:
    """Steps decide on them, under another clause."""
    tiny = np.finfo(np.float32).smallest_normal
    changed(lambda name, array: np.where(np.abs(array) < tiny, np.float32(0), array).astype(array.dtype))
    tally = Tally()
    (program,) = programs("float32")
    assert judge(perform(program, ReferenceSubject()), SPECIFICATION, tally=tally).findings == ()
    assert tally.operations["multiply", "float32"].lost > 0


def test_a_wrong_operation_is_a_deviation_of_its_own(changed: Callable[[Change], None]) -> None:
    """Of one number, with a script; all else conforms, judged with the root as it is."""
    changed(lambda name, array: further(array) if name == "sqrt" and array.dtype == np.float32 else array)
    result = check(ReferenceSubject(), profile="smoke", formats=["float32"], programs=())
    (deviation,) = result.deviations
    assert (deviation.clause, deviation.kind, deviation.known) == (CLAUSE, "operation", None)
    assert [param.shape for param in deviation.program.params] == [(1,), (1,)]
    assert result.evidence is not None
    (root,) = (measured for measured in result.evidence.operations if measured.operation == "sqrt")
    assert (root.format, root.allowed, root.promise) == ("float32", 1.5, "")
    assert 1.4 < root.accuracy.worst <= 1.5
    script = standalone_script(replace(deviation, framework="torch"))
    assert script is not None
    assert "torch.sqrt(x)" in script


def test_what_is_wrong_and_not_inexact_fits_no_policy(changed: Callable[[Change], None]) -> None:
    """A root that is doubled is no slack for anything else."""
    changed(lambda name, array: array * 2 if name == "sqrt" else array)
    result = check(ReferenceSubject(), profile="smoke", formats=["float32"], programs=())
    assert {deviation.clause for deviation in result.deviations} == {CLAUSE}
    assert result.evidence is not None
    assert {measured.allowed for measured in result.evidence.operations} == {0.5}


def test_operations_are_left_out_on_demand(changed: Callable[[Change], None]) -> None:
    """Nothing is measured, nothing claimed."""
    changed(only("sqrt"))
    result = check(ReferenceSubject(), profile="smoke", formats=["float32"], programs=(), without=["operations"])
    (clause,) = (clause for clause in result.clauses if clause.id == CLAUSE)
    assert (clause.verdict, clause.reason) == ("not-checked", "left out with --without")
    assert result.evidence is None
