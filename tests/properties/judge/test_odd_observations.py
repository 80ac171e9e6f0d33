"""Observations of another form than the parameters declare: state of another size is hidden, all else is refused where it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from programs import Spoilt, create, findings, program, step

from rmspec.oracles.errors import ProtocolBroken
from rmspec.oracles.host.perform import perform
from rmspec.oracles.host.transcripts import decode_transcript, encode_transcript
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Param
from rmspec.oracles.subject import GroupView, Observation

PROGRAM = program(create("p"), step(p=2.0), step(p=1.0), params=(Param("p", shape=(2,), values=(1.0, 2.0)),))

SIZES: dict[str, Callable[[Any], Any]] = {
    "one": lambda array: array[:1],
    "more": lambda array: np.concatenate([array, array]),
    "none": lambda array: array[:0],
    "no dimension": lambda array: np.array(1.0, array.dtype),
    "pairs": lambda array: array.astype(np.complex64),
}


def changed_state(change: Callable[[Any], Any]) -> Callable[[Observation], Observation]:
    """What is seen where every array of the state is changed."""

    def see(seen: Observation) -> Observation:
        state = {
            optimizer: {name: {role: change(array) for role, array in roles.items()} for name, roles in entries.items()}
            for optimizer, entries in seen.state.items()
        }
        return replace(seen, state=state)

    return see


@pytest.mark.parametrize("change", SIZES.values(), ids=SIZES.keys())
def test_state_of_another_size_is_hidden(change: Callable[[Any], Any]) -> None:
    """The steps are judged without it, and no value of a correct optimizer deviates."""
    assert [finding.clause for finding in findings(PROGRAM, Spoilt(see=changed_state(change)))] == []


ODD: dict[str, tuple[Callable[[Observation], Observation], str]] = {
    **{
        f"parameter: {name}": (
            lambda seen, change=change: replace(
                seen, params={key: change(value) for key, value in seen.params.items()}
            ),
            "the parameter p",
        )
        for name, change in SIZES.items()
    },
    "parameter of whole numbers": (
        lambda seen: replace(seen, params={name: value.astype(np.int32) for name, value in seen.params.items()}),
        "is int32, not float32",
    ),
    "another parameter": (lambda seen: replace(seen, params={**seen.params, "q": np.ones(1)}), "its params are p, q"),
    "no gradient": (lambda seen: replace(seen, grads={}), "its grads are none"),
    "gradient of another size": (lambda seen: replace(seen, grads={"p": np.ones(3)}), "the gradient of p"),
    "state of a stranger": (lambda seen: replace(seen, state={"A": {"q": {}}}), "'q', which is no parameter"),
    "an unknown role": (
        lambda seen: replace(seen, state={"A": {"p": {"variance": np.ones(2)}}}),
        "the role 'variance'",
    ),
    "an unknown option": (
        lambda seen: replace(seen, groups={"A": (GroupView(("p",), {"betas": 1.0}),)}),
        "the option 'betas'",
    ),
}


@pytest.mark.parametrize(("see", "words"), ODD.values(), ids=ODD.keys())
def test_an_observation_of_another_form_is_refused(see: Callable[[Observation], Observation], words: str) -> None:
    """Where it is read, with what is wrong: no judge could say anything of it."""
    data = encode_transcript(perform(PROGRAM, Spoilt(see=see)))
    with pytest.raises(ProtocolBroken) as caught:
        decode_transcript(memoryview(data), PROGRAM)
    assert words in caught.value.what


def test_a_right_observation_is_read() -> None:
    """Of the reference, as it is."""
    data = encode_transcript(perform(PROGRAM, ReferenceSubject()))
    assert len(decode_transcript(memoryview(data), PROGRAM).answers) == len(PROGRAM.calls)
