"""The named dialects: those of the literature and of rmspec's own frameworks, and those of other distributions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

from rmspec.impl.spec import wording
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, UnknownDialect
from rmspec.oracles.registry import frameworks


@cache
def dialects() -> Mapping[str, Dialect]:
    """Every named dialect, by name."""
    spoken = {dialect.name: dialect for framework in frameworks() for dialect in framework.dialects}
    return MappingProxyType({**DIALECTS, **spoken})


def dialect_named(name: str) -> Dialect:
    """The dialect of this name (``specification`` is another name of ``torch``). Raises ``UnknownDialect``."""
    if name == "specification":
        return SPECIFICATION
    try:
        return dialects()[name]
    except KeyError:
        raise UnknownDialect(name, dialects()) from None


def statement(id: str, dialect: str = "") -> str:
    """State a clause in the dialect of this name; an unknown name counts as the page's."""
    return wording.statement(id, dialects().get(dialect, SPECIFICATION))
