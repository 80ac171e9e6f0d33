"""NumPy, as rmspec knows it: the reference, in every dialect."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.oracles.framework import Framework, RegisteredSubject

FRAMEWORK = Framework(
    name="numpy",
    requires="numpy",
    install="pip install numpy",
    package="rmspec.oracles.numpy",
    subjects={
        "reference": RegisteredSubject(title="the specification's pseudocode over NumPy arrays"),
        **{
            f"reference:{name}": RegisteredSubject(title=f"the reference, following {dialect.title}", dialect=name)
            for name, dialect in DIALECTS.items()
            if dialect is not SPECIFICATION
        },
    },
    registered="rmspec.oracles.numpy.subject:registered",
    order=0,
)
