"""Output files, whole or not there: checked before the run, written at its end."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rmspec.oracles.atomic import probe_folder, write_file
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import BadOption, tell_failure

__all__ = ["check_folder", "check_writable", "make_folder", "write", "write_bytes", "write_last"]


def check_writable(path: str, option: str) -> None:
    """Refuse a path without a place for a file. Raises ``BadOption``.

    ``-`` is standard output. A device or a pipe is written as it is.
    """
    if path == "-":
        return
    target = Path(path)
    try:
        if target.is_dir():
            raise BadOption(
                f"{option} {path}: that is a folder", "the report is one file", f"write {option} {target / 'report'}"
            )
        if _special(target):
            return
        folder = Path(os.path.realpath(target)).parent
        if not folder.exists():
            raise BadOption(
                f"{option} {path}: there is no folder {folder}", "rmspec makes no folders there", f"mkdir -p {folder}"
            )
        probe_folder(folder)
        if target.exists() and not os.access(target, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadOption(
            f"{option} {path}: it cannot be written: {reason}",
            "the report would be lost at the end of the run",
            f"name a file in a folder that you may write to, as in {option} report.out",
        ) from None


def check_folder(path: str, option: str, *, example: str = "repro", content: str = "programs") -> None:
    """Refuse a useless folder for some ``content``, without making it. Raises ``BadOption``."""
    target = Path(path).absolute()
    existing = target
    while not os.path.exists(existing) and existing != existing.parent:
        existing = existing.parent
    if not os.path.isdir(existing):
        raise BadOption(f"{option} {path}: {existing} is not a folder", hint=f"name a folder, as in {option} {example}")
    try:
        probe_folder(existing)
    except OSError as error:
        problem = "it cannot be written to" if existing == target else f"it cannot be made in {existing}"
        raise BadOption(
            f"{option} {path}: {problem}: {error.strerror}",
            f"the {content} would be lost at the end of the run",
            f"name a folder in one that you may write to, as in {option} {example}",
        ) from None


def make_folder(path: str) -> None:
    """Make a folder, after ``check_folder``."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadOption(f"cannot make the folder {path}: {error.strerror}", hint="name another one") from None


def write(path: str, text: str) -> None:
    """Write a whole file, or leave an older one as it was. Raises ``BadOption``.

    What UTF-8 cannot hold (half of a surrogate pair, from a subject's message or name) becomes a question mark.
    """
    if path == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    target = Path(path)
    try:
        if _special(target):
            target.write_text(text, encoding="utf-8", errors="replace")
            return
        write_file(Path(os.path.realpath(target)), text.encode("utf-8", "replace"))
    except OSError as error:
        raise BadOption(f"cannot write {path}: {error.strerror}", "the report is lost", "name another file") from None


def write_last(path: str, text: str, code: ExitCode) -> ExitCode:
    """Write a file at the end of a command with this exit code; return the code, or another one for an unwritten file."""
    try:
        write(path, text)
    except Exception as error:
        return tell_failure(error, code)
    return code


def write_bytes(path: str, data: bytes) -> None:
    """Write a whole binary file, in the same way. Raises ``BadOption``."""
    try:
        write_file(Path(os.path.realpath(path)), data)
    except OSError as error:
        raise BadOption(f"cannot write {path}: {error.strerror}", "nothing is written", "name another file") from None


def _special(target: Path) -> bool:
    return os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target)
