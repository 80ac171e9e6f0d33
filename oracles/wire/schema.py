"""The schema of the wire protocol, ``schemas/wire-1.json``, and a message's violation of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jsonschema

PROTOCOL = "rmspec.wire/1"


def violation(message: object, definition: str) -> str:
    """A message's violation of a definition of the schema (``request``, ``reply_performed``, ...), or ``""``."""
    validator = _validator(definition)
    if validator.is_valid(message):
        return ""
    worst = max(validator.iter_errors(message), key=lambda error: len(error.absolute_path))
    while worst.context:
        worst = max(reversed(worst.context), key=lambda error: len(error.absolute_path))
    place = "/".join(str(part) for part in worst.absolute_path) or "the top level"
    return f"at {place}: {worst.message[:200]}"


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


@cache
def _validator(definition: str) -> Any:
    """A validator of one definition, without references to look up, and fast on long lists of numbers."""
    documents = {
        name: json.loads((files("rmspec.oracles") / "schemas" / f"{name}-1.json").read_text("utf-8"))
        for name in ("wire", "program")
    }

    def inlined(schema: Any, document: str) -> Any:
        if isinstance(schema, list):
            return [inlined(part, document) for part in schema]
        if not isinstance(schema, dict):
            return schema
        if "$ref" in schema:
            base, _, place = schema["$ref"].partition("#/$defs/")
            target = base.split(":")[2] if base else document
            return inlined(documents[target]["$defs"][place], target)
        return {key: inlined(part, document) for key, part in schema.items()}

    base = jsonschema.Draft202012Validator
    slow = base.VALIDATORS["items"]

    def items(validator: Any, schema: Any, instance: Any, whole: Any) -> Iterator[Any]:
        simple = isinstance(schema, dict) and schema.keys() <= {"type", "pattern", "description"}
        if not (simple and isinstance(instance, list) and _all_match(instance, schema)):
            yield from slow(validator, schema, instance, whole)

    return jsonschema.validators.extend(base, {"items": items})(inlined({"$ref": f"#/$defs/{definition}"}, "wire"))
