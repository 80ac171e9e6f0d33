"""Atomic files: written beside their place, then moved onto it, so that a reader finds a whole one or none."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import IO


def write_file(target: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a whole file, on the disk before it takes its place. Raises ``OSError``, and leaves an older file as it was.

    Its permissions are ``mode``, else those of an older file, else those of any new one.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}-", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target) if mode is None else mode)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def begin_file(target: Path) -> IO[str]:
    """Put a new, empty file in the place of an older one, and open it; an older writer goes on in the older one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name[:50]}-", dir=target.parent)
    try:
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:
        os.close(descriptor)
        os.unlink(name)
        raise
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="\n")


def probe_folder(folder: Path) -> None:
    """Make a file in a folder, and delete it. Raises ``OSError``."""
    descriptor, name = tempfile.mkstemp(prefix=".rmspec-", dir=folder)
    os.close(descriptor)
    os.unlink(name)


def _mode(target: Path) -> int:
    if target.exists():
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
