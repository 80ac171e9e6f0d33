"""The quality of the suite: every fault is caught, named, reduced, and shown in a script of its own.

Each fault is checked once, as ``rmspec check --fail-fast`` does with the programs of ``smoke``; what was found is in a folder
that the workers of a run share. The tests at the end read what is there and check what is missing, so that they hold
alone as well.
"""

from __future__ import annotations

import ast
import functools
import json
import math
import os
import statistics
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scripts import executed

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.oracles.scripting.lines import MAX_LINES
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import examine, generated
from rmspec.properties.events import DeviationFound
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

from rmspec.oracles.faults.base import (  # noqa: E402 - needs torch
    DifferentiableRMSprop,
    ForeachRMSprop,
    LoopRMSprop,
    SwitchedRMSprop,
)

Record = dict[str, Any]


class Maximizing(LoopRMSprop):
    """The correct optimizer of the dialect torch-maximize."""

    def _gradient(self, p):
        return -super()._gradient(p)


def mended(fault: Fault) -> type:
    """The correct optimizer that a fault derives from."""
    if fault.switch:
        return DifferentiableRMSprop if fault.switch == "differentiable" else SwitchedRMSprop
    if fault.dialect == "torch-maximize":
        return Maximizing
    return LoopRMSprop if fault.path == "for-loop" else ForeachRMSprop


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer, and the workers share the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def programs() -> tuple[Program, ...]:
    """The programs of the search: the same for every fault, so generated once in a worker."""
    return generated(Settings(profile="smoke"))


def examined(fault: Fault) -> Record:
    """What a check of the fault finds first, as plain data; ``caught`` is false where it finds nothing."""
    settings = Settings(
        profile="ci",
        programs=programs(),
        fail_fast=True,
        baseline="none" if fault.inherited else None,
        dialect=fault.dialect,
    )
    for event in examine(load(fault.subject), settings):
        if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard:
            found = event.deviation
            return {
                "caught": True,
                "clause": found.clause,
                "summary": found.summary,
                "calls": len(found.program.calls),
                "params": len(found.program.params),
                "elements": sum(math.prod(param.shape) for param in found.program.params),
                "script": standalone_script(found),
            }
    return {"caught": False}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the workers of this run keep what they found."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "faults"
    shared.mkdir(exist_ok=True)
    return shared


def recorded(fault: Fault, folder: Path) -> Record:
    """The record of a fault, from the folder if a worker has left it there."""
    path = folder / f"{fault.id}.json"
    if not path.exists():
        found = examined(fault)
        draft = folder / f"{fault.id}.{os.getpid()}"
        draft.write_text(json.dumps(found), encoding="utf-8")
        draft.replace(path)
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


@pytest.fixture(scope="module")
def records(folder: Path) -> dict[str, Record]:
    """The records of all faults; those that are missing are made from the end, where no other worker is at work yet."""
    return {fault.id: recorded(fault, folder) for fault in reversed(FAULTS)}


def imported(script: str) -> set[str]:
    """The modules that a script imports."""
    found = set()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")
    return found


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_a_fault_is_caught_and_its_script_shows_it(fault: Fault, folder: Path) -> None:
    """It is caught; the script has few lines, imports torch and the faulty class alone, fails on it, and passes on a mended one."""
    found = recorded(fault, folder)
    assert found["caught"]

    script = found["script"]
    line = f"from {fault.module} import {fault.attr}"
    assert len(script.splitlines()) <= MAX_LINES == 25
    assert script.count(line) == 1
    assert {name for name in imported(script) if name.startswith("rmspec")} == {fault.module}
    assert imported(script) - {fault.module} <= {"torch", "contextlib", "copy", "io", "pickle"}

    failure, printed = executed(script)
    assert isinstance(failure, AssertionError | SystemExit) or found["summary"].startswith("it raised"), (
        script,
        failure,
    )
    assert failure is not None
    assert not isinstance(failure, NameError | SyntaxError), (script, printed)

    whole = script.replace(line, f"from {__name__} import {mended(fault).__name__} as {fault.attr}")
    failure, printed = executed(whole)
    if failure is not None:
        # Some readings of the page are kept by a refusal, too.
        assert fault.inherited, (script, failure, printed)
        assert isinstance(failure, ValueError), (script, failure, printed)


def test_nearly_all_faults_are_attributed_to_their_clause(records: dict[str, Record]) -> None:
    """At least 97 in 100 are caught by one of the clauses that its decorator names."""
    wrong = {
        fault.id: (found.get("clause"), *fault.clauses)
        for fault in FAULTS
        if (found := records[fault.id]).get("clause") not in fault.clauses
    }
    assert len(wrong) <= 0.03 * len(FAULTS), wrong


def test_nearly_all_elementwise_faults_are_reduced_to_one_element(records: dict[str, Record]) -> None:
    """At least 95 in 100 of the faults that one element can show are shown by one parameter of one element."""
    elementwise = [fault for fault in FAULTS if fault.elementwise]
    larger = {
        fault.id: (found.get("params"), found.get("elements"))
        for fault in elementwise
        if (found := records[fault.id]).get("params") != 1 or found["elements"] != 1
    }
    assert len(larger) <= 0.05 * len(elementwise), larger


def test_counterexamples_are_short(records: dict[str, Record]) -> None:
    """Half of them have at most four calls, nearly all at most six, and none more than twelve."""
    calls = {fault.id: records[fault.id].get("calls", math.inf) for fault in FAULTS}
    assert statistics.median(calls.values()) <= 4
    assert statistics.quantiles(calls.values(), n=100)[94] <= 6, sorted(calls.items(), key=lambda each: -each[1])[:20]
    assert max(calls.values()) <= 12, sorted(calls.items(), key=lambda each: -each[1])[:5]


ELSEWHERE = {
    "sparse-rows",
    "operation-rounding",
    *(id for id, clause in CLAUSES.items() if clause.kind == "differential"),
}
"""Proved by faults in test_sparse.py, test_operations.py and test_differential.py of tests/properties/judge: torch takes no sparse
gradients, a class has the operations of its framework, and what breaks the relation between two dialects breaks a clause of its
own dialect first."""


def test_every_gating_clause_has_a_fault_that_it_is_to_catch() -> None:
    """No clause that can fail a run is without a fault whose decorator names it first."""
    gating = {id for id, clause in CLAUSES.items() if clause.gates} - ELSEWHERE
    assert gating <= {fault.clauses[0] for fault in FAULTS}


def test_every_gating_clause_catches_a_fault(records: dict[str, Record]) -> None:
    """Each of them is the clause by which at least one fault is caught in fact."""
    caught = {records[fault.id].get("clause") for fault in FAULTS}
    assert {id for id, clause in CLAUSES.items() if clause.gates} - ELSEWHERE <= caught


@pytest.mark.parametrize("attr", ["LoopRMSprop", "ForeachRMSprop"])
def test_the_optimizers_that_faults_derive_from_have_none(attr: str) -> None:
    """What a fault changes is correct before it: its base class has no deviation of its own, and inherits torch's scalars alone."""
    assert hasattr(import_module("rmspec.oracles.faults.base"), attr)
    found = [
        (event.deviation.known, event.deviation.clause, event.deviation.summary)
        for event in examine(load(f"rmspec.oracles.faults.base:{attr}"), Settings(profile="ci", programs=programs()))
        if isinstance(event, DeviationFound) and not event.deviation.hazard
    ]
    inherited = {("inherited:torch", "scalar-precision"), ("inherited:torch:foreach", "scalar-precision")}
    assert [each for each in found if each[:2] not in inherited] == []
