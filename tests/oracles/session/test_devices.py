"""The device of an array in one spelling, and the way of it into a report."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from programs import Spoilt, create, program, step

from rmspec.oracles.host.perform import perform
from rmspec.oracles.host.transcripts import decode_transcript, encode_transcript
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Param
from rmspec.oracles.session.applied import AppliedSession, Driven, Place
from rmspec.oracles.session.devices import device_name
from rmspec.oracles.session.surroundings import PlacedSubject

SHORT = program(create(), step(p=2.0))


def jax_like(platform: str, number: int) -> Any:
    return SimpleNamespace(devices=lambda: [SimpleNamespace(platform=platform, id=number)])


@pytest.mark.parametrize(
    ("array", "name"),
    [
        (np.zeros(2), "cpu"),
        (jax_like("cpu", 0), "cpu"),
        (jax_like("gpu", 1), "gpu:1"),
        (SimpleNamespace(device="/job:localhost/replica:0/task:0/device:CPU:0"), "cpu"),
        (SimpleNamespace(device="/job:localhost/replica:0/task:0/device:GPU:0"), "gpu:0"),
        (SimpleNamespace(device="cuda:0"), "cuda:0"),
        (SimpleNamespace(device="cpu"), "cpu"),
        ([1.0, 2.0], ""),
    ],
)
def test_the_words_of_each_framework_have_one_spelling(array: Any, name: str) -> None:
    """JAX has sets of objects, TensorFlow paths, the others a text."""
    assert device_name(array) == name


def test_a_transcript_carries_the_devices_to_the_judge() -> None:
    """Through the bytes and through a subject in a folder; a session that does not tell has none."""
    transcript = perform(SHORT, PlacedSubject(Spoilt(device="cuda:1"), []))
    assert transcript.devices == ("cuda:1",)
    assert decode_transcript(memoryview(encode_transcript(transcript)), SHORT).devices == ("cuda:1",)
    assert perform(SHORT, PlacedSubject(Spoilt(), [])).devices == ()
    assert perform(SHORT, ReferenceSubject()).devices == ()


class OnTwo(Place):
    """A place with a device for each variable."""

    def variable(self, name: str, values: Any) -> Any:
        return SimpleNamespace(values=values, device=f"cuda:{'pq'.index(name)}")

    def dense(self, values: Any) -> Any:
        return values

    def read(self, value: Any) -> Any:
        return value.values

    def optimizer(self, variables: Any, options: Any) -> Driven:
        raise NotImplementedError


def test_variables_tell_where_they_are() -> None:
    """Each of its own, in a session whose gradients are arguments."""
    assert AppliedSession((Param("p"), Param("q")), OnTwo()).devices() == {"cuda:0", "cuda:1"}


class OfLists(OnTwo):
    """A place of plain lists, which are on no device."""

    def variable(self, name: str, values: Any) -> Any:
        return values.tolist()


def test_variables_of_no_device_tell_none() -> None:
    """As those of a framework in another distribution, which knows nothing of devices."""
    assert AppliedSession((Param("p"),), OfLists()).devices() == set()
