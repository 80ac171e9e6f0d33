"""The frameworks, rmspec's own folders and those of other distributions, and their registered names.

A folder of ``rmspec.oracles`` with a ``descriptor.py`` is a framework of rmspec's own. Other distributions name theirs in the
entry-point group ``rmspec.frameworks``; one that cannot be used is left out, and ``left_out`` says why. Descriptors are read
when the first name is asked for, and no framework is imported for it.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from types import MappingProxyType

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.framework import Framework

GROUP = "rmspec.frameworks"
"""The entry-point group through which a distribution adds a framework."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An unusable framework of another distribution: its entry point's name, its distribution, and the reason."""

    name: str
    distribution: str
    reason: str

    def __str__(self) -> str:
        return f"the framework {self.name!r} of {self.distribution} is left out: {self.reason}"


def frameworks() -> tuple[Framework, ...]:
    """Every framework in the order of listings: rmspec's own, then those of other distributions."""
    return _discover()[0]


def left_out() -> tuple[LeftOut, ...]:
    """The unusable frameworks of other distributions; none before the first look for frameworks."""
    return _discover()[1] if _discover.cache_info().currsize else ()


def framework_named(name: str) -> Framework | None:
    """The framework of this name, or ``None``."""
    return next((framework for framework in frameworks() if framework.name == name), None)


@cache
def registered_names() -> Mapping[str, Framework]:
    """Every registered name with its framework."""
    return MappingProxyType({name: framework for framework in frameworks() for name in framework.subjects})


# -- finding them


@cache
def _discover() -> tuple[tuple[Framework, ...], tuple[LeftOut, ...]]:
    accepted = sorted(_own(), key=lambda framework: (framework.order, framework.name))
    refused: list[LeftOut] = []
    for entry in sorted(
        entry_points(group=GROUP), key=lambda point: (point.name, point.dist.name if point.dist else "")
    ):
        descriptor = _import(entry)
        reason = descriptor if isinstance(descriptor, str) else _objection(entry, descriptor, accepted)
        if isinstance(descriptor, Framework) and not reason:
            accepted.append(descriptor)
        else:
            where = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a distribution without a name"
            refused.append(LeftOut(entry.name, where, reason))
    return tuple(accepted), tuple(refused)


def _own() -> Iterator[Framework]:
    for folder in files("rmspec.oracles").iterdir():
        if folder.is_dir() and (folder / "descriptor.py").is_file():
            descriptor: Framework = importlib.import_module(f"rmspec.oracles.{folder.name}.descriptor").FRAMEWORK
            yield descriptor


def _import(entry: EntryPoint) -> Framework | str:
    """Import the descriptor of an entry point; return the reason as text if the import fails."""
    try:
        descriptor = entry.load()
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [""])[0]
        return f"{entry.value} cannot be imported: {type(error).__name__}: {reason}"
    if not isinstance(descriptor, Framework):
        return f"{entry.value} is {type(descriptor).__name__}, not a rmspec.oracles.Framework"
    return descriptor


def _objection(entry: EntryPoint, new: Framework, accepted: list[Framework]) -> str:
    """The reason to refuse a descriptor beside the accepted ones; empty for a good one."""
    if new.name != entry.name:
        return f"it is called {new.name!r}, so must its entry point be"
    try:
        return _clash(new, accepted)
    except (AttributeError, TypeError) as error:
        return f"its descriptor is malformed: {error}"


def _clash(new: Framework, accepted: list[Framework]) -> str:
    if any(new.name == framework.name for framework in accepted):
        return f"there is a framework {new.name!r} already"
    names = {name for framework in accepted for name in framework.subjects}
    for name in new.subjects:
        if name in names:
            return f"there is a subject {name!r} already"
        if name.partition(":")[0] != new.name:
            return f"its subject {name!r} is not called {new.name} or {new.name}:PATH"
    known = {**DIALECTS, **{dialect.name: dialect for framework in accepted for dialect in framework.dialects}}
    for dialect in new.dialects:
        if dialect.name in known and known[dialect.name] != dialect:
            return f"there is a dialect {dialect.name!r} already, and it is another"
        known[dialect.name] = dialect
    for name, subject in new.subjects.items():
        if subject.dialect not in known:
            return f"its subject {name!r} speaks {subject.dialect!r}, and there is no such dialect"
    return ""
