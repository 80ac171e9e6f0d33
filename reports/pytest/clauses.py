"""The check behind the pytest plugin: done once for each subject and its options, then told clause by clause."""

from __future__ import annotations

import hashlib
import os
import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.atomic import write_file
from rmspec.oracles.errors import InputProblem
from rmspec.oracles.names import parse_name
from rmspec.properties.events import ClauseResult, Deviation, RunStarted, SubjectResult
from rmspec.properties.settings import DEFAULT_PATH
from rmspec.properties.verdict_table import VERDICTS, Case
from rmspec.reports.config.keys import KEYS, Kind
from rmspec.reports.config.options import CheckOptions, resolve
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.files.formats import FORMATS
from rmspec.reports.gate import decide
from rmspec.reports.problems import internal_message, nearest
from rmspec.reports.run.checking import Checking
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block, count
from rmspec.reports.terminal.table import clause_sum
from rmspec.reports.text import clause_note, given_words, plain

__all__ = ["CLAUSE_TESTS", "KNOWN_LIST", "CannotCheck", "Checked", "checked", "outcome", "result"]

KNOWN_LIST = "known-deviations"
"""The test that fails where the list of known deviations is stale."""

SUBJECT = "subject"
"""The test that fails where nothing of the subject could be verified."""

CLAUSE_TESTS = (*CLAUSES, SUBJECT, KNOWN_LIST)
"""The ids of the tests of a subject."""

_NUMBERS: dict[Kind, Callable[[Any], int | float]] = {"integer": int, "number": float}
_OPTIONS = {
    key.option: key.kind
    for key in KEYS.values()
    if key.name not in FORMATS and key.name not in ("subjects", "paths", "reports", "quiet", "verbose", "fail-fast")
}
"""What a test may ask a check for, by name: all but what is written where, and when to stop; a path is part of the subject."""


class CannotCheck(RmspecError):
    """A marker or the command line asks for an impossible check."""


@dataclass(frozen=True, slots=True)
class Checked:
    """The options of ``rmspec check``, with one subject."""

    options: CheckOptions


_results: dict[CheckOptions, SubjectResult] = {}


def checked(subject: str, options_given: Mapping[str, Any], *folders: Path) -> Checked:
    """The check of a subject with these options; a file is looked for in ``folders``. Raises ``CannotCheck``."""
    values: dict[str, Any] = {}
    for name, value in options_given.items():
        if name not in _OPTIONS:
            listing = ", ".join(_OPTIONS)
            raise CannotCheck(f"unknown option {name!r}{nearest(name, _OPTIONS)}: choose from {listing}")
        kind = _OPTIONS[name]
        try:
            values[name] = _NUMBERS[kind](value) if kind in _NUMBERS else value
        except (TypeError, ValueError):
            raise CannotCheck(f"{name}={value!r} is not a number") from None
        if kind == "names":
            values[name] = (value,) if isinstance(value, str) else tuple(value)
    options = CheckOptions(subjects=(_locate_subject(subject, folders),), paths=(DEFAULT_PATH,), **values)
    try:
        resolve(options)
    except RmspecError as error:
        raise CannotCheck(error.what, error.why, error.hint) from None
    return Checked(options)


def _locate_subject(subject: str, folders: tuple[Path, ...]) -> str:
    parts = parse_name(subject)
    if parts.file:
        for folder in folders:
            if (folder / parts.place).is_file():
                return parts.placed(os.path.relpath(folder / parts.place))
    return subject


def result(ask: Checked, shared: str = "") -> SubjectResult:
    """Get the result of a check: from this process, from another one of the run ``shared``, or anew."""
    if ask.options not in _results:
        _results[ask.options] = _shared(ask, shared) if shared else _check(ask)
    return _results[ask.options]


def _shared(ask: Checked, run: str) -> SubjectResult:
    try:
        from filelock import FileLock
    except ImportError:
        return _check(ask)  # once a worker
    folder = Path(tempfile.gettempdir()) / f"rmspec-{hashlib.sha256(run.encode()).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        return _check(ask)  # what somebody else has put there is not read
    file = folder / hashlib.sha256(repr(ask.options).encode()).hexdigest()[:16]
    with FileLock(f"{file}.lock"):
        if not file.exists():
            write_file(file, pickle.dumps(_check(ask)))
        result: SubjectResult = pickle.loads(file.read_bytes())
    return result


def _check(ask: Checked) -> SubjectResult:
    options = ask.options
    name = options.subjects[0]
    try:
        done = Checking(options.subjects, resolve(options), []).run()
    except InputProblem as error:
        return SubjectResult(name, "errored", message=str(error), complete=False)
    if done.trace:
        return replace(done.results[0], message=internal_message(done.trace))
    if not done.complete:
        raise KeyboardInterrupt
    return done.results[0]


def outcome(result: SubjectResult, test: str, *, fail_on_hazards: bool = False) -> tuple[Case, str]:
    """Decide a test of a subject: its kind, and the words for it.

    Where the gate is closed for the subject, a test fails, but for one that is not supported here: pytest skips those.
    """
    gate = decide([result], fail_on_hazards=fail_on_hazards)
    whole = "; ".join(part for part in (plain(result.message), plain(result.hint)) if part)
    stale = [problem.text for problem in gate.problems if problem.code is ExitCode.STALE]
    if test == KNOWN_LIST:
        return ("fail", "stale known deviations:\n  " + "\n  ".join(stale)) if stale else ("pass", "")
    failing = [problem.deviation for problem in gate.problems if problem.deviation and problem.title == test]
    if failing:
        return "fail", "\n\n".join(_block(result, deviation) for deviation in failing)
    row = VERDICTS[result.verdict]
    if row.optional:
        return "skip", f"{row.word}: {whole}"
    if row.case == "error":
        return "fail", f"{result.name} could not be checked: {whole}"
    if test == SUBJECT:
        driven = [problem for problem in gate.problems if problem.code is ExitCode.NOTHING_CHECKED]
        return ("fail", f"{driven[0].title}: {driven[0].text}") if driven else ("pass", clause_sum(result))
    return _clause(result, test)


def _clause(result: SubjectResult, id: str) -> tuple[Case, str]:
    """Decide the test of a clause without a failure, of a subject in order."""
    if known := [deviation for deviation in result.deviations if deviation.clause == id]:
        reasons = [f"{deviation.known}: {deviation.reason or deviation.summary}" for deviation in known]
        return "known", "; ".join(reasons)
    clause = next((clause for clause in result.clauses if clause.id == id), ClauseResult(id, 0, 0, "not-checked"))
    row = VERDICTS[clause.verdict]
    match clause.verdict:
        case "inconclusive":
            text = f"inconclusive: the envelope is unbounded in all of {count(clause.checks, 'check')}"
        case "observed":
            text = f"observed, where the page promises nothing: {clause.reason}"
        case "hidden":
            text = clause_note(clause)
        case "not-checked":
            text = f"not checked: {clause.reason}" if clause.reason else "not checked"
        case _:
            doubt = f", {clause.inconclusive:,} of them inconclusive" if clause.inconclusive else ""
            text = f"{count(clause.checks, 'check')}{doubt}"
            text += f", {given_words(clause.given)}" if clause.given else ""
    return row.case, text


def _block(result: SubjectResult, deviation: Deviation) -> str:
    commands = repro_commands(RunStarted((result.name,), {}), result.name, deviation)
    return "\n".join([f"DEVIATION of {plain(result.name)}", *block(deviation, commands)])
