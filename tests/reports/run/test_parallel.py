"""Subjects checked at a time: their answers come in order, and as they were given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rmspec.properties.settings import Settings
from rmspec.reports.run.jobs import Answer, Check, Failed
from rmspec.reports.run.parallel import Ahead
from rmspec.reports.run.parent import WorkerLost


class Script:
    """A stand-in for an overseer: it answers with what is written for a subject, and raises what is raised there."""

    def __init__(self, answers: dict[str, list[Any]]) -> None:
        self._answers = answers

    def ask(self, job: Check) -> Iterator[Answer]:
        for answer in self._answers[job.name]:
            if isinstance(answer, BaseException) and not isinstance(answer, Failed):
                raise answer
            yield answer


def test_a_failure_is_an_answer_and_arrives_whole() -> None:
    """A subject that fails, one without support and a fault of rmspec keep their kind, their hint and their traceback."""
    failures = {
        "fails": Failed("failed", "it hung", hint="see where"),
        "elsewhere": Failed("unsupported", "no such device"),
        "mistake": Failed("internal", "KeyError: 3", trace="Traceback"),
    }
    names = [f"{name}{number}" for number in range(10) for name in failures]
    script = Script({name: [failures[name[:-1]]] for name in names})
    ahead = Ahead(names, Settings(), [script] * 3)  # type: ignore[list-item]
    for name in names:
        assert list(ahead.answers(name)) == [failures[name[:-1]]]


def test_what_ends_a_check_ends_no_other() -> None:
    """A lost worker is raised to the reader of its subject alone, and so is any other error, which is named."""
    done = Failed("failed", "it hung")
    script = Script({"lost": [done, WorkerLost("it crashed", "", "")], "odd": [OSError("no pipe")], "sound": [done]})
    ahead = Ahead(["lost", "odd", "sound"], Settings(), [script])  # type: ignore[list-item]
    with pytest.raises(WorkerLost, match="it crashed"):
        list(ahead.answers("lost"))
    with pytest.raises(WorkerLost, match="not followed to its end: OSError"):
        list(ahead.answers("odd"))
    assert list(ahead.answers("sound")) == [done]
