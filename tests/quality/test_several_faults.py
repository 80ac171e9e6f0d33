"""A sample of the measure of several faults at once; ``several_faults.py`` beside this file is the whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

COMMAND = Path(__file__).with_name("several_faults.py")


@pytest.mark.slow
def test_each_fault_of_some_pairs_is_named_or_hidden(tmp_path: Path) -> None:
    """Drawn by seed, in one format; the command fails on a fault that is neither, and prints the shares."""
    ended = subprocess.run(
        [sys.executable, str(COMMAND), "--pairs", "2", "--triples", "0", "--seed", "0", "--dtype", "float32"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "every fault named or hidden: 2 of 2 optimizers" in ended.stdout
