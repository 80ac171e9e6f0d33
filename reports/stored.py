"""Stored programs: the file of each counterexample in ``--repro-dir``, its text, and the commands to replay it.

New deviations stand in the folder itself; known and inherited ones and hazards, which do not fail a run by default, in
folders of their own below it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.names import parse_name
from rmspec.oracles.program.program import Program, parse, to_json
from rmspec.oracles.registry import registered_names
from rmspec.oracles.scripting.counterexample import StoredCounterexample, shows, stored_counterexample
from rmspec.properties.events import Deviation, RunStarted
from rmspec.reports.documents import read_text
from rmspec.reports.escapes import shell_word

__all__ = [
    "FOLDERS",
    "PROGRAMS",
    "counterexample_text",
    "file_command",
    "file_commands",
    "program_file",
    "program_text",
    "read_counterexample",
    "read_program",
    "repro_commands",
    "would_run",
]

PROGRAMS = "repro"
"""The folder of stored programs, where nobody names another."""

FOLDERS = ("known", "inherited", "hazards")
"""The folders below that of the new deviations."""


def program_file(folder: str, subjects: Sequence[str], name: str, deviation: Deviation) -> str:
    """The file of the program of a deviation of subject ``name``, in a run over ``subjects``."""
    file = f"{_slug(subjects, name)}-{deviation.clause}"
    if deviation.number > 1:
        # Amendments may explain several deviations of one clause, or leave one that nothing explains.
        file += f"-{deviation.number}"
    if deviation.hazard:
        file = f"hazards/{file}"
    elif deviation.inherited:
        file = f"inherited/{file}"
    elif deviation.known is not None:
        # One clause may have several known deviations.
        file = f"known/{file}-{_plain(deviation.known)}"
    return str(Path(folder, f"{file}.json"))


def program_text(program: Program) -> str:
    """The text of the file of a program."""
    return json.dumps(to_json(program), indent=1) + "\n"


def counterexample_text(deviation: Deviation) -> str:
    """Write the text of the file of a deviation: its program, and the facts of its script."""
    return json.dumps({**to_json(deviation.program), "shows": shows(deviation)}, indent=1) + "\n"


def read_counterexample(path: str) -> StoredCounterexample | None:
    """Read the counterexample in a file; ``None`` for a program alone. Raises ``MalformedProgram`` for a bad file."""
    text = _text(path)
    program = parse(text, where=path)
    data = json.loads(text).get("shows")
    try:
        return None if data is None else stored_counterexample(program, data)
    except ValueError as error:
        raise MalformedProgram(f"{path} is not a program: {error}", hint="compare it with a stored one") from None


def read_program(path: str) -> Program:
    """Read the program in a file. Raises ``MalformedProgram`` for a bad file or text."""
    return parse(_text(path), where=path)


def _text(path: str) -> str:
    return read_text(path, MalformedProgram, "give a file that rmspec check --repro-dir wrote")


def repro_commands(started: RunStarted, name: str, deviation: Deviation) -> list[str]:
    """List the commands to replay a deviation of subject ``name``.

    Where the run stores no programs, the first command does: with the same settings it finds the same deviation again.
    """
    file = program_file(started.repro_dir or PROGRAMS, started.subjects, name, deviation)
    store = [] if started.repro_dir else [_check_again(name, started.environment)]
    return [*store, *file_commands(file, name)]


def _check_again(name: str, environment: Mapping[str, str]) -> str:
    words = ["rmspec", "check", shell_word(name)]
    for key, default in _OPTIONS.items():
        value = environment.get(key, default)
        if value != default:
            words.append(f"--{key.replace('_', '-')} {shell_word(value)}")
    return " ".join([*words, f"--repro-dir {PROGRAMS}"])


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
"""The settings in the environment of a run, with the defaults of the command line."""


def would_run(subject: str) -> str:
    """Say in a phrase how a subject named in a file would be started; empty for a registered one, or none."""
    if not subject or subject in registered_names():
        return ""
    if subject.startswith("process:"):
        return f"run the command {subject.removeprefix('process:')}"
    parts = parse_name(subject)
    return f"import {'the file' if parts.file else 'the module'} {parts.place or subject}"


def file_commands(file: str, subject: str) -> list[str]:
    """List the commands of a stored program: the replay, and the script. They name the subject to be started."""
    return [file_command("repro", file, subject), file_command("script", file)]


def file_command(command: Literal["repro", "script"], file: str, subject: str = "") -> str:
    """Make the line to type for a command on a stored program or a recording, on this subject if one is named."""
    named = f" --subject {shell_word(subject)}" if subject else ""
    return f"rmspec {command} {shell_word(file)}{named}"


def _slug(subjects: Sequence[str], name: str) -> str:
    plain = _plain(name)
    if sum(_plain(subject) == plain for subject in subjects) <= 1:
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain}-{digest[:6]}"


def _plain(name: str) -> str:
    last = re.split(r"[/\\]", name)[-1]
    return re.sub(r"[^A-Za-z0-9_.]+", "-", last).strip("-.")[:60] or "subject"
