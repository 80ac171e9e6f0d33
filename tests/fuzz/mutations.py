"""Mutations of what the readers read: of JSON and TOML by their structure, of files by their bytes.

Every mutation takes a ``random.Random``: the same one makes the same input.
"""

from __future__ import annotations

import copy
import json
import struct
from datetime import date, datetime
from random import Random
from typing import Any

RAW = {
    "@digits@": "9" * 5000,
    "@negative@": "-" + "9" * 4400,
    "@infinite@": "1e400",
    "@nan@": "NaN",
    "@deep@": "[" * 3000 + "]" * 3000,
    "@deeper@": '{"a":' * 20000 + "1" + "}" * 20000,
    "@open@": "[" * 100,
}
"""Texts that no value of Python is written as, by the string that stands for each until the text is made."""

STRINGS = (
    *RAW,
    "",
    "\n",
    "p\n",
    "a" * 10_000,
    "\x1b[31mred\x1b[0m",
    "\x00",
    "\ud800",
    "\u202e",
    "::error::x",
    "##[error]x",
    "%0A::error::x",
    "../../../x",
    "/dev/zero",
    "import",
    "torch",
    "__import__('os').system('x')",
    '"); x(',
    '"""',
    "<script>alert(1)</script>",
    "[x](http://x)",
    "| a | b |",
    "```",
    "$x^{$",
    "{{ x }}",
    "%s %d",
    "{0}",
    "nan",
    "inf",
    "-inf",
    "0x1p+99999999999999999999",
    "0x1." + "f" * 400 + "p-1074",
    "0x1.8p+1\n",
    "1e400",
    "9" * 5000,
    "٣",
    "true",
    "float16",
    "bfloat16",
    "complex64",
    "float8",
    "torch,nesterov=true",
    "torch,lr_place=[[[",
    "optax,initial_accumulator=" + "9" * 5000,
    "process:sh -c x",
    "process:'",
    "a.py:B",
    "a" * 300 + ".py:B",
    "torch:foreach",
    "meta",
    "cuda:99",
    ">=1,<",
    "2027-13-45",
)
NUMBERS = (
    0, 1, -1, 2, 3, 7, 63, 64, 65, 200, 255, 65537, 2**24, 2**24 + 1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64,
    10**30, -(10**30), 10**400, -(10**400), 0.0, -0.0, 0.5, -0.5, 1e-320, 1e308, -1e308, 1.5, 1e16,
)  # fmt: skip
CONTAINERS: tuple[Any, ...] = ([], {}, [[]], {"": {}}, [None], [0, 0], {"tensor": "0x1p+0"}, [10**30, 0], [1] * 200)
ATOMS: tuple[Any, ...] = (None, True, False, *NUMBERS, *STRINGS, *CONTAINERS)

Path = tuple[Any, ...]


def paths_in(data: Any, path: Path = ()) -> list[Path]:
    """Every place in JSON data, the whole of it first."""
    found = [path]
    if isinstance(data, dict):
        for key, value in data.items():
            found += paths_in(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            found += paths_in(value, (*path, index))
    return found


def at(data: Any, path: Path) -> Any:
    """The value at a place."""
    for part in path:
        data = data[part]
    return data


def _opened(data: Any, path: Path) -> tuple[Any, Any]:
    """A copy of the data, whose containers on the way to a place may be changed, and the container of that place."""
    whole = here = copy.copy(data)
    for part in path[:-1]:
        here[part] = copy.copy(here[part])
        here = here[part]
    return whole, here


def mutate_data(random: Random, data: Any, paths: list[Path], donors: list[Any]) -> Any:
    """JSON data with one change: another value, one gone, doubled, moved, wrapped, renamed or taken from elsewhere."""
    path = random.choice(paths)
    try:
        old = at(data, path)
        if not path:
            return _another(random, old, donors) if random.random() < 0.05 else data
        whole, holder = _opened(data, path)
        last = path[-1]
        chance = random.random()
        if chance < 0.45:
            holder[last] = _another(random, old, donors)
        elif chance < 0.58:
            del holder[last]
        elif chance < 0.68 and isinstance(holder, list):
            holder[last:last] = [old] * random.choice((1, 2, 3, 17, 300))
        elif chance < 0.74 and isinstance(holder, dict):
            value = holder.pop(last)
            holder[random.choice((*STRINGS, str(last).upper(), str(last) + " ", str(last)[:-1]))] = value
        elif chance < 0.80 and isinstance(holder, dict) and len(holder) > 1:
            other = random.choice(list(holder))
            holder[last], holder[other] = holder[other], holder[last]
        elif chance < 0.86:
            holder[last] = at(data, random.choice(paths))
        elif chance < 0.92:
            holder[last] = [old] if random.random() < 0.5 else {str(last): old}
        elif isinstance(holder, dict):
            holder[random.choice(("more", "shows", "kind", "number", "", *STRINGS))] = random.choice(ATOMS)
        else:
            random.shuffle(holder)
    except (LookupError, TypeError):
        return data  # an earlier change took the place away
    return whole


def _another(random: Random, old: Any, donors: list[Any]) -> Any:
    """Another value, half of the time of the same type: what a schema lets pass goes deeper."""
    chance = random.random()
    if chance < 0.12 and donors:
        return random.choice(donors)
    if chance < 0.55:
        if isinstance(old, bool):
            return not old
        if isinstance(old, int):
            return random.choice((*NUMBERS[:25], old + 1, old - 1, old * 2))
        if isinstance(old, float):
            return random.choice((*NUMBERS[25:], -old, old * 2, 1 / old if old else 0.5))
        if isinstance(old, str):
            return random.choice(STRINGS) if random.random() < 0.7 else old + random.choice(STRINGS)
    return random.choice(ATOMS)


def values_in(data: Any) -> list[Any]:
    """The strings and numbers in JSON data, to be put elsewhere."""
    return [value for path in paths_in(data) if isinstance(value := at(data, path), str | int | float)]


def json_text(data: Any, indent: int | None = None) -> bytes:
    """JSON of the data, with the raw texts in it."""
    text = json.dumps(data, indent=indent)
    for name, raw in RAW.items():
        text = text.replace(f'"{name}"', raw)
    return text.encode()


def toml_text(data: Any) -> bytes:
    """TOML of the data, with the raw texts in it, and with what TOML does not have written all the same."""
    lines: list[str] = []
    tables = data if isinstance(data, dict) else {"x": data}
    later = []
    for key, value in tables.items():
        nested = isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict))
        if nested:
            later.append((key, value))
        else:
            lines.append(f"{_toml_key(key)} = {_toml_value(value)}")
    for key, value in later:
        rows = value if isinstance(value, list) else [value]
        brackets = ("[[", "]]") if isinstance(value, list) else ("[", "]")
        for row in rows:
            if not isinstance(row, dict):
                lines.append(f"{_toml_key(key)} = {_toml_value(row)}")
                continue
            lines.append(f"{brackets[0]}{_toml_key(key)}{brackets[1]}")
            lines += [f"{_toml_key(name)} = {_toml_value(part)}" for name, part in row.items()]
    return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")


def _toml_key(key: Any) -> str:
    text = str(key)
    return text if text and all(char.isalnum() or char in "-_." for char in text) else json.dumps(text)


def _toml_value(value: Any) -> str:
    if isinstance(value, str) and value in RAW:
        return RAW[value]
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml_key(key)} = {_toml_value(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, date | datetime):
        return value.isoformat()
    return json.dumps(value)


_INTEGERS = (0, 1, -1, 2**7, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**62, 2**63 - 1, 0xFFFFFFFFFFFFFFFF)


def mutate_bytes(random: Random, data: bytes, donors: list[bytes]) -> bytes:
    """Bytes with up to eight changes: flipped, overwritten, cut, doubled, cut off, or taken from another file."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        size = len(changed)
        if not size:
            return bytes(random.choice(donors)) if donors else b"\x00"
        place = random.randrange(size)
        if size > 512 and random.random() < 0.5:
            place = random.randrange(256) if random.random() < 0.5 else size - 1 - random.randrange(256)
        length = random.choice((1, 1, 2, 4, 8, 16, 64, 512))
        chance = random.random()
        if chance < 0.30:
            changed[place] ^= 1 << random.randrange(8)
        elif chance < 0.45:
            changed[place] = random.choice((0, 1, 9, 10, 34, 44, 45, 48, 57, 91, 92, 93, 123, 125, 127, 128, 255))
        elif chance < 0.58:
            code = random.choice(("<H", ">H", "<I", ">I", "<Q", ">Q"))
            width = struct.calcsize(code)
            number = random.choice(_INTEGERS) & ((1 << 8 * width) - 1)
            changed[place : place + width] = struct.pack(code, number)
        elif chance < 0.68:
            del changed[place : place + length]
        elif chance < 0.78:
            changed[place:place] = changed[place : place + length] * random.choice((1, 1, 2, 40))
        elif chance < 0.88 and donors:
            donor = random.choice(donors)
            start = random.randrange(max(len(donor), 1))
            changed[place : place + length] = donor[start : start + length]
        elif chance < 0.94:
            del changed[place:]
        else:
            changed[place:place] = random.choice(STRINGS).encode("utf-8", "surrogatepass")[:2000]
    return bytes(changed)
