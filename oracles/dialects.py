"""The named dialects: those of the literature and of rmspec's own frameworks, and those of other distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType

from rmspec.impl.spec import wording
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, UnknownDialect
from rmspec.impl.spec.switches import UnknownPosition, set_switches
from rmspec.oracles.errors import choose
from rmspec.oracles.reading import parse_json
from rmspec.oracles.registry import frameworks


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every named dialect, by name."""
    spoken = {dialect.name: dialect for framework in frameworks() for dialect in framework.dialects}
    return MappingProxyType({**DIALECTS, **spoken})


def dialect_named(name: str) -> Dialect:
    """The dialect of this name (``specification`` is another name of ``torch``), with the switches named after it.

    ``optax,nesterov=true`` is the dialect optax with one switch in another position. Raises ``UnknownDialect``.
    """
    first, *settings = name.split(",")
    known = SPECIFICATION if first == "specification" else dialects().get(first)
    if known is None:
        raise UnknownDialect(first, dialects())
    if not settings:
        return known
    try:
        table = dict(_setting(text) for text in settings)
        return replace(set_switches(known, table), name=name)
    except (UnknownPosition, ValueError):
        raise UnknownDialect(name, dialects()) from None


def _setting(text: str) -> tuple[str, object]:
    """Read ``switch=value``. Raises ``ValueError``."""
    switch, equals, value = text.partition("=")
    if not equals:
        raise ValueError(text)
    try:
        return switch.strip(), parse_json(value)
    except ValueError:
        return switch.strip(), value.strip()


def check_dialect(name: str, *, where: str = "") -> str:
    """``name`` when it is one of a dialect. Raises ``BadOption`` with the closest one otherwise."""
    try:
        dialect_named(str(name))
    except UnknownDialect:
        return choose("dialect", name, dialects(), where=where)
    return name


def statement(id: str, dialect: str = "") -> str:
    """State a clause in the dialect of this name; an unknown name counts as the page's."""
    try:
        spoken = dialect_named(dialect) if dialect else SPECIFICATION
    except UnknownDialect:
        spoken = SPECIFICATION
    return wording.statement(id, spoken)
