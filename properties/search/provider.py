"""The one place for Hypothesis' internals: choices made from the seed alone.

Hypothesis also draws constants of local modules, those that happen to be imported, so that importing another subject would
change the programs. Its documented hook, ``AVAILABLE_PROVIDERS``, cannot prevent this: it draws new prefixes with its own
provider whatever stands there, and under another name the same seed makes other programs. So its own provider is changed,
for as long as programs are generated.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

import hypothesis
from hypothesis.internal.conjecture import providers

from rmspec.oracles.errors import Unsupported

__all__ = ["sealed"]

_NAME = "_local_constants"


class _NoConstants:
    """An empty pool of constants."""

    def set_for_type(self, choice_type: str) -> tuple[()]:
        return ()


@contextmanager
def sealed() -> Iterator[None]:
    """Keep Hypothesis from drawing the constants of local modules.

    Raises ``Unsupported`` for a version of Hypothesis with other internals than those known here.
    """
    provider = getattr(providers, "HypothesisProvider", None)
    original = vars(provider).get(_NAME) if provider is not None else None
    cache = getattr(getattr(providers, "CONSTANTS_CACHE", None), "cache", None)
    if not isinstance(original, cached_property) or cache is None:
        raise Unsupported(
            f"this version of rmspec does not know Hypothesis {hypothesis.__version__}",
            "it cannot keep imported modules from changing the programs of a seed",
            "install the version that constraints.txt names, or a newer rmspec",
        )
    # The cache holds the permitted constants of whoever drew first.
    cache.clear()
    setattr(provider, _NAME, _NoConstants())
    try:
        yield
    finally:
        setattr(provider, _NAME, original)
        cache.clear()
