"""Recordings: what was kept of an optimizer's steps in a real training run, as files.

A recording is a folder. ``recording.json`` is the index: whose steps they are, which parameters, which of their elements.
``chunk-*.safetensors`` hold the steps; each is whole or not there, and says in its header what it holds, so that a recording
that was cut off anywhere yields the steps that are complete. The schema of the index is ``schemas/recording-1.json``.

The life of a recording: ``Writer`` makes the folder, takes steps, and closes it; ``open_recording`` reads the index, and
``Recording.steps`` yields the steps one after the other. Arrays are flat and hold reals, two for each complex element.
"""

from __future__ import annotations

import json
import os
import re
import struct
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import jsonschema
import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmspec.oracles.errors import InputProblem
from rmspec.oracles.program import hexadecimal, real

__all__ = [
    "INDEX",
    "BadRecording",
    "Fill",
    "RecordedGroup",
    "RecordedParam",
    "RecordedStep",
    "Recording",
    "Scalar",
    "Source",
    "Values",
    "is_recording",
    "open_recording",
]

INDEX = "recording.json"
SCHEMA = "rmspec.recording/1"

Scalar = bool | int | float | str
Values = Mapping[int, Mapping[str, NDArray[Any]]]
"""Arrays by parameter and key: ``param``, ``grad``, or ``state/`` and the name that the optimizer's state has."""

Fill = Literal["drop-oldest", "stop"]
"""What is done when a recording has its largest size: the oldest steps make room, or nothing more is recorded."""

_DTYPES: dict[str, Any] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
}


class BadRecording(InputProblem):
    """A folder that is no recording, or one whose index or chunks cannot be read."""


@dataclass(frozen=True, slots=True)
class RecordedParam:
    """A parameter: its name, format and shape, and the flat ``positions`` of the elements that are kept (``None``: all)."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    positions: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class RecordedGroup:
    """A group at one step: its parameters by their index in the recording, and all of its options that are plain values."""

    params: tuple[int, ...]
    options: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One step. ``number`` counts the optimizer's steps from 1, from where the recording began.

    ``attributes`` are the plain values among the optimizer's own attributes, ``events`` what was called on it since the last
    recorded step, ``skipped`` the parameters whose gradient was ``None``.
    """

    number: int
    groups: tuple[RecordedGroup, ...]
    before: Values
    after: Values
    attributes: Mapping[str, Scalar] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    skipped: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Source:
    """Whose steps they are: the ``subject`` name of the optimizer's class (empty where it has none that can be loaded), what
    the class is ``called``, the ``versions`` of what it is built on, and the ``device`` of its first parameter."""

    subject: str
    called: str
    versions: Mapping[str, str]
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as its index tells it. ``seen`` is the number of steps that the optimizer made, ``ended`` how it came to its
    end: ``closed``, the exception that ended it, or nothing where it was cut off."""

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

    def steps(self) -> Iterator[RecordedStep]:
        """The complete steps, in order. Raises ``BadRecording`` for a chunk that is not one, or not of this recording."""
        last: RecordedStep | None = None
        for path in _chunks(self.folder):
            for step in _read_chunk(path, len(self.params), last):
                if last is None or step.number > last.number:
                    last = step
                    yield step


def is_recording(path: str) -> bool:
    """Whether a path leads to a recording: its folder, or its index."""
    place = Path(path)
    return place.is_dir() or place.name == INDEX


def open_recording(path: str) -> Recording:
    """The recording in a folder. Raises ``BadRecording``."""
    folder = Path(path)
    folder = folder.parent if folder.name == INDEX and not folder.is_dir() else folder
    try:
        data = json.loads((folder / INDEX).read_text("utf-8"))
        jsonschema.Draft202012Validator(_schema()).validate(data)
    except FileNotFoundError:
        raise BadRecording(
            f"{path} is no recording: it has no {INDEX}",
            "a recording is a folder that rmspec.properties.record wrote",
            "give that folder, or a program that rmspec check --repro-dir wrote",
        ) from None
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise BadRecording(
            f"{folder / INDEX} cannot be read: {reason.splitlines()[0][:200]}",
            "without its index a recording does not say what its numbers are",
            "record the run again",
        ) from None
    return Recording(
        folder,
        Source(**data["source"]),
        tuple(
            RecordedParam(
                each["name"],
                each["dtype"],
                tuple(each["shape"]),
                None if each["positions"] is None else tuple(each["positions"]),
            )
            for each in data["params"]
        ),
        data["every"],
        data["elements"],
        data["max_bytes"],
        data["when_full"],
        data["seen"],
        data["ended"],
        tuple(data["notes"]),
    )


@cache
def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((files("rmspec.oracles") / "schemas" / "recording-1.json").read_text("utf-8"))
    return found


# -- chunks


class Chunk:
    """Steps that are not written yet. Values that a table already holds are written once: layouts, groups, options."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[dict[str, Any]] = []
        self._tables: dict[str, dict[str, int]] = {"layout": {}, "members": {}, "options": {}, "attributes": {}}
        self._arrays: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, step: RecordedStep, kept: frozenset[tuple[int, str]]) -> None:
        """Take a step; of ``kept`` the values before it are those after the last one, and are not written again."""
        layout: dict[str, list[tuple[int, str, str, int]]] = {}
        streams: dict[str, list[NDArray[Any]]] = {}
        for phase, values in (("before", step.before), ("after", step.after)):
            for param, arrays in values.items():
                for key, array in arrays.items():
                    if phase == "before" and (param, key) in kept:
                        layout.setdefault("kept", []).append((param, phase, key, 0))
                        continue
                    name = _name(array.dtype)
                    layout.setdefault(name, []).append((param, phase, key, array.size))
                    streams.setdefault(name, []).append(array)
        self._rows.append(
            {
                "step": step.number,
                "layout": self._intern("layout", layout),
                "members": self._intern("members", [group.params for group in step.groups]),
                "options": self._intern("options", [_written(group.options) for group in step.groups]),
                "attributes": self._intern("attributes", _written(step.attributes)),
                "events": list(step.events),
                "skipped": sorted(step.skipped),
            }
        )
        for name, arrays_ in streams.items():
            self._arrays[f"{step.number:012d}/{name}"] = flat = np.concatenate(arrays_)
            self.size += flat.nbytes + 96
        self.size += 160

    def _intern(self, table: str, value: object) -> int:
        text = json.dumps(value)
        held = self._tables[table]
        if text not in held:
            held[text] = len(held)
            self.size += len(text)
        return held[text]

    def serialized(self) -> bytes:
        """The chunk as a safetensors file; its metadata say which number is which."""
        from safetensors.numpy import save

        tables = {name: [json.loads(text) for text in held] for name, held in self._tables.items()}
        return save(self._arrays, {"schema": SCHEMA, "steps": json.dumps({"rows": self._rows, "tables": tables})})


@cache
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy puts together anew each time


def chunk_path(folder: Path, number: int) -> Path:
    """Where the chunk with this number lies."""
    return folder / f"chunk-{number:06d}.safetensors"


def _chunks(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"chunk-\d{6,}\.safetensors", path.name))


def _read_chunk(path: Path, params: int, last: RecordedStep | None) -> Iterator[RecordedStep]:
    """The complete steps of a chunk. Not through the library, which refuses a file that was cut off."""
    data = path.read_bytes()
    if len(data) < 8:
        return
    try:
        (length,) = struct.unpack("<Q", data[:8])
        if 8 + length > len(data):
            return  # cut off before its first step
        header = json.loads(data[8 : 8 + length])
        told = json.loads(header["__metadata__"]["steps"])
        body = memoryview(data)[8 + length :]
        for row in told["rows"]:
            step = _read_row(row, told["tables"], header, body, last)
            if step is None:
                return
            if any(index >= params for group in step.groups for index in group.params):
                raise ValueError(f"step {step.number} names a parameter that the index does not have")
            yield step
            last = step
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise BadRecording(
            f"{path} is not a chunk of a recording: {type(error).__name__}: {error}",
            "its steps cannot be read",
            "move it out of the folder to verify the others",
        ) from None


def _read_row(
    row: dict[str, Any], tables: dict[str, Any], header: dict[str, Any], body: memoryview, last: RecordedStep | None
) -> RecordedStep | None:
    values: dict[str, dict[int, dict[str, NDArray[Any]]]] = {"before": {}, "after": {}}
    for name, entries in tables["layout"][row["layout"]].items():
        if name == "kept":
            for param, phase, key, _ in entries:
                assert last is not None
                values[phase].setdefault(param, {})[key] = last.after[param][key]
            continue
        told = header[f"{row['step']:012d}/{name}"]
        begin, end = told["data_offsets"]
        if end > len(body):
            return None
        flat = np.frombuffer(body[begin:end], dtype=_DTYPES[told["dtype"]])
        at = 0
        for param, phase, key, count in entries:
            values[phase].setdefault(param, {})[key] = flat[at : at + count]
            at += count
    groups = zip(tables["members"][row["members"]], tables["options"][row["options"]], strict=True)
    return RecordedStep(
        row["step"],
        tuple(RecordedGroup(tuple(members), _read(options)) for members, options in groups),
        values["before"],
        values["after"],
        _read(tables["attributes"][row["attributes"]]),
        tuple(row["events"]),
        frozenset(row["skipped"]),
    )


def _written(values: Mapping[str, Scalar]) -> dict[str, Any]:
    """Plain values as JSON: floats as hexadecimal strings, as in programs, and text apart from them."""
    return {
        name: {"text": value} if isinstance(value, str) else hexadecimal(value) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _read(values: Mapping[str, Any]) -> dict[str, Scalar]:
    return {
        name: value["text"] if isinstance(value, dict) else real(value) if isinstance(value, str) else value
        for name, value in values.items()
    }


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there."""
    descriptor, name = tempfile.mkstemp(prefix=".writing-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
