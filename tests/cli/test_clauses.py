"""``rmspec clauses``: the list, and one clause explained with a fault that breaks it; what is stored for it still holds."""

import json
import subprocess
import sys
from contextlib import nullcontext

import pytest

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.faults import FAULTS
from rmspec.reports.cli.clauses import examples, explain_clause
from rmspec.reports.cli.main import main

EXAMPLES = examples()
BY_ID = {fault.id: fault for fault in FAULTS}


def test_one_clause_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """Its text and source, what mends it, the source of a fault, a script that fails on it, and the command that finds it."""
    assert main(["clauses", "momentum-lr"]) == 0
    out = capsys.readouterr().out
    row = CLAUSES["momentum-lr"]
    flat = " ".join(out.split())
    for part in (row.title, row.text, row.mend, f"On the page: {row.source}."):
        assert part in flat
    fault = BY_ID[EXAMPLES["momentum-lr"]["fault"]]
    assert f"class {fault.attr}(" in out
    assert f"rmspec check {fault.subject} --profile smoke" in out
    assert "assert " in out
    assert len(out.splitlines()) < 60


def test_the_reading_stands_where_the_page_is_silent() -> None:
    """A reading is not passed off as the page's own words, and a clause that is only observed says so."""
    assert "  The page is silent; read as: the symbols" not in explain_clause("descent")
    assert "The page is silent; read as:" in explain_clause("scalar-precision")
    assert "It is observed, and never fails a run." in explain_clause("failed-step")


def test_an_unknown_id_names_the_closest(capsys: pytest.CaptureFixture[str]) -> None:
    """It is bad input: exit code 2."""
    assert main(["clauses", "momentum-ir"]) == 2
    assert "did you mean momentum-lr?" in capsys.readouterr().err


def test_the_list_names_the_way_to_more(capsys: pytest.CaptureFixture[str]) -> None:
    """Every clause is listed; as JSON with what mends it, and one alone with its fault."""
    assert main(["clauses"]) == 0
    listed = capsys.readouterr().out
    assert all(f"{id}: " in listed for id in CLAUSES)
    assert listed.endswith("rmspec clauses ID explains one of them.\n")
    assert main(["clauses", "--json"]) == 0
    assert [row["mend"] for row in json.loads(capsys.readouterr().out)["clauses"]] == [c.mend for c in CLAUSES.values()]
    assert main(["clauses", "update", "--json"]) == 0
    [row] = json.loads(capsys.readouterr().out)["clauses"]
    assert row["fault"]["script"] == EXAMPLES["update"]["script"]


def test_every_clause_says_what_mends_it() -> None:
    """In a sentence."""
    assert [id for id, row in CLAUSES.items() if not (row.mend.endswith(".") and 20 < len(row.mend) < 200)] == []


def test_no_framework_is_imported() -> None:
    """The explanation is data: it is printed where torch is not installed."""
    code = (
        "import sys; from rmspec.reports.cli.main import main; main(['clauses', 'momentum-lr'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_every_clause_with_a_fault_has_an_example() -> None:
    """And the example's fault is one that must be caught by that clause: else run python tests/bench/stored.py examples."""
    assert {fault.clauses[0] for fault in FAULTS} == set(EXAMPLES)
    assert [id for id, example in EXAMPLES.items() if BY_ID[example["fault"]].clauses[0] != id] == []


@pytest.mark.parametrize("id", EXAMPLES)
def test_a_script_fails_on_its_fault_and_on_no_correct_optimizer(id: str) -> None:
    """The stored script is run on the fault, and on the correct optimizer that the fault derives from."""
    pytest.importorskip("torch")
    script, fault = EXAMPLES[id]["script"], BY_ID[EXAMPLES[id]["fault"]]
    assert f"from {fault.module} import {fault.attr}\n" in script
    with pytest.raises((Exception, SystemExit)):
        exec(script, {})
    if fault.dialect == "torch":
        bases = {"for-loop": "LoopRMSprop", "foreach": "ForeachRMSprop", "differentiable": "DifferentiableRMSprop"}
        correct = bases[fault.switch if fault.switch == "differentiable" else fault.path]
        mended = script.replace(
            f"RMSprop = {fault.attr}\n", f"from rmspec.oracles.faults.base import {correct} as RMSprop\n"
        )
        # A parameter that is listed twice may be refused as well as stepped once: the script ends there.
        with pytest.raises(SystemExit, match="None") if id == "duplicate-in-group" else nullcontext():
            exec(mended, {})
