"""A folder like that of a reader who follows the README from its top: the examples, and ``rmspec`` on the path."""

import os
import shutil
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent / "examples"


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As it is, but in no job of GitHub's, at 80 columns, with ``rmspec`` and ``python`` of this interpreter first on the path."""
    commands = tmp_path_factory.mktemp("commands")
    scripts = {"rmspec": "-m rmspec.reports.cli", "python": ""}
    for name, arguments in scripts.items():
        command = commands / name
        command.write_text(f"#!/bin/sh\nexec '{sys.executable}' {arguments} \"$@\"\n")
        command.chmod(0o755)
    elsewhere = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
    return {**elsewhere, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "80"}
