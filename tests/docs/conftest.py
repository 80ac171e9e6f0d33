"""The surroundings of a reader who follows a page: ``rmspec`` and ``python`` on the path, and no job of a CI around."""

import os
import sys

import pytest


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
