"""Configuration: the table ``[tool.rmspec]`` of the nearest ``pyproject.toml``. The command line wins over it."""

from __future__ import annotations

import os
from pathlib import Path

from rmspec.oracles.names import parse_name
from rmspec.oracles.reading import parse_toml, read_text
from rmspec.reports.config.keys import KEYS, Kind
from rmspec.reports.problems import BadOption, nearest

__all__ = ["ConfigValue", "config_file", "read_config"]

ConfigValue = str | int | float | bool | list[str]

_KINDS: dict[Kind, tuple[str, str]] = {
    "text": ("a string", "'...'"),
    "path": ("a string that names a file", "'...'"),
    "integer": ("an integer", "1"),
    "number": ("a number", "10.0"),
    "switch": ("true or false", "true"),
    "names": ("a string, or a list of strings", '["..."]'),
}
"""What a value of each kind is, and an example."""


def config_file(start: Path) -> Path | None:
    """The nearest ``pyproject.toml``, in the folder ``start`` or above it; whether or not it has a table for rmspec."""
    folders = (start, *start.parents)
    return next((folder / "pyproject.toml" for folder in folders if (folder / "pyproject.toml").is_file()), None)


def read_config(start: Path) -> dict[str, ConfigValue]:
    """Read the configuration of the folder ``start``, by option name with underscores; it may be empty.

    Files are named from the folder of the ``pyproject.toml``. Raises ``BadOption`` for an unknown key or a wrong type.
    """
    file = config_file(start)
    if file is None:
        return {}
    try:
        data = parse_toml(read_text(file))
    except ValueError as error:
        raise BadOption(f"{file} is not TOML: {error}", "rmspec reads its table tool.rmspec", "mend the file") from None
    except OSError as error:
        raise BadOption(
            f"cannot read {file}: {error.strerror}", "it may configure rmspec", "mend its permissions"
        ) from None
    tool = data.get("tool", {})
    table = tool.get("rmspec", {}) if isinstance(tool, dict) else {}
    if not isinstance(table, dict):
        raise BadOption(f"tool.rmspec in {file} is not a table", hint="write [tool.rmspec] and keys under it")
    return {name: _located(name, value, file.parent, start) for name, value in _checked(table, file).items()}


def _checked(table: dict[str, object], file: Path) -> dict[str, ConfigValue]:
    values: dict[str, ConfigValue] = {}
    for key, value in table.items():
        name = key.replace("_", "-")
        if name not in KEYS:
            raise BadOption(
                f"unknown key {key!r} in [tool.rmspec] of {file}{nearest(name, KEYS)}",
                hint=f"the keys are {', '.join(KEYS)}",
            )
        kind = KEYS[name].kind
        if not _fits(kind, value):
            words, example = _KINDS[kind]
            raise BadOption(
                f"{key} = {value!r} in [tool.rmspec] of {file} is not {words}", hint=f"write it as {name} = {example}"
            )
        option = name.replace("-", "_")
        if option in values:
            raise BadOption(f"{name} is in [tool.rmspec] of {file} twice, with hyphen and underscore", hint="keep one")
        values[option] = [value] if kind == "names" and isinstance(value, str) else value  # type: ignore[assignment]
    return values


def _fits(kind: Kind, value: object) -> bool:
    match kind:
        case "switch":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "names":
            return isinstance(value, str) or (
                isinstance(value, list) and all(isinstance(element, str) for element in value)
            )
        case _:
            return isinstance(value, str)


def _located(name: str, value: ConfigValue, folder: Path, start: Path) -> ConfigValue:
    if folder == start:
        return value
    if KEYS[name.replace("_", "-")].kind == "path" and isinstance(value, str) and value != "-":
        return os.path.relpath(folder / value, start)
    if name == "subjects" and isinstance(value, list):
        return [_subject(subject, folder, start) for subject in value]
    return value


def _subject(name: str, folder: Path, start: Path) -> str:
    parts = parse_name(name)
    return parts.placed(os.path.relpath(folder / parts.place, start)) if parts.file else name
