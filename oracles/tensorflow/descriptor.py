"""TensorFlow's own operations and the optimizer of TensorFlow 1, as rmspec knows them."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.framework import EvidenceCounter, Framework, RegisteredSubject

_SLOTS = {"square_avg": "ms", "grad_avg": "mg", "momentum_buffer": "mom"}

FRAMEWORK = Framework(
    name="tensorflow",
    requires="tensorflow",
    install="pip install 'rmspec[tensorflow]'",
    package="rmspec.oracles.tensorflow",
    subjects={
        "tensorflow": RegisteredSubject(
            title="tf.raw_ops.ResourceApplyRMSProp, with its centered and sparse forms",
            dialect="tensorflow-op",
            state_names=_SLOTS,
        ),
        "tensorflow:function": RegisteredSubject(
            title="the same inside a tf.function (slow to trace)",
            dialect="tensorflow-op",
            state_names=_SLOTS,
            paths=("function",),
        ),
        "tensorflow:v1": RegisteredSubject(title="tf.compat.v1.train.RMSPropOptimizer", dialect="tensorflow1"),
        "tensorflow:v1-function": RegisteredSubject(
            title="the same inside a tf.function (slow to trace)", dialect="tensorflow1", paths=("function",)
        ),
    },
    registered="rmspec.oracles.tensorflow.subject:registered",
    user_subject="rmspec.oracles.tensorflow.subject:user_subject",
    prefixes=("tensorflow",),
    baseline="tensorflow:v1",
    dialects=(DIALECTS["tensorflow-op"], DIALECTS["tensorflow1"]),
    counters=(
        EvidenceCounter(
            path="function",
            counts="rmspec.oracles.tensorflow.evidence:function",
            title="calls of a tf.function with a traced graph",
        ),
    ),
    script="rmspec.oracles.tensorflow.script:statements",
    blind_spots=(
        "complex variables on TensorFlow, which calculates with complex numbers as such",
        "the elementary operations within TensorFlow's kernels, such as ResourceApplyRMSProp (only the whole step)",
    ),
    order=3,
)
