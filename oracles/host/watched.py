"""A subject with a sign of life before each call, so that a hang is told from long work.

It also keeps apart whose fault an exception is: what a user's own ``Subject`` object raises where the protocol allows
nothing is a failure of the subject, not of rmspec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager

from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import SubjectFailed, wording
from rmspec.oracles.host.primitives import is_foreign
from rmspec.oracles.program.program import Call, Param, op
from rmspec.oracles.session.surroundings import PlacedSubject
from rmspec.oracles.subject import Capabilities, LocatedSession, Observation, Outcome, Session, Subject

_INTERVAL = 0.25  # seconds between two signs of life: often enough to be timely, seldom enough to cost nothing


class WatchedSubject:
    """``subject``, called ``name``, with ``beat`` called before its calls, at most every quarter of a second.

    ``whole`` is the subject itself.
    """

    def __init__(self, name: str, subject: Subject, beat: Callable[[], None]) -> None:
        self.name = name
        self.framework = subject.framework
        self.dialect = subject.dialect
        self.baselines = subject.baselines
        self._subject = subject
        self._beat = beat
        self._last = 0.0
        self.whole: Subject = subject.whole if isinstance(subject, PlacedSubject) else subject
        self._foreign = is_foreign(self.whole)

    def capabilities(self) -> Capabilities:
        """See ``Subject``."""
        with self._call("capabilities"):
            return self._subject.capabilities()

    def versions(self) -> Mapping[str, str]:
        """See ``Subject``."""
        with self._call("versions"):
            return dict(self._subject.versions())

    def state_names(self) -> Mapping[str, str]:
        """See ``Subject``."""
        with self._call("state_names"):
            return dict(self._subject.state_names())

    def session(self, params: tuple[Param, ...]) -> Session:
        """See ``Subject``."""
        with self._call("session"):
            return _WatchedSession(self._subject.session(params), self)

    @contextmanager
    def _call(self, doing: str) -> Iterator[None]:
        now = time.monotonic()
        if now - self._last > _INTERVAL:
            self._last = now
            self._beat()
        try:
            yield
        except RmspecError:
            raise
        except Exception as error:
            if not self._foreign:
                raise
            reason = (wording(error).splitlines() or [""])[0]
            raise SubjectFailed(
                f"{self.name} raised {type(error).__name__} in {doing}: {reason}",
                "the Subject protocol reports exceptions as part of an outcome",
                "return Outcome(raised=Raised(type, message)) from perform",
            ) from error


class _WatchedSession:
    def __init__(self, session: Session, subject: WatchedSubject) -> None:
        self._session = session
        self._subject = subject

    def perform(self, call: Call) -> Outcome:
        """See ``Session``."""
        with self._subject._call(op(call)):
            return self._session.perform(call)

    def observe(self) -> Observation:
        """See ``Session``."""
        with self._subject._call("observe"):
            return self._session.observe()

    def devices(self) -> Collection[str]:
        """See ``LocatedSession``; none for any other session."""
        with self._subject._call("devices"):
            return self._session.devices() if isinstance(self._session, LocatedSession) else ()

    def close(self) -> None:
        """See ``Session``."""
        with self._subject._call("close"):
            self._session.close()
