"""A framework that another distribution brings: found by every command, with nothing changed in rmspec.

The distribution is in ``lists_framework``: RMSprop over plain Python lists. It is built as a wheel and put on the path.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = (sys.executable, "-m", "rmspec.reports.cli")
SOURCE = Path(__file__).parent / "lists_framework"
WITNESS = SOURCE / "src/rmspec_lists/known_deviations/lists-refuses-no-gradients.json"

MINE = """
import rmspec_lists

class Mine(rmspec_lists.RMSprop):
    pass
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the distribution in it, as an installer leaves it."""
    folder = tmp_path_factory.mktemp("lists")
    shutil.copytree(SOURCE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "wheel", "source"]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = (folder / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def run(site: Path, tmp_path: Path) -> Run:
    """Run a command with the distribution installed, and other folders of distributions beside it."""

    def command(*arguments: str, beside: tuple[Path, ...] = ()) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join(map(str, (site, *beside)))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        return subprocess.run(
            [*COMMAND, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return command


def report(run: Run, folder: Path, *arguments: str) -> Any:
    """Check in one format and return the first subject of the report."""
    done = run("check", *arguments, "--profile", "smoke", "--json", "report.json")
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "report.json").read_text())["subjects"][0]


def test_its_subjects_are_listed(run: Run) -> None:
    """Behind rmspec's own, with the line that installs it."""
    listed = json.loads(run("subjects", "--json").stdout)["subjects"]
    assert listed[-1] == {
        "name": "lists",
        "title": "rmspec_lists.RMSprop over plain Python lists",
        "framework": "lists",
        "installed": True,
        "install": "pip install rmspec-lists",
    }


def test_it_is_checked_against_its_own_dialect_with_its_own_known_deviation(run: Run, tmp_path: Path) -> None:
    """What it does otherwise is known by the list in its own folder, and what it does not check is declared."""
    found = report(run, tmp_path, "lists", "--dialect", "lists")
    assert (found["verdict"], found["dialect"], found["framework"]) == ("known", "lists", "lists")
    assert {each["known"] for each in found["deviations"]} == {"lists-refuses-no-gradients"}
    assert found["element_checks"] > 10_000
    assert run("report", "--from", "report.json", "--out", "report").returncode == 0
    assert "lists of lists, which rmspec\\_lists does not step" in (tmp_path / "report" / "report.md").read_text()


def test_a_class_of_the_users_is_of_it(run: Run, tmp_path: Path) -> None:
    """By the module of its base class; it inherits the habits of the framework's own optimizer."""
    (tmp_path / "mine.py").write_text(MINE)
    found = report(run, tmp_path, "mine.py:Mine")
    assert (found["dialect"], found["framework"]) == ("lists", "lists")
    assert {each["known"] for each in found["deviations"]} == {"inherited:lists"}


def test_a_name_near_to_its_dialect_leads_to_it(run: Run) -> None:
    """As near to those of rmspec's own."""
    refused = run("check", "reference", "--dialect", "list")
    assert refused.returncode == 2
    assert "did you mean lists?" in refused.stderr


def test_it_is_identified(run: Run) -> None:
    """As its own dialect among those that fit."""
    done = run("identify", "lists", "--json", "-")
    assert done.returncode == 0, done.stderr
    assert "lists" in json.loads(done.stdout)["dialects"]


def test_a_script_shows_its_deviation_without_rmspec(run: Run, site: Path, tmp_path: Path) -> None:
    """It imports the framework alone, and fails as the subject does."""
    done = run("script", str(WITNESS))
    assert done.returncode == 0, done.stderr
    assert "import numpy, rmspec_lists\n" in done.stdout
    assert "rmspec." not in done.stdout
    (tmp_path / "script.py").write_text(done.stdout)
    script = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert script.returncode == 1
    assert "ValueError: there is nothing to step" in script.stderr


def test_its_known_deviations_are_listed(run: Run) -> None:
    """With those of rmspec's own frameworks."""
    entries = json.loads(run("known", "list", "--json").stdout)["known"]
    assert "lists-refuses-no-gradients" in {each["id"] for each in entries}


def test_its_files_are_translated(run: Run, tmp_path: Path) -> None:
    """From its own layout, by its own names of the options, to a file of another dialect and back."""
    (tmp_path / "saved.lists").write_text("[[1.0, 4.0], [0.25]]")
    options = ("--rate", "0.125", "--keep", "0.875", "--tiny", "0")
    done = run("translate", "--from", "lists", "--to", "torch", "saved.lists", *options, "--out", "torch.npz")
    assert done.returncode == 0, done.stderr
    assert "rate 0.125 -> lr 0.125" in done.stdout
    done = run("translate", "--from", "torch", "--to", "lists", "torch.npz", "--out", "again.lists")
    assert done.returncode == 0, done.stderr
    assert "rmspec_lists.RMSprop(rate=0.125, keep=0.875, tiny=0.0)" in done.stdout
    assert "optimizer.squares = json.load(open('again.lists'))" in done.stdout
    assert json.loads((tmp_path / "again.lists").read_text()) == [[1.0, 4.0], [0.25]]


def distribution(folder: Path, name: str, entry: str, module: str = "") -> Path:
    """A folder with a distribution in it that names one framework; ``module`` is the source of ``NAME.py``."""
    package = name.replace("-", "_")
    info = folder / name / f"{package}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(f"[rmspec.frameworks]\n{entry}\n")
    (folder / name / f"{package}.py").write_text(module)
    return folder / name


DESCRIPTOR = """
from dataclasses import replace
from rmspec_lists.descriptor import FRAMEWORK, LISTS
from rmspec.oracles import RegisteredSubject
"""

BROKEN = {
    "a module that is not there": ("", "other = nowhere:FRAMEWORK", "No module named 'nowhere'"),
    "a module that fails": ("raise RuntimeError('as it likes')", "other = rmspec_other:FRAMEWORK", "as it likes"),
    "a module that exits": ("raise SystemExit(3)", "other = rmspec_other:FRAMEWORK", "SystemExit: 3"),
    "no descriptor": ("FRAMEWORK = 1", "other = rmspec_other:FRAMEWORK", "is int, not a rmspec.oracles.Framework"),
    "a framework again": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, subjects={{}})",
        "lists = rmspec_other:OTHER",
        "there is a framework 'lists' already",
    ),
    "a framework by another name": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, name='other', subjects={{}})",
        "arrays = rmspec_other:OTHER",
        "it is called 'other'",
    ),
    "a subject of another": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, name='other')",
        "other = rmspec_other:OTHER",
        "there is a subject 'lists' already",
    ),
    "a dialect of another": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, name='other', subjects={{}}, dialects=(replace(LISTS, name='torch'),))",
        "other = rmspec_other:OTHER",
        "there is a dialect 'torch' already, and it is another",
    ),
    "a dialect that is not there": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, name='other', "
        "subjects={'other': RegisteredSubject(title='x', dialect='nothing')})",
        "other = rmspec_other:OTHER",
        "its subject 'other' speaks 'nothing', and there is no such dialect",
    ),
    "a malformed descriptor": (
        f"{DESCRIPTOR}OTHER = replace(FRAMEWORK, name='other', subjects={{'other': 'a sentence'}})",
        "other = rmspec_other:OTHER",
        "its descriptor is malformed",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_one_that_cannot_be_used_is_left_out_and_said(kind: str, run: Run, tmp_path: Path) -> None:
    """With its name, its distribution and the reason; every other framework stays."""
    source, entry, reason = BROKEN[kind]
    done = run("subjects", beside=(distribution(tmp_path, "rmspec-other", entry, source),))
    assert done.returncode == 0
    assert f"rmspec: the framework {entry.split()[0]!r} of rmspec-other 2.0 is left out: " in done.stderr
    assert reason in done.stderr
    assert "lists (installed)" in done.stdout


def test_a_subject_of_one_that_is_left_out_says_why_it_is_unknown(run: Run, tmp_path: Path) -> None:
    """Whoever asks for it reads the reason, once on the error."""
    other = distribution(tmp_path, "rmspec-other", "other = nowhere:FRAMEWORK")
    done = run("check", "other", beside=(other,))
    assert done.returncode == 2
    assert "rmspec: unknown subject 'other'\n  the framework 'other' of rmspec-other 2.0 is left out: " in done.stderr
