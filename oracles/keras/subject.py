"""Subjects on Keras: ``keras.optimizers.RMSprop`` on its TensorFlow, torch and JAX backends, and the user's own classes.

Registered names: ``keras`` (TensorFlow backend), ``keras:function`` (the same inside a ``tf.function``), ``keras:torch``,
``keras:jax``, and ``keras:legacy`` (``tf_keras.optimizers.legacy.RMSprop``, where ``tf_keras`` is installed).

A process holds one backend of Keras. The subject of a backend that this process cannot have any more is therefore driven
in a process of its own, over the wire protocol.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import platform
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.oracles.errors import Unsupported
from rmspec.oracles.keras.descriptor import FRAMEWORK
from rmspec.oracles.keras.drivers import LEGACY_SLOTS, NAMES, VARIABLES, Keras3, Legacy, reader
from rmspec.oracles.session import factories
from rmspec.oracles.session.applied import AppliedSubject, Driven
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.devices import device_name
from rmspec.oracles.session.surroundings import Surroundings
from rmspec.oracles.wire.subject import ProcessSubject

Array = NDArray[Any]

_REQUIRES = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}

_LACKS = {
    "groups": "it takes a list of variables, and has no parameter groups",
    "layout": "its variables have no strides of their own",
    "complex": "it documents no complex variables",
    "duplicates": "its interface takes pairs of gradient and variable, and promises no refusal",
}


class _Variables:
    """Keras variables, and gradients of the backend."""

    def __init__(self, make: Callable[[Sequence[Any], Mapping[str, float | bool]], Driven]) -> None:
        import keras

        self._keras = keras
        self._make = make
        self._array = reader()

    def variable(self, name: str, values: Array) -> Any:
        return self._keras.Variable(values, dtype=values.dtype.name, name=name)

    def dense(self, values: Array) -> Any:
        return self._keras.ops.convert_to_tensor(values, dtype=values.dtype.name)

    def sparse(self, values: Array, rows: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """Indexed slices, for the TensorFlow backend alone."""
        import tensorflow as tf

        return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int64), tf.constant(shape, tf.int64))

    def read(self, value: Any) -> Array:
        """The values; those of a row named twice are added up."""
        return self._array(value)

    def device(self, variable: Any) -> str:
        return device_name(variable.value)

    def optimizer(self, variables: Sequence[Any], options: Mapping[str, float | bool]) -> Driven:
        return self._make(variables, options)


class KerasSubject(AppliedSubject):
    """A Keras optimizer as a subject, on the backend of this process."""

    framework = "keras"

    def surroundings(self) -> Surroundings:
        """Let Keras stay on the CPU, name optimizers as in a fresh process, and count its own names on afterwards.

        TensorFlow prepares an operation anew for each name of a variable, which is most of what an optimizer costs.
        """
        counted: dict[str, int] = defaultdict(int)
        return lambda: names_counted_in(counted)

    def versions(self) -> Mapping[str, str]:
        """The versions of Keras and of its backend."""
        import keras

        backend = keras.backend.backend()
        module = importlib.import_module(_REQUIRES[backend])
        versions = {"keras": keras.__version__, backend: str(module.__version__), "python": platform.python_version()}
        if "tf_keras" in sys.modules:
            versions["tf_keras"] = str(sys.modules["tf_keras"].__version__)
        return versions


class KerasProcess(ProcessSubject):
    """A Keras subject on another backend than this process: ``rmspec.oracles.serve`` in a process of its own."""

    framework = "keras"

    def __init__(self, name: str, backend: str) -> None:
        super().__init__(
            f"process:{sys.executable} -m rmspec.oracles.serve {name}", variables={"KERAS_BACKEND": backend}
        )
        self.name = name


@contextmanager
def names_counted_in(counted: dict[str, int]) -> Iterator[None]:
    """Let Keras work on the CPU, and count its uses of a name in this table instead of the table of the process."""
    import keras
    from keras.src.backend.common.global_state import get_global_attribute, set_global_attribute

    before = get_global_attribute("object_name_uids")
    try:
        set_global_attribute("object_name_uids", counted)
        with keras.device("cpu:0"):
            yield
    finally:
        set_global_attribute("object_name_uids", before)


def registered(name: str, device: str) -> KerasSubject | KerasProcess:
    """The subject of a registered name. Raises ``Unsupported`` for a missing backend, or a missing tf_keras."""
    factories.check_device(name, device)
    path = name.partition(":")[2]
    if path == "legacy":
        return _legacy(name)
    backend = path if path in ("torch", "jax") else "tensorflow"
    if importlib.util.find_spec(_REQUIRES[backend]) is None:
        raise Unsupported(
            f"{name} needs {backend}, which is not installed", hint=f"pip install 'rmspec[tensorflow,{backend}]'"
        )
    if not _backend_is(backend):
        return KerasProcess(name, backend)
    import keras

    kind = keras.optimizers.RMSprop
    return _keras3(name, kind, _options(kind), function=path == "function")


def _backend_is(backend: str) -> bool:
    """Tell whether Keras uses this backend in this process; import Keras if the choice is still open.

    Keras reads the environment once, when it is imported: it is as it was afterwards.
    """
    if "keras" not in sys.modules:
        configured = os.environ.get("KERAS_BACKEND")
        if configured is None and backend == "tensorflow":
            os.environ["KERAS_BACKEND"] = backend
            try:
                importlib.import_module("keras")
            finally:
                del os.environ["KERAS_BACKEND"]
        elif configured != backend:
            return False
    import keras

    return str(keras.backend.backend()) == backend


def _keras3(
    name: str,
    factory: Callable[..., Any],
    options: frozenset[str],
    *,
    function: bool = False,
    baselines: tuple[str, ...] = (),
    names: Mapping[str, str] | None = None,
) -> KerasSubject:
    """``names`` maps each role of the state to its name here, if Keras itself uses another."""
    import keras

    names = {role: attribute for role, (attribute, _) in VARIABLES.items()} if names is None else names

    backend = keras.backend.backend()
    lacks = {
        option: f"its constructor takes no {option}"
        for option in ("momentum", "centered", "weight_decay")
        if option not in options
    }
    if backend != "tensorflow":
        lacks["sparse"] = f"Keras takes no row-sparse gradients on {backend}"
    formats = {"formats": ("float32", "float16", "bfloat16")} if backend == "jax" else {}
    return KerasSubject(
        name,
        _Variables(partial(Keras3, factory, function=function)),
        factories.applied_capabilities(
            {**_LACKS, **lacks},
            options=options,
            roles=frozenset(names),
            required=factories.required_options(factory, NAMES) & options,
            changeable=frozenset({"lr"}) if function else options,
            carried=frozenset({"lr"}),
            edits=frozenset({"shorten", "reshape"}),
            **formats,
        ),
        dialect="keras3",
        state_names=names,
        baselines=baselines,
    )


def _legacy(name: str) -> KerasSubject:
    if importlib.util.find_spec("tf_keras") is None:
        raise Unsupported(f"{name} needs tf_keras, which is not installed", hint="pip install --no-deps tf-keras")
    if not _backend_is("tensorflow"):
        raise Unsupported(f"{name} needs Keras on TensorFlow in this process", hint="unset KERAS_BACKEND")
    legacy = importlib.import_module("tf_keras").optimizers.legacy.RMSprop
    from rmspec.oracles.tensorflow.subject import Variables

    options = frozenset(NAMES) - {"weight_decay"}
    lacks = {"weight_decay": "its constructor takes no weight_decay", "file": "it is saved with its model"}
    return KerasSubject(
        name,
        Variables(partial(Legacy, legacy)),
        factories.applied_capabilities(
            {**_LACKS, **lacks},
            options=options,
            changeable=frozenset({"lr", "alpha", "momentum"}),
            edits=frozenset({"shorten", "reshape"}),
        ),
        dialect="keras-legacy",
        state_names=LEGACY_SLOTS,
    )


def user_subject(
    name: str, factory: Callable[..., Any], device: str, fixed: Mapping[str, bool] | None = None
) -> KerasSubject:
    """A user's class or factory, called like a Keras optimizer. Raises ``NotAnOptimizer`` and ``CannotStart``."""
    factories.check_device(name, device)
    factories.check_method(name, factory, "keras.optimizers.RMSprop")
    import keras

    of_backend = f"{FRAMEWORK.baseline}:{keras.backend.backend()}"
    baseline = of_backend if of_backend in FRAMEWORK.subjects else FRAMEWORK.baseline
    baselines = (baseline,) if inspect.isclass(factory) else ()
    options = _options(factory)
    factory = partial(factory, **fixed) if fixed else factory
    probe: dict[str, float | bool] = {"lr": 0.125} if "lr" in options else {}
    with names_counted_in(defaultdict(int)):
        outcome = performed(lambda: Keras3(factory, [keras.Variable(np.ones(1, np.float32))], probe))
    arguments = {NAMES[key]: value for key, value in probe.items()}
    factories.check_created(
        name, outcome, arguments, "keras.optimizers.RMSprop(learning_rate=..., rho=..., epsilon=...)"
    )
    state_options = {"momentum": 0.5, "centered": True}
    full = {**probe, **{option: value for option, value in state_options.items() if option in options}}
    holders: list[dict[str, str]] = []
    # An option that it refuses is found out in the check.
    with names_counted_in(defaultdict(int)):
        performed(lambda: holders.append(Keras3(factory, [keras.Variable(np.ones(1, np.float32))], full).names))
    subject = _keras3(name, factory, options, baselines=baselines, names=holders[0] if holders else None)
    if not fixed:
        subject.offer_paths(FRAMEWORK, factory, arguments)
    return subject


def _options(factory: Callable[..., Any]) -> frozenset[str]:
    parameters = inspect.signature(factory).parameters
    if factories.takes_anything(factory) and not inspect.isclass(factory):
        return frozenset(NAMES)
    named = set(parameters)
    if inspect.isclass(factory):
        # A class that hands its keywords on takes those of the classes above it.
        for base in inspect.getmro(factory):
            own = inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else {}
            named |= set(own)
            if own and not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in own.values()):
                break
            if base.__module__.startswith("keras.") and own:
                break
    return frozenset(option for option, name in NAMES.items() if name in named)
