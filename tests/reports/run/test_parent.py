"""Workers: forks of this process or fresh interpreters, each noticed when it ends, and gone with whoever started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmspec.properties.settings import make_settings
from rmspec.reports.run.jobs import Load
from rmspec.reports.run.parent import Overseer, WorkerLost

STARTS = pytest.mark.parametrize("forks", [True, False], ids=["fork", "spawn"])


@STARTS
def test_a_worker_that_is_killed_is_lost_while_others_go_on(forks: bool) -> None:
    """A fork that was started later holds nothing of it open."""
    load = Load("reference", make_settings(("reference",)))
    with Overseer(forks=forks) as first, Overseer(forks=forks) as second:
        for overseer in (first, second):
            assert overseer.do(load) == {}
        assert first._process is not None
        assert first._process.pid is not None
        first.post(load)
        os.kill(first._process.pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match=r"it crashed: its interpreter was ended by SIGKILL"):
            first.result()
        assert second.do(load) == {}
        assert first.do(load) == {}  # in a worker of its own again


PARENT = """
import os, signal, sys, time
from rmspec.properties.settings import make_settings
from rmspec.reports.run.jobs import Load
from rmspec.reports.run.parent import Overseer

if __name__ == "__main__":
    load = Load("reference", make_settings(("reference",)))
    overseers = [Overseer(forks=sys.argv[1] == "fork").__enter__() for _ in range(2)]
    for overseer in overseers:
        overseer.do(load)
    print(*(overseer._process.pid for overseer in overseers), flush=True)
    time.sleep(100)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path, start: str) -> None:
    """Nobody is left to close their connections, which later forks have inherited: all of them end, and their subjects."""
    (tmp_path / "parent.py").write_text(PARENT)
    command = [sys.executable, "parent.py", start]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        workers = [int(word) for word in process.stdout.readline().split()]
        assert len(workers) == 2
        family = workers + [child for worker in workers for child in children(worker)]
        assert len(family) >= 4
        process.kill()
    deadline = time.monotonic() + 30
    while any(map(running, family)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [each for each in family if running(each)]


def children(parent: int) -> list[int]:
    """The processes that this one started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def running(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
