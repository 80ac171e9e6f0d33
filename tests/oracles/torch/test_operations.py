"""torch's elementary operations: its root on a CPU is listed, its script shows it, and a user's class inherits it."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rmspec.oracles.host.primitives import promised_accuracy
from rmspec.oracles.loader import load
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties import check
from rmspec.properties.check import replay
from rmspec.properties.known import shipped
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

(ENTRY,) = (entry for entry in shipped() if entry.id == "torch-sqrt-on-cpu")
CLAUSE = "operation-rounding"


def roots_differ() -> bool:
    """Whether torch's root is not the nearest number on this machine."""
    x = torch.linspace(1, 4, 4096)
    return bool((torch.sqrt(x) != torch.sqrt(x.double()).float()).any())


DIFFERS = pytest.mark.skipif(not roots_differ(), reason=f"torch's root is exact on this {platform.machine()}")


@DIFFERS
def test_the_witness_deviates_by_its_clause_and_its_script_shows_it() -> None:
    """As the entry says; the script fails with torch alone."""
    (deviation,) = replay(load("torch"), ENTRY.witness, Settings())
    assert (deviation.clause, deviation.known) == (CLAUSE, ENTRY.id)
    script = standalone_script(deviation)
    assert script is not None
    assert "rmspec" not in script
    on_a_gpu = standalone_script(replace(deviation, program=replace(deviation.program, device="cuda")))
    assert 'dtype=torch.float32, device="cuda")' in str(on_a_gpu)
    with pytest.raises(AssertionError, match="is not the nearest number"):
        exec(compile(script, "script.py", "exec"), {})


def test_a_correctly_rounded_root_mends_the_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the script passes with it."""
    before = replay(load("torch"), ENTRY.witness, Settings())
    correct = torch.sqrt
    monkeypatch.setattr(torch, "sqrt", lambda x: correct(x.double()).to(x.dtype))
    assert replay(load("torch"), ENTRY.witness, Settings()) == ()
    for deviation in before:
        exec(compile(str(standalone_script(deviation)), "script.py", "exec"), {})


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch.cuda.is_available() is False")
def test_a_compiled_division_on_cuda_is_listed() -> None:
    """Of torch's own division, which eager steps do rightly."""
    entry = next(entry for entry in shipped() if entry.id == "torch-compiled-divides-on-cuda")
    settings = Settings(device="cuda")
    assert replay(load("torch", device="cuda"), entry.witness, settings) == ()
    for deviation in replay(load("torch:compiled", device="cuda"), entry.witness, settings):
        assert (deviation.clause, deviation.known, deviation.role) == (CLAUSE, entry.id, "divide")
        with pytest.raises(AssertionError, match="is not the nearest number"):
            exec(compile(str(standalone_script(deviation)), "script.py", "exec"), {})


@pytest.mark.parametrize("name", ["torch", "torch:foreach"])
def test_the_operations_of_a_path_are_evidence(name: str) -> None:
    """Each operation in each real format, judged within what is documented."""
    result = check(name, profile="smoke", formats=["float32", "bfloat16"], programs=())
    assert result.evidence is not None
    measured = {(entry.operation, entry.format): entry for entry in result.evidence.operations}
    assert len(measured) == 10
    assert {entry.accuracy.off for key, entry in measured.items() if key[0] in ("add", "multiply", "divide")} == {0}
    root = measured["sqrt", "float32"]
    assert root.accuracy.worst < 1
    assert root.allowed == 1.0
    assert "oneMKL" in root.promise
    assert {deviation.known for deviation in result.deviations if deviation.clause == CLAUSE} <= {ENTRY.id}


SAME = """
import torch


class Same(torch.optim.RMSprop):
    pass
"""


def test_a_class_of_the_users_inherits_the_operations_of_its_framework(tmp_path: Path) -> None:
    """They are measured in its process, and are no deviation of its own."""
    (tmp_path / "same.py").write_text(SAME)
    result = check(f"{tmp_path / 'same.py'}:Same", profile="smoke", formats=["float32"], programs=())
    (clause,) = (clause for clause in result.clauses if clause.id == CLAUSE)
    assert (clause.verdict, clause.reason) == ("not-checked", "its operations are those of torch")
    assert result.evidence is not None
    assert {entry.operation for entry in result.evidence.operations} > {"sqrt", "divide"}
    assert not any(deviation.clause == CLAUSE for deviation in result.deviations)


@pytest.mark.parametrize(
    ("paths", "device", "operation", "format", "ulps"),
    [
        (["single-tensor"], "cpu", "sqrt", "float32", 1.0),
        (["compiled"], "cpu", "sqrt", "float32", None),
        (["single-tensor"], "cuda:0", "sqrt", "float32", None),
        (["single-tensor"], "cpu", "sqrt", "bfloat16", None),
        (["compiled"], "cuda:0", "divide", "float32", 2.0),
        (["single-tensor"], "cuda", "divide", "float32", None),
    ],
)
def test_a_promise_holds_on_its_path_device_and_format(
    paths: Any, device: str, operation: str, format: str, ulps: float | None
) -> None:
    """Nowhere else."""
    promise = promised_accuracy("torch", paths, device, operation, format)
    assert (None if promise is None else promise.ulps) == ulps
