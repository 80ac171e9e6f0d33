"""A sample of what ``every_script.py`` measures over all faults: what is printed fails on the fault, and passes without it."""

import random

import pytest

torch = pytest.importorskip("torch")

from every_script import deviations, mended, shown  # noqa: E402 - needs torch

from rmspec.oracles.faults import FAULTS  # noqa: E402
from rmspec.reports.run.scripts import ScriptRuns  # noqa: E402

PASSED = {"buffer-of-raw-gradients", "square-avg-stored-as-root", "new-optimizer-clears-older"}
"""Faults with a script that passed once: by bounds given a wrong value that is shown, and after what is lost without a load."""


def test_the_scripts_of_a_sample_of_faults_do_their_work() -> None:
    """Two faults drawn by seed, checked whole: all of their scripts fail on them, and pass on the correct optimizer."""
    wrong = {}
    with ScriptRuns() as runs:
        for fault in [*random.Random(11).sample(FAULTS, 2), *(fault for fault in FAULTS if fault.id in PASSED)]:
            found = deviations(fault, small=True)
            assert found, fault.id
            for deviation in found:
                result = shown(fault, deviation, runs)
                assert mended(result.script, fault) != result.script
                if result.on_fault or result.on_mended:
                    wrong[fault.id, deviation.clause] = result
    assert not wrong
