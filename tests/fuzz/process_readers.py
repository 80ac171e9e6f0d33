"""Readers of what the processes of subjects send."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from mutations import json_text, mutate_bytes
from reader import Documents, Files, Reader

# -- what subjects send


def _conversation_program() -> Any:
    from rmspec.oracles.program.program import Create, Group, Load, Param, Program, Save, SetGrad, Step

    return Program(
        (Param("p", "float32", (2,), (1.0, 2.0)), Param("q", "bfloat16", (1,), (1.0,))),
        (
            Create("A", (Group(("p",), {"momentum": 0.5}), Group(("q",), {"centered": True})), {"lr": 0.5}),
            SetGrad("p", (0.5, 1.0)),
            SetGrad("q", (1.0,)),
            Step("A"),
            Step("A", "returns", {"p": (2.0,)}, 1.0, hooks=True),
            Save("A", "saved"),
            Load("A", "saved"),
            Step("A"),
        ),
        clause="update",
    )


def _judge(transcript: Any) -> None:
    """All that a check asks of a transcript: its findings, and what becomes of them."""
    from rmspec.impl.spec.dialect import SPECIFICATION
    from rmspec.properties.judge.runner import judge

    judge(transcript, SPECIFICATION)
    if len(transcript.answers) > 3:
        judge(transcript, SPECIFICATION, live=True)


def _replies(program: Any) -> list[Any]:
    """The replies of a sound peer to the requests of one program."""
    from rmspec.oracles.numpy.subject import ReferenceSubject
    from rmspec.oracles.program.program import Call, Param, _converter
    from rmspec.oracles.serve import Server, serve

    converter = _converter()
    requests: list[dict[str, Any]] = [{"request": "hello", "protocol": "rmspec.wire/1"}]
    requests.append(
        {"request": "start", "params": [converter.unstructure(param, unstructure_as=Param) for param in program.params]}
    )
    requests += [
        {"request": "perform", "call": converter.unstructure(call, unstructure_as=Call)} for call in program.calls
    ]
    requests += [{"request": "close"}]
    given = "".join(json.dumps({"id": number, **request}) + "\n" for number, request in enumerate(requests, 1))
    out = io.BytesIO()
    serve(Server(ReferenceSubject), io.BytesIO(given.encode()), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def wire_reader() -> Reader:
    from rmspec.oracles.host.perform import perform
    from rmspec.oracles.wire.subject import ProcessSubject

    program = _conversation_program()
    replies = _replies(program)
    documents = Documents([replies])
    heads = Documents([replies[:2]])
    lines = [json_text(reply) for reply in replies]

    def make(random: Random) -> Files:
        chance = random.random()
        if chance < 0.2:
            place = random.randrange(len(lines))
            changed = [*lines[:place], mutate_bytes(random, lines[place], lines), *lines[place + 1 :]]
        elif chance < 0.4:
            start = heads.data(random)
            changed = [json_text(row) for row in (start if isinstance(start, list) else [start])] + lines[2:]
        else:
            rows = documents.data(random)
            changed = [json_text(row) for row in (rows if isinstance(rows, list) else [rows])]
        return {"replies": b"".join(line.replace(b"\n", b" ") + b"\n" for line in changed)}

    def read(files: Files) -> None:
        with ProcessSubject("process:cat replies", timeout=4.0) as subject:
            capabilities = subject.capabilities()
            assert capabilities.missing is not None
            subject.state_names()
            subject.versions()
            _judge(perform(program, subject))

    return Reader(make, read)


class _Channel:
    """A connection with bytes to read."""

    def __init__(self, data: bytes) -> None:
        self._stream = io.BytesIO(data)

    def recv(self, size: int) -> bytes:
        return self._stream.read(size)


def _frame(kind: int, number: int, payload: bytes) -> bytes:
    from rmspec.oracles.host.frames import _HEAD, _MAGIC

    return _HEAD.pack(_MAGIC, kind, number, len(payload), zlib.crc32(payload)) + payload


def _host_of(frames: bytes) -> Any:
    """A subject whose process has written these frames, and ended."""
    from rmspec.oracles.errors import SubjectFailed
    from rmspec.oracles.host import host as host_module
    from rmspec.oracles.host.frames import Kind, receive

    channel = _Channel(frames)

    class Process(host_module._Process):
        """A process that has written all it will."""

        def __init__(self, modules: Sequence[str], memory_limit: int) -> None:
            self._number = 0
            self.end = lambda: None

        def caches(self) -> dict[str, str]:
            return {}

        def ask(self, *arguments: Any) -> Any:
            self._number += 1
            while True:
                frame = receive(channel)
                if frame is None:
                    raise SubjectFailed("it crashed")
                if frame.number != self._number or frame.kind is Kind.REQUEST:
                    raise SubjectFailed("its process answered what was not asked")
                if frame.kind is not Kind.BEAT:
                    return frame

    before, host_module._Process = host_module._Process, Process
    try:
        return host_module.Host("reference")
    finally:
        host_module._Process = before


def transcripts_reader() -> Reader:
    """The frames that the process of a subject sends: its description, transcripts, trajectories, steps, errors."""
    from rmspec.impl.spec.dialect import dialect_named
    from rmspec.oracles.errors import SubjectFailed
    from rmspec.oracles.host.descent import Descend
    from rmspec.oracles.host.frames import Kind
    from rmspec.oracles.host.perform import perform
    from rmspec.oracles.host.primitives import with_operations
    from rmspec.oracles.host.transcripts import encode_error, encode_transcript
    from rmspec.oracles.numpy.subject import ReferenceSubject
    from rmspec.oracles.recordings.onestep import OneStep

    program = _conversation_program()
    reference = ReferenceSubject()
    sound = encode_transcript(perform(program, reference))
    wrong = encode_transcript(perform(program, ReferenceSubject(dialect_named("tensorflow"))))
    capabilities = with_operations(reference)
    described = {
        name: dict(value)
        if isinstance(value, Mapping)
        else sorted(value)
        if isinstance(value, frozenset)
        else list(value)
        for name in type(capabilities).__dataclass_fields__
        for value in (getattr(capabilities, name),)
    }
    description = {
        "framework": "numpy",
        "dialect": "torch",
        "baselines": [],
        "capabilities": described,
        "versions": {"numpy": "2"},
        "state_names": {},
        "began": 0.5,
        "texts": False,
    }
    heads = Documents([_transcript_head(sound)[0], _transcript_head(wrong)[0]])
    bodies = [_transcript_head(sound)[1], _transcript_head(wrong)[1]]
    descriptions = Documents([description])
    trajectories = Documents([[[1.0, 0.5, 0.25], ""]])
    steps = Documents([[{"param": ["<f4", [1.0]], "state/square_avg": ["bfloat16", [0.5]]}, {"param": ["<f4", [1.0]]}]])
    fits = Documents([[["lr"], [], []]])
    errors = Documents([encode_error(SubjectFailed("a", "b", "c")), encode_error(ValueError("x"))])
    raw = [sound, wrong]
    started = json_text(description)
    step = OneStep("float32", (1.0,), (0.5,), {"lr": 0.5})

    def make(random: Random) -> Files:
        chance = random.random()
        kind, first, asked = Kind.REPLY, started, "perform"
        if chance < 0.5:
            head = json_text(heads.data(random))
            payload = struct.pack("!I", len(head)) + head
            payload += bytes(-len(payload) % 16) + random.choice(bodies)
        elif chance < 0.65:
            payload = mutate_bytes(random, random.choice(raw), raw)
        elif chance < 0.75:
            payload, first = sound, descriptions.text(random)
        elif chance < 0.82:
            payload, asked = trajectories.text(random), "descend"
        elif chance < 0.89:
            payload, asked = steps.text(random), "step"
        elif chance < 0.92:
            payload, asked = fits.text(random), "fitted"
        elif chance < 0.93:
            payload, asked = random.choice(raw), "beginning"
        else:
            payload, kind = errors.text(random), Kind.ERROR
        frames = (
            _frame(Kind.REPLY, 1, first) + _frame(Kind.BEAT, 2, b"") * random.choice((0, 1)) + _frame(kind, 2, payload)
        )
        if random.random() < 0.1:
            frames = mutate_bytes(random, frames, raw)
        return {"frames": frames, "asked": asked.encode()}

    def read(files: Files) -> None:
        host = _host_of(files["frames"])
        match files["asked"]:
            case b"perform":
                _judge(host.perform(program))
            case b"descend":
                host.descend(Descend("float32", 1.0, {}, 2))
            case b"step":
                host.step(step)
            case b"beginning":
                assert host.beginning is None or host.beginning.answers is not None
            case _:
                host.fitted(step)

    return Reader(make, read, written=False)


def _transcript_head(data: bytes) -> tuple[Any, bytes]:
    (length,) = struct.unpack("!I", data[:4])
    end = 4 + length
    return json.loads(data[4:end]), data[end + -end % 16 :]


def last_words_reader() -> Reader:
    """What a subject's process printed, with the place where it was."""
    from rmspec.oracles.host.crash import last_words
    from rmspec.reports.text import plain

    place = b'  File "/x/mine.py", line 3 in step\n  File "<string>", line 1 in <module>\n'
    texts = [
        b"said\nCurrent thread 0x00007f (most recent call first):\n" + place,
        b'\xff\x1b[31m\nStack (most recent call first):\n  File "mine.py", line 99999999999999 in f\n',
    ]

    def read(files: Files) -> None:
        printed, where = last_words(files["printed"].decode("utf-8", "replace"))
        plain(printed + where)

    return Reader(lambda random: {"printed": mutate_bytes(random, random.choice(texts), texts)}, read, written=False)
