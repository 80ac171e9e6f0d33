"""Subjects opened as the settings of a check say: one by name in a process of its own, an object as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rmspec.oracles.errors import BadOption
from rmspec.oracles.host.host import Opened, open_subject
from rmspec.oracles.host.perform import Driven
from rmspec.oracles.subject import CALL_TIMEOUT
from rmspec.properties.settings import PYTHON, Settings

__all__ = ["open_named", "opened"]


def open_named(name: str, settings: Settings, *, framework: str | None = None) -> Opened:
    """Open the subject of a name in a process of its own, with the device and the limits of the settings: see ``open_subject``."""
    return open_subject(
        name,
        framework=framework,
        device=settings.device,
        call_timeout=settings.call_timeout,
        memory_limit=settings.memory_limit,
    )


@contextmanager
def opened(subject: str | Driven, settings: Settings) -> Iterator[Driven]:
    """Open the subject of a name, in a process for the context; an object stays as it is. Raises the errors of ``open_subject``.

    ``BadOption`` where an object is given with a framework, the time of calls or a limit of memory: they are for names.
    """
    if isinstance(subject, str):
        driven = open_named(subject, settings, framework=settings.framework)
        try:
            yield driven
        finally:
            driven.close()
        return
    for name, default in (("framework", None), ("call_timeout", CALL_TIMEOUT), ("memory_limit", None)):
        value = getattr(settings, name)
        if value != default:
            raise BadOption(
                f"{PYTHON.assignment(name, value)} is for a subject that is given by name",
                "it would change nothing",
                "leave it out, or name the subject, as in 'path/to/mine.py:Class'",
            )
    yield subject
