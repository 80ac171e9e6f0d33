"""The check behind the pytest plugin: done once for each subject and its options, then told clause by clause."""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.errors import InputProblem
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.config.options import CheckOptions, resolve
from rmspec.reports.problems import internal_message, nearest
from rmspec.reports.run.checking import Checking
from rmspec.reports.stored import repro_commands
from rmspec.reports.terminal.failure_block import block, count
from rmspec.reports.text import plain

__all__ = ["CLAUSE_TESTS", "KNOWN_LIST", "CannotCheck", "Checked", "checked", "outcome", "result"]

KNOWN_LIST = "known-deviations"
"""The test that fails where the list of known deviations is stale."""

CLAUSE_TESTS = (*CLAUSES, KNOWN_LIST)
"""The ids of the tests of a subject."""

Kind = Literal["pass", "fail", "known", "skip"]

_NUMBERS = {"seed": int, "time_budget": float, "call_timeout": float}
_LISTS = ("dtype", "without")
_OUTPUTS = ("subjects", "json", "junit", "html", "markdown", "repro_dir", "quiet", "fail_fast")


class CannotCheck(RmspecError):
    """A marker or the command line asks for something that cannot be checked."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is checked: the options of ``rmspec check``, with one subject."""

    options: CheckOptions


_results: dict[CheckOptions, SubjectResult] = {}


def checked(subject: str, given: Mapping[str, Any], *folders: Path) -> Checked:
    """The check of a subject with these options; a file is looked for in ``folders``. Raises ``CannotCheck``."""
    names = [each.name for each in fields(CheckOptions) if each.name not in _OUTPUTS]
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in names:
            raise CannotCheck(f"unknown option {name!r}{nearest(name, names)}: choose from {', '.join(names)}")
        try:
            values[name] = _NUMBERS[name](value) if name in _NUMBERS else value
        except (TypeError, ValueError):
            raise CannotCheck(f"{name}={value!r} is not a number") from None
        if name in _LISTS:
            values[name] = (value,) if isinstance(value, str) else tuple(value)
    options = CheckOptions(subjects=(_found(subject, folders),), **values)
    try:
        resolve(options)
    except RmspecError as error:
        raise CannotCheck(error.what, error.why, error.hint) from None
    return Checked(options)


def _found(subject: str, folders: tuple[Path, ...]) -> str:
    place, _, name = subject.rpartition(":")
    if place.endswith(".py") and not place.startswith("process:"):
        for folder in folders:
            if (folder / place).is_file():
                return f"{os.path.relpath(folder / place)}:{name}"
    return subject


def result(ask: Checked, shared: str = "") -> SubjectResult:
    """The result of the check: from this process where it is known, from another one of the run ``shared``, or anew."""
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
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        return _check(ask)  # what somebody else has put there is not read
    file = folder / hashlib.sha256(repr(ask.options).encode()).hexdigest()[:16]
    with FileLock(f"{file}.lock"):
        if not file.exists():
            made = file.with_suffix(".new")
            made.write_bytes(pickle.dumps(_check(ask)))
            made.replace(file)
        found: SubjectResult = pickle.loads(file.read_bytes())
    return found


def _check(ask: Checked) -> SubjectResult:
    options = ask.options
    name = options.subjects[0]
    try:
        done = Checking(options.subjects, resolve(options), [], call_timeout=options.call_timeout).run()
    except InputProblem as error:
        return SubjectResult(name, "errored", message=str(error), complete=False)
    if done.trace:
        return replace(done.results[0], message=internal_message(done.trace))
    if not done.complete:
        raise KeyboardInterrupt
    return done.results[0]


def outcome(found: SubjectResult, clause: str, *, fail_on_hazards: bool = False) -> tuple[Kind, str]:
    """What a test of this clause does with the result, and what it says."""
    told = "; ".join(part for part in (plain(found.message), plain(found.hint)) if part)
    if clause == KNOWN_LIST:
        return ("fail", "stale known deviations:\n  " + "\n  ".join(found.stale)) if found.stale else ("pass", "")
    broken = [each for each in found.deviations if each.clause == clause]
    new = [each for each in broken if each.known is None]
    new += [each for each in found.hazards if fail_on_hazards and each.clause == clause]
    if new:
        return "fail", "\n\n".join(_block(found, each) for each in new)
    if found.verdict == "unsupported":
        return "skip", f"unsupported: {told}"
    if found.verdict == "errored":
        return "fail", f"{found.name} could not be checked: {told}"
    if broken:
        return "known", "; ".join(f"{each.known}: {each.reason or each.summary}" for each in broken)
    with contextlib.suppress(StopIteration):
        each = next(each for each in found.clauses if each.id == clause)
        if each.verdict == "not-checked":
            return "skip", f"not checked: {each.reason}"
        if each.verdict == "inconclusive":
            return "skip", f"inconclusive: the envelope is unbounded in all of {count(each.checks, 'check')}"
        if each.verdict == "observed":
            return "pass", f"observed, where the page promises nothing: {each.reason}"
        doubt = f", {each.inconclusive:,} of them inconclusive" if each.inconclusive else ""
        return "pass", f"{count(each.checks, 'check')}{doubt}"
    return "skip", "not checked"


def _block(found: SubjectResult, deviation: Deviation) -> str:
    commands = repro_commands(None, (found.name,), found.name, deviation)
    return "\n".join([f"DEVIATION of {plain(found.name)}", *block(deviation, commands)])
