"""Stored programs: the file of each counterexample in ``--repro-dir``, its text, and what to type to replay it.

New deviations stand in the folder itself, what does not fail the gate by itself in folders below it: ``known``,
``inherited`` and ``hazards``.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.program.program import Program, parse, to_json
from rmspec.properties.events import Deviation

__all__ = ["FOLDERS", "file_commands", "program_file", "program_text", "read_program", "repro_commands"]

FOLDERS = ("known", "inherited", "hazards")
"""The folders below that of the new deviations."""


def program_file(folder: str, subjects: Sequence[str], name: str, deviation: Deviation) -> str:
    """The file of the program of a deviation of subject ``name``, in a run over ``subjects``."""
    file = f"{_slug(subjects, name)}-{deviation.clause}"
    if deviation.hazard:
        return str(Path(folder, "hazards", f"{file}.json"))
    if deviation.known is None:
        return str(Path(folder, f"{file}.json"))
    if deviation.known.startswith("inherited:"):
        return str(Path(folder, "inherited", f"{file}.json"))
    # One clause may have several known deviations.
    return str(Path(folder, "known", f"{file}-{_plain(deviation.known)}.json"))


def program_text(program: Program) -> str:
    """A program as its file holds it."""
    return json.dumps(to_json(program), indent=1) + "\n"


def read_program(path: str) -> Program:
    """The program in a file. Raises ``MalformedProgram``, which says what is wrong with the file or its text."""
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise MalformedProgram(f"{path} is not text", hint="give a file that rmspec check --repro-dir wrote") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise MalformedProgram(
            f"cannot read {path}: {reason}", hint="rmspec check --repro-dir DIR writes such files"
        ) from None
    return parse(text, where=path)


def repro_commands(
    folder: str | None,
    subjects: Sequence[str],
    name: str,
    deviation: Deviation,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    """What to type to replay a deviation; first to store it, where the run was not given a folder.

    ``environment`` is that of the run: the same settings find the same deviation again.
    """
    file = program_file(folder or "repro", subjects, name, deviation)
    store = [] if folder else [_again(name, environment)]
    return [*store, *file_commands(file)]


def _again(name: str, environment: Mapping[str, str]) -> str:
    words = ["rmspec", "check", shlex.quote(name)]
    for key, default in _OPTIONS.items():
        value = environment.get(key, default)
        if value != default:
            words.append(f"--{key.replace('_', '-')} {shlex.quote(value)}")
    return " ".join([*words, "--repro-dir repro"])


_OPTIONS = {
    "profile": "ci",
    "seed": "0",
    "time_budget": "",
    "dialect": "",
    "device": "cpu",
    "dtype": "",
    "policy": "strict",
    "framework": "",
    "without": "",
    "baseline": "",
}
"""The settings that a run tells of, with the default of the command line."""


def file_commands(file: str) -> list[str]:
    """What to type to replay a stored program, and to print its script."""
    return [f"rmspec repro {shlex.quote(file)}", f"rmspec script {shlex.quote(file)}"]


def _slug(subjects: Sequence[str], name: str) -> str:
    plain = _plain(name)
    if sum(_plain(other) == plain for other in subjects) <= 1:
        return plain
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def _plain(name: str) -> str:
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.")[:60] or "subject"
