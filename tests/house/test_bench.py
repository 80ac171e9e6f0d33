"""The benchmarks run by hand alone; that they still import is seen here."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_the_benchmarks_can_be_collected() -> None:
    """A move of what they import breaks them here, and not at the next measurement."""
    pytest.importorskip("torch")
    command = [sys.executable, "-m", "pytest", "tests/bench", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tests/bench/test_faults.py::test_the_first_deviation_of_every_fault" in done.stdout
