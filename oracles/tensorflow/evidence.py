"""Evidence: the calls of traced functions in a step, as the counters of the descriptors read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf


@contextmanager
def function() -> Iterator[Callable[[], int]]:
    """Count the calls of a ``tf.function`` with a traced graph."""
    kind: Any = type(tf.function(lambda: None))
    original = kind.__call__
    count = 0

    def counted(traced: Any, *arguments: Any, **keywords: Any) -> Any:
        nonlocal count
        result = original(traced, *arguments, **keywords)
        count += bool(traced.experimental_get_tracing_count()) and not tf.config.functions_run_eagerly()
        return result

    kind.__call__ = counted
    try:
        yield lambda: count
    finally:
        kind.__call__ = original
