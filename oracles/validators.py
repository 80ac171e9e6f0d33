"""The stored JSON Schemas as validators: references put in place, and quick on long lists of numbers and of calls.

What they accept is what the schemas say. A shortcut only ever says that a part is right; whatever it does not, the slow way
decides, and names what is wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

__all__ = ["quick_validator", "read_schema", "validator_of"]


@cache
def read_schema(name: str) -> Any:
    """The schema of the package with this name, such as ``recording-1``."""
    return json.loads((files("rmspec.oracles") / "schemas" / f"{name}.json").read_text("utf-8"))


@cache
def validator_of(name: str, definition: str = "") -> Any:
    """A validator of a definition in the schema of this name; of the whole schema for an empty definition."""
    return quick_validator(read_schema(name), read_schema("program-1"), definition=definition)


def quick_validator(schema: Mapping[str, Any], *targets: Mapping[str, Any], definition: str = "") -> Any:
    """A validator of a schema, or of one definition in it; ``targets`` are the schemas of its references."""
    documents = {document["$id"]: document for document in (schema, *targets) if "$id" in document}
    whole = {"$ref": f"#/$defs/{definition}"} if definition else {**schema, "$defs": {}}
    whole.pop("$id", None)
    return _Quick(_inlined(whole, schema, documents))


def _inlined(part: Any, document: Mapping[str, Any], documents: Mapping[str, Any]) -> Any:
    if isinstance(part, list):
        return [_inlined(element, document, documents) for element in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        base, _, place = part["$ref"].partition("#/$defs/")
        target = documents[base] if base else document
        return _inlined(
            {**target["$defs"][place], **{key: part[key] for key in part if key != "$ref"}}, target, documents
        )
    return {key: _inlined(element, document, documents) for key, element in part.items()}


def _all_match(values: list[Any], schema: Mapping[str, str]) -> bool:
    """Whether all are strings of a pattern ``^(...)$``. False decides nothing: the slow way does."""
    pattern = schema.get("pattern", "")
    if not (schema.get("type") == "string" and pattern.startswith("^(") and pattern.endswith(")$")):
        return False
    try:
        text = "\n".join(values)
    except TypeError:
        return False
    return not values or (text.count("\n") == len(values) - 1 and bool(_lines_of(pattern[1:-1]).fullmatch(text)))


@cache
def _lines_of(pattern: str) -> re.Pattern[str]:
    return re.compile(f"{pattern}(?:\n{pattern})*+")


_BASE = jsonschema.Draft202012Validator


def _items(validator: Any, schema: Any, instance: Any, whole: Any) -> Iterator[Any]:
    simple = isinstance(schema, dict) and schema.keys() <= {"type", "pattern", "description"}
    if not (simple and isinstance(instance, list) and _all_match(instance, schema)):
        yield from _BASE.VALIDATORS["items"](validator, schema, instance, whole)


def _one_of(validator: Any, schemas: Any, instance: Any, whole: Any) -> Iterator[Any]:
    """A call can only be of the form of its name."""
    name = instance.get("op") if isinstance(instance, dict) else None
    named = [
        schema for schema in schemas if name and schema.get("properties", {}).get("op", {}).get("const", "") == name
    ]
    if len(named) != 1 or not validator.evolve(schema=named[0]).is_valid(instance):
        yield from _BASE.VALIDATORS["oneOf"](validator, schemas, instance, whole)


_Quick = jsonschema.validators.extend(_BASE, {"items": _items, "oneOf": _one_of})
