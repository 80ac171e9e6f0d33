"""NumPy, as rmspec knows it: the reference, in every dialect."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION
from rmspec.oracles.framework import Framework, Primitives, RegisteredSubject

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
    primitives=Primitives(
        evaluator="rmspec.oracles.numpy.operations:evaluator",
        imports=("import ml_dtypes", "import numpy"),
        array='numpy.array({values}, dtype="{format}")',
        number="float({array}[0])",
        call={
            "": {
                "add": "x + y",
                "multiply": "x * y",
                "divide": "x / y",
                "sqrt": "numpy.sqrt(x)",
                "multiply-add": "x * y + z",
            }
        },
    ),
    order=0,
)
