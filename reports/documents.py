"""JSON documents: cattrs makes the data, and the stored JSON Schema gives the keys and their order.

Numbers are JSON numbers where they are finite, and the strings ``"nan"``, ``"inf"``, ``"-inf"`` where they are not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import cattrs

from rmspec.oracles import reading
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.program.program import Program, from_json, to_json
from rmspec.reports.escapes import escape_json

__all__ = ["CONVERTER", "as_data", "json_number", "json_text", "read_text", "select_keys", "stored_json"]


def json_number(value: float) -> float | str:
    """A number as JSON has it: ``"nan"``, ``"inf"`` and ``"-inf"`` are strings."""
    return float(value) if math.isfinite(value) else str(float(value))


def _measured(value: float | str | None) -> float | str | None:
    return value if value is None or isinstance(value, str) else json_number(value)


def _from_measured(value: float | str | None, _: object) -> float | str | None:
    return float(value) if value in ("nan", "inf", "-inf") else value


CONVERTER = cattrs.Converter(detailed_validation=False, unstruct_collection_overrides={tuple: list})
"""Converts rmspec's dataclasses to JSON data and back; what a schema has checked is read back without complaint."""

CONVERTER.register_unstructure_hook(float, json_number)
CONVERTER.register_unstructure_hook(float | str | None, _measured)
CONVERTER.register_structure_hook(float | str | None, _from_measured)
CONVERTER.register_structure_hook(float | bool, lambda value, _: value if isinstance(value, bool) else float(value))
CONVERTER.register_structure_hook_func(lambda kind: kind is object, lambda value, _: value)
CONVERTER.register_unstructure_hook(Program, to_json)
CONVERTER.register_structure_hook(Program, lambda data, _: from_json(data, where="the report"))


def as_data(value: object) -> Any:
    """A dataclass, or a collection, as JSON data."""
    return CONVERTER.unstructure(value)


def json_text(data: object) -> str:
    """The text of a JSON document."""
    return escape_json(json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


@cache
def stored_json(path: str) -> Any:
    """Read a JSON file of the package, such as ``schemas/report-1.json``."""
    return json.loads((files("rmspec.reports") / path).read_text("utf-8"))


def select_keys(schema: str, definition: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Select the keys of a definition in a stored schema, in its order; of the whole document for an empty name."""
    whole = stored_json(f"schemas/{schema}.json")
    properties = (whole["$defs"][definition] if definition else whole)["properties"]
    return {key: data[key] for key in properties if key in data}


def read_text(path: str, problem: type[InputProblem], hint: str) -> str:
    """Read a text file of a user. Raises ``problem`` for an unreadable one, or one without text."""
    try:
        return reading.read_text(path)
    except UnicodeDecodeError:
        raise problem(f"{path} is not text", hint=hint) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise problem(f"cannot read {path}: {reason}", hint=hint) from None
