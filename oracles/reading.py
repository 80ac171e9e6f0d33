"""Texts and documents from anyone, read within bounds: a reader gets data, or a ``ValueError``.

A text has at most ``MAX_BYTES``; JSON and TOML nest at most ``MAX_DEPTH`` deep, their numbers are finite and have at most
``MAX_DIGITS`` digits, so that a float can hold each. What a document means is for its own reader to check.
"""

from __future__ import annotations

import json
import math
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "as_text",
    "check_members",
    "is_file",
    "parse_json",
    "parse_toml",
    "read_text",
]

MAX_BYTES = 1 << 26
"""The most bytes of a text: about a hundred times the largest report."""

MAX_DEPTH = 200
"""The most containers within each other."""

MAX_DIGITS = 300
"""The most digits of a whole number: a float can hold it."""

_FREE = 1 << 30
_RATIO = 100


def read_text(path: str | Path) -> str:
    """The text in a file. Raises ``OSError``, ``UnicodeDecodeError``, and ``ValueError`` for a text beyond the bound."""
    with open(path, "rb") as file:
        # A read of the bound would take as much memory, however short the file; a pipe has no length.
        length = os.fstat(file.fileno()).st_size
        data = file.read(min(length or MAX_BYTES, MAX_BYTES) + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
    return data.decode("utf-8")


def is_file(path: str | Path) -> bool:
    """Whether there is a file of this name; no name, however odd, raises."""
    return os.path.isfile(path)


def as_text(value: object) -> str:
    """A text in JSON data. Raises ``TypeError``."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def parse_json(text: str | bytes, *, special: bool = False) -> Any:
    """The data of a JSON text; ``special``: with NaN and infinities, as Python writes them.

    Raises ``ValueError``, which is a ``JSONDecodeError`` for a text that is no JSON.
    """
    constant = float if special else _no_constant
    try:
        data = json.loads(text, parse_int=_integer, parse_float=_real, parse_constant=constant)
    except RecursionError:
        raise ValueError(_DEEP) from None
    _check_depth(data)
    return data


def parse_toml(text: str) -> dict[str, Any]:
    """The data of a TOML text. Raises ``ValueError``: a ``TOMLDecodeError`` for anything but TOML."""
    if _DOTTED.search(text):
        # The parser takes memory by the square of the depth.
        raise ValueError(_DEEP)
    try:
        data = tomllib.loads(text, parse_float=lambda number: float(number) if _is_special(number) else _real(number))
    except RecursionError:
        raise ValueError(_DEEP) from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        raise ValueError(_LONG if "digits" in str(error) else str(error)) from None
    if any(
        isinstance(value, int) and value.bit_length() > _MAX_BITS for level in _check_depth(data) for value in level
    ):
        raise ValueError(_LONG)
    return data


def check_members(sizes: Mapping[str, int], size: int) -> None:
    """Raise ``ValueError`` if the members of a file of this ``size`` would take far more memory than the file."""
    whole = sum(sizes.values())
    if whole > max(_FREE, _RATIO * size):
        largest = max(sizes, key=lambda name: sizes[name])
        raise ValueError(
            f"{size:,} bytes would become {whole:,} in memory, of which {largest[:60]!r} takes {sizes[largest]:,}"
        )


_DOTTED = re.compile(rf"""(?<![\w\-"'])(?:[\w\-"']++[ \t]*+\.[ \t]*+){{{MAX_DEPTH}}}""")
"""A key of too many parts."""

_DEEP = f"it is nested more than {MAX_DEPTH} deep"


def _check_depth(data: Any) -> list[list[Any]]:
    """The values in the data, level by level. Raises ``ValueError`` for too many levels."""
    levels = [[data]]
    while nodes := [node for node in levels[-1] if isinstance(node, dict | list)]:
        if len(levels) > MAX_DEPTH:
            raise ValueError(_DEEP)
        levels.append([child for node in nodes for child in (node.values() if isinstance(node, dict) else node)])
    return levels


_LONG = f"it has a number of more than {MAX_DIGITS} digits"
_MAX_BITS = (10**MAX_DIGITS).bit_length()


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(_LONG)
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is beyond the largest number")
    return value


def _is_special(text: str) -> bool:
    return text.lstrip("+-") in ("inf", "nan")


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
