"""optax, as rmspec knows it."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.framework import Framework, Primitives, RegisteredSubject

FRAMEWORK = Framework(
    name="optax",
    requires="optax",
    install="pip install 'rmspec[jax]'",
    package="rmspec.oracles.optax",
    subjects={"optax": RegisteredSubject(title="optax.rmsprop", dialect="optax")},
    registered="rmspec.oracles.optax.subject:registered",
    user_subject="rmspec.oracles.optax.subject:user_subject",
    prefixes=("optax",),
    baseline="optax",
    dialects=(DIALECTS["optax"],),
    primitives=Primitives(
        evaluator="rmspec.oracles.optax.operations:evaluator",
        imports=("import jax", 'jax.config.update("jax_enable_x64", True)'),
        array='jax.numpy.asarray({values}, dtype="{format}")',
        number="float({array}[0])",
        call={
            "": {
                "add": "x + y",
                "multiply": "x * y",
                "divide": "x / y",
                "sqrt": "jax.numpy.sqrt(x)",
                "multiply-add": "x * y + z",
            }
        },
    ),
    script="rmspec.oracles.optax.script:statements",
    blind_spots=("complex variables on optax, which calculates with complex numbers as such",),
    order=4,
)
