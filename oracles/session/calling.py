"""The outcome of a call: an exception of the subject is part of the observation."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rmspec.oracles.errors import SubjectFailed, wording
from rmspec.oracles.subject import Outcome, Raised

_LONGEST = 1 << 20  # characters of a message that are looked at


def performed(call: Callable[[], Any]) -> Outcome:
    """The outcome of a call without a result of interest. Raises ``SubjectFailed`` for an impossible call."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call()
    except SubjectFailed:
        raise
    except Exception as error:
        # What fails under a tf.function is told behind the trace of the function.
        lines = [line.strip() for line in wording(error, _LONGEST).splitlines() if line.strip()] or [""]
        line = lines[-1] if lines[0] == "in user code:" else lines[0]
        return Outcome(raised=Raised(type(error).__name__, line[:300]))
    return Outcome()
