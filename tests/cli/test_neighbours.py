"""Neighbours: whatever one subject does to its process, the others are judged as they are alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from commandline import MARK, marked_processes, report, start_rmspec, without_seconds

from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.gate import exit_code
from rmspec.reports.readers.json_reader import result_of

HELPERS = Path(__file__).parents[1] / "helpers"
CASES = Path(__file__).parents[1] / "cases"
SHORT = ("--profile", "smoke", "--dtype", "float32", "--call-timeout", "4")

HOSTILE = {
    "hostile.py:loop": "errored",
    "hostile.py:interrupt": "errored",
    "hostile.py:pipes": "errored",
    "hostile.py:hangup": "errored",
    "hostile.py:fork": "conforms",
    "hostile.py:child": "conforms",
    "hostile.py:orphan": "errored",
    "hostile.py:memory": "errored",
    "hostile.py:late": "conforms",
    "hostile.py:rounding": "",
    "hostile.py:numpy_errors": "conforms",
    "hostile.py:math_patch": "",
    "hostile.py:numpy_patch": "errored",
    "hostile.py:builtins_patch": "errored",
    "hostile.py:surroundings": "conforms",
    "hostile.py:segfault": "errored",
    "hostile.py:killed": "errored",
    "hostile.py:leaves": "errored",
    "hostile.py:ends": "errored",
    "hostile.py:stopped": "errored",
    "hostile.py:flood": "errored",
    "hostile.py:descriptors": "errored",
    "hostile.py:parent": "errored",
    "hostile.py:parent_stopped": "conforms",
    "hostile.py:daemon": "conforms",
    "hostile.py:daemon_orphan": "errored",
    "hostile.py:deaf": "errored",
    "hostile.py:hungry": "errored",
    "hostile.py:hungry_child": "errored",
    "hostile.py:sharing": "conforms",
    "hostile.py:speechless": "errored",
    "hostile.py:endless": "errored",
    "hostile.py:peculiar": "errored",
    "hostile.py:deep": "errored",
    "hostile.py:alarm": "errored",
    "hostile.py:folder": "conforms",
    "hostile.py:streams": "conforms",
    "import_ends.py:X": "errored",
    "import_interrupts.py:X": "errored",
    "import_sleeps.py:X": "errored",
    "process:sh -c 'setsid sleep 1000 & exec cat'": "errored",
    "hostile_torch.py:Loops": "errored",
    "hostile_torch.py:Interrupts": "errored",
    "hostile_torch.py:WritesToPipes": "errored",
}
"""The verdict on each hostile subject; an empty one is the subject's own affair."""

IMPORTS = {
    "import_ends.py": "import os\nos._exit(9)\n",
    "import_interrupts.py": "raise KeyboardInterrupt\n",
    "import_sleeps.py": "import time\ntime.sleep(1000)\n",
}
IMPATIENT = (
    "import sys; from rmspec.reports.cli.start import main; import rmspec.oracles.host.host as host; "
    "host.IMPORT_TIMEOUT = 20; sys.exit(main())"
)

INNOCENT = {
    "hostile.py:sound": ExitCode.CONFORMS,
    "optimizers.py:Doubled": ExitCode.DEVIATES,
    "innocent.py:raising": ExitCode.SUBJECT_FAILED,
    "innocent.py:halves": ExitCode.NOTHING_CHECKED,
}
"""The exit code of each innocent subject when it is checked alone."""


def checked(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a check, and its report on each subject, but for the seconds."""
    done = start_rmspec(folder, "check", *arguments, "--json", "report.json")
    found = {each["name"]: without_seconds(each) for each in report(folder / "report.json")["subjects"]}
    return done.code, found  # type: ignore[return-value]


def scattered(hostile: Sequence[str], innocent: Sequence[str]) -> list[str]:
    """The innocent subjects among the hostile ones: every few of these, one of those."""
    every, mixed = len(hostile) // len(innocent), list(hostile)
    for place, name in enumerate(innocent):
        mixed.insert((place + 1) * (every + 1) - 1, name)
    return mixed


@pytest.mark.slow
def test_many_subjects_of_which_the_innocent_are_judged_as_alone(tmp_path: Path) -> None:
    """One of each hostile kind on one command line: the reports on the others, and their exit codes, are those alone.

    The run ends within the sum of the timeouts, and no process is left.
    """
    pytest.importorskip("torch")
    for path in (
        HELPERS / "hostile.py",
        HELPERS / "hostile_torch.py",
        HELPERS / "innocent.py",
        CASES / "optimizers.py",
    ):
        shutil.copy(path, tmp_path)
    for name, text in IMPORTS.items():
        (tmp_path / name).write_text(text)
    alone: dict[str, dict[str, Any]] = {}
    for name, expected in INNOCENT.items():
        code, found = checked(tmp_path, name, *SHORT, "--fail-fast")
        assert (name, code) == (name, expected)
        alone |= found
    names = scattered(list(HOSTILE), list(INNOCENT))
    assert len(names) == len(set(names)) >= 30
    begin = time.monotonic()
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            IMPATIENT,
            "check",
            *names,
            *SHORT,
            "--fail-fast",
            "--memory-limit",
            "640M",
            "--json",
            "all.json",
        ],
        cwd=tmp_path,
        env={**os.environ, MARK: str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    seconds = time.monotonic() - begin
    code, together = (
        done.returncode,
        {subject["name"]: without_seconds(subject) for subject in report(tmp_path / "all.json")["subjects"]},
    )
    assert marked_processes(tmp_path) == []
    assert seconds < 4 * len(names) + 20
    assert list(together) == names
    for name, expected in INNOCENT.items():
        verdict, clauses = together[name]["verdict"], together[name]["clauses"]
        assert (name, verdict, clauses) == (name, alone[name]["verdict"], alone[name]["clauses"])
        assert together[name] == alone[name]
        assert (name, exit_code([result_of(together[name])])) == (name, expected)
    verdicts = {name: together[name]["verdict"] for name in HOSTILE}
    assert verdicts == {name: expected or verdicts[name] for name, expected in HOSTILE.items()}
    for name in ("hostile.py:hungry", "hostile.py:hungry_child"):
        assert "iB of memory while it was checked" in together[name]["message"]
    assert not [name for name in names if "not followed to its end" in together[name]["message"]]
    assert code == ExitCode.DEVIATES


FLUSHES = "import torch\ntorch.set_flush_denormal(True)\nclass R(torch.optim.RMSprop):\n    pass\n"
PATCHES = (
    "import math\nimport torch\nmath.isnan = lambda value: True\nmath.isfinite = lambda value: False\n"
    "class R(torch.optim.RMSprop):\n    pass\n"
)
DEFAULTS = (
    "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.use_deterministic_algorithms(True)\n"
    "torch.set_grad_enabled(False)\nclass R(torch.optim.RMSprop):\n    pass\n"
)


@pytest.mark.slow
def test_what_a_file_does_when_it_is_imported_bends_no_neighbour(tmp_path: Path) -> None:
    """Flush-to-zero, a patched math and other defaults of torch: torch is judged as alone, and the flushing one deviates."""
    pytest.importorskip("torch")
    for name, text in (("flushes", FLUSHES), ("patches", PATCHES), ("defaults", DEFAULTS)):
        (tmp_path / f"{name}.py").write_text(text)
    code, alone = checked(tmp_path, "torch", *SHORT[:4])
    assert code == 0
    code, together = checked(tmp_path, "torch", "flushes.py:R", "patches.py:R", "defaults.py:R", *SHORT[:4])
    assert together["torch"] == alone["torch"]
    assert together["flushes.py:R"]["verdict"] == "deviates"
    assert {deviation["clause"] for deviation in together["flushes.py:R"]["deviations"] if not deviation["known"]} == {
        "subnormals"
    }
    assert together["patches.py:R"]["verdict"] in ("conforms", "known")
    assert code == 1
