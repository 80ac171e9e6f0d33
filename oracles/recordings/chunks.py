"""Chunks: the files with the steps of a recording, each one safetensors file, whole or absent.

A ``Chunk`` takes steps and becomes the bytes of a file; ``read_chunk`` returns what is left of one. The header holds, in its
metadata, which number of which step is which, with a CRC-32 of this table; the table has the CRC-32 of each step's numbers. So the
complete steps of a file that was cut off can be told from damaged ones. Recordings without checksums are read as well.
"""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.program.program import hexadecimal, real
from rmspec.oracles.reading import as_text, parse_json

SCHEMA = "rmspec.recording/1"

Scalar = bool | int | float | str
Values = Mapping[int, Mapping[str, NDArray[Any]]]
"""Arrays by parameter and key: ``param``, ``grad``, or ``state/`` and the name that the optimizer's state has."""

_DTYPES: dict[str, Any] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}


class BadRecording(InputProblem):
    """A folder without a recording, or with an unreadable index or chunk."""


@dataclass(frozen=True, slots=True)
class RecordedGroup:
    """A group at one step: its parameters by their index in the recording, and its options of plain value."""

    params: tuple[int, ...]
    options: Mapping[str, Scalar]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """One step. ``number`` counts the optimizer's steps from 1, from the beginning of the recording.

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


# -- writing


class Chunk:
    """Steps not yet written. Repeated values are written once, in tables: layouts, groups, options."""

    def __init__(self) -> None:
        self.size = 0
        self._rows: list[dict[str, Any]] = []
        self._tables: dict[str, dict[str, int]] = {"layout": {}, "members": {}, "options": {}, "attributes": {}}
        self._arrays: dict[str, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def last(self) -> int:
        """The number of its last step; 0 without steps."""
        return int(self._rows[-1]["step"]) if self._rows else 0

    def add(self, step: RecordedStep, unchanged: frozenset[tuple[int, str]]) -> None:
        """Take a step; of ``kept`` the values before it are those after the last one, and are not written again."""
        layout: dict[str, list[tuple[int, str, str, int]]] = {}
        streams: dict[str, list[NDArray[Any]]] = {}
        for phase, values in (("before", step.before), ("after", step.after)):
            for param, arrays in values.items():
                for key, array in arrays.items():
                    if phase == "before" and (param, key) in unchanged:
                        layout.setdefault("kept", []).append((param, phase, key, 0))
                        continue
                    name = _name(array.dtype)
                    layout.setdefault(name, []).append((param, phase, key, array.size))
                    streams.setdefault(name, []).append(array)
        numbers = {name: np.concatenate(arrays_) for name, arrays_ in streams.items()}
        self._rows.append(
            {
                "step": step.number,
                "crc32": _checksum((name, flat.view(np.uint8)) for name, flat in numbers.items()),
                "layout": self._intern("layout", layout),
                "members": self._intern("members", [group.params for group in step.groups]),
                "options": self._intern("options", [_scalars_as_json(group.options) for group in step.groups]),
                "attributes": self._intern("attributes", _scalars_as_json(step.attributes)),
                "events": list(step.events),
                "skipped": sorted(step.skipped),
            }
        )
        for name, flat in numbers.items():
            self._arrays[f"{step.number:012d}/{name}"] = flat
            self.size += flat.nbytes + 96
        self.size += 180

    def _intern(self, table: str, value: object) -> int:
        text = json.dumps(value)
        rows = self._tables[table]
        if text not in rows:
            rows[text] = len(rows)
            self.size += len(text)
        return rows[text]

    def serialized(self) -> bytes:
        """The chunk as a safetensors file; its metadata name the numbers."""
        from safetensors.numpy import save

        tables = {name: [json.loads(text) for text in rows] for name, rows in self._tables.items()}
        text = json.dumps({"rows": self._rows, "tables": tables})
        return save(self._arrays, {"schema": SCHEMA, "steps": text, "crc32": str(zlib.crc32(text.encode()))})


@cache
def _name(dtype: np.dtype[Any]) -> str:
    return dtype.name  # which NumPy puts together anew each time


def _checksum(numbers: Iterable[tuple[str, Any]]) -> int:
    """The CRC-32 of a step's numbers: of each array in its order, the name of its format and its bytes."""
    checksum = 0
    for name, data in numbers:
        checksum = zlib.crc32(data, zlib.crc32(name.encode(), checksum))
    return checksum


def chunk_name(number: int) -> str:
    """The name of the file of the chunk with this number; they are counted from 1."""
    return f"chunk-{number:06d}.safetensors"


# -- reading


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """The remains of a chunk: its complete steps, whether the file was cut off, and its ``last`` written step.

    ``last`` is ``None`` if not even the table of its steps is left.
    """

    steps: tuple[RecordedStep, ...]
    cut_off: bool = False
    last: int | None = None


def chunk_numbers(folder: Path) -> list[int]:
    """The numbers of the chunks in a folder, in order."""
    names = (re.fullmatch(r"chunk-(\d{6,})\.safetensors", path.name) for path in folder.iterdir())
    return sorted(int(name[1]) for name in names if name)


def read_chunk(path: Path, params: Sequence[tuple[str, int]]) -> ChunkRead:
    """Read the complete steps of a chunk, of a recording with these ``params``: the format and the number of reals of each.

    The library for these files is not used here: it refuses a file that was cut off.

    Raises ``BadRecording`` for a file that is no chunk, or whose bytes are not those that were written.
    """
    try:
        data = path.read_bytes()
        header = _header(data)
        if header is None:
            return ChunkRead((), cut_off=True)
        text = header["__metadata__"]["steps"]
        if int(header["__metadata__"].get("crc32", zlib.crc32(text.encode()))) != zlib.crc32(text.encode()):
            raise _damaged(path, "the table of its steps")
        index = parse_json(text)
        body = memoryview(data)[8 + _length(data) :]
        steps: list[RecordedStep] = []
        for row in index["rows"]:
            if any(end > len(body) for _, _, end in _arrays(row, index["tables"], header)):
                return ChunkRead(tuple(steps), cut_off=True, last=index["rows"][-1]["step"])
            if not _sound(row, index["tables"], header, body):
                raise _damaged(path, f"what it holds of step {row['step']}")
            step = _read_row(row, index["tables"], header, body, steps[-1] if steps else None)
            _check_step(step, params)
            steps.append(step)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise BadRecording(
            f"{path} is not a chunk of a recording, or is damaged: {type(error).__name__}: {error}",
            "its steps cannot be read",
            "move it out of the folder to verify the others",
        ) from None
    return ChunkRead(tuple(steps), last=steps[-1].number if steps else None)


def _damaged(path: Path, problem: str) -> BadRecording:
    return BadRecording(
        f"{path} is damaged: {problem} is not what was written, by its checksum",
        "from damaged numbers nothing can be said of the optimizer",
        "copy the file again, or move it out of the folder to verify the other chunks",
    )


def _length(data: bytes) -> int:
    return int(struct.unpack("<Q", data[:8])[0])


def _header(data: bytes) -> Any:
    """The header of a chunk; ``None`` if the file ends before it does."""
    if len(data) >= 8 and 8 + _length(data) <= len(data):
        return parse_json(data[8 : 8 + _length(data)])
    try:
        json.JSONDecoder().raw_decode(data[8:].decode("latin-1"))
    except (ValueError, RecursionError):
        return None
    raise ValueError("its header is shorter than it says")


def _arrays(row: dict[str, Any], tables: dict[str, Any], header: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    """The arrays of a step: the name of the format, the beginning and the end of each."""
    for name in tables["layout"][row["layout"]]:
        if name != "kept":
            begin, end = header[f"{row['step']:012d}/{name}"]["data_offsets"]
            yield name, begin, end


def _sound(row: dict[str, Any], tables: dict[str, Any], header: dict[str, Any], body: memoryview) -> bool:
    """Whether the numbers of a step are as written, as far as there is a checksum."""
    if "crc32" not in row:
        return True
    checksum = _checksum((name, body[begin:end]) for name, begin, end in _arrays(row, tables, header))
    return bool(checksum == row["crc32"])


def _read_row(
    row: dict[str, Any], tables: dict[str, Any], header: dict[str, Any], body: memoryview, last: RecordedStep | None
) -> RecordedStep:
    values: dict[str, dict[int, dict[str, NDArray[Any]]]] = {"before": {}, "after": {}}
    for name, entries in tables["layout"][row["layout"]].items():
        if name == "kept":
            for param, phase, key, _ in entries:
                if last is None:
                    raise ValueError("its first step refers to one before it")
                values[phase].setdefault(param, {})[key] = last.after[param][key]
            continue
        begin, end = header[f"{row['step']:012d}/{name}"]["data_offsets"]
        flat = np.frombuffer(body[begin:end], dtype=_DTYPES[name])
        at = 0
        for param, phase, key, count in entries:
            values[phase].setdefault(param, {})[key] = flat[at : at + count]
            at += count
    groups = zip(tables["members"][row["members"]], tables["options"][row["options"]], strict=True)
    return RecordedStep(
        _whole(row["step"]),
        tuple(RecordedGroup(tuple(members), _read(options)) for members, options in groups),
        values["before"],
        values["after"],
        _read(tables["attributes"][row["attributes"]]),
        tuple(map(as_text, row["events"])),
        frozenset(map(_whole, row["skipped"])),
    )


def _check_step(step: RecordedStep, params: Sequence[tuple[str, int]]) -> None:
    """Raise ``ValueError`` for a step of other parameters than these, or with values of another size."""
    members = [_whole(index) for group in step.groups for index in group.params]
    for index in (*members, *step.before, *step.after):
        if not 0 <= _whole(index) < len(params):
            raise ValueError(f"step {step.number} names a parameter that the index does not have")
    for moment, values in (("before", step.before), ("after", step.after)):
        for index, arrays in values.items():
            dtype, reals = params[index]
            for key, array in arrays.items():
                own = as_text(key) in ("param", "grad")
                sizes = (reals,) if own else (reals, reals // FORMATS[dtype].parts, 1)
                if array.size not in sizes or (key == "param" and array.dtype != FORMATS[dtype].part.dtype):
                    raise ValueError(f"{key} {moment} step {step.number} is not {reals} numbers of {dtype}")
            if "param" not in arrays:
                raise ValueError(f"step {step.number} has no value of a parameter {moment} it")


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} is no number of a step or a parameter")
    return value


def _scalars_as_json(values: Mapping[str, Scalar]) -> dict[str, Any]:
    """Plain values as JSON: floats as hexadecimal strings, as in programs, and text apart from them."""
    return {
        name: {"text": value} if isinstance(value, str) else hexadecimal(value) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _read(values: Mapping[str, Any]) -> dict[str, Scalar]:
    return {name: _scalar(value) for name, value in values.items()}


def _scalar(value: object) -> Scalar:
    if isinstance(value, dict):
        return as_text(value["text"])
    if isinstance(value, str):
        return real(value)
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(f"{value!r} is no plain value")
