"""The processors and the memory of this machine, or of its container; and sizes in words."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["default_memory_limit", "format_size", "parse_size", "total_memory", "usable_processors"]

_ROOT = Path("/")
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_SIZE = re.compile(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([KMGT]?)(?:i?B)?\s*", re.IGNORECASE)


def parse_size(text: str) -> int:
    """The bytes of a size such as ``4G``, ``1.5 GiB`` or ``800M``, in powers of 1024. Raises ``ValueError``."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a size")
    return int(float(match[1]) * (1 << _UNITS[match[2].upper()]))


def format_size(size: int) -> str:
    """A size in words, as ``2.9 GiB``."""
    unit = max((unit for unit in _UNITS if size >= 1 << _UNITS[unit]), key=lambda unit: _UNITS[unit], default="")
    return f"{size / (1 << _UNITS[unit]):.3g} {unit}iB" if unit else f"{size} bytes"


def default_memory_limit() -> int:
    """The bytes of memory for one subject by default: a quarter of all, at least 2 GiB, but never more than half."""
    total = total_memory()
    return min(max(total >> 2, 2 << 30), total >> 1)


def total_memory() -> int:
    """The bytes of memory of this machine, or of its container."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limits = [*_numbers("memory.max"), *_numbers("memory.limit_in_bytes")]
    return min([total, *(number for (number,) in limits if number > 0)])


def usable_processors() -> int:
    """The number of processors for this process, by its binding and by the share of its container."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [quota / period for quota, period in _numbers("cpu.max") if period > 0]
    with contextlib.suppress(ValueError):  # where one of the two files is missing
        pairs = zip(_numbers("cpu.cfs_quota_us"), _numbers("cpu.cfs_period_us"), strict=True)
        shares += [quota / period for (quota,), (period,) in pairs if quota > 0 and period > 0]
    return max(1, min(bound, *(math.ceil(share) for share in shares)) if shares else bound)


def _numbers(name: str) -> Iterator[list[int]]:
    """The numbers in the files of a name, one for each control group around this process; none for ``max``."""
    for folder in _groups(name.partition(".")[0]):
        with contextlib.suppress(OSError, ValueError):
            yield [int(word) for word in (folder / name).read_text().split()]


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups around this process, in either version of the kernel's hierarchy."""
    with contextlib.suppress(OSError, ValueError):
        for line in (_ROOT / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            mount = _ROOT / "sys/fs/cgroup" / (controllers and controller)
            # In a container the path may be that of the machine outside, of which nothing is mounted but the end.
            inner = Path(path.lstrip("/"))
            yield from (mount / place for place in (inner, *inner.parents))
