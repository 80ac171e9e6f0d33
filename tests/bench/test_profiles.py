"""What a whole run costs, interpreter and imports included, and how fast programs are generated."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rmspec.properties.search.machine import generate

pytest.importorskip("torch")

GOALS = {"smoke": "at most 10 s", "ci": "at most 60 s"}


class Used(NamedTuple):
    """What a process and its descendants used: seconds on the clock and of processors, and bytes at their peaks.

    The last two are 0 where the system does not tell.
    """

    code: int
    seconds: float
    processor: float
    peak: int


def whole_process(arguments: list[str]) -> Used:
    begin, processor = time.perf_counter(), _processor()
    process = subprocess.Popen(
        [sys.executable, "-m", "rmspec.reports.cli", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peaks: dict[int, int] = {}
    while process.poll() is None:
        for pid in _family(process.pid):
            peaks[pid] = max(peaks.get(pid, 0), _high_water(pid))
        time.sleep(0.1)
    seconds = time.perf_counter() - begin
    return Used(process.returncode, seconds, _processor() - processor, sum(peaks.values()))


def _processor() -> float:
    """Processor seconds of all processes that this one started and that are over."""
    used = os.times()
    return used.children_user + used.children_system


def _family(pid: int) -> list[int]:
    """A process and its descendants, from Linux's ``/proc``; elsewhere the process alone."""
    try:
        children = [int(each) for task in Path(f"/proc/{pid}/task").iterdir() for each in _words(task / "children")]
    except OSError:
        children = []
    return [pid, *(one for child in children for one in _family(child))]


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _high_water(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


@pytest.mark.parametrize("profile", GOALS)
def test_a_whole_run(benchmark: Any, figure: Any, profile: str) -> None:
    """``rmspec check torch`` in a profile, as a process."""
    used = benchmark.pedantic(lambda: whole_process(["check", "torch", "--profile", profile, "-q"]), rounds=1)
    assert used.code == 0
    benchmark.extra_info.update(seconds=used.seconds, peak_bytes=used.peak)
    measured = f"{used.seconds:.1f} s ({used.processor:.1f} s of processors)"
    figure(f"rmspec check torch --profile {profile}", measured, GOALS[profile])
    if used.peak:
        figure(f"its peak memory, all processes ({profile})", f"{used.peak / 2**20:,.0f} MiB")


def test_generation(benchmark: Any, figure: Any) -> None:
    """Programs of the state machine, which are generated once for all subjects."""
    programs = benchmark.pedantic(lambda: generate(0, 100), rounds=2)
    rate = sum(len(program.calls) for program in programs) / benchmark.stats.stats.median
    benchmark.extra_info["calls_per_second"] = rate
    figure("state machine, generation", f"{rate:,.0f} calls/s")
