"""Writing a recording: chunk after chunk, within a number of bytes, so that a crash at any moment loses the last chunk at most."""

from __future__ import annotations

import json
import time
from pathlib import Path

import cattrs

from rmspec.oracles.atomic import write_file
from rmspec.oracles.recordings.chunks import SCHEMA, BadRecording, Chunk, RecordedStep, chunk_name
from rmspec.oracles.recordings.reader import INDEX, Fill, RecordedParam, Source

_CHUNK_STEPS = 100
_CHUNK_BYTES = 4 * 2**20
_CHUNK_SECONDS = 10.0  # of a slow run, no more than this is lost


class Writer:
    """Writes one recording into a folder of its own. Raises ``BadRecording`` unless the folder is empty."""

    def __init__(
        self, folder: Path, source: Source, *, every: int, elements: int | None, max_bytes: int, when_full: Fill
    ) -> None:
        self.params: list[RecordedParam] = []
        self.full = False
        self._folder = folder
        self._source = source
        self._facts = {"every": every, "elements": elements, "max_bytes": max_bytes, "when_full": when_full}
        self._max_bytes, self._when_full = max_bytes, when_full
        self._notes: list[str] = []
        self._chunk = Chunk()
        self._sizes: dict[int, int] = {}
        self._written = self._written_step = 0
        self._index_size = 0
        self._indexed = -1
        self._last: RecordedStep | None = None
        self._since = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            entry = next(folder.iterdir(), None)
        except OSError as error:
            raise BadRecording(f"cannot make the folder {folder}: {error.strerror}", hint="name another one") from None
        if entry is not None:
            raise BadRecording(
                f"the folder {folder} is not empty: it holds {entry.name}",
                "two recordings in one folder would mix",
                "name a new folder for each run",
            )
        self._write_index(None, "")

    def note(self, text: str) -> None:
        """Keep a sentence about something left unrecorded, once."""
        if text not in self._notes:
            self._notes.append(text)
            self._indexed = -1

    def add(self, step: RecordedStep) -> None:
        """Take a step, and write those so far when there are enough of them."""
        if self.full:
            return
        unchanged: frozenset[tuple[int, str]] = frozenset()
        if self._last is not None and len(self._chunk) and self._last.number == step.number - 1:
            unchanged = frozenset(_unchanged(self._last, step))
        self._chunk.add(step, unchanged)
        self._last = step
        enough = min(_CHUNK_BYTES, max(self._max_bytes // 8, 1))
        late = time.monotonic() - self._since > _CHUNK_SECONDS
        if len(self._chunk) >= _CHUNK_STEPS or self._chunk.size >= enough or late:
            self.flush()

    def flush(self) -> None:
        """Write the steps so far, and make room for them."""
        self._since = time.monotonic()
        if not len(self._chunk):
            return
        if self._indexed != len(self.params):
            self._write_index(None, "")
        data, last = self._chunk.serialized(), self._chunk.last
        self._chunk = Chunk()
        if self._when_full == "stop" and self._size() + len(data) > self._max_bytes:
            self.full = True
            return
        while self._sizes and self._size() + len(data) > self._max_bytes:
            oldest = min(self._sizes)
            (self._folder / chunk_name(oldest)).unlink(missing_ok=True)
            del self._sizes[oldest]
        if self._size() + len(data) > self._max_bytes:
            self.full = True
            self.note(f"a chunk of {len(data)} bytes does not fit into max_bytes={self._max_bytes}: nothing was kept")
            return
        write_file(self._folder / chunk_name(self._written + 1), data, mode=0o644)
        self._written += 1
        self._written_step = last
        self._sizes[self._written] = len(data)

    def close(self, steps: int, ended: str) -> None:
        """Write the rest, and the end of the recording after so many ``steps`` of the optimizer."""
        self.flush()
        self._write_index(steps, ended)

    def _size(self) -> int:
        return self._index_size + sum(self._sizes.values())

    def _write_index(self, steps: int | None, ended: str) -> None:
        index = {
            "schema": SCHEMA,
            "source": cattrs.unstructure(self._source),
            **self._facts,
            "seen": steps,
            "ended": ended,
            "notes": self._notes,
            "chunks": None
            if steps is None
            else {
                "first": min(self._sizes, default=self._written + 1),
                "last": self._written,
                "last_step": self._written_step,
            },
            "params": cattrs.unstructure(self.params),
        }
        data = json.dumps(index).encode()
        write_file(self._folder / INDEX, data, mode=0o644)
        self._index_size, self._indexed = len(data), len(self.params)


def _unchanged(last: RecordedStep, step: RecordedStep) -> list[tuple[int, str]]:
    return [
        (param, key)
        for param, arrays in step.before.items()
        for key, array in arrays.items()
        if (values := last.after.get(param, {}).get(key)) is not None
        and values.dtype == array.dtype
        and values.tobytes() == array.tobytes()
    ]
