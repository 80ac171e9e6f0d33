"""Neighbours: whatever one subject does to its process, the others are judged as they are alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commandline import rmspec

HELPERS = Path(__file__).parents[1] / "helpers"
SHORT = ("--profile", "smoke", "--dtype", "float32", "--call-timeout", "4")

VERDICTS = {
    "loop": "errored",
    "interrupt": "errored",
    "pipes": "errored",
    "hangup": "errored",
    "fork": "conforms",
    "child": "conforms",
    "orphan": "errored",
    "memory": "errored",
    "late": "conforms",
    "rounding": "",
    "numpy_errors": "conforms",
    "math_patch": "",
    "numpy_patch": "errored",
    "builtins_patch": "errored",
    "surroundings": "conforms",
    "segfault": "errored",
    "killed": "errored",
    "leaves": "errored",
    "ends": "errored",
}
"""The verdict on each hostile subject; an empty one is the subject's own affair."""


def checked(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a check, and its report on each subject, but for the seconds."""
    done = rmspec(folder, "check", *arguments, "--json", "report.json")
    report = json.loads((folder / "report.json").read_text())
    return done.code, {subject["name"]: without_seconds(subject) for subject in report["subjects"]}


def without_seconds(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: without_seconds(value) for key, value in data.items() if "seconds" not in key}
    return [without_seconds(value) for value in data] if isinstance(data, list) else data


@pytest.mark.slow
def test_a_sound_subject_beside_every_hostile_one_is_judged_as_alone(tmp_path: Path) -> None:
    """One of each kind on one command line: the sound one's report is the same, and only those that failed have failed."""
    shutil.copy(HELPERS / "hostile.py", tmp_path)
    code, alone = checked(tmp_path, "hostile.py:sound", *SHORT, "--fail-fast")
    assert code == 0
    names = [f"hostile.py:{name}" for name in VERDICTS]
    code, together = checked(tmp_path, *names[:9], "hostile.py:sound", *names[9:], *SHORT, "--fail-fast")
    assert together["hostile.py:sound"] == alone["hostile.py:sound"]
    verdicts = {name: together[f"hostile.py:{name}"]["verdict"] for name in VERDICTS}
    assert verdicts == {name: expected or verdicts[name] for name, expected in VERDICTS.items()}
    assert code in (1, 4)


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
