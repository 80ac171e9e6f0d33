"""Signals: what a process ignores stays ignored, SIGTERM ends a run, and every handler is put back."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from commandline import COMMAND, SUBJECTS

from rmspec.reports.run.interruption import handlers_restored, ignore_interrupts, terminated_as_interrupted

ENDING = (signal.SIGINT, signal.SIGTERM)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in ENDING]


def test_sigterm_is_a_keyboard_interrupt_and_the_handlers_come_back() -> None:
    """After an interrupt, and after the reports were written undisturbed, the process handles signals as before."""
    before = handlers()

    def interrupted() -> None:
        with terminated_as_interrupted():
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                with handlers_restored():
                    ignore_interrupts()
                    signal.raise_signal(signal.SIGINT)
                    signal.raise_signal(signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert handlers() == before


def test_what_is_ignored_stays_ignored() -> None:
    """A process that ignores SIGTERM is not ended by it."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with terminated_as_interrupted():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_another_thread_changes_no_handler() -> None:
    """Python handles signals in the main thread alone, and a check in another one goes without."""
    before, found = handlers(), []

    def check() -> None:
        with terminated_as_interrupted():
            found.append(handlers())

    thread = threading.Thread(target=check)
    thread.start()
    thread.join()
    assert found == [before]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the kernel shows there what a process ignores")
def test_a_job_in_the_background_is_ended_by_sigterm_alone(tmp_path: Path) -> None:
    """A shell starts it with SIGINT ignored: the run keeps that, and SIGTERM still ends it with its reports written."""
    (tmp_path / "mine.py").write_text(SUBJECTS)
    log = tmp_path / "r.ndjson"
    command = [*COMMAND, "check", "mine.py:hang", "--profile", "smoke", "--dtype", "float32", "--ndjson", "r.ndjson"]
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, env=dict(os.environ))
    finally:
        signal.signal(signal.SIGINT, ignored)
    with process:
        while process.poll() is None and not (log.exists() and '"subject-started"' in log.read_text()):
            time.sleep(0.05)
        mask = re.search(r"^SigIgn:\s*([0-9a-f]+)$", Path(f"/proc/{process.pid}/status").read_text(), re.M)
        assert mask is not None
        assert int(mask[1], 16) & 1 << (signal.SIGINT - 1)
        process.send_signal(signal.SIGTERM)
        assert process.wait(300) == 130
    assert '"footer"' in log.read_text()
