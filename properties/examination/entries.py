"""Entries of known lists, as far as they apply to a subject and to its baselines."""

from __future__ import annotations

from collections.abc import Callable

from rmspec.oracles.host.perform import Driven
from rmspec.properties.known import Known, Locality, absence, applies, expired, placed, shipped, speaks_of

__all__ = ["Entries"]


class Entries:
    """The entries of one list, by subject and locality; ``None`` is the shipped list."""

    def __init__(self, known: tuple[Known, ...] | None, locality: Callable[[], Locality] = Locality) -> None:
        self._known = known
        self._locality = locality
        self._by_name: dict[tuple[str, Locality], tuple[Known, ...]] = {}

    def of(self, subject: Driven) -> tuple[Known, ...]:
        """The entries in force for a subject."""
        locality, versions = self._locality(), subject.versions()
        if (subject.name, locality) not in self._by_name:
            self._by_name[subject.name, locality] = tuple(
                placed(entry, versions)
                for entry in self._all()
                if not expired(entry) and applies(entry, subject.name, versions, locality)
            )
        return self._by_name[subject.name, locality]

    def varies(self, entry: Known) -> bool:
        """Whether the deviation of an entry depends on timing here."""
        return bool(entry.varies) and self._locality().within(entry.varies)

    def elsewhere(self, subject: Driven) -> tuple[str, ...]:
        """List the entries on a subject for other places alone, each with the reason."""
        locality, versions = self._locality(), subject.versions()
        spoken = [entry for entry in self._all() if speaks_of(entry, subject.name) and not expired(entry)]
        return tuple(f"{entry.id}: {reason}" for entry in spoken if (reason := absence(entry, versions, locality)))

    def expired(self, subject: Driven) -> tuple[Known, ...]:
        """The expired entries on a subject."""
        locality, versions = self._locality(), subject.versions()
        return tuple(
            entry for entry in self._all() if expired(entry) and applies(entry, subject.name, versions, locality)
        )

    def _all(self) -> tuple[Known, ...]:
        return shipped() if self._known is None else self._known
