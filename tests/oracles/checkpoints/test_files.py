"""Files of saved optimizers: whole and to the bit, or refused; and no code from them is run."""

import io
import json
import pickle
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from checkpoints import facts, optimizer

from rmspec.impl import DIALECTS, Hyperparameters, IncompleteState, Saved, SavedGroup, SavedParam
from rmspec.oracles import BadCheckpoint, Given, checkpoint_bytes, read_checkpoint
from rmspec.oracles.checkpoints.files import loading

HYPER = Hyperparameters(lr=2.0**-7, alpha=0.9, eps=1e-7, momentum=0.9)
CENTERED = Hyperparameters(lr=2.0**-7, alpha=0.9, eps=1e-7, momentum=0.9, centered=True)
ENDINGS = {
    "torch": (".pt", ".pth", ".npz", ".safetensors"),
    "tensorflow": (".pt", ".npz", ".safetensors"),
    "keras3": (".npz", ".safetensors", ".h5", ".weights.h5"),
    "tensorflow1": (".npz", ".safetensors"),
    "optax": (".npz", ".safetensors"),
}
KERAS_OPTIONS = {"alpha": 0.9, "eps": 1e-7, "weight_decay": 0.0, "momentum": 0.9, "centered": False}


def need(path: Path) -> None:
    for ending, module in ((".pt", "torch"), (".pth", "torch"), (".h5", "h5py"), (".safetensors", "safetensors")):
        if path.suffix == ending:
            pytest.importorskip(module)


def refused(path: Path, name: str, given: Given | None = None) -> str:
    with pytest.raises((BadCheckpoint, IncompleteState)) as caught:
        read_checkpoint(str(path), DIALECTS[name], given)
    return str(caught.value)


@pytest.mark.parametrize(
    "hyper", [HYPER, CENTERED, Hyperparameters(0.5, 0.9, 0.0)], ids=["momentum", "centered", "plain"]
)
@pytest.mark.parametrize(("name", "ending"), [(name, each) for name, endings in ENDINGS.items() for each in endings])
def test_what_is_written_is_read_to_the_bit(name: str, ending: str, hyper: Hyperparameters, tmp_path: Path) -> None:
    """State, options and counts, in every layout of every dialect that has one."""
    path = tmp_path / f"state{ending}"
    need(path)
    before = optimizer(name, hyper)
    path.write_bytes(checkpoint_bytes(str(path), before))
    silent = name == "keras3" and path.suffix == ".h5"
    options = {name: hyper.option(name) for name in KERAS_OPTIONS} if silent else {}
    after = read_checkpoint(str(path), DIALECTS[name], Given(options=options))
    wanted = facts(before)
    if name == "tensorflow1" and not hyper.momentum:
        assert "momentum_buffer" in after.params()[0].arrays  # a slot that TensorFlow 1 has in any case
        after = Saved(
            tuple(
                SavedGroup(
                    group.dialect,
                    group.hyper,
                    tuple(SavedParam(p.name, {"square_avg": p.arrays["square_avg"]}, p.steps) for p in group.params),
                )
                for group in after.groups
            )
        )
    assert facts(after) == wanted
    assert str(path) in loading(str(path), DIALECTS[name])


def test_bfloat16_goes_into_safetensors_and_torch_alone(tmp_path: Path) -> None:
    """NumPy's files would lose what the bytes mean."""
    pytest.importorskip("torch")
    pytest.importorskip("safetensors")
    before = optimizer("torch", HYPER, dtype=ml_dtypes.bfloat16)
    for ending in (".pt", ".safetensors"):
        path = tmp_path / f"state{ending}"
        path.write_bytes(checkpoint_bytes(str(path), before))
        assert facts(read_checkpoint(str(path), DIALECTS["torch"])) == facts(before)
    with pytest.raises(BadCheckpoint, match="safetensors"):
        checkpoint_bytes("state.npz", before)


# -- torch


def torch_state(**changes: object) -> dict[str, object]:
    torch = pytest.importorskip("torch")
    p, q = (torch.nn.Parameter(torch.ones(n)) for n in (2, 3))
    made = torch.optim.RMSprop([p, q], lr=0.125, momentum=0.5)
    for each in (p, q):
        each.grad = torch.ones_like(each)
    made.step()
    return {**made.state_dict(), **changes}


def test_a_state_dict_of_torch_is_read_and_loads_again(tmp_path: Path) -> None:
    """What torch saved is read to the bit, and what is written loads into torch and says the same."""
    torch = pytest.importorskip("torch")
    saved = torch_state()
    torch.save(saved, tmp_path / "in.pt")
    found = read_checkpoint(str(tmp_path / "in.pt"), DIALECTS["torch"])
    assert found.groups[0].hyper == Hyperparameters(0.125, 0.99, 1e-8, 0.0, 0.5, False)
    (tmp_path / "out.pt").write_bytes(checkpoint_bytes("out.pt", found))
    again = torch.load(tmp_path / "out.pt", weights_only=True)
    assert again["param_groups"] == saved["param_groups"]
    for key, entry in saved["state"].items():
        assert list(again["state"][key]) == list(entry)
        for name, value in entry.items():
            assert again["state"][key][name].dtype == value.dtype
            assert torch.equal(again["state"][key][name], value)


def test_a_scheduler_that_changed_the_learning_rate_is_noticed(tmp_path: Path) -> None:
    """torch notes the first learning rate in the group."""
    torch = pytest.importorskip("torch")
    saved = torch_state()
    saved["param_groups"][0]["initial_lr"] = 0.5
    torch.save(saved, tmp_path / "in.pt")
    assert "0.5" in read_checkpoint(str(tmp_path / "in.pt"), DIALECTS["torch"]).groups[0].lr_changed


def test_a_state_inside_a_larger_file_needs_its_key(tmp_path: Path) -> None:
    """The message names the key to say."""
    torch = pytest.importorskip("torch")
    path = tmp_path / "all.pt"
    torch.save({"epoch": 3, "optimizer": torch_state()}, path)
    assert "--key optimizer" in refused(path, "torch")
    assert "epoch, optimizer" in refused(path, "torch", Given(key="model"))
    assert len(read_checkpoint(str(path), DIALECTS["torch"], Given(key="optimizer")).params()) == 2


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("form", ["plain", "torch"])
def test_a_pickle_that_needs_code_is_refused_and_not_run(form: str, tmp_path: Path) -> None:
    """Neither as a bare pickle nor inside a file of torch.save."""
    torch = pytest.importorskip("torch")
    trap = Trap(tmp_path / "sprung")
    path = tmp_path / "evil.pt"
    data = {**torch_state(), "more": trap}
    if form == "torch":
        torch.save(data, path)
    else:
        path.write_bytes(pickle.dumps({"state": {}, "param_groups": [trap]}))
    assert "run code" in refused(path, "torch")
    assert not trap.path.exists()
    pickle.loads(pickle.dumps(trap))
    assert trap.path.exists()  # it would have


def test_a_pickle_inside_an_npz_is_refused_and_not_run(tmp_path: Path) -> None:
    """An array of objects."""
    trap = Trap(tmp_path / "sprung")
    np.savez(tmp_path / "evil.npz", **{"0.square_avg": np.array([trap], dtype=object)})
    assert "run code" in refused(tmp_path / "evil.npz", "torch")
    assert not trap.path.exists()


def broken_torch_states() -> dict[str, object]:
    def without(name: str) -> dict[str, object]:
        saved = torch_state()
        del saved["state"][1][name]
        return saved

    def with_entry(name: str, value: object) -> dict[str, object]:
        saved = torch_state()
        saved["state"][1][name] = value
        return saved

    def with_option(name: str, value: object) -> dict[str, object]:
        saved = torch_state()
        saved["param_groups"][0][name] = value
        return saved

    torch = pytest.importorskip("torch")
    stray = torch_state()
    stray["state"][7] = stray["state"][1]
    return {
        "has no square_avg": (without("square_avg")),
        "has no momentum_buffer": without("momentum_buffer"),
        "step None": without("step"),
        "shape (4,)": with_entry("momentum_buffer", torch.zeros(4)),
        "float64": with_entry("momentum_buffer", torch.zeros(3, dtype=torch.float64)),
        "torch.int64": with_entry("square_avg", torch.zeros(3, dtype=torch.int64)),
        "no dense tensor": with_entry("square_avg", [0.0, 0.0, 0.0]),
        "exp_avg": with_entry("exp_avg", torch.zeros(3)),
        "amsgrad": with_option("amsgrad", False),
        "is in no group": stray,
        "lr is nan": with_option("lr", float("nan")),
        "an empty state": torch_state(state={0: torch_state()["state"][0], 1: {}}),
        "no parameter groups": torch_state(param_groups=[]),
        "no list of params": torch_state(param_groups=[{"lr": 0.1}]),
        "no dict of state": torch_state(state={0: 3, 1: {}}),
    }


@pytest.mark.parametrize(
    "expected",
    [
        "has no square_avg",
        "has no momentum_buffer",
        "step None",
        "shape (4,)",
        "float64",
        "torch.int64",
        "no dense tensor",
        "exp_avg",
        "amsgrad",
        "lr is nan",
        "an empty state",
        "no parameter groups",
        "no list of params",
        "no dict of state",
    ],
)
def test_a_state_dict_that_is_not_whole_is_refused(expected: str, tmp_path: Path) -> None:
    """Missing, unfitting, foreign or stray entries."""
    torch = pytest.importorskip("torch")
    torch.save(broken_torch_states()[expected], tmp_path / "broken.pt")
    assert expected in refused(tmp_path / "broken.pt", "torch")


def test_state_of_a_parameter_in_no_group_is_refused(tmp_path: Path) -> None:
    """It belongs to another optimizer."""
    torch = pytest.importorskip("torch")
    torch.save(broken_torch_states()["is in no group"], tmp_path / "stray.pt")
    assert "which is in no group" in refused(tmp_path / "stray.pt", "torch")


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("Adam", {}, "it has exp_avg, exp_avg_sq"),
        ("AdamW", {"amsgrad": True}, "it has exp_avg, exp_avg_sq, max_exp_avg_sq"),
        ("Adagrad", {}, "it has sum"),
        ("Adadelta", {}, "it has acc_delta"),
        ("SGD", {"momentum": 0.5}, "it has the options dampening"),
        ("SGD", {}, "it has the options dampening"),
    ],
)
@pytest.mark.parametrize("dialect", ["torch", "tensorflow"])
def test_the_state_of_another_optimizer_is_called_so(
    name: str, options: dict[str, object], expected: str, dialect: str, tmp_path: Path
) -> None:
    """By what it keeps, or else by its options; and no dialect is asked for, since none would help."""
    torch = pytest.importorskip("torch")
    p = torch.nn.Parameter(torch.ones(2))
    made = getattr(torch.optim, name)([p], lr=0.125, **options)
    p.grad = torch.ones(2)
    made.step()
    torch.save(made.state_dict(), tmp_path / "other.pt")
    message = refused(tmp_path / "other.pt", dialect)
    assert "is the state of another optimizer" in message
    assert expected in message
    assert "there is nothing to translate" in message
    assert "--from" not in message


def test_an_option_that_no_dialect_has_asks_for_no_dialect(tmp_path: Path) -> None:
    """One that another dialect has does."""
    before = optimizer("torch", HYPER)
    path = tmp_path / "x.npz"
    path.write_bytes(checkpoint_bytes(str(path), before))
    with np.load(path) as loaded:
        arrays = dict(loaded)
    table = json.loads(str(arrays["rmspec"]))
    for option, helps in (("rho", True), ("amsgrad", False)):
        table["groups"][0]["options"][option] = 0.5
        np.savez(path, **{**arrays, "rmspec": np.array(json.dumps(table))})
        assert ("--from" in refused(path, "torch")) is helps
        del table["groups"][0]["options"][option]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "x.pt is empty"),
        (b"junk\n", "x.pt is no file that torch.save wrote"),
        (b"nothing of the kind", "x.pt is no file that torch.save wrote"),
        (bytes(range(256)), "x.pt is no file that torch.save wrote"),
        (b"PK\x03\x04 and so on", "x.pt is cut off or damaged"),
    ],
)
def test_what_torch_never_wrote_is_called_so(data: bytes, expected: str, tmp_path: Path) -> None:
    """Whatever torch.load trips over in it, and no code is spoken of."""
    pytest.importorskip("torch")
    (tmp_path / "x.pt").write_bytes(data)
    message = refused(tmp_path / "x.pt", "torch")
    assert expected in message
    assert "run code" not in message


def test_an_archive_of_something_else_was_not_written_by_torch(tmp_path: Path) -> None:
    """A zip without a data.pkl, as of NumPy."""
    pytest.importorskip("torch")
    np.savez(tmp_path / "x.npz", a=np.ones(2))
    (tmp_path / "x.npz").rename(tmp_path / "x.pt")
    assert "no file that torch.save wrote" in refused(tmp_path / "x.pt", "torch")


# -- Keras


def keras_variables(**changes: np.ndarray) -> dict[str, np.ndarray]:
    """Two parameters with momentum."""
    found = {
        "0": np.int64(5),
        "1": np.float32(0.125),
        "2": np.ones((2, 3), np.float32),
        "3": np.ones(3, np.float32),
        "4": np.full((2, 3), -2.0, np.float32),
        "5": np.full(3, 4.0, np.float32),
    }
    return {**found, **changes}


def test_the_variables_of_keras_are_read_in_their_order(tmp_path: Path) -> None:
    """Iterations, learning rate, all velocities, then all momentums."""
    np.savez(tmp_path / "k.npz", **keras_variables())
    found = read_checkpoint(str(tmp_path / "k.npz"), DIALECTS["keras3"], Given(options=KERAS_OPTIONS))
    assert (found.groups[0].hyper.lr, [param.steps for param in found.params()]) == (0.125, [5, 5])
    assert found.params()[1].arrays["momentum_buffer"].tolist() == [4.0, 4.0, 4.0]


def test_options_that_no_file_has_must_be_said(tmp_path: Path) -> None:
    """The numbered variables do not tell rho, epsilon and the rest; documented defaults only on request."""
    np.savez(tmp_path / "k.npz", **keras_variables())
    message = refused(tmp_path / "k.npz", "keras3")
    assert "rho, epsilon, weight_decay, momentum, centered" in message
    assert "--defaults" in message
    found = read_checkpoint(
        str(tmp_path / "k.npz"), DIALECTS["keras3"], Given(options={"momentum": 0.5}, defaults=True)
    )
    assert found.groups[0].hyper == Hyperparameters(0.125, 0.9, 1e-7, 0.0, 0.5, False)


def test_a_schedule_is_noticed_and_its_learning_rate_is_never_assumed(tmp_path: Path) -> None:
    """An optimizer with a schedule has no learning rate among its variables."""
    values = list(keras_variables().values())
    np.savez(tmp_path / "k.npz", **{str(i): each for i, each in enumerate([values[0], *values[2:]])})
    message = refused(tmp_path / "k.npz", "keras3", Given(options=KERAS_OPTIONS, defaults=True))
    assert "learning_rate" in message
    assert "--defaults" not in message
    given = Given(options={**KERAS_OPTIONS, "lr": 0.25})
    assert "schedule" in read_checkpoint(str(tmp_path / "k.npz"), DIALECTS["keras3"], given).groups[0].lr_changed


@pytest.mark.parametrize(
    ("changes", "options", "expected"),
    [
        ({"6": np.ones(3, np.float32)}, {}, "5 variables of parameters"),
        ({"4": np.ones((3, 3), np.float32)}, {}, "shape (3, 3)"),
        ({"0": np.float32(5)}, {}, "count of iterations"),
        ({}, {"lr": 0.25}, "you say 0.25"),
        ({"9": np.ones(3, np.float32)}, {}, "PARAMETER.ROLE"),
        ({"3": np.ones(3, np.int32)}, {}, "int32"),
    ],
)
def test_variables_of_keras_that_do_not_fit_are_refused(
    changes: dict[str, np.ndarray], options: dict[str, float], expected: str, tmp_path: Path
) -> None:
    """Too many, of other shapes, in another order, or against what the user says."""
    np.savez(tmp_path / "k.npz", **keras_variables(**changes))
    assert expected in refused(tmp_path / "k.npz", "keras3", Given(options={**KERAS_OPTIONS, **options}))


def test_a_clipped_or_averaged_optimizer_of_keras_is_refused(tmp_path: Path) -> None:
    """Its updates are not those of any dialect."""
    h5py = pytest.importorskip("h5py")
    config = {"learning_rate": 0.125, "rho": 0.9, "epsilon": 1e-7, "momentum": 0.9, "centered": False, "clipnorm": 1.0}
    path = tmp_path / "model.h5"
    with h5py.File(path, "w") as file:
        file.attrs["training_config"] = json.dumps({"optimizer_config": {"class_name": "RMSprop", "config": config}})
        for name, values in keras_variables().items():
            file.create_dataset(f"optimizer/vars/{name}", data=values)
    assert "clipnorm 1.0" in refused(path, "keras3")
    with h5py.File(path, "a") as file:
        file.attrs["training_config"] = json.dumps({"optimizer_config": {"class_name": "Adam", "config": config}})
    assert "the optimizer Adam" in refused(path, "keras3")


# -- files that are none


@pytest.mark.parametrize(
    ("name", "file"),
    [("torch", "x.pt"), ("torch", "x.npz"), ("torch", "x.safetensors"), ("keras3", "x.h5"), ("keras3", "x.keras")],
)
@pytest.mark.parametrize("data", [b"", b"nothing of the kind", bytes(range(256)) * 9], ids=["empty", "text", "bytes"])
def test_a_file_that_is_damaged_is_refused(name: str, file: str, data: bytes, tmp_path: Path) -> None:
    """Whatever the library that reads it raises."""
    path = tmp_path / file
    need(path)
    path.write_bytes(data)
    assert "x." in refused(path, name)


@pytest.mark.parametrize(
    ("name", "ending"), [("torch", ".pt"), ("torch", ".npz"), ("torch", ".safetensors"), ("keras3", ".h5")]
)
def test_a_file_that_is_cut_off_is_refused(name: str, ending: str, tmp_path: Path) -> None:
    """At every tenth of its length."""
    path = tmp_path / f"x{ending}"
    need(path)
    whole = checkpoint_bytes(str(path), optimizer(name, HYPER))
    for tenth in range(10):
        path.write_bytes(whole[: len(whole) * tenth // 10])
        assert refused(path, name, Given(options=KERAS_OPTIONS if name == "keras3" else {}))


def test_a_description_is_checked(tmp_path: Path) -> None:
    """Another dialect, an unknown option, a parameter without arrays, and JSON that is none."""
    before = optimizer("torch", HYPER)
    path = tmp_path / "x.npz"
    path.write_bytes(checkpoint_bytes(str(path), before))
    assert "--from torch" in refused(path, "tensorflow")
    with np.load(path) as loaded:
        arrays = dict(loaded)
    table = json.loads(str(arrays["rmspec"]))

    def rewritten(**changes: object) -> str:
        np.savez(path, **{**arrays, "rmspec": np.array(json.dumps({**table, **changes}))})
        return refused(path, "torch")

    group = table["groups"][0]
    assert "'rho'" in rewritten(groups=[{**group, "options": {**group["options"], "rho": 0.5}}])
    assert "no arrays of parameter 9" in rewritten(
        groups=[{**group, "params": [*group["params"], "9"], "steps": [1] * 4}]
    )
    assert "each parameter belongs to one group" in rewritten(groups=[{**group, "params": ["0"], "steps": [1]}])
    assert "'grups'" in rewritten(grups=[])
    np.savez(path, **{**arrays, "rmspec": np.array("{")})
    assert "cannot be used" in refused(path, "torch")


def test_named_arrays_without_a_description_need_the_options(tmp_path: Path) -> None:
    """The layout can be written by hand, as for the slots of TensorFlow 1."""
    ones = np.ones(2, np.float32)
    np.savez(tmp_path / "slots.npz", **{"w.rms": ones, "w.momentum": -ones, "b.rms": ones, "b.momentum": ones})
    assert "decay" in refused(tmp_path / "slots.npz", "tensorflow1")
    given = Given(options={"lr": 0.5, "momentum": 0.5}, defaults=True, steps=8)
    found = read_checkpoint(str(tmp_path / "slots.npz"), DIALECTS["tensorflow1"], given)
    assert [(param.name, param.steps) for param in found.params()] == [("w", 8), ("b", 8)]
    assert found.params()[0].arrays["momentum_buffer"].tolist() == [-1.0, -1.0]


def test_the_trace_of_optax_is_the_negative_of_a_buffer() -> None:
    """optax adds its updates, the pseudocode subtracts."""
    saved = optimizer("optax", HYPER)
    with np.load(io.BytesIO(checkpoint_bytes("x.npz", saved))) as loaded:
        assert np.array_equal(loaded["0.trace"], -saved.params()[0].arrays["momentum_buffer"])
        assert np.array_equal(loaded["0.nu"], saved.params()[0].arrays["square_avg"])


def test_keras_reads_its_list_without_noticing_the_description() -> None:
    """It counts the arrays of the file, so that there must be no other."""
    data = checkpoint_bytes("x.npz", optimizer("keras3", HYPER))
    with np.load(io.BytesIO(data)) as loaded:
        assert loaded.files == [str(index) for index in range(2 + 2 * 3)]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert b"rmspec.checkpoint/1" in archive.comment


@pytest.mark.parametrize(
    ("name", "file"), [("keras3", "x.pt"), ("torch", "x.h5"), ("optax", "x.keras"), ("torch", "x")]
)
def test_an_ending_that_a_dialect_does_not_have_is_refused(name: str, file: str, tmp_path: Path) -> None:
    """The message lists those that it has."""
    (tmp_path / file).write_bytes(b"")
    assert "choose from" in refused(tmp_path / file, name)
