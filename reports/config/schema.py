"""The JSON Schema of the table ``[tool.rmspec]``, for editors: made from the rows of the options and their names.

``rmspec config --schema`` prints it; no copy is stored.
"""

from __future__ import annotations

import json
from typing import Any

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.oracles.dialects import dialects
from rmspec.oracles.names import path_keywords
from rmspec.oracles.registry import frameworks
from rmspec.oracles.subject import EXCLUDABLE
from rmspec.properties.settings import ALL_PATHS, DEFAULT_PATH, PROFILES
from rmspec.reports.config.keys import KEYS, Key

__all__ = ["config_schema", "rendered"]

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "path": {"type": "string", "minLength": 1},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "switch": {"type": "boolean"},
}


def rendered() -> str:
    """The schema as text."""
    return json.dumps(config_schema(), indent=2)


def config_schema() -> dict[str, Any]:
    """The schema: a property for each key, with its meaning, its default, and the names to choose from."""
    properties = {}
    for key in KEYS.values():
        property: dict[str, Any] = {"description": key.help, **_type(key)}
        if key.default is not None or key.kind == "switch":
            property["default"] = key.default if key.kind != "switch" else False
        properties[key.name] = property
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "urn:rmspec:config:1",
        "title": "The table [tool.rmspec] of pyproject.toml",
        "description": "The options of rmspec check. The command line wins over them.",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "not": {"required": ["known", "no-known"], "properties": {"no-known": {"const": True}}},
    }


def _type(key: Key) -> dict[str, Any]:
    names = _names().get(key.name)
    if key.kind == "names":
        # Several names may stand in one string, separated by commas: only those of a list can be completed.
        item: dict[str, Any] = {"type": "string", "minLength": 1}
        listed = {"anyOf": [{"enum": names}, item]} if names else item
        return {"anyOf": [item, {"type": "array", "items": listed}]}
    schema = dict(_TYPES[key.kind])
    if key.name == "dialect":
        # One with switches in other positions is no list to choose from.
        return {"anyOf": [{"enum": names}, {**schema, "pattern": ","}]}
    if names:
        schema["enum"] = names
    if key.name == "seed":
        schema["minimum"] = 0
    if key.name == "memory-limit":
        schema["pattern"] = r"^\s*\d{1,15}(\.\d{1,15})?\s*[KkMmGgTt]?([iI]?[bB])?\s*$"
    if key.name in ("time-budget", "call-timeout"):
        schema["exclusiveMinimum"] = 0
    return schema


def _names() -> dict[str, list[str]]:
    return {
        "profile": list(PROFILES),
        "dialect": ["specification", *dialects()],
        "dtype": list(FORMATS),
        "policy": list(POLICIES),
        "framework": [framework.name for framework in frameworks() if framework.users],
        "without": list(EXCLUDABLE),
        "paths": [DEFAULT_PATH, ALL_PATHS, *path_keywords()],
        "fail-on": ["hazards"],
    }
