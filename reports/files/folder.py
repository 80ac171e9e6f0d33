"""The folder of a report: written whole beside its place, then moved there, so that two runs never mix in it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from rmspec.reports.outputs import check_folder
from rmspec.reports.problems import BadOption
from rmspec.reports.stored import FOLDERS

__all__ = ["check_place", "put"]

_OWN = re.compile(rf"report\.(html|md|json)|repro(/({'|'.join(FOLDERS)}))?|repro/(({'|'.join(FOLDERS)})/)?[^/]+\.json")


def check_place(path: str, *, force: bool = False) -> None:
    """Refuse a folder unfit for a report. Raises ``BadOption``.

    It must be new or empty; ``force`` lets it hold an older report, and nothing else.
    """
    check_folder(path, "--out")
    names = _names_in(Path(path))
    foreign = [name for name in names if not _OWN.fullmatch(name)]
    if foreign:
        raise BadOption(
            f"--out {path}: it holds {foreign[0]}, which no report wrote",
            "a report has its folder for itself, and replaces it as a whole",
            f"name a new folder, as in --out {Path(path) / 'report'}",
        )
    if names and not force:
        raise BadOption(
            f"--out {path}: it holds another run's report",
            "files of two runs would mix, and nobody could tell which is which",
            f"name a new folder, or write --out {path} --force to replace that report",
        )


def put(path: str, files: Mapping[str, str], *, force: bool = False) -> None:
    """Put a report's files, by their paths in the folder, in its place; all of them or none. Raises ``BadOption``."""
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name[:50]}-", dir=target.parent))
    except OSError as error:
        raise _lost(path, error) from None
    try:
        _write(draft, files)
        if target.exists():
            # Once more: a long run may have been overtaken.
            check_place(path, force=force)
            if _names_in(target):
                _replace(draft, target)
                return
        os.replace(draft, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise BadOption(
                f"--out {path}: another run has put its report there meanwhile", hint="name another folder"
            ) from None
        raise _lost(path, error) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(draft: Path, files: Mapping[str, str]) -> None:
    mask = os.umask(0)
    os.umask(mask)
    draft.chmod(0o777 & ~mask)
    for name, text in files.items():
        file = draft / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="\n")


def _replace(draft: Path, target: Path) -> None:
    old = Path(tempfile.mkdtemp(prefix=f".{target.name[:50]}-", dir=target.parent))
    os.replace(target, old)
    try:
        os.replace(draft, target)
    except BaseException:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _names_in(folder: Path) -> list[str]:
    if not os.path.isdir(folder):
        return []
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def _lost(path: str, error: OSError) -> BadOption:
    return BadOption(f"cannot write --out {path}: {error.strerror}", "the report is lost", "name another folder")
