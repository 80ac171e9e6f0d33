"""How Keras optimizers are driven: made, stepped, read, saved and loaded; Keras 3 on any backend, and the first form of Keras 2."""

from __future__ import annotations

import contextlib
import copy
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.keras.descriptor import FRAMEWORK
from rmspec.oracles.program.program import EditState, Via
from rmspec.oracles.session import edits

Array = NDArray[Any]

NAMES = DIALECTS["keras3"].constructor.names
"""What Keras calls the options of the page."""

_ATTRIBUTES = {"square_avg": "_velocities", "grad_avg": "_average_gradients", "momentum_buffer": "_momentums"}

VARIABLES = {role: (_ATTRIBUTES[role], name) for role, name in DIALECTS["keras3"].constructor.state_names.items()}
"""Where Keras keeps each role: the attribute of its own class, and what the name of a variable ends with."""

LEGACY_SLOTS = FRAMEWORK.subjects["keras:legacy"].state_names
"""What Keras 2 calls the slot of each role."""


class Keras3:
    """A Keras 3 optimizer, built for its variables; ``function`` wraps its step in a ``tf.function``."""

    def __init__(
        self,
        factory: Callable[..., Any],
        variables: Sequence[Any],
        options: Mapping[str, float | bool],
        *,
        function: bool = False,
    ) -> None:
        self._array = reader()
        self._variables = list(variables)
        self.optimizer = factory(**{NAMES[name]: value for name, value in options.items()})
        self.optimizer.build(self._variables)
        self.names = _names(self.optimizer, len(self._variables))
        self._apply: Callable[[list[Any]], None] = self._plain
        if function:
            import tensorflow as tf

            self._apply = tf.function(self._plain)

    def _plain(self, gradients: list[Any]) -> None:
        self.optimizer.apply(gradients, self._variables)

    def step(self, gradients: Sequence[Any]) -> None:
        """One step with these gradients, in the order of the variables; ``None`` is no gradient."""
        self._apply(list(gradients))

    def change(self, option: str, value: float | bool) -> None:
        """Set an option of the page, by Keras's name for it."""
        setattr(self.optimizer, NAMES[option], value)

    def state(self) -> Sequence[Mapping[str, Array]]:
        """The state of each variable, by role."""
        states: list[dict[str, Array]] = [{} for _ in self._variables]
        for role, variables in self._variables_by_role().items():
            for position, variable in enumerate(variables):
                states[position][role] = self._array(variable)
        return states

    def _variables_by_role(self) -> Mapping[str, Sequence[Any]]:
        """The variables of each role, in the order of the parameters: by attribute, or else by name."""
        by_role: dict[str, Sequence[Any]] = {}
        for role, name in self.names.items():
            variables = getattr(self.optimizer, name) if name.startswith("_") else _ending(self.optimizer, name)
            by_role[role] = list(variables)[: len(self._variables)]
        return by_role

    def save(self, via: Via) -> Any:
        """The state, by Keras's own means."""
        if via == "file":
            return _filed(self.optimizer.save_own_variables)
        store: dict[str, Array] = {}
        self.optimizer.save_own_variables(store)
        return edits.copied(store, via)

    def load(self, saved: Any) -> None:
        """Hand a saved state back."""
        self.optimizer.load_own_variables(_opened(saved))

    def edited(self, saved: Any, edit: EditState) -> Any:
        """A saved state cut shorter, or with an entry of another shape."""
        store = dict(_opened(saved))
        if edit.edit == "shorten":
            # The last variable's entries: one in every so many of those behind the counter and the learning rate.
            count = len(self._variables)
            keys = [str(index) for index in range(len(store)) if index < 2 or (index - 2) % count != count - 1]
            return {str(position): store[key] for position, key in enumerate(keys)}
        position = str(2 + edit.index % len(self._variables))
        store[position] = edits.lengthened(store[position])
        return store


class Legacy:
    """An optimizer of Keras 2 in its first form, ``tf_keras.optimizers.legacy``."""

    def __init__(
        self, factory: Callable[..., Any], variables: Sequence[Any], options: Mapping[str, float | bool]
    ) -> None:
        self._variables = list(variables)
        self.optimizer = factory(**{NAMES[name]: value for name, value in options.items()})
        # As a model does that is loaded: its state can be saved and restored before the first step.
        self.optimizer._create_all_weights(self._variables)

    def step(self, gradients: Sequence[Any]) -> None:
        """One step with these gradients, in the order of the variables; ``None`` is no gradient."""
        self.optimizer.apply_gradients(list(zip(gradients, self._variables, strict=True)))

    def change(self, option: str, value: float | bool) -> None:
        """Set an option of the page, by Keras's name for it."""
        setattr(self.optimizer, NAMES[option], value)

    def state(self) -> Sequence[Mapping[str, Array]]:
        """The state of each variable, by role."""
        from rmspec.oracles.tensorflow.subject import copied

        states: list[dict[str, Array]] = []
        for variable in self._variables:
            slots: dict[str, Array] = {}
            for role, name in LEGACY_SLOTS.items():
                # A slot that is not there yet is a KeyError.
                with contextlib.suppress(KeyError):
                    slots[role] = copied(self.optimizer.get_slot(variable, name))
            states.append(slots)
        return states

    def save(self, via: Via) -> Any:
        """The state, by Keras's own means."""
        weights = self.optimizer.get_weights()
        return pickle.dumps(weights) if via == "pickle" else copy.deepcopy(weights)

    def load(self, saved: Any) -> None:
        """Hand a saved state back."""
        self.optimizer.set_weights(_opened(saved))

    def edited(self, saved: Any, edit: EditState) -> Any:
        """A saved state cut shorter, or with an entry of another shape."""
        weights = list(_opened(saved))
        if edit.edit == "shorten":
            return weights[:-1]
        if len(weights) > 1:
            weights[1] = edits.lengthened(weights[1])
        return weights


def reader() -> Callable[[Any], Array]:
    """A function to copy a variable or a tensor of the backend."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return lambda source: np.array(keras.ops.convert_to_numpy(source))
    from rmspec.oracles.tensorflow.subject import copied

    # Keras itself cannot copy a scalar in bfloat16 out of TensorFlow.
    return lambda source: copied(source.value if isinstance(source, keras.Variable) else source)


def _names(optimizer: Any, count: int) -> dict[str, str]:
    """The holder of each role of a built optimizer: an attribute, or the ending of variables' names."""
    holders: dict[str, str] = {}
    for role, (attribute, ending) in VARIABLES.items():
        if getattr(optimizer, attribute, None):
            holders[role] = attribute
        elif len(_ending(optimizer, ending)) == count:
            holders[role] = ending
    return holders


def _ending(optimizer: Any, name: str) -> list[Any]:
    return [variable for variable in optimizer.variables if str(variable.name).endswith(f"_{name}")]


def _filed(save: Callable[[Any], None]) -> bytes:
    """Save into a store of Keras's own file format, and return the content of the file."""
    from keras.src.saving.saving_lib import H5IOStore

    buffer = io.BytesIO()
    store = H5IOStore(buffer, mode="w")
    save(store.make("optimizer"))
    store.close()
    return buffer.getvalue()


def _opened(saved: Any) -> Any:
    if not isinstance(saved, bytes):
        return saved
    if saved.startswith(b"\x89HDF"):
        from keras.src.saving.saving_lib import H5IOStore

        return H5IOStore(io.BytesIO(saved), mode="r").get("optimizer")
    return pickle.loads(saved)
