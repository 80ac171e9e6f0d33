"""The JSON Schema of the table ``[tool.rmspec]``, for editors: made from the options of ``rmspec check`` and their names.

The published copy is ``schemas/config-1.json``; ``rmspec config --schema`` prints it.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import click

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.oracles.dialects import dialects
from rmspec.oracles.registry import frameworks
from rmspec.oracles.subject import FEATURES
from rmspec.properties.settings import PROFILES
from rmspec.reports.config.options import CheckOptions
from rmspec.reports.config.pyproject import KEYS

__all__ = ["config_schema", "rendered"]

_TYPES: dict[str, dict[str, Any]] = {
    "text": {"type": "string"},
    "path": {"type": "string", "minLength": 1},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "switch": {"type": "boolean"},
}


def rendered(check: click.Command) -> str:
    """The schema as text; ``check`` is the command whose options it is made from."""
    return json.dumps(config_schema(check), indent=2)


def config_schema(check: click.Command) -> dict[str, Any]:
    """The schema: a property for each key, with what it means, its default, and the names that there are."""
    helps = {each.name: each.help for each in check.params if isinstance(each, click.Option)}
    defaults = {each.name: each.default for each in fields(CheckOptions)}
    properties = {}
    for key, kind in KEYS.items():
        name = key.replace("-", "_")
        text = helps.get(name) or "What to check, where the command line names no subject."
        found: dict[str, Any] = {"description": text, **_type(key, kind)}
        if isinstance(defaults.get(name), str | int | float):
            found["default"] = defaults[name]
        properties[key] = found
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


def _type(key: str, kind: str) -> dict[str, Any]:
    names = _names().get(key)
    if kind == "names":
        # Several names may stand in one string, separated by commas: only those of a list can be completed.
        item: dict[str, Any] = {"type": "string", "minLength": 1}
        listed = {"anyOf": [{"enum": names}, item]} if names else item
        return {"anyOf": [item, {"type": "array", "items": listed}]}
    found = dict(_TYPES[kind])
    if names:
        found["enum"] = names
    if key == "seed":
        found["minimum"] = 0
    if key in ("time-budget", "call-timeout"):
        found["exclusiveMinimum"] = 0
    return found


def _names() -> dict[str, list[str]]:
    return {
        "profile": list(PROFILES),
        "dialect": ["specification", *dialects()],
        "dtype": list(FORMATS),
        "policy": list(POLICIES),
        "framework": [each.name for each in frameworks() if each.users],
        "without": list(FEATURES),
        "fail-on": ["hazards"],
    }
