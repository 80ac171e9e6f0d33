"""Subjects on TensorFlow itself: the raw operations, and ``tf.compat.v1.train.RMSPropOptimizer``.

Registered names: ``tensorflow`` (``tf.raw_ops.ResourceApplyRMSProp``, ``ResourceApplyCenteredRMSProp`` and their sparse
forms), ``tensorflow:function`` (the same inside a ``tf.function``), ``tensorflow:v1``, ``tensorflow:v1-function``. A class
of the user's that is called like the v1 optimizer is driven as that one.

The operations own nothing: variable, averages and buffer are the caller's, so there is no state to save, and the averages
start at 0 because the caller here starts them there.
"""

from __future__ import annotations

import inspect
import platform
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.program.program import Via
from rmspec.oracles.session import factories
from rmspec.oracles.session.applied import AppliedSubject, Driven, Place
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.surroundings import Surroundings
from rmspec.oracles.tensorflow.descriptor import FRAMEWORK

Array = NDArray[Any]

V1_NAMES = DIALECTS["tensorflow1"].constructor.names
"""What the v1 optimizer calls the options of the page."""

_SLOTS = DIALECTS["tensorflow1"].constructor.state_names

_RAW = ("lr", "alpha", "eps", "momentum")
"""The options that the raw operation must be given, in the tensor's own format."""

_LACKS = {
    "groups": "it takes a list of variables, and has no parameter groups",
    "weight_decay": "it has no weight decay",
    "layout": "its tensors have no strides",
    "complex": "it calculates with complex numbers as such, by another formula than that of their parts",
    "duplicates": "its interface takes pairs of gradient and variable, and promises no refusal",
}


class Variables(Place):
    """TensorFlow variables under an optimizer from ``make``, given them and options by the page's names."""

    def __init__(self, make: Callable[[Sequence[Any], Mapping[str, float | bool]], Driven]) -> None:
        self._make = make

    def optimizer(self, variables: Sequence[Any], options: Mapping[str, float | bool]) -> Driven:
        """An optimizer over these variables."""
        return self._make(variables, options)

    def variable(self, name: str, values: Array) -> Any:
        """A resource variable."""
        return tf.Variable(tf.constant(values), name=name)

    def dense(self, values: Array) -> Any:
        """A tensor."""
        return tf.constant(values)

    def sparse(self, values: Array, rows: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """Indexed slices."""
        return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int64), tf.constant(shape, tf.int64))

    def read(self, value: Any) -> Array:
        """The values: see ``copied``."""
        return copied(value)


def copied(value: Any) -> Array:
    """A copy of a variable, a tensor, or slices; in slices, the values of a row named twice are added up.

    A variable is read by the operation itself, in a third of the time.
    """
    if isinstance(value, tf.IndexedSlices):
        dense = np.zeros(tuple(value.dense_shape.numpy()), value.values.dtype.as_numpy_dtype)
        np.add.at(dense, value.indices.numpy(), value.values.numpy())
        return dense
    if isinstance(value, tf.Variable) and hasattr(value, "handle"):
        value = tf.raw_ops.ReadVariableOp(resource=value.handle, dtype=value.dtype)
    return np.array(value.numpy())


class _RawOps(Driven):
    """The raw operations with their caller's variables."""

    def __init__(self, variables: Sequence[Any], options: Mapping[str, float | bool], *, function: bool) -> None:
        lacking = [name for name in _RAW if name not in options]
        if lacking:
            raise TypeError(f"the operation must be given {', '.join(lacking)}")
        self._variables = variables
        self._options = dict(options)
        self._state = [{role: tf.Variable(tf.zeros_like(variable)) for role in STATE_ROLES} for variable in variables]
        self._apply = tf.function(self._traced) if function else self._traced

    def step(self, gradients: Sequence[Any]) -> None:
        options = [
            [tf.constant(np.asarray(self._options[name]).astype(variable.dtype.as_numpy_dtype)) for name in _RAW]
            for variable in self._variables
        ]
        self._apply(list(gradients), options, bool(self._options.get("centered", False)))

    def _traced(self, gradients: list[Any], options: list[list[Any]], centered: bool) -> None:
        for variable, state, grad, (lr, alpha, eps, momentum) in zip(
            self._variables, self._state, gradients, options, strict=True
        ):
            if grad is None:
                continue
            arguments = {
                "var": variable.handle,
                "ms": state["square_avg"].handle,
                "mom": state["momentum_buffer"].handle,
                "lr": lr,
                "rho": alpha,
                "momentum": momentum,
                "epsilon": eps,
            }
            if centered:
                arguments["mg"] = state["grad_avg"].handle
            name = f"Resource{'Sparse' if isinstance(grad, tf.IndexedSlices) else ''}Apply{'Centered' if centered else ''}RMSProp"
            if isinstance(grad, tf.IndexedSlices):
                arguments |= {"grad": grad.values, "indices": grad.indices}
            else:
                arguments["grad"] = grad
            getattr(tf.raw_ops, name)(**arguments)

    def change(self, option: str, value: float | bool) -> None:
        self._options[option] = value

    def state(self) -> Sequence[Mapping[str, Array]]:
        return [{role: copied(variable) for role, variable in state.items()} for state in self._state]


class _V1(Driven):
    """A v1 optimizer in eager mode, its numbers given as callables so that they can change; or under ``tf.function``,
    given as variables."""

    def __init__(
        self,
        factory: Callable[..., Any],
        variables: Sequence[Any],
        options: Mapping[str, float | bool],
        *,
        function: bool,
    ) -> None:
        self._variables = variables
        self._numbers: dict[str, Any] = {}
        keywords: dict[str, Any] = {}
        if function:
            # What is traced once can change later only if it is a variable: the defaults as well.
            options = {**_defaults(factory), **options}
        for option, value in options.items():
            name = V1_NAMES.get(option, option)
            if option not in V1_NAMES or isinstance(value, bool):
                keywords[name] = value
            elif function:
                keywords[name] = self._numbers[option] = tf.Variable(value, dtype=tf.float32)
            else:
                self._numbers[option] = value
                keywords[name] = self._callable(option)
        self.optimizer = factory(**keywords)
        self._checkpoint: Any = None
        self._apply: Callable[[list[Any]], None] = self._traced
        if function:
            self.optimizer._create_slots(list(variables))
            self._apply = tf.function(self._traced)

    def _callable(self, option: str) -> Callable[[], float]:
        return lambda: float(self._numbers[option])

    def step(self, gradients: Sequence[Any]) -> None:
        self._apply(list(gradients))

    def _traced(self, gradients: list[Any]) -> None:
        self.optimizer.apply_gradients(list(zip(gradients, self._variables, strict=True)))

    def change(self, option: str, value: float | bool) -> None:
        number = self._numbers.get(option)
        if isinstance(number, tf.Variable):
            number.assign(float(value))
        elif option in self._numbers:
            self._numbers[option] = value
        else:
            # Left to its default so far: the attribute that the constructor sets is all there is.
            setattr(self.optimizer, f"_{V1_NAMES[option]}", value)

    def state(self) -> Sequence[Mapping[str, Array]]:
        states: list[dict[str, Array]] = []
        for variable in self._variables:
            slots = {role: self.optimizer.get_slot(variable, name) for role, name in _SLOTS.items()}
            states.append({role: copied(slot) for role, slot in slots.items() if slot is not None})
        return states

    def save(self, via: Via) -> Any:
        with tempfile.TemporaryDirectory(prefix="rmspec-") as folder:
            prefix = self._checkpointed().write(str(Path(folder) / "state"))
            return [(path.name.removeprefix(Path(prefix).name), path.read_bytes()) for path in Path(folder).iterdir()]

    def load(self, saved: Any) -> None:
        self.optimizer._create_slots(list(self._variables))
        before = [variable.numpy() for variable in self._variables]
        folder = Path(tempfile.mkdtemp(prefix="rmspec-"))
        try:
            for ending, content in saved:
                (folder / f"state{ending}").write_bytes(content)
            self._checkpointed().read(str(folder / "state")).expect_partial()
        finally:
            shutil.rmtree(folder)
        # A checkpoint restores the variables that the slots belong to as well.
        for variable, values in zip(self._variables, before, strict=True):
            variable.assign(values)

    def _checkpointed(self) -> Any:
        if self._checkpoint is None:
            variables = {f"v{position}": variable for position, variable in enumerate(self._variables)}
            self._checkpoint = tf.train.Checkpoint(optimizer=self.optimizer, **variables)
        return self._checkpoint


class TensorFlowSubject(AppliedSubject):
    """A TensorFlow optimizer as a subject."""

    framework = "tensorflow"

    def surroundings(self) -> Surroundings:
        """Let TensorFlow stay on the CPU beside other devices."""
        return lambda: tf.device("/CPU:0")

    def versions(self) -> Mapping[str, str]:
        """The version of TensorFlow."""
        return {"tensorflow": tf.__version__, "python": platform.python_version()}


def registered(name: str, device: str) -> TensorFlowSubject:
    """The subject of a registered name. Raises ``Unsupported`` for any device but the CPU."""
    factories.check_device(name, device)
    path = name.partition(":")[2]
    if path.startswith("v1"):
        return _v1_subject(name, tf.compat.v1.train.RMSPropOptimizer, function=path == "v1-function")
    options = frozenset((*_RAW, "centered"))
    return TensorFlowSubject(
        name,
        Variables(partial(_RawOps, function=path == "function")),
        factories.applied_capabilities(
            {**_LACKS, "state_dict": "the caller owns its state", "file": "the caller owns its state"},
            options=options,
            required=frozenset(_RAW),
            changeable=options,
        ),
        dialect=FRAMEWORK.subjects[name].dialect,
        state_names=FRAMEWORK.subjects[name].state_names,
    )


def _v1_subject(
    name: str, factory: Callable[..., Any], *, function: bool = False, baselines: tuple[str, ...] = ()
) -> TensorFlowSubject:
    options = factories.named_options(factory, V1_NAMES)
    lacks = {
        option: f"its constructor takes no {option}" for option in ("momentum", "centered") if option not in options
    }
    return TensorFlowSubject(
        name,
        Variables(partial(_V1, factory, function=function)),
        factories.applied_capabilities(
            {**_LACKS, **lacks},
            options=options,
            required=frozenset({"lr"}) if _must_be_given(factory, "learning_rate") else frozenset(),
            changeable=options - {"centered"},
        ),
        dialect="tensorflow1",
        state_names=_SLOTS,
        baselines=baselines,
    )


def user_subject(
    name: str, factory: Callable[..., Any], device: str, fixed: Mapping[str, bool] | None = None
) -> TensorFlowSubject:
    """A user's class or factory, called like the v1 optimizer. Raises ``NotAnOptimizer`` and ``CannotStart``."""
    factories.check_device(name, device)
    factories.check_method(name, factory, "tf.compat.v1.train.RMSPropOptimizer")
    baselines = (FRAMEWORK.baseline,) if inspect.isclass(factory) else ()
    factory = partial(factory, **fixed) if fixed else factory
    subject = _v1_subject(name, factory, baselines=baselines)
    options = {"lr": 0.125} if "lr" in subject.capabilities().options else {}
    outcome = performed(lambda: _V1(factory, [tf.Variable([1.0])], options, function=False).state())
    model = "tf.compat.v1.train.RMSPropOptimizer(learning_rate=..., decay=..., epsilon=...)"
    arguments = {V1_NAMES[key]: value for key, value in options.items()}
    factories.check_created(name, outcome, arguments, model)
    if not fixed:
        subject.offer_paths(FRAMEWORK, factory, arguments)
    return subject


def _defaults(factory: Callable[..., Any]) -> dict[str, float | bool]:
    parameters = inspect.signature(factory).parameters
    defaults = {option: parameters[name].default for option, name in V1_NAMES.items() if name in parameters}
    return {option: value for option, value in defaults.items() if isinstance(value, float | bool)}


def _must_be_given(factory: Callable[..., Any], name: str) -> bool:
    parameter = inspect.signature(factory).parameters.get(name)
    return parameter is None or parameter.default is inspect.Parameter.empty
