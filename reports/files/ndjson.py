"""The log of a run, one JSON object a line (NDJSON), written while things happen; schema ``rmspec.log/1``.

The life of a file: it takes the place of an older one when the run starts, with a header; each event adds a line; a footer
says that all is there, and how many lines came before it. So whoever follows the file sees each deviation as it is
found, two runs never write into one file, and a file without its footer is cut off: reading it is an error
(``MissingFooter``). The JSON Schema of a line is ``schemas/log-1.json``.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO, Any

import jsonschema

from rmspec.oracles.atomic import begin_file
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.reading import parse_json
from rmspec.oracles.validators import quick_validator
from rmspec.properties import events
from rmspec.reports.documents import as_data, read_text, stored_json
from rmspec.reports.files.json import deviation_document, result_document
from rmspec.reports.problems import BadOption
from rmspec.reports.record import Recorder

__all__ = ["SCHEMA", "BadLog", "EventLog", "Log", "MissingFooter", "read_log", "reporter"]

SCHEMA = "rmspec.log/1"


class BadLog(InputProblem):
    """A file is no log of rmspec."""


class MissingFooter(BadLog):
    """A log is cut off: the run did not end, or not all of the file is there."""


@dataclass(frozen=True, slots=True)
class Log:
    """A log as it was read: its header, the events between, and its footer, each as JSON data."""

    header: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    footer: Mapping[str, Any]


class EventLog:
    """Writes each event to ``path`` as it comes. Raises ``BadOption`` for an error of the disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._lines = 0
        self._recorder = Recorder()

    def handle(self, event: events.Event) -> None:
        """Write one event, but no progress, nor a dialect."""
        self._recorder.handle(event)
        match event:
            case events.Progress() | events.DialectFound():
                return  # a dialect stands in the result of its subject
            case events.RunStarted():
                self._open()
                self._line({"event": "header", "schema": SCHEMA, **_document(event)})
            case events.RunFinished():
                if self._file is None or self._recorder.record is None:
                    return
                code = self._recorder.record.gate.code.value
                self._line({"event": "footer", "lines": self._lines, "exit_code": code, **_document(event)})
                self._file.close()
            case _:
                self._line(_document(event))

    def _open(self) -> None:
        target = Path(os.path.realpath(self._path))
        try:
            if target.exists() and not target.is_file():
                self._file = target.open("w", encoding="utf-8", newline="\n")
                return
            self._file = begin_file(target)
        except OSError as error:
            raise self._unwritable(error) from None

    def _line(self, data: Mapping[str, Any]) -> None:
        if self._file is None:
            return
        try:
            self._file.write(json.dumps(data, ensure_ascii=True, allow_nan=False) + "\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from None
        self._lines += 1

    def _unwritable(self, error: OSError) -> BadOption:
        if self._file is not None:
            with contextlib.suppress(OSError):  # what is in its buffer is lost as well
                self._file.close()
        self._file = None
        return BadOption(f"cannot write {self._path}: {error.strerror}", "the log is lost", "name another file")


reporter = EventLog
"""Makes the reporter of this format: see ``rmspec.reports.files.formats``."""


def read_log(path: str) -> Log:
    """Read the log in a file. Raises ``MissingFooter`` for a truncated one, ``BadLog`` for another file."""
    text = read_text(path, BadLog, "give a file that rmspec check --ndjson wrote")
    lines = text.removesuffix("\n").split("\n")
    rows = [_parsed(path, number, line, last=number == len(lines)) for number, line in enumerate(lines, 1)]
    if not rows or rows[0].get("event") != "header" or rows[0].get("schema") != SCHEMA:
        raise BadLog(
            f"{path} does not begin with the header of {SCHEMA}",
            "it is no log of rmspec, or its beginning is lost",
            "give a file that rmspec check --ndjson wrote",
        )
    if rows[-1].get("event") != "footer" or not text.endswith("\n"):
        raise _cut(path, len(lines))
    if rows[-1].get("lines") != len(rows) - 1:
        raise BadLog(
            f"{path} has {len(rows) - 1} lines before its footer, which counts {rows[-1].get('lines')}",
            "lines are lost, or two files were joined",
            "run rmspec check --ndjson again",
        )
    validator = _validator()
    for number, row in enumerate(rows, 1):
        if (wrong := jsonschema.exceptions.best_match(islice(validator.iter_errors(row), 100))) is not None:
            raise BadLog(
                f"{path}, line {number}, does not follow {SCHEMA}: {wrong.message[:200]}",
                "it was edited, or another version wrote it",
                "run rmspec check --ndjson again",
            )
    return Log(rows[0], tuple(rows[1:-1]), rows[-1])


@cache
def _validator() -> Any:
    return quick_validator(stored_json("schemas/log-1.json"), stored_json("schemas/report-1.json"))


def _document(event: events.Event) -> dict[str, Any]:
    match event:
        case events.RunStarted():
            return {"subjects": list(event.subjects), "environment": dict(sorted(event.environment.items()))}
        case events.SubjectStarted():
            data = as_data(event)
            del data["fingerprint"]
            return {"event": "subject-started", **data, "versions": dict(sorted(event.versions.items()))}
        case events.DeviationFound():
            kind = "hazard" if event.deviation.hazard else "deviation"
            return {"event": kind, "name": event.name, kind: deviation_document(event.deviation)}
        case events.SubjectFinished():
            return {"event": "subject-finished", "subject": result_document(event.result)}
        case events.RunFinished():
            return {"complete": event.complete, "seconds": round(event.seconds, 3)}
        case _:
            return {}


def _parsed(path: str, number: int, line: str, *, last: bool) -> dict[str, Any]:
    try:
        data = parse_json(line)
        if isinstance(data, dict):
            return data
    except json.JSONDecodeError:
        if last and number > 1:
            raise _cut(path, number) from None
    except ValueError as error:
        raise BadLog(
            f"{path}, line {number}, cannot be read: {error}",
            "it was edited, or is no log of rmspec",
            "give a file that rmspec check --ndjson wrote",
        ) from None
    raise BadLog(
        f"{path}, line {number}, is not a JSON object",
        "a log holds one on each line",
        "give a file that rmspec check --ndjson wrote",
    )


def _cut(path: str, lines: int) -> MissingFooter:
    return MissingFooter(
        f"{path} is cut off: it ends at line {lines}, without a footer",
        "the run did not come to its end, or not all of the file was kept; nothing can be said of what is missing",
        "run rmspec check --ndjson again",
    )
