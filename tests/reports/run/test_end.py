"""The end of a run: whatever ends rmspec, nothing that it started goes on."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandline import COMMAND, MARK, marked_processes

from rmspec.oracles.processes.descendants import _processes, adopt_orphans, descendants_ended

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up under /proc")

HELPERS = Path(__file__).parents[2] / "helpers"
SHORT = ("--profile", "smoke", "--dtype", "float32", "--call-timeout", "100")


def until(condition: object, seconds: float = 60) -> bool:
    """Whether a condition comes true in time."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_whatever_ends_a_run_ends_all_that_it_started(number: signal.Signals, stopped: bool, tmp_path: Path) -> None:
    """Also what a subject hid in another session, and also where the worker stands still."""
    shutil.copy(HELPERS / "hostile.py", tmp_path)
    command = [*COMMAND, "check", "hostile.py:daemon_loop", *SHORT]
    environment = {**os.environ, MARK: str(tmp_path)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as process:
        assert until((tmp_path / "ready").exists)
        assert len(marked_processes(tmp_path)) >= 5
        if stopped:
            for worker in [other.id for other in _processes() if other.parent == process.pid]:
                os.kill(worker, signal.SIGSTOP)
        process.send_signal(number)
        assert process.wait(60) == (130 if number == signal.SIGTERM else -number)
    assert until(lambda: not marked_processes(tmp_path), 20), marked_processes(tmp_path)


def test_what_ran_before_goes_on(tmp_path: Path) -> None:
    """What is ended with a command is what was started meanwhile."""
    del tmp_path
    before = subprocess.Popen(["sleep", "1000"])
    try:
        with descendants_ended():
            after = subprocess.Popen(["sleep", "1000"])
        assert after.wait(10) == -signal.SIGKILL
        assert before.poll() is None
    finally:
        before.kill()
        before.wait()
        adopt_orphans(False)


TERMINATED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Finder())
from rmspec.reports.cli.start import main
sys.exit(main())
"""


def test_sigterm_while_the_command_is_imported_is_an_interrupt(tmp_path: Path) -> None:
    """It is one line and exit code 130, as a Ctrl-C is."""
    done = subprocess.run([sys.executable, "-c", TERMINATED], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "rmspec: interrupted\n")


def test_a_subject_that_stops_the_worker_does_not_stop_the_run(tmp_path: Path) -> None:
    """The worker is told to go on."""
    shutil.copy(HELPERS / "hostile.py", tmp_path)
    (tmp_path / "stops.py").write_text(
        "import os, signal\nfrom hostile import Once\n"
        "def grandparent():\n    return int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])\n"
        "subject = Once(lambda: os.kill(grandparent(), signal.SIGSTOP))\n"
    )
    command = [*COMMAND, "check", "stops.py:subject", *SHORT, "-q"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
