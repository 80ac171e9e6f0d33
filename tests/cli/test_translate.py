"""``rmspec translate``: exit code 0 and a whole file, or exit code 2, one message and no file."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from checkpoints import facts, optimizer

from rmspec.impl import DIALECTS, Hyperparameters, translate
from rmspec.oracles import checkpoint_bytes, read_checkpoint
from rmspec.reports.cli.main import main
from rmspec.reports.documents import stored_json

HYPER = Hyperparameters(lr=2.0**-7, alpha=0.875, eps=0.0, momentum=0.875)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in a folder with a saved state of torch's dialect, as arrays, and one of Keras's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.npz").write_bytes(checkpoint_bytes("in.npz", optimizer("torch", HYPER)))
    (tmp_path / "keras.npz").write_bytes(checkpoint_bytes("keras.npz", optimizer("keras3", HYPER)))
    np.savez(tmp_path / "slots.npz", **{"0.rms": np.ones(2, np.float32), "0.momentum": np.ones(2, np.float32)})
    np.savez(tmp_path / "other.npz", **{"0.exp_avg": np.ones(2, np.float32)})
    (tmp_path / "text.npz").write_text("no arrays")
    return tmp_path


def run(*arguments: str) -> int:
    return main(["translate", *arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("rmspec: ")
    assert 2 <= len(err.splitlines()) <= 3
    return err


CASES = {
    "no source": (["in.npz", "--to", "keras3"], "--from is missing"),
    "no target": (["in.npz", "--from", "torch"], "--to is missing"),
    "unknown dialect": (["in.npz", "--from", "trch", "--to", "keras3"], "did you mean torch?"),
    "unknown option": (["in.npz", "--form", "torch"], "unknown option --form"),
    "no such file": (["none.npz", "--from", "torch", "--to", "keras3"], "there is no file none.npz"),
    "no layout": (["in.npz", "--from", "torch", "--to", "optax", "--out", "out.pt"], "no layout of optax"),
    "no arrays": (["text.npz", "--from", "torch", "--to", "keras3"], "cannot be read as .npz"),
    "state of something else": (["other.npz", "--from", "torch", "--to", "keras3"], "exp_avg"),
    "another dialect than said": (["in.npz", "--from", "optax", "--to", "keras3"], "'0.square_avg'"),
    "options missing": (["slots.npz", "--from", "tensorflow1", "--to", "torch"], "--learning-rate ..."),
    "against the file": (["in.npz", "--from", "torch", "--to", "keras3", "--alpha", "0.9"], "you say 0.9"),
    "negative option": (["--from", "torch", "--to", "keras3", "--lr", "-1"], "--lr -1.0"),
    "option that is no number": (["--from", "torch", "--to", "keras3", "--lr", "x"], "'x' is not a valid float"),
    "switch of another dialect": (["--from", "keras3", "--to", "torch", "--nesterov"], "no option for nesterov"),
    "no learning rate": (["--from", "optax", "--to", "torch"], "does not say learning_rate"),
    "decay that cannot be": (["--from", "torch", "--to", "keras3", "--weight-decay", "0.1"], "--decay-in-loss"),
    "changed learning rate": (
        ["in.npz", "--from", "torch", "--to", "keras3", "--lr-changed", "--out", "out.npz"],
        "--earlier FILE",
    ),
    "earlier and constant": (
        ["in.npz", "--from", "torch", "--to", "keras3", "--lr-constant-from-now", "--earlier", "in.npz"],
        "exclude each other",
    ),
    "no such group": (["in.npz", "--from", "torch", "--to", "keras3", "--group", "1"], "has no group 1"),
    "key of no torch file": (["in.npz", "--from", "torch", "--to", "keras3", "--key", "x"], "has no keys"),
    "eps choice": (["--from", "torch", "--to", "keras3", "--eps-choice", "keep"], "did you mean kept?"),
    "output of no file": (
        ["--from", "torch", "--to", "keras3", "--out", "out.npz"],
        "--out is for the state in a file",
    ),
    "output onto the input": (
        ["keras.npz", "--from", "keras3", "--to", "torch", "--out", "keras.npz", "--force"],
        "is FILE as well",
    ),
    "output that is there": (["in.npz", "--from", "torch", "--to", "keras3", "--out", "slots.npz"], "--force"),
    "output in no folder": (["in.npz", "--from", "torch", "--to", "keras3", "--out", "no/x.npz"], "mkdir -p"),
    "report onto the output": (
        ["in.npz", "--from", "torch", "--to", "keras3", "--out", "x.npz", "--json", "x.npz"],
        "is --json as well",
    ),
    "force without output": (["in.npz", "--from", "torch", "--to", "keras3", "--force"], "--force is for --out"),
    "no order": (["in.npz", "--from", "torch", "--to", "keras3", "--order", "0,0,1"], "is no order of 3 parameters"),
    "order of words": (["in.npz", "--from", "torch", "--to", "keras3", "--order", "a,b"], "is not a list of numbers"),
    "axes of nothing": (["in.npz", "--from", "torch", "--to", "keras3", "--axes", "7:1,0"], "no parameter '7'"),
    "axes that are none": (["in.npz", "--from", "torch", "--to", "keras3", "--axes", "0:1,1"], "write them as 0:1,0"),
    "axes without a name": (["in.npz", "--from", "torch", "--to", "keras3", "--axes", "1,0"], "names no parameter"),
    "negative count": (["in.npz", "--from", "torch", "--to", "keras3", "--steps", "-1"], "--steps -1"),
}


@pytest.mark.parametrize(("arguments", "expected"), CASES.values(), ids=CASES.keys())
def test_what_cannot_be_is_refused_and_leaves_no_file(
    arguments: list[str], expected: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one message that says what to type, and the folder as it was."""
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert expected in refused(capsys, *arguments)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_refusal_comes_before_anything_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither the state nor the report, and a file that is there stays, even with --force."""
    (folder / "out.npz").write_text("mine")
    arguments = ["in.npz", "--from", "torch", "--to", "keras3", "--out", "out.npz", "--json", "r.json", "--force"]
    refused(capsys, *arguments, "--lr-changed")
    assert (folder / "out.npz").read_text() == "mine"
    assert not (folder / "r.json").exists()
    assert run(*arguments) == 0
    assert facts(read_checkpoint("out.npz", DIALECTS["keras3"]))


def test_a_state_goes_there_and_back_to_the_bit(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From file to file, and the report says exact."""
    assert run("in.npz", "--from", "torch", "--to", "keras3", "--out", "k.npz") == 0
    assert run("k.npz", "--from", "keras3", "--to", "torch", "--out", "back.npz", "--json", "r.json") == 0
    assert facts(read_checkpoint("back.npz", DIALECTS["torch"])) == facts(read_checkpoint("in.npz", DIALECTS["torch"]))
    out = capsys.readouterr().out
    assert out.count(": exact\n") == 2
    assert "keras.optimizers.RMSprop(learning_rate=0.0078125, rho=0.875" in out
    assert "load_own_variables(numpy.load('k.npz'))" in out
    table = json.loads((folder / "r.json").read_text())
    assert (table["exact"], table["read"], table["written"]) == (True, "k.npz", "back.npz")


@pytest.mark.parametrize(
    ("target", "out"),
    [
        ("torch", "my state.pt"),
        ("torch", "my state.safetensors"),
        ("keras3", "my state.npz"),
        ("keras3", "my state.weights.h5"),
        ("keras3", "my state.safetensors"),
        ("tensorflow", "my state.pt"),
        ("tensorflow1", "my state.npz"),
        ("tensorflow1", "my state.safetensors"),
        ("optax", "my state.npz"),
        ("optax", "my state.safetensors"),
        ("optax", "a folder/" + 3 * "with a name that is longer than a line " + "/state.npz"),
    ],
)
def test_what_loads_a_file_can_be_pasted(
    target: str, out: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The statements stand at one indent and compile, whatever is in the name of the file; so does the constructor call."""
    for ending, module in ((".pt", "torch"), (".h5", "h5py"), (".safetensors", "safetensors")):
        if out.endswith(ending):
            pytest.importorskip(module)
    (folder / out).parent.mkdir(parents=True, exist_ok=True)
    assert run("in.npz", "--from", "torch", "--to", target, "--out", out, "--json", "r.json") == 0
    call, loads = (
        re.split(r"\n\n|\Z", text, maxsplit=1)[0]
        for text in re.split(r"(?:construct|load)\s+it\s+with:\n", capsys.readouterr().out)[1:]
    )
    compile(textwrap.dedent(call), "construct", "exec")
    statements = textwrap.dedent(loads).rstrip("\n")
    compile(statements, "load", "exec")
    assert repr(out) in statements
    assert statements == json.loads((folder / "r.json").read_text())["loading"]


def test_arrays_are_opened_as_the_report_says(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run as it is printed, it finds the arrays under the names that it gives."""
    assert run("in.npz", "--from", "torch", "--to", "optax", "--out", "o.npz") == 0
    found: dict[str, Any] = {}
    exec(textwrap.dedent(capsys.readouterr().out.split("load it with:\n")[1]), found)
    assert {"0.nu", "0.trace"} <= set(found["arrays"].files)


def test_a_nan_in_the_state_is_refused_and_leaves_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the array, the parameter and the element."""
    torch = pytest.importorskip("torch")
    weight = torch.nn.Parameter(torch.ones(2, 2))
    made = torch.optim.RMSprop([weight], eps=0.0)
    weight.grad = torch.ones_like(weight)
    made.step()
    made.state[weight]["square_avg"][0, 0] = float("nan")
    torch.save(made.state_dict(), "nan.pt")
    message = refused(capsys, "nan.pt", "--from", "torch", "--to", "keras3", "--out", "out.npz", "--json", "r.json")
    assert "square_avg of parameter 0 has a NaN at [0, 0]" in message
    assert not (folder / "out.npz").exists()
    assert not (folder / "r.json").exists()


def test_the_report_follows_its_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """For options alone and for a state; - is standard output, and then the table goes to standard error."""
    jsonschema.Draft202012Validator.check_schema(stored_json("schemas/translation-1.json"))
    for arguments in (["in.npz"], ["--lr", "0.01", "--eps", "1e-7", "--momentum", "0.9"]):
        assert run(*arguments, "--from", "torch", "--to", "keras3", "--json", "-") == 0
        out, err = capsys.readouterr()
        table = json.loads(out)
        jsonschema.validate(table, stored_json("schemas/translation-1.json"))
        assert "torch -> keras3" in err
        kinds = {line["what"]: line["kind"] for line in table["groups"][0]["lines"]}
        assert kinds["eps"] == ("exact" if arguments == ["in.npz"] else "bounded")


def test_the_table_fits_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """At most 80 columns, and every condition is there."""
    assert run("--from", "torch", "--to", "keras3", "--lr", "0.01", "--momentum", "0.9") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    state = translate(optimizer("torch", HYPER), DIALECTS["keras3"])
    assert any(line.condition for line in state.lines)
    assert "if the learning rate stays 0.009999999776482582" in text
    assert "sqrt(v) + eps became sqrt(v + eps')" in text


@pytest.mark.parametrize(
    "options",
    [
        ["--lr", "0.5", "--alpha", "0.75", "--eps", "0.125"],
        ["--learning-rate", "0.5", "--rho", "0.75", "--epsilon", "0.125"],
        ["--learning-rate", "0.5", "--decay", "0.75", "--epsilon", "0.125"],
    ],
)
def test_options_go_by_the_names_of_either_dialect(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """torch's, Keras's and TensorFlow 1's names mean the same."""
    assert run("--from", "keras3", "--to", "optax", *options) == 0
    call = "optax.rmsprop(learning_rate=0.5, decay=0.75, eps=0.125, centered=False, eps_in_sqrt=True)"
    assert call in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("--lr", "--learning-rate"),
        ("--learning-rate", "--learning-rate"),
        ("--alpha", "--rho"),
        ("--decay", "--alpha"),
        ("--eps", "--epsilon"),
    ],
)
def test_an_option_has_one_value_by_whatever_names(first: str, second: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said twice with one value it passes; with two neither wins in silence."""
    rest = ["--from", "keras3", "--to", "optax", *([] if first.startswith("--l") else ["--lr", "0.5"])]
    assert run(*rest, first, "0.25", second, "0.25") == 0
    assert "0.25" in capsys.readouterr().out
    message = refused(capsys, *rest, first, "0.25", second, "0.125")
    assert f"{second} " in message
    assert "0.25 and 0.125" in message


def test_a_history_is_read_from_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--earlier names the states that were saved before each change of the learning rate."""
    earlier = optimizer("torch", Hyperparameters(lr=0.5, alpha=0.875, eps=0.0, momentum=0.875), steps=4)
    (folder / "earlier.npz").write_bytes(checkpoint_bytes("earlier.npz", earlier))
    arguments = ["in.npz", "--from", "torch", "--to", "keras3", "--lr-changed", "--earlier", "earlier.npz"]
    assert run(*arguments, "--out", "out.npz") == 0
    assert "from 2 states" in " ".join(capsys.readouterr().out.split())
    assert (folder / "out.npz").exists()


def test_the_learning_rate_of_an_earlier_state_is_never_assumed(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed is that of FILE alone."""
    options = ["--learning-rate", "0.5", "--momentum", "0.5", "--defaults", "--steps", "9"]
    message = refused(capsys, "slots.npz", "--from", "tensorflow1", "--to", "torch", *options, "--earlier", "slots.npz")
    assert "does not say learning_rate" in message


def test_the_state_follows_parameters_that_were_rearranged(folder: Path) -> None:
    """A kernel that is the transpose of a weight, and parameters in another order; to the bit, and back."""
    arguments = ["--order", "2,0,1", "--axes", "0:1,0"]
    assert run("in.npz", "--from", "torch", "--to", "optax", *arguments, "--out", "out.npz") == 0
    before, after = (
        read_checkpoint(path, DIALECTS[name]).params() for path, name in (("in.npz", "torch"), ("out.npz", "optax"))
    )
    assert [param.name for param in after] == ["2", "0", "1"]
    assert np.array_equal(after[1].arrays["square_avg"], before[0].arrays["square_avg"].T)
    assert (
        run("out.npz", "--from", "optax", "--to", "torch", "--order", "1,2,0", "--axes", "0:1,0", "--out", "b.npz") == 0
    )
    assert facts(read_checkpoint("b.npz", DIALECTS["torch"])) == facts(read_checkpoint("in.npz", DIALECTS["torch"]))


def test_one_of_several_groups_can_be_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the target has one set of options, groups that differ are translated one at a time."""
    torch = pytest.importorskip("torch")
    made = [torch.nn.Parameter(torch.ones(n)) for n in (2, 3)]
    groups = [{"params": [made[0]], "lr": 0.5}, {"params": [made[1]], "lr": 0.25}]
    optimizer = torch.optim.RMSprop(groups, eps=0.0)
    for each in made:
        each.grad = torch.ones_like(each)
    optimizer.step()
    torch.save({"optimizer": optimizer.state_dict()}, "two.pt")
    arguments = ["two.pt", "--key", "optimizer", "--from", "torch", "--to", "keras3", "--out", "one.npz"]
    assert "--group 0" in refused(capsys, *arguments)
    assert run(*arguments, "--group", "1") == 0
    with np.load("one.npz") as loaded:
        assert (float(loaded["1"]), loaded["2"].shape) == (0.25, (3,))
