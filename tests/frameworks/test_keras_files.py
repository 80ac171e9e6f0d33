"""The files that Keras itself writes are read as they are, and it loads those that rmspec writes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import running  # noqa: F401  # sets the backend before Keras is imported

from rmspec.impl import DIALECTS, Hyperparameters, Saved
from rmspec.oracles import BadCheckpoint, Given, checkpoint_bytes, read_checkpoint
from rmspec.oracles.checkpoints.files import loading

pytestmark = [pytest.mark.frameworks]

OPTIONS = {"alpha": 0.875, "eps": 1e-6, "weight_decay": 0.125, "momentum": 0.5, "centered": True}
HYPER = Hyperparameters(lr=0.125, **OPTIONS)
KERAS = DIALECTS["keras3"]


@pytest.fixture(scope="module")
def model() -> Any:
    """A small model that was trained for a step."""
    keras = pytest.importorskip("keras")
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    optimizer = keras.optimizers.RMSprop(
        0.125, rho=0.875, epsilon=1e-6, weight_decay=0.125, momentum=0.5, centered=True
    )
    made.compile(optimizer, "mse")
    made.train_on_batch(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
    return made


def state_of(optimizer: Any) -> list[np.ndarray]:
    """Velocities, momentums and average gradients."""
    variables = [*optimizer._velocities, *optimizer._momentums, *optimizer._average_gradients]
    return [np.array(each.numpy()) for each in variables]


def arrays_of(saved: Saved) -> list[np.ndarray]:
    roles = ("square_avg", "momentum_buffer", "grad_avg")
    return [param.arrays[role] for role in roles for param in saved.params()]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return [each.shape for each in one] == [each.shape for each in other] and all(
        a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("ending", [".keras", ".h5", ".weights.h5"])
def test_a_model_that_keras_saved_is_read(model: Any, ending: str, tmp_path: Path) -> None:
    """The state to the bit; the options too, where the file has them."""
    pytest.importorskip("h5py")
    path = tmp_path / f"model{ending}"
    if ending == ".weights.h5":
        model.save_weights(path)
        with pytest.raises(BadCheckpoint, match="rho, epsilon, weight_decay, momentum, centered"):
            read_checkpoint(str(path), KERAS)
        found = read_checkpoint(str(path), KERAS, Given(options=OPTIONS))
    else:
        model.save(path)
        found = read_checkpoint(str(path), KERAS)
    assert found.groups[0].hyper == HYPER
    assert [param.steps for param in found.params()] == [1] * 4
    assert same(arrays_of(found), state_of(model.optimizer))


@pytest.mark.parametrize("ending", [".npz", ".h5"])
def test_keras_loads_what_is_written(model: Any, ending: str, tmp_path: Path) -> None:
    """With the statements that the report prints, and without a warning."""
    keras = pytest.importorskip("keras")
    store: dict[str, Any] = {}
    model.optimizer.save_own_variables(store)
    np.savez(tmp_path / "in.npz", **store)
    saved = read_checkpoint(str(tmp_path / "in.npz"), KERAS, Given(options=OPTIONS))
    path = tmp_path / f"out{ending}"
    path.write_bytes(checkpoint_bytes(str(path), saved))
    made = keras.optimizers.RMSprop(0.5, rho=0.875, epsilon=1e-6, weight_decay=0.125, momentum=0.5, centered=True)
    exec(loading(str(path), KERAS), {"optimizer": made, "model": model})
    assert same(state_of(made), state_of(model.optimizer))
    assert (float(made.learning_rate), int(made.iterations)) == (0.125, 1)


def test_a_schedule_of_keras_is_noticed(tmp_path: Path) -> None:
    """In a file with the options and in one without; with momentum its learning rate must be said."""
    keras = pytest.importorskip("keras")
    pytest.importorskip("h5py")
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.ExponentialDecay(0.5, 1, 0.5)
    made.compile(keras.optimizers.RMSprop(schedule, momentum=0.5), "mse")
    made.train_on_batch(np.ones((4, 2), np.float32), np.ones((4, 1), np.float32))
    made.save(tmp_path / "model.keras")
    with pytest.raises(BadCheckpoint, match="learning_rate"):
        read_checkpoint(str(tmp_path / "model.keras"), KERAS)
    found = read_checkpoint(str(tmp_path / "model.keras"), KERAS, Given(options={"lr": 0.25}))
    assert found.groups[0].hyper.lr == 0.25
    assert "schedule" in found.groups[0].lr_changed
