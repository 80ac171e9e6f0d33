"""Processes below a process: none outlives it, and their memory is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmspec.oracles.processes.descendants import Memory, _descendants, end_descendants, end_tree

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the tree of processes is under /proc")

HELPERS = Path(__file__).parents[2] / "helpers"
ADOPTS = "from rmspec.oracles.processes.descendants import adopt_orphans; adopt_orphans(); import hostile, os, time; "
SLEEPS = "\nprint('ready', flush=True)\ntime.sleep(1000)"


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that end with the test."""
    running: list[subprocess.Popen[str]] = []
    yield running
    for process in running:
        end_tree(process.pid)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def start(started: list[subprocess.Popen[str]], statements: str) -> int:
    """The id of a process that has done this, and waits."""
    command = [sys.executable, "-c", ADOPTS + statements + SLEEPS]
    process = subprocess.Popen(command, cwd=HELPERS, stdout=subprocess.PIPE, text=True, start_new_session=True)
    started.append(process)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process.pid


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("deed", ["leaves_a_daemon", "leaves_a_child"])
def test_no_child_outlives_the_tree(started: list[subprocess.Popen[str]], deed: str) -> None:
    """Neither one in the group, nor one that forked twice, leads a session of its own and ignores every signal."""
    pid = start(started, f"hostile.{deed}(); hostile.{deed}()")
    below = list(_descendants(pid))
    assert len(below) == 2
    assert all(map(running, below))
    end_tree(pid)
    started[0].wait(10)
    assert not [child for child in below if running(child)]


def test_those_that_are_spared_go_on(started: list[subprocess.Popen[str]]) -> None:
    """With all below them; the process at the top goes on as well."""
    below_both = "[os.fork() or (os.setsid(), os.fork(), time.sleep(1000)) for _ in range(2)]"
    pid = start(started, f"{below_both}; time.sleep(0.3)")
    leaders = [child for child, group in _descendants(pid).items() if child == group]
    spared, ended = leaders
    end_descendants(pid, {spared})
    alive = _descendants(pid)
    assert set(alive.values()) == {spared}
    assert len(alive) == 2
    assert not running(ended)
    assert running(pid)


def test_a_process_that_is_stopped_ends_as_well(started: list[subprocess.Popen[str]]) -> None:
    """SIGKILL alone is not deferred."""
    pid = start(started, "hostile.leaves_a_daemon()")
    os.kill(pid, signal.SIGSTOP)
    end_tree(pid)
    assert started[0].wait(10) == -signal.SIGKILL


def used(pid: int, limit: int) -> tuple[bool, int]:
    """Whether a process exceeds the limit within two seconds, and the last figure."""
    memory = Memory(pid, limit)
    deadline = time.monotonic() + 2
    while not (exceeded := memory.exceeded()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return exceeded, memory.used


def test_the_memory_of_a_tree_is_that_of_all_in_it(started: list[subprocess.Popen[str]]) -> None:
    """That of a child in another session counts."""
    pid = start(
        started, "os.fork() or (os.setsid(), setattr(os, 'big', b'x' * (1 << 28)), time.sleep(1000)); time.sleep(0.5)"
    )
    exceeded, size = used(pid, 1 << 28)
    assert exceeded
    assert 1 << 28 < size < 1 << 29
    assert not used(pid, 1 << 29)[0]


def test_what_processes_share_counts_once(started: list[subprocess.Popen[str]]) -> None:
    """Six forks of a process with 128 MiB use no gigabyte."""
    pid = start(started, "hostile.shares_memory()")
    assert len(_descendants(pid)) == 6
    assert not used(pid, 1 << 29)[0]


def test_a_look_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two looks nothing is read, however often one asks."""
    memory = Memory(os.getpid(), 1 << 40)
    memory.exceeded()
    monkeypatch.setattr("rmspec.oracles.processes.descendants._content", lambda path: pytest.fail("read"))
    for _ in range(1000):
        assert not memory.exceeded()
