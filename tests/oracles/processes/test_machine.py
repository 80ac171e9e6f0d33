"""The limits of a container, wherever the kernel shows them, and sizes in words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rmspec.oracles.processes import machine
from rmspec.oracles.processes.machine import (
    default_memory_limit,
    format_size,
    parse_size,
    total_memory,
    usable_processors,
)

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def contained(root: Path, monkeypatch: pytest.MonkeyPatch, own: str, files: dict[str, str]) -> None:
    """Let this process be in this control group, with these files in the kernel's hierarchy."""
    for name, text in {
        "proc/self/cgroup": own,
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")
    monkeypatch.setattr(machine, "_ROOT", root)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))


@pytest.mark.parametrize(
    ("own", "files", "memory", "processors"),
    [
        ("", {}, MACHINE, 8),
        ("0::/", {}, MACHINE, 8),
        ("0::/", {"memory.max": "max", "cpu.max": "max 100000"}, MACHINE, 8),
        ("0::/", {"memory.max": "1000000000", "cpu.max": "250000 100000"}, 1000000000, 3),
        ("0::/a/b", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "50000 100000", "a/b/memory.max": "5"}, 5, 1),
        ("0::/docker/0123", {"memory.max": "900", "cpu.max": "200000 100000"}, 900, 2),
        (
            "3:cpu,cpuacct:/d\n2:memory:/d",
            {
                "memory/d/memory.limit_in_bytes": "800",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "cpu/d/cpu.cfs_quota_us": "150000",
                "cpu/d/cpu.cfs_period_us": "100000",
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
            },
            800,
            2,
        ),
    ],
)
def test_a_container_limits_what_the_machine_has(
    own: str, files: dict[str, str], memory: int, processors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both versions of the kernel's control groups: the group itself, those around it, and what a container shows of them."""
    contained(tmp_path, monkeypatch, own, files)
    assert total_memory() == memory
    assert usable_processors() == processors


def test_processors_that_a_process_is_not_bound_to_are_none_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """As taskset and a container's cpuset leave it."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    assert usable_processors() == 1


@pytest.mark.parametrize(
    ("total", "limit"), [(1 << 30, 1 << 29), (6 << 30, 2 << 30), (16 << 30, 4 << 30), (64 << 30, 16 << 30)]
)
def test_a_subject_has_a_quarter_of_the_memory_or_enough_for_a_framework(
    total: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And on a small machine half of it."""
    monkeypatch.setattr(machine, "total_memory", lambda: total)
    assert default_memory_limit() == limit


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4G", 4 << 30),
        ("1.5 GiB", 3 << 29),
        ("800m", 800 << 20),
        ("64MB", 64 << 20),
        ("1048576", 1 << 20),
        (" 2k ", 2048),
    ],
)
def test_a_size_is_a_number_and_a_unit(text: str, size: int) -> None:
    """In powers of 1024, however the unit is written."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "G", "-4G", "4 gigabytes", "1e9", "nan", "9" * 5000, "4G4G"])
def test_anything_else_is_no_size(text: str) -> None:
    """Nor is a number of five thousand digits."""
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(("size", "text"), [(900, "900 bytes"), (3 << 29, "1.5 GiB"), (1 << 20, "1 MiB")])
def test_a_size_is_written_in_its_unit(size: int, text: str) -> None:
    """With three digits."""
    assert format_size(size) == text
