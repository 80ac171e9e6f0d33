"""A subject under a veil: it shows no more of its state than another one does, so that the two can be compared.

What a run finds depends on what it can see. A fault that shows in a state at once, where there is one to see, shows where
it is hidden in a parameter alone, some calls later. Inherited habits are compared under equal sight.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from rmspec.oracles.program.program import Call, Param
from rmspec.oracles.subject import Capabilities, Observation, Outcome, Session, Subject

__all__ = ["Veiled"]


class Veiled:
    """``subject``, of whose state the ``roles`` alone can be seen."""

    def __init__(self, subject: Subject, roles: frozenset[str]) -> None:
        self.name = subject.name
        self.framework = subject.framework
        self.dialect = subject.dialect
        self.baselines = subject.baselines
        self._subject = subject
        self._roles = roles

    def capabilities(self) -> Capabilities:
        """See ``Subject``."""
        found = self._subject.capabilities()
        return replace(found, roles=found.roles & self._roles)

    def versions(self) -> Mapping[str, str]:
        """See ``Subject``."""
        return self._subject.versions()

    def state_names(self) -> Mapping[str, str]:
        """See ``Subject``."""
        return {role: name for role, name in self._subject.state_names().items() if role in self._roles}

    def session(self, params: tuple[Param, ...]) -> Session:
        """See ``Subject``."""
        return _VeiledSession(self._subject.session(params), self._roles)


class _VeiledSession:
    def __init__(self, session: Session, roles: frozenset[str]) -> None:
        self._session = session
        self._roles = roles

    def perform(self, call: Call) -> Outcome:
        """See ``Session``."""
        return self._session.perform(call)

    def observe(self) -> Observation:
        """See ``Session``."""
        seen = self._session.observe()
        if not self._roles:
            return replace(seen, state={name: {} for name in seen.state}, slots={})
        return replace(
            seen,
            state={
                optimizer: {name: self._kept(held) for name, held in params.items()}
                for optimizer, params in seen.state.items()
            },
            slots={
                slot: {position: self._kept(held) for position, held in entries.items()}
                for slot, entries in seen.slots.items()
            },
        )

    def close(self) -> None:
        """See ``Session``."""
        self._session.close()

    def _kept(self, held: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {role: array for role, array in held.items() if role in self._roles}
