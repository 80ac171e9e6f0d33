"""The registered subjects: names, and where each framework's module is. Nothing is imported until it is asked for.

A new framework is one new module with a function ``registered(name, device)`` and, for users' own classes,
``user_subject(name, factory, device)``; and one entry here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rmspec.impl.spec.dialect import DIALECTS

__all__ = ["FRAMEWORKS", "Framework", "registered_names"]


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework: its ``module`` in ``rmspec.oracles``, what it ``requires`` to be importable, the line that installs it.

    ``subjects`` maps registered names to a sentence each; ``prefixes`` are the top-level modules of classes that are its own.
    """

    name: str
    module: str
    requires: str
    install: str
    subjects: Mapping[str, str]
    prefixes: tuple[str, ...] = ()
    users: bool = False
    notes: Mapping[str, str] = field(default_factory=dict)


FRAMEWORKS: tuple[Framework, ...] = (
    Framework(
        "numpy",
        "rmspec.oracles.numpy.subject",
        "numpy",
        "pip install numpy",
        {
            "reference": "the specification's pseudocode over NumPy arrays",
            **{
                f"reference:{name}": f"the reference in the dialect: {dialect.title}"
                for name, dialect in DIALECTS.items()
                if name != "torch"
            },
        },
    ),
    Framework(
        "torch",
        "rmspec.oracles.torch.subject",
        "torch",
        "pip install 'rmspec[torch]'",
        {
            "torch": "torch.optim.RMSprop, one parameter after the other (foreach=False)",
            "torch:foreach": "torch.optim.RMSprop(foreach=True)",
            "torch:maximize": "torch.optim.RMSprop(maximize=True), against the dialect torch-maximize",
            "torch:differentiable": "torch.optim.RMSprop(differentiable=True)",
            "torch:capturable": "torch.optim.RMSprop(capturable=True), on CUDA",
            "torch:compiled": "torch.optim.RMSprop with step under torch.compile (slow to start)",
            "torch:tensor-lr": "torch.optim.RMSprop with lr as a tensor",
        },
        prefixes=("torch",),
        users=True,
    ),
    Framework(
        "keras",
        "rmspec.oracles.keras.subject",
        "keras",
        "pip install 'rmspec[tensorflow]'",
        {
            "keras": "keras.optimizers.RMSprop on TensorFlow",
            "keras:function": "keras.optimizers.RMSprop on TensorFlow, inside a tf.function (slow to trace)",
            "keras:torch": "keras.optimizers.RMSprop on torch, in a process of its own",
            "keras:jax": "keras.optimizers.RMSprop on JAX, in a process of its own",
            "keras:legacy": "tf_keras.optimizers.legacy.RMSprop, where tf_keras is installed",
        },
        prefixes=("keras", "tf_keras"),
        users=True,
    ),
    Framework(
        "tensorflow",
        "rmspec.oracles.tensorflow.subject",
        "tensorflow",
        "pip install 'rmspec[tensorflow]'",
        {
            "tensorflow": "tf.raw_ops.ResourceApplyRMSProp, with its centered and sparse forms",
            "tensorflow:function": "the same inside a tf.function (slow to trace)",
            "tensorflow:v1": "tf.compat.v1.train.RMSPropOptimizer",
            "tensorflow:v1-function": "the same inside a tf.function (slow to trace)",
        },
        prefixes=("tensorflow",),
        users=True,
    ),
    Framework(
        "optax",
        "rmspec.oracles.optax.subject",
        "optax",
        "pip install 'rmspec[jax]'",
        {"optax": "optax.rmsprop"},
        prefixes=("optax",),
        users=True,
    ),
)


def registered_names() -> dict[str, Framework]:
    """Every registered name with its framework."""
    return {name: framework for framework in FRAMEWORKS for name in framework.subjects}
