"""Recordings: an optimizer's steps in a real training run, as files.

A recording is a folder. ``recording.json`` is the index: whose steps they are, which parameters, which of their elements.
``chunk-*.safetensors`` hold the steps; each is written whole or not at all, and says in its header what it holds, so that a
recording that was cut off anywhere yields the steps that are complete. The schema of the index is ``schemas/recording-1.json``.

The life of a recording: ``Writer`` makes the folder, takes steps, and closes it; ``open_recording`` reads the index, and
``Recording.contents`` yields the steps one after the other, and in their places those that are lost. Arrays are flat and hold
reals, two for each complex element.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cattrs
import jsonschema

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.reading import parse_json, read_text
from rmspec.oracles.recordings.chunks import BadRecording, RecordedStep, chunk_name, chunk_numbers, read_chunk
from rmspec.oracles.validators import validator_of

INDEX = "recording.json"

Fill = Literal["drop-oldest", "stop"]
"""What is done when a recording has its largest size: the oldest steps make room, or nothing more is recorded."""


@dataclass(frozen=True, slots=True)
class RecordedParam:
    """A parameter: its name, format and shape, and the flat ``positions`` of the recorded elements (``None``: all)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    positions: tuple[int, ...] | None = None

    @property
    def reals(self) -> int:
        """How many reals of it are recorded: two for each complex element."""
        elements = math.prod(self.shape) if self.positions is None else len(self.positions)
        return elements * FORMATS[self.dtype].parts


@dataclass(frozen=True, slots=True)
class Source:
    """The recorded optimizer.

    It has the ``subject`` name of its class (empty if the class cannot be loaded by a name), the name that the class
    itself is ``called`` by, the ``versions`` of the packages beneath it, and the ``device`` of its first parameter.
    """

    subject: str
    called: str
    versions: Mapping[str, str]
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Chunks:
    """The chunks of a closed recording: the numbers of the ``first`` and the ``last`` in the folder, and their ``last_step``.

    Earlier chunks were deleted to make room. Without any chunk ``first`` is 1 and the others are 0.
    """

    first: int
    last: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Lost:
    """Recorded steps missing now: the ``first`` and the ``last`` of them (``None``: of unknown number).

    Of the files that held them ``dropped`` had made room for others, ``gone`` are not there (``or_dropped``: for either
    reason), and ``cut_off`` end too early.
    """

    first: int
    last: int | None
    dropped: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    cut_off: tuple[str, ...] = ()
    or_dropped: bool = False

    @property
    def harmed(self) -> bool:
        """Whether a file is missing or cut off against expectation."""
        return bool(self.cut_off or (self.gone and not self.or_dropped))


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as described by its index.

    ``seen`` is the number of steps that the optimizer made, ``ended`` how the recording ended: ``closed``, the exception
    that ended it, or nothing if it was cut off; ``chunks`` is ``None`` then.
    """

    folder: Path
    source: Source
    params: tuple[RecordedParam, ...]
    every: int
    elements: int | None
    max_bytes: int
    when_full: Fill
    seen: int | None = None
    ended: str = ""
    notes: tuple[str, ...] = ()
    chunks: Chunks | None = None

    def steps(self) -> Iterator[RecordedStep]:
        """The complete steps, in order. Raises ``BadRecording`` for a foreign chunk, or one of another recording."""
        return (step for step in self.contents() if isinstance(step, RecordedStep))

    def contents(self) -> Iterator[RecordedStep | Lost]:
        """The complete steps, in order, and between them the lost ones. Raises as ``steps`` does."""
        chunks = self.chunks
        absent: list[tuple[int, int]] = []
        cut_off: list[str] = []
        last, next_number, final = 0, 1, None
        for number in chunk_numbers(self.folder):
            if number > next_number:
                absent.append((next_number, number - 1))
            next_number = number + 1
            read = read_chunk(self.folder / chunk_name(number), [(param.dtype, param.reals) for param in self.params])
            for step in read.steps:
                if step.number <= last:
                    continue
                if absent or cut_off:
                    yield self._lost(last, step.number - self.every, absent, cut_off)
                    absent, cut_off = [], []
                last = step.number
                yield step
            if read.cut_off:
                cut_off.append(chunk_name(number))
                final = read.last
        if chunks is not None and chunks.last >= next_number:
            absent.append((next_number, chunks.last))
        if absent or cut_off:
            yield self._lost(last, chunks.last_step if chunks else final, absent, cut_off)

    def _lost(self, before: int, last: int | None, absent: list[tuple[int, int]], cut_off: list[str]) -> Lost:
        """The steps lost after step ``before`` (0: from the beginning), with the missing or damaged chunks."""
        first = self.chunks.first if self.chunks else 1
        dropped = [(begin, min(end, first - 1)) for begin, end in absent if begin < first]
        holes = [(max(begin, first), end) for begin, end in absent if end >= first]
        return Lost(
            before + self.every if before else 1,
            last,
            tuple(map(_span, dropped)),
            tuple(map(_span, holes)),
            tuple(cut_off),
            or_dropped=self.chunks is None and not before and self.when_full == "drop-oldest",
        )


def _span(numbers: tuple[int, int]) -> str:
    first, last = map(chunk_name, numbers)
    return first if first == last else f"{first} to {last}"


def is_recording(path: str) -> bool:
    """Whether a path leads to a recording: its folder, or its index."""
    place = Path(path)
    return os.path.isdir(place) or place.name == INDEX


def open_recording(path: str) -> Recording:
    """The recording in a folder. Raises ``BadRecording``."""
    folder = Path(path)
    folder = folder.parent if folder.name == INDEX and not os.path.isdir(folder) else folder
    try:
        data = parse_json(read_text(folder / INDEX))
        validator_of("recording-1").validate(data)
    except FileNotFoundError:
        raise BadRecording(
            f"{path} is no recording: it has no {INDEX}",
            "a recording is a folder that rmspec.properties.recordings.record wrote",
            "give that folder, or a program that rmspec check --repro-dir wrote",
        ) from None
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise BadRecording(
            f"{folder / INDEX} cannot be read: {reason.splitlines()[0][:200]}",
            "without its index a recording does not say what its numbers are",
            "record the run again",
        ) from None
    return cattrs.structure({**data, "folder": folder}, Recording)
