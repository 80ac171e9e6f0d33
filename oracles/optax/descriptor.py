"""optax, as rmspec knows it."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.framework import Framework, RegisteredSubject

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
    script="rmspec.oracles.optax.script:statements",
    blind_spots=("complex variables on optax, which calculates with complex numbers as such",),
    order=4,
)
