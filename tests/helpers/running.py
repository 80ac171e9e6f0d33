"""The optimizers themselves, for tests that run two of them side by side: torch, Keras 3, TensorFlow 1 and optax.

Each is made with its own constructor, loads a file that ``rmspec translate`` wrote with its own means, and saves as its users do.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

Arrays = list[np.ndarray]


class Torch:
    """``torch.optim.RMSprop``."""

    dialect, ending = "torch", ".pt"

    def __init__(self, params: Arrays, **options: Any) -> None:
        self.torch = pytest.importorskip("torch")
        self.made = [self.torch.nn.Parameter(self.torch.from_numpy(each.copy())) for each in params]
        self.optimizer = self.torch.optim.RMSprop(self.made, **options)

    def step(self, grads: Arrays) -> None:
        for param, grad in zip(self.made, grads, strict=True):
            param.grad = self.torch.from_numpy(grad.copy())
        self.optimizer.step()

    def params(self) -> Arrays:
        return [each.detach().numpy().copy() for each in self.made]

    def put(self, params: Arrays) -> None:
        for param, values in zip(self.made, params, strict=True):
            param.data = self.torch.from_numpy(values.copy())

    def save(self, path: Path) -> None:
        self.torch.save(self.optimizer.state_dict(), path)

    def load(self, path: Path) -> None:
        self.optimizer.load_state_dict(self.torch.load(path, weights_only=True))


class Keras:
    """``keras.optimizers.RMSprop``."""

    dialect, ending = "keras3", ".npz"

    def __init__(self, params: Arrays, **options: Any) -> None:
        keras = pytest.importorskip("keras")
        self.made = [keras.Variable(each) for each in params]
        self.optimizer = keras.optimizers.RMSprop(**options)
        self.optimizer.build(self.made)

    def step(self, grads: Arrays) -> None:
        keras = pytest.importorskip("keras")
        self.optimizer.apply([keras.ops.convert_to_tensor(grad) for grad in grads], self.made)

    def params(self) -> Arrays:
        return [np.array(each.numpy()) for each in self.made]

    def put(self, params: Arrays) -> None:
        for variable, values in zip(self.made, params, strict=True):
            variable.assign(values)

    def save(self, path: Path) -> None:
        store: dict[str, Any] = {}
        self.optimizer.save_own_variables(store)
        np.savez(path, **store)

    def load(self, path: Path) -> None:
        self.optimizer.load_own_variables(np.load(path))


class TensorFlow1:
    """``tf.compat.v1.train.RMSPropOptimizer``, eagerly."""

    dialect, ending = "tensorflow1", ".npz"
    slots = ("rms", "momentum", "mg")

    def __init__(self, params: Arrays, **options: Any) -> None:
        self.tf = pytest.importorskip("tensorflow")
        self.made = [self.tf.Variable(each) for each in params]
        self.optimizer = self.tf.compat.v1.train.RMSPropOptimizer(**options)

    def step(self, grads: Arrays) -> None:
        tensors = [self.tf.constant(grad) for grad in grads]
        self.optimizer.apply_gradients(zip(tensors, self.made, strict=True))

    def params(self) -> Arrays:
        return [each.numpy().copy() for each in self.made]

    def put(self, params: Arrays) -> None:
        for variable, values in zip(self.made, params, strict=True):
            variable.assign(values)

    def save(self, path: Path) -> None:
        found = {}
        for index, variable in enumerate(self.made):
            for name in self.slots:
                slot = self.optimizer.get_slot(variable, name)
                if slot is not None:
                    found[f"{index}.{name}"] = slot.numpy()
        np.savez(path, **found)

    def load(self, path: Path) -> None:
        params = self.params()
        self.step([np.zeros_like(each) for each in params])  # makes the slots
        self.put(params)
        with np.load(path) as loaded:
            for index, variable in enumerate(self.made):
                for name in self.slots:
                    if f"{index}.{name}" in loaded:
                        self.optimizer.get_slot(variable, name).assign(loaded[f"{index}.{name}"])


class Optax:
    """``optax.rmsprop``."""

    dialect, ending = "optax", ".npz"
    leaves = ("nu", "mu", "trace")

    def __init__(self, params: Arrays, **options: Any) -> None:
        self.optax = pytest.importorskip("optax")
        self.jnp = pytest.importorskip("jax.numpy")
        self.made = [self.jnp.asarray(each) for each in params]
        self.optimizer = self.optax.rmsprop(**options)
        self.state = self.optimizer.init(self.made)

    def step(self, grads: Arrays) -> None:
        updates, self.state = self.optimizer.update([self.jnp.asarray(grad) for grad in grads], self.state, self.made)
        self.made = self.optax.apply_updates(self.made, updates)

    def params(self) -> Arrays:
        return [np.array(each) for each in self.made]

    def put(self, params: Arrays) -> None:
        self.made = [self.jnp.asarray(each) for each in params]

    def save(self, path: Path) -> None:
        found = {}
        for part in self.state:
            for name in self.leaves:
                for index, values in enumerate(getattr(part, name, None) or []):
                    found[f"{index}.{name}"] = np.array(values)
        np.savez(path, **found)

    def load(self, path: Path) -> None:
        with np.load(path) as loaded:
            parts = []
            for part in self.state:
                held = {name: getattr(part, name) for name in self.leaves if hasattr(part, name)}
                new = {
                    name: [self.jnp.asarray(loaded[f"{index}.{name}"]) for index in range(len(values))]
                    for name, values in held.items()
                }
                parts.append(part._replace(**new) if new else part)
        self.state = tuple(parts)


FRAMEWORKS = {each.dialect: each for each in (Torch, Keras, TensorFlow1, Optax)}
