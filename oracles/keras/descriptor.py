"""Keras 3 on its backends, and the optimizers of Keras 2, as rmspec knows them."""

from __future__ import annotations

from collections.abc import Mapping

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.framework import EvidenceCounter, Framework, Layout, Primitives, RegisteredSubject

_BUILD = "optimizer.build(model.trainable_variables)"
_HDF5 = f'import h5py\n{_BUILD}\noptimizer.load_own_variables(h5py.File({{path}})["optimizer/vars"])'

_PLAIN: Mapping[Operation, str] = {
    "add": "keras.ops.add(x, y)",
    "multiply": "keras.ops.multiply(x, y)",
    "divide": "keras.ops.divide(x, y)",
    "sqrt": "keras.ops.sqrt(x)",
    "multiply-add": "keras.ops.add(keras.ops.multiply(x, y), z)",
}

FRAMEWORK = Framework(
    name="keras",
    requires="keras",
    install="pip install 'rmspec[tensorflow]'",
    package="rmspec.oracles.keras",
    subjects={
        "keras": RegisteredSubject(title="keras.optimizers.RMSprop on TensorFlow", dialect="keras3"),
        "keras:function": RegisteredSubject(
            title="keras.optimizers.RMSprop on TensorFlow, inside a tf.function (slow to trace)",
            dialect="keras3",
            paths=("function",),
        ),
        "keras:torch": RegisteredSubject(
            title="keras.optimizers.RMSprop on torch, in a process of its own", dialect="keras3"
        ),
        "keras:jax": RegisteredSubject(
            title="keras.optimizers.RMSprop on JAX, in a process of its own", dialect="keras3"
        ),
        "keras:legacy": RegisteredSubject(
            title="tf_keras.optimizers.legacy.RMSprop, where tf_keras is installed",
            dialect="keras-legacy",
            state_names={"square_avg": "rms", "grad_avg": "mg", "momentum_buffer": "momentum"},
        ),
    },
    registered="rmspec.oracles.keras.subject:registered",
    user_subject="rmspec.oracles.keras.subject:user_subject",
    prefixes=("keras", "tf_keras"),
    built_on=("tensorflow", "torch", "optax"),  # on a backend its classes derive from classes of that framework as well
    baseline="keras",
    dialects=(DIALECTS["keras3"], DIALECTS["keras-legacy"]),
    layouts=(
        Layout(
            reads=(".h5", ".hdf5", ".keras", ".npz"),
            writes=(".h5", ".hdf5", ".npz"),
            dialects=("keras3",),
            reader="rmspec.oracles.keras.checkpoint:keras_file",
            writer="rmspec.oracles.keras.checkpoint:keras_bytes",
            loading={
                ".h5": _HDF5,
                ".hdf5": _HDF5,
                ".npz": f"import numpy\n{_BUILD}\noptimizer.load_own_variables(numpy.load({{path}}))",
            },
        ),
    ),
    counters=(
        EvidenceCounter(
            path="function",
            counts="rmspec.oracles.tensorflow.evidence:function",
            title="calls of a tf.function with a traced graph",
        ),
    ),
    primitives=Primitives(
        evaluator="rmspec.oracles.keras.operations:evaluator",
        imports=("import keras", "import tensorflow as tf"),
        array='keras.ops.convert_to_tensor({values}, dtype="{format}")',
        number="float({array}[0])",
        call={
            "": _PLAIN,
            "function": {
                operation: f"tf.function(lambda x, y, z: {expression})(x, y, z)"
                for operation, expression in _PLAIN.items()
            },
        },
    ),
    script="rmspec.oracles.keras.script:statements",
    blind_spots=(
        "complex variables on Keras, which calculates with complex numbers as such",
        "the elementary operations of Keras on torch, on JAX, and of tf_keras (only the whole step)",
    ),
    order=2,
)
