"""Hiding state: a transcript without some of the roles, as of a subject with less to show.

A run shows what it can see. A fault that shows in a state at once, where there is one to see, shows where it is hidden in
a parameter alone, some calls later. So two subjects are compared by the state that both of them show, and a dialect other
than a subject's own by no state at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rmspec.oracles.host.perform import Answer, Transcript
from rmspec.oracles.subject import Observation


def show_only(transcript: Transcript, roles: frozenset[str]) -> Transcript:
    """The transcript, with these ``roles`` of the state alone."""
    return replace(
        transcript,
        start=_show_only(transcript.start, roles),
        answers=tuple(Answer(answer.outcome, _show_only(answer.after, roles)) for answer in transcript.answers),
    )


def _show_only(observation: Observation, roles: frozenset[str]) -> Observation:
    if not roles:
        return replace(observation, state={}, slots={}, steps={})

    def keep(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {role: array for role, array in arrays.items() if role in roles}

    return replace(
        observation,
        state={
            optimizer: {name: keep(arrays) for name, arrays in params.items()}
            for optimizer, params in observation.state.items()
        },
        slots={
            slot: {position: keep(arrays) for position, arrays in entries.items()}
            for slot, entries in observation.slots.items()
        },
    )
