"""``rmspec subjects``: some of the registered ones, and how exact the operations of their paths are here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commandline import rmspec


def test_some_subjects_are_listed_on_demand(tmp_path: Path) -> None:
    """With their framework, and no other; a typing error is one."""
    done = rmspec(tmp_path, "subjects", "reference:optax")
    assert done.code == 0
    assert "numpy (installed)" in done.out
    assert "torch" not in done.out
    wrong = rmspec(tmp_path, "subjects", "refrence")
    assert wrong.code == 2
    assert "unknown subject 'refrence'; did you mean reference?" in wrong.err


def test_operations_are_measured_on_demand(tmp_path: Path) -> None:
    """In words and as data; without -v nothing is."""
    done = rmspec(tmp_path, "subjects", "reference", "-v")
    assert " ".join(done.out.split()).count("add, divide, multiply, sqrt correctly rounded;") == 1
    (row,) = json.loads(rmspec(tmp_path, "subjects", "reference", "-v", "--json").out)["subjects"]
    assert {entry["format"] for entry in row["operations"]} == {"float32", "float64", "float16", "bfloat16"}
    assert {entry["accuracy"]["off"] for entry in row["operations"]} == {0}
    (plain,) = json.loads(rmspec(tmp_path, "subjects", "reference", "--json").out)["subjects"]
    assert "operations" not in plain


def test_a_path_that_cannot_run_here_says_so(tmp_path: Path) -> None:
    """As one without operations to ask for does."""
    pytest.importorskip("torch")
    text = rmspec(tmp_path, "subjects", "torch:capturable", "-v").out
    assert "correctly rounded" in text or "its elementary operations cannot be measured" in text
