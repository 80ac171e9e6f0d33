"""The bounds of the page itself for the number of a deviation under amendments.

Its own bounds are those of the specification as amended, which no correct optimizer meets. The reference performs the program; the
number that it comes to, with the width of its envelope for this step and each one before, is what a correct optimizer gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import SPECIFICATION, UnknownDialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.host.perform import Transcript, perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program, Step
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.runner import judge

__all__ = ["unamended_bounds"]


def unamended_bounds(program: Program, finding: Finding, policy: Policy) -> tuple[float, float] | None:
    """Bound the number of a value finding by the dialect of its program; ``None`` without a number of the reference."""
    try:
        plain = dialect_named(program.dialect or SPECIFICATION.name)
    except UnknownDialect:
        return None
    short = replace(program, calls=program.calls[: finding.call + 1], clause="")
    transcript = perform(short, ReferenceSubject(plain))
    if len(transcript.answers) < len(short.calls):
        return None
    after = transcript.answers[-1].after
    arrays = after.params if finding.role == "param" else after.state.get(finding.optimizer, {}).get(finding.param, {})
    name = finding.param if finding.role == "param" else finding.role
    if name not in arrays:
        return None
    for own in judge(_spoiled(transcript, finding, name), plain, policy=policy).findings:
        if own.place[1:] == finding.place[1:] and own.element == finding.element:
            if own.allowed is None:  # this step is to leave it alone
                value = float(_reals(arrays[name])[finding.element])
                return value, value
            low, high = own.allowed
            slack = sum(isinstance(call, Step) for call in short.calls[:-1]) * (high - low)
            return low - slack, high + slack
    return None


def _spoiled(transcript: Transcript, finding: Finding, name: str) -> Transcript:
    """The transcript with NaN for the number of a finding, so that a judge tells its bounds."""
    *earlier, last = transcript.answers
    after = last.after
    if finding.role == "param":
        after = replace(after, params=_with_nan(after.params, name, finding.element))
    else:
        roles = _with_nan(after.state[finding.optimizer][finding.param], name, finding.element)
        params = {**after.state[finding.optimizer], finding.param: roles}
        after = replace(after, state={**after.state, finding.optimizer: params})
    return replace(transcript, answers=(*earlier, replace(last, after=after)))


def _with_nan(arrays: Mapping[str, NDArray[Any]], name: str, element: int) -> dict[str, NDArray[Any]]:
    array = np.array(arrays[name], order="C")
    _reals(array)[element] = np.nan
    return {**arrays, name: array}


def _reals(array: NDArray[Any]) -> NDArray[Any]:
    """The numbers of an array as reals, one after the other."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat
