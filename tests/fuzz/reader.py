"""What a reader is for the fuzzer, and documents to mutate."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from mutations import json_text, mutate_bytes, mutate_data, paths_in, toml_text, values_in

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples" / "0.1.0"

Files = dict[str, bytes]
"""An input: files by name."""


@dataclass(frozen=True)
class Reader:
    """``make`` makes an input, right or wrong, and ``read`` reads it; ``written``: from the files in the current folder."""

    make: Callable[[Random], Files]
    read: Callable[[Files], None]
    written: bool = True


@dataclass(frozen=True)
class Row:
    """How a reader is made ready, and its share of the inputs of a run.

    ``needs`` is a module without which it is left out; ``starts`` are the events of processes that it is meant to
    start.
    """

    prepare: Callable[[], Reader]
    share: float = 1.0
    needs: str = ""
    starts: tuple[str, ...] = ()


class Documents:
    """JSON documents that are right, to be made wrong."""

    def __init__(self, documents: Sequence[Any], *, toml: bool = False) -> None:
        self._documents = [(data, paths_in(data)) for data in documents]
        self._donors = [value for data, _ in self._documents for value in values_in(data)]
        self._write: Callable[[Any], bytes] = toml_text if toml else json_text
        self._texts = [self._write(data) for data, _ in self._documents]

    def data(self, random: Random, changes: Sequence[int] = (1, 1, 1, 2, 2, 3, 6)) -> Any:
        """One document, changed."""
        data, paths = random.choice(self._documents)
        for _ in range(random.choice(changes)):
            data = mutate_data(random, data, paths, self._donors)
        return data

    def text(self, random: Random) -> bytes:
        """The text of one, changed as data or as bytes."""
        if random.random() < 0.15:
            return mutate_bytes(random, random.choice(self._texts), self._texts)
        return self._write(self.data(random))


def is_there(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _errors() -> type[Exception]:
    from rmspec.impl.errors import RmspecError

    return RmspecError


RMSPEC_ERROR = _errors()


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[None]:
    """In this folder, with nothing printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


def write_files(files: Files) -> None:
    """Put an input into the current folder, in the place of the last one."""
    for entry in os.scandir("."):
        if entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)
    for name, data in files.items():
        Path(name).write_bytes(data)


def command_of(reader: str, seed: int, number: int) -> str:
    """The line that reads one input again."""
    return f"python tests/fuzz/fuzz.py --reader {shlex.quote(reader)} --seed {seed} --first {number} --count 1"
