"""What is promised is what was run: classifiers, versions and install lines."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

from rmspec.oracles.registry import frameworks

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
README = (ROOT / "README.md").read_text("utf-8")


def cell(name):
    """The second cell of the README's row of this name."""
    (found,) = re.findall(rf"^\| {name} \| (.*) \|$", README, re.M)
    return found


def test_the_classifiers_name_the_platform_that_is_tested():
    """Linux alone, and no word of others."""
    systems = [each for each in PROJECT["classifiers"] if each.startswith("Operating System")]
    assert systems == ["Operating System :: POSIX :: Linux"]
    assert cell("platform").startswith("Linux")


def test_the_classifiers_name_the_versions_of_python_that_are_tested():
    """Those that the README says were run, and no other."""
    classified = re.findall(r"Python :: (\d\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert classified == re.findall(r"\d\.\d+", cell("Python"))
    assert f">={classified[0]}" == PROJECT["requires-python"]


def test_an_install_line_names_an_extra_that_there_is():
    """The line that a missing framework prints works where rmspec is installed, from a wheel or from a clone."""
    extras = PROJECT["optional-dependencies"]
    for framework in frameworks():
        if not framework.package.startswith("rmspec."):
            continue
        named = re.findall(r"rmspec\[([\w,]+)\]", framework.install)
        assert named or framework.install == f"pip install {framework.requires}"
        assert {each for one in named for each in one.split(",")} <= set(extras)


def test_nothing_that_is_published_holds_a_placeholder():
    """No name of an organization is left to fill in."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    found = [
        name
        for name in files
        if not name.startswith("tests/")
        and re.search(rb"(?i)your-?org|your-?name|example-?org|<owner>", (ROOT / name).read_bytes())
    ]
    assert found == []
