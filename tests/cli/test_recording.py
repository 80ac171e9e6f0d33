"""``rmspec repro RECORDING``: the first deviating step and element of a real run, and a script that shows it."""

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commandline import rmspec
from scripts import executed

torch = pytest.importorskip("torch")

from training import loaded, network, train  # noqa: E402

from rmspec.properties import record  # noqa: E402


@pytest.fixture
def classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Optimizers whose fault comes late, in a file of the current directory."""
    monkeypatch.chdir(tmp_path)
    return loaded(tmp_path)


def record_run(optimizer: Any, model: Any, steps: int, **arguments: Any) -> None:
    with record(optimizer, "run", named_parameters=model.named_parameters(), **arguments):
        train(torch, model, optimizer, steps)


def script_of(out: str) -> str:
    lines = out.partition("or with this script (not run):\n")[2].splitlines()
    return "\n".join(line.removeprefix("    ") for line in lines if line.startswith("    ")) + "\n"


def document(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    schema = json.loads((files("rmspec.reports") / "schemas" / "recording-report-1.json").read_text("utf-8"))
    jsonschema.Draft202012Validator(schema).validate(found)
    return found


def test_a_fault_at_step_700_is_pinned_to_it(tmp_path: Path, classes: dict[str, Any]) -> None:
    """The step, the parameter and the element are named, and the printed script fails by its assertion, without rmspec."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), lr=0.003, start=700), model, 720)
    ran = rmspec(tmp_path, "repro", "run", "--subject", "late.py:Late", "--json", "report.json")
    assert ran.code == 1, ran.err
    assert ran.out.startswith("run: DEVIATES at step 700: eps-placement\n")
    first = document(tmp_path / "report.json")["deviations"][0]
    assert (first["step"], first["param"].split(".")[0] in "02") == (700, True)
    assert f"(step 700, {first['param']}, element {first['element']})" in ran.out
    script = script_of(ran.out)
    assert script == first["script"]
    assert len(script.splitlines()) <= 25
    assert "rmspec" not in script
    failure, printed = executed(script)
    assert isinstance(failure, AssertionError)
    assert f"observed {first['observed']!r}" in printed


def test_a_fault_that_counts_out_of_sight_is_reproduced_by_counting(tmp_path: Path, classes: dict[str, Any]) -> None:
    """As many steps as the run had made go before the one that shows it."""
    model = network(torch)
    record_run(classes["Unseen"](model.parameters(), lr=0.003), model, 50)
    ran = rmspec(tmp_path, "repro", "run", "--subject", "late.py:Unseen")
    assert ran.out.startswith("run: DEVIATES at step 40: eps-placement\n")
    script = script_of(ran.out)
    assert "for _ in range(39): A.step()" in script
    assert isinstance(executed(script).failure, AssertionError)


def test_a_correct_recording_is_exit_code_0(tmp_path: Path, classes: dict[str, Any]) -> None:
    """It says what was verified, and how much."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), start=10_000), model, 30)
    ran = rmspec(tmp_path, "repro", "run", "--json", "-")
    assert ran.code == 0, ran.err
    assert ran.err.startswith("run: conforms\n  late.Late: 30 recorded steps, 1 to 30 of 30\n")
    found = json.loads(ran.out)
    assert (found["verdict"], found["element_checks"]) == ("conforms", 30 * 2 * (64 + 16 + 64 + 10))


def test_another_dialect_is_compared_with(tmp_path: Path, classes: dict[str, Any]) -> None:
    """What deviates from the specification conforms to the dialect that it speaks."""
    model = network(torch)
    record_run(classes["Late"](model.parameters()), model, 5)
    assert rmspec(tmp_path, "repro", "run").code == 1
    ran = rmspec(tmp_path, "repro", "run", "--dialect", "tensorflow")
    assert (ran.code, "dialect tensorflow" in ran.out) == (0, True), ran.err


def test_a_class_that_is_gone_is_refused_and_named_where_it_is(tmp_path: Path, classes: dict[str, Any]) -> None:
    """A name without a class is refused, and --subject says where the class is now."""
    model = network(torch)
    record_run(classes["Late"](model.parameters()), model, 3)
    (tmp_path / "late.py").rename(tmp_path / "moved.py")
    ran = rmspec(tmp_path, "repro", "run", "--subject", "late.py:Late")
    assert ran.code == 2
    assert "there is no file late.py" in ran.err
    ran = rmspec(tmp_path, "repro", "run/recording.json", "--subject", "moved.py:Late")
    assert "runpy.run_path('moved.py')['Late']" in ran.out


def test_a_recording_starts_nothing(tmp_path: Path, classes: dict[str, Any]) -> None:
    """The deviation is told without a script, and with the line to type for one."""
    model = network(torch)
    record_run(classes["Late"](model.parameters()), model, 3)
    (tmp_path / "late.py").write_text("open('started', 'w').close()\n")
    ran = rmspec(tmp_path, "repro", "run")
    assert ran.code == 1
    words = " ".join(ran.out.split())
    assert (
        "no script: late.py:Late is not registered; what is read starts nothing, and this would import the file"
        in words
    )
    assert "rmspec repro run --subject late.py:Late" in words
    assert not (tmp_path / "started").exists()


def test_what_was_switched_on_elsewhere_has_no_script(tmp_path: Path, classes: dict[str, Any]) -> None:
    """A fault that a fresh optimizer of the class does not have is told, and that it has not."""
    model = network(torch)
    optimizer = classes["Late"](model.parameters(), start=10_000)
    optimizer.register_step_post_hook(lambda *_: optimizer.state[model[0].bias]["square_avg"].mul_(2))
    record_run(optimizer, model, 3)
    ran = rmspec(tmp_path, "repro", "run", "--subject", "late.py:Late")
    assert (ran.code, ran.out.splitlines()[0]) == (1, "run: DEVIATES at step 1: square-avg")
    assert "something outside of its state" in " ".join(ran.out.split())


def test_a_step_that_shows_no_state_is_inconclusive(tmp_path: Path, classes: dict[str, Any]) -> None:
    """A step that does nothing is inside of what unknown state allows: that is no pass, but exit code 5."""
    model = network(torch)

    class Idle(classes["Late"]):  # type: ignore[misc,name-defined]
        def step(self, closure: Any = None) -> None:
            return None

    record_run(Idle(model.parameters()), model, 3)
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, ran.out.startswith("run: inconclusive: the optimizer's state cannot be seen")) == (5, True)


def test_nothing_recorded_is_exit_code_5(tmp_path: Path, classes: dict[str, Any]) -> None:
    """A recording without a step verifies nothing, and says so."""
    model = network(torch)
    record_run(classes["Late"](model.parameters()), model, 0)
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, ran.out.splitlines()[0]) == (5, "run: nothing could be checked")


def test_a_gap_before_the_deviation_is_told(tmp_path: Path, classes: dict[str, Any]) -> None:
    """The steps that are missing, and that the first deviation may be among them."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), lr=0.003, start=150), model, 300)
    (tmp_path / "run" / "chunk-000002.safetensors").unlink()
    ran = rmspec(tmp_path, "repro", "run", "--json", "report.json")
    assert ran.code == 1, ran.err
    assert ran.out.startswith("run: DEVIATES at step 201: eps-placement\n")
    assert "  steps 101 to 200 are missing: chunk-000002.safetensors is not there\n" in ran.out
    assert "  the first deviation may lie in the steps that are lost before step 201\n" in ran.out
    found = document(tmp_path / "report.json")
    assert [(each["first"], each["last"]) for each in found["steps_lost"]] == [(101, 200)]
    assert found["complete"] is False


def test_a_chunk_that_is_cut_off_is_named(tmp_path: Path, classes: dict[str, Any]) -> None:
    """It is not taken for steps that made room for others, and what is left conforms as far as it goes."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), start=10_000), model, 130)
    chunks = [tmp_path / "run" / f"chunk-00000{number}.safetensors" for number in (1, 2)]
    os.truncate(chunks[0], 300)
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, "max_bytes" in ran.out) == (0, False), ran.err
    assert ran.out.startswith("run: conforms, as far as it can be read\n  late.Late: 30 recorded steps, 101 to 130")
    assert "  steps 1 to 100 are lost: chunk-000001.safetensors is cut off\n" in ran.out
    os.truncate(chunks[0], 0)
    os.truncate(chunks[1], 0)
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, ran.out.splitlines()[0]) == (5, "run: nothing could be checked")
    assert "steps 1 to 130 are lost: chunk-000001.safetensors, chunk-000002.safetensors are cut off" in " ".join(
        ran.out.split()
    )


def test_steps_that_made_room_are_told_as_such(tmp_path: Path, classes: dict[str, Any]) -> None:
    """With the size that they were dropped for; nothing is missing then."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), start=10_000), model, 300, max_bytes=200_000)
    ran = rmspec(tmp_path, "repro", "run", "--json", "-")
    assert ran.err.startswith("run: conforms\n")
    found = json.loads(ran.out)
    assert f"steps before {found['steps']['first']} were dropped to stay within max_bytes=200,000" in ran.err
    assert found["complete"] is True


def test_a_damaged_chunk_is_refused(tmp_path: Path, classes: dict[str, Any]) -> None:
    """Exit code 2 and the name of the file: the optimizer is not to blame."""
    model = network(torch)
    record_run(classes["Late"](model.parameters(), start=10_000), model, 30)
    chunk = tmp_path / "run" / "chunk-000001.safetensors"
    data = bytearray(chunk.read_bytes())
    data[len(data) * 2 // 3] ^= 0xFF
    chunk.write_bytes(data)
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("rmspec: run/chunk-000001.safetensors is damaged: what it holds of step ")
    assert "move it out of the folder to verify the other chunks" in ran.err


def test_a_hazard_fails_where_it_is_asked_for(tmp_path: Path, classes: dict[str, Any]) -> None:
    """NaN that the formula admits is listed, and fails with --fail-on hazards alone."""
    p = torch.full((4096,), 1.0, requires_grad=True)
    optimizer = torch.optim.RMSprop([p], centered=True, alpha=0.5)
    with record(optimizer, "run", elements=None):
        for _ in range(30):
            p.grad = torch.linspace(0.1, 0.9, 4096)
            optimizer.step()
    ran = rmspec(tmp_path, "repro", "run")
    assert (ran.code, "hazard: centered-variance" in ran.out) == (0, True), ran.out
    assert rmspec(tmp_path, "repro", "run", "--fail-on", "hazards").code == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere",), "cannot read nowhere"),
        ((".",), "is no recording"),
        (("run", "--dialect", "torhc"), "did you mean torch?"),
        (("run", "--baseline", "torch"), "--baseline is for stored programs"),
        (("run", "--json", "no/where.json"), "there is no folder"),
    ],
)
def test_bad_input_is_exit_code_2(
    tmp_path: Path, classes: dict[str, Any], arguments: tuple[str, ...], words: str
) -> None:
    """One message, and no traceback."""
    model = network(torch)
    record_run(classes["Late"](model.parameters()), model, 1)
    ran = rmspec(tmp_path, "repro", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
