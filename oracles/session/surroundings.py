"""The state of the process during a subject's calls: set for each call, restored after it.

Loading a subject, and checking it, leave the process of whoever does so as it was: what else runs there is not rmspec's to
change. An interrupt restores as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from rmspec.oracles.program.program import Call, Param
from rmspec.oracles.subject import Capabilities, LocatedSession, Observation, Outcome, Session, Subject

Surroundings = Callable[[], AbstractContextManager[None]]
"""Makes the context in which a subject is called."""

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Surrounded(Protocol):
    @property
    def surroundings(self) -> Surroundings: ...


_S = TypeVar("_S", bound=_Surrounded)


def surrounded(method: Callable[Concatenate[_S, _P], _T]) -> Callable[Concatenate[_S, _P], _T]:
    """Run a method in the ``surroundings`` of its object."""

    @wraps(method)
    def run(self: _S, /, *args: _P.args, **options: _P.kwargs) -> _T:
        with self.surroundings():
            return method(self, *args, **options)

    return run


@contextmanager
def search_path(folders: Sequence[str]) -> Iterator[None]:
    """Search these folders for modules as well, last: none shadows a module of rmspec or a framework."""
    added: list[str] = []
    try:
        for folder in folders:
            if folder not in sys.path:
                sys.path.append(folder)
                added.append(folder)
        yield
    finally:
        for folder in added:
            if folder in sys.path:
                sys.path.remove(folder)


class PlacedSubject:
    """A user's subject with ``folders`` on the search path during its calls; ``whole`` is the subject itself."""

    def __init__(self, whole: Subject, folders: Sequence[str]) -> None:
        self.whole = whole
        self.name = whole.name
        self.framework = whole.framework
        self.baselines = whole.baselines
        self._folders = tuple(folders)

    def surroundings(self) -> AbstractContextManager[None]:
        """Make the context of the subject's calls."""
        return search_path(self._folders)

    @property
    def dialect(self) -> str:
        """See ``Subject``."""
        return self.whole.dialect

    @dialect.setter
    def dialect(self, name: str) -> None:
        self.whole.dialect = name

    def __getattr__(self, name: str) -> Any:
        """Delegate everything beyond the protocol to the subject."""
        return getattr(self.whole, name)

    @surrounded
    def capabilities(self) -> Capabilities:
        """See ``Subject``."""
        return self.whole.capabilities()

    @surrounded
    def versions(self) -> Mapping[str, str]:
        """See ``Subject``."""
        return self.whole.versions()

    @surrounded
    def state_names(self) -> Mapping[str, str]:
        """See ``Subject``."""
        return self.whole.state_names()

    @surrounded
    def session(self, params: tuple[Param, ...]) -> Session:
        """See ``Subject``."""
        return PlacedSession(self.whole.session(params), self.surroundings)


class PlacedSession:
    """A session with the ``surroundings`` of its subject during its calls."""

    def __init__(self, session: Session, surroundings: Surroundings) -> None:
        self.surroundings = surroundings
        self._session = session

    @surrounded
    def perform(self, call: Call) -> Outcome:
        """See ``Session``."""
        return self._session.perform(call)

    @surrounded
    def observe(self) -> Observation:
        """See ``Session``."""
        return self._session.observe()

    def devices(self) -> Collection[str]:
        """See ``LocatedSession``; none for any other session."""
        return self._session.devices() if isinstance(self._session, LocatedSession) else ()

    @surrounded
    def close(self) -> None:
        """See ``Session``."""
        self._session.close()
