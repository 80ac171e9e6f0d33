"""Transcripts as bytes: what was performed comes out as it went in, and what is no transcript is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray
from programs import P, create, program, step
from transcripts import assert_same

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import HostError, ProtocolBroken, SubjectFailed, Unsupported
from rmspec.oracles.host.perform import Answer, Transcript, perform
from rmspec.oracles.host.transcripts import decode_error, decode_transcript, encode_error, encode_transcript
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Param, Program, Save, SetGrad, Step
from rmspec.oracles.subject import ClosureReport, GroupView, Observation, Outcome, Raised
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit

SHORT = program(create(), step(p=2.0), Save("A", "s"), step(p=0.5))


def sent(transcript: Transcript) -> Transcript:
    """The transcript, written and read."""
    return decode_transcript(memoryview(encode_transcript(transcript)), transcript.program)


def assert_corpus_survives(subject: Any) -> None:
    programs = [fit for stored in corpus() if (fit := admit(stored, subject.capabilities())) is not None]
    assert len(programs) > 100
    for stored in programs:
        transcript = perform(stored, subject)
        assert_same(transcript, sent(transcript))


def test_the_transcripts_of_the_corpus_survive() -> None:
    """Whatever the reference does in a stored program is read as it was written."""
    assert_corpus_survives(ReferenceSubject())


def test_the_transcripts_of_the_corpus_on_torch_survive() -> None:
    """Whatever torch does in a stored program is read as it was written."""
    pytest.importorskip("torch")
    from rmspec.oracles.loader import load

    assert_corpus_survives(load("torch"))


@pytest.mark.parametrize("dtype", FORMATS)
def test_every_format_and_shape_survives(dtype: str) -> None:
    """A tensor without dimensions, an empty one and a wide one, in every number format."""
    params = tuple(
        Param(f"p{len(shape)}{max(shape, default=0)}", dtype, shape) for shape in ((), (0,), (3, 0), (2, 3), (5000,))
    )
    transcript = perform(Program(params, ()), ReferenceSubject())
    assert_same(transcript, sent(transcript))


def spoil(transcript: Transcript, **parts: Any) -> Transcript:
    """The transcript, with other things seen after its last call."""
    last = transcript.answers[-1]
    after = replace(last.after, **parts)
    return replace(transcript, answers=(*transcript.answers[:-1], Answer(last.outcome, after)))


@pytest.mark.parametrize(
    "values",
    [np.array([1, -1], np.int64), np.array([True]), np.array([1, 2], ">f4"), np.zeros(3, ml_dtypes.bfloat16)[::2]],
    ids=lambda values: str(values.dtype),
)
def test_state_of_any_numbers_survives(values: NDArray[Any]) -> None:
    """State may be integers, truth values, in foreign byte order, or a part of something wider."""
    transcript = spoil(perform(SHORT, ReferenceSubject()), state={"A": {"p": {"square_avg": values}}})
    assert_same(transcript, sent(transcript))


def test_arrays_are_shared_after_reading_as_before() -> None:
    """What a call leaves alone is one array, and judging compares it by identity."""
    transcript = sent(perform(program(create(), SetGrad("p", (1.0,)), Step("A")), ReferenceSubject()))
    first, second, third = (answer.after.params["p"] for answer in transcript.answers)
    assert first is second
    assert second is not third


def test_an_array_that_was_read_cannot_be_written() -> None:
    """Judging changes no observation."""
    transcript = sent(perform(SHORT, ReferenceSubject()))
    with pytest.raises(ValueError, match="read-only"):
        transcript.answers[-1].after.params["p"][...] = 0


def test_equal_options_of_other_kinds_are_told_apart() -> None:
    """1.0 and True are equal, and so are 0.0 and -0.0: each call's own is read."""
    transcript = perform(program(create(), SetGrad("p", (1.0,)), SetGrad("p", (2.0,))), ReferenceSubject())
    shown = [{"lr": 1.0, "eps": 0.0}, {"lr": True, "eps": 0.0}, {"lr": True, "eps": -0.0}]
    answers = tuple(
        Answer(answer.outcome, replace(answer.after, groups={"A": (GroupView(("p",), options),), "B": None}))
        for answer, options in zip(transcript.answers, shown, strict=True)
    )
    read = sent(replace(transcript, answers=answers))
    assert [repr(answer.after.groups) for answer in read.answers] == [repr(answer.after.groups) for answer in answers]


def test_every_part_of_an_outcome_survives() -> None:
    """Exceptions with any text, closures, hooks, and a caller's dict."""
    outcomes = [
        Outcome(Raised("E", "a\nb\x00\ud800")),
        Outcome(closure=ClosureReport(2, True, False, float("inf")), hooks=(1, 0)),
        Outcome(closure=ClosureReport(0, False, True, None), caller_dict_changed=False),
    ]
    transcript = perform(program(create(), SetGrad("p", (1.0,)), SetGrad("p", (2.0,))), ReferenceSubject())
    answers = tuple(Answer(outcome, answer.after) for outcome, answer in zip(outcomes, transcript.answers, strict=True))
    assert [answer.outcome for answer in sent(replace(transcript, answers=answers)).answers] == outcomes


@pytest.mark.parametrize("error", [SubjectFailed("gone", "why", "hint"), Unsupported("no GPU", hint="pip")], ids=repr)
def test_an_error_of_a_subject_is_read_as_itself(error: RmspecError) -> None:
    """Its kind, and its three parts."""
    again = decode_error(encode_error(error))
    assert (type(again), again.args) == (type(error), error.args)
    assert repr(sent(replace(perform(SHORT, ReferenceSubject()), failure=error)).failure) == repr(error)


def test_any_other_error_is_a_fault_of_rmspec() -> None:
    """It is named, and its traceback rides along; its own type is not looked up anywhere."""
    try:
        raise ValueError("odd")
    except ValueError as error:
        again = decode_error(encode_error(error))
    assert isinstance(again, HostError)
    assert again.what == "ValueError: odd"
    assert "test_transcripts.py" in again.why


@pytest.mark.parametrize(
    "shown",
    [np.array(["a"]), np.array([None]), np.zeros(1, "f4,f4"), [1.0], np.zeros(1, "M8[s]")],
    ids=lambda shown: str(getattr(shown, "dtype", "list")),
)
def test_an_observation_of_anything_else_is_refused(shown: Any) -> None:
    """What is no array of numbers is not written, least of all as a pickle."""
    with pytest.raises(TypeError, match="arrays of numbers"):
        encode_transcript(spoil(perform(SHORT, ReferenceSubject()), params={"p": shown}))


def test_an_option_that_is_no_number_is_refused() -> None:
    """A NumPy number is one, a text is none."""
    transcript = perform(SHORT, ReferenceSubject())
    view = spoil(transcript, groups={"A": (GroupView(("p",), {"lr": np.float32(0.5)}),)})
    read = sent(view).answers[-1].after.groups["A"]
    assert read is not None
    assert read[0].options["lr"] == 0.5
    with pytest.raises(TypeError, match="is a number"):
        encode_transcript(spoil(transcript, groups={"A": (GroupView(("p",), {"lr": "x"}),)}))  # type: ignore[dict-item]


@pytest.mark.parametrize("cut", [0, 2, 10, 200, -1])
def test_a_transcript_that_is_cut_off_is_refused(cut: int) -> None:
    """However short: the arrays must all be there."""
    data = encode_transcript(perform(SHORT, ReferenceSubject()))
    with pytest.raises(ProtocolBroken, match="no transcript"):
        decode_transcript(memoryview(data[:cut]), SHORT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"<f4"', '"|O8"'),
        ('"<f4"', '"<V4"'),
        ("[1]]", "[9]]"),
        ("[1]]", "[-1]]"),
        ('{"p":0}', '{"p":99}'),
        ('["alpha",', "[1,"),
        ("[[{", "[[0,{"),
        (",null]", ',{"kind":"SystemExit","what":"","why":"","hint":""}]'),
    ],
)
def test_a_transcript_with_something_else_in_it_is_refused(old: str, new: str) -> None:
    """Arrays of objects, shapes beyond the bytes, arrays that are not there, texts that are none."""
    data = encode_transcript(perform(program(create(), params=(P,)), ReferenceSubject()))
    length = int.from_bytes(data[:4], "big")
    head = data[4 : 4 + length].decode()
    assert old in head
    other = head.replace(old, new).encode()
    json.loads(other)
    with pytest.raises(ProtocolBroken, match="no transcript"):
        decode_transcript(
            memoryview(len(other).to_bytes(4, "big") + other + data[4 + length :]), program(create(), params=(P,))
        )


def test_more_answers_than_calls_are_refused() -> None:
    """A transcript is that of its program."""
    data = encode_transcript(perform(SHORT, ReferenceSubject()))
    with pytest.raises(ProtocolBroken, match="answers to 1 calls"):
        decode_transcript(memoryview(data), replace(SHORT, calls=SHORT.calls[:1]))


def test_a_number_without_dimensions_survives() -> None:
    """NumPy makes a scalar of an array of no dimensions in most operations."""
    scalar: Any = -np.array(2.0, dtype="float32")
    without = replace(SHORT, params=(replace(SHORT.params[0], shape=()),))
    again = sent(Transcript(without, Observation({"p": scalar}, {"p": None}, {}, {}, {}), (), frozenset(), frozenset()))
    assert again.start.params["p"] == -2
    assert again.start.params["p"].shape == ()
