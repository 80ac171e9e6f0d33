"""Entries of known lists, as far as they apply to a subject and to its baselines."""

from __future__ import annotations

from rmspec.oracles.host.perform import Driven
from rmspec.properties.known import Known, applies, expired, placed, shipped

__all__ = ["Entries"]


class Entries:
    """The entries of one list, by subject; ``None`` is the shipped list."""

    def __init__(self, known: tuple[Known, ...] | None) -> None:
        self._known = known
        self._by_name: dict[str, tuple[Known, ...]] = {}

    def of(self, subject: Driven) -> tuple[Known, ...]:
        """The entries in force for a subject."""
        if subject.name not in self._by_name:
            versions = subject.versions()
            self._by_name[subject.name] = tuple(
                placed(entry, versions)
                for entry in self._all()
                if not expired(entry) and applies(entry, subject.name, versions)
            )
        return self._by_name[subject.name]

    def expired(self, subject: Driven) -> tuple[Known, ...]:
        """The expired entries on a subject."""
        versions = subject.versions()
        return tuple(entry for entry in self._all() if expired(entry) and applies(entry, subject.name, versions))

    def _all(self) -> tuple[Known, ...]:
        return shipped() if self._known is None else self._known
