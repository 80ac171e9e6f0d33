"""Two transcripts, compared in all there is."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.subject import Observation


def assert_same(one: Transcript, other: Transcript) -> None:
    """Equal in all there is, arrays bit by bit."""
    assert (one.program, one.options, one.carried) == (other.program, other.options, other.carried)
    assert repr(one.failure) == repr(other.failure)
    assert_same_observation(one.start, other.start)
    assert len(one.answers) == len(other.answers)
    for answer, again in zip(one.answers, other.answers, strict=True):
        assert repr(answer.outcome) == repr(again.outcome)
        assert_same_observation(answer.after, again.after)


def assert_same_observation(one: Observation, other: Observation) -> None:
    assert repr(one.groups) == repr(other.groups)
    for first, second in zip(tables(one), tables(other), strict=True):
        assert list(first) == list(second)
        for key, array in first.items():
            assert_same_array(array, second[key])


def tables(seen: Observation) -> list[dict[Any, NDArray[Any] | None]]:
    """Each part of an observation that holds arrays, flat."""
    return [
        dict(seen.params),
        dict(seen.grads),
        {
            (a, b, role): x
            for a, params in seen.state.items()
            for b, roles in params.items()
            for role, x in roles.items()
        },
        {
            (a, i, role): x
            for a, entries in seen.slots.items()
            for i, roles in entries.items()
            for role, x in roles.items()
        },
    ]


def assert_same_array(one: NDArray[Any] | None, other: NDArray[Any] | None) -> None:
    if one is None or other is None:
        assert one is other
        return
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    assert one.tobytes() == other.tobytes()
