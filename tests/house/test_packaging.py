"""What a user's site-packages gets: one package `rmspec`, complete, and nothing else."""

import fnmatch
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("impl", "oracles", "properties", "reports")
NOT_SOURCES = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "venv", "*.egg-info")


def sources_of(package: str) -> set[str]:
    """List the files of a package folder as the wheel must name them."""
    return {
        f"rmspec/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the whole tree, tests included, so that the tree stays as it is."""
    tree = tmp_path_factory.mktemp("tree") / "rmspec"
    shutil.copytree(ROOT, tree, ignore=NOT_SOURCES)
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(tree)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [path] = out.iterdir()
    return path


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """List the files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_wheel_holds_rmspec_and_its_metadata_only(names: set[str]) -> None:
    """The wheel puts `rmspec` and its dist-info into site-packages: no `impl`, no `tests`, nothing else generic."""
    assert {name.partition("/")[0] for name in names} == {"rmspec", "rmspec-0.1.0.dist-info"}


def test_rmspec_is_a_namespace_of_the_four_packages(names: set[str]) -> None:
    """Directly under `rmspec` are the four packages and no file, thus no `__init__.py` that would end the namespace."""
    inside = {name.split("/", 1)[1] for name in names if name.startswith("rmspec/")}
    assert {name.partition("/")[0] for name in inside} == set(PACKAGES)
    assert all("/" in name for name in inside)


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_complete_in_the_wheel(names: set[str], package: str) -> None:
    """The wheel holds every file of the folder, data included, and none that the folder lacks."""
    assert {name for name in names if name.startswith(f"rmspec/{package}/")} == sources_of(package)


@pytest.mark.parametrize(
    "pattern",
    [
        *(f"rmspec/{package}/__init__.py" for package in PACKAGES),
        *(f"rmspec/{package}/py.typed" for package in PACKAGES),
        "rmspec/oracles/faults/__init__.py",
        "rmspec/oracles/schemas/*.json",
        "rmspec/properties/corpus/*.json",
        "rmspec/oracles/*/known_deviations/*.toml",
        "rmspec/reports/schemas/*.json",
    ],
)
def test_the_wheel_holds_what_the_program_reads(names: set[str], pattern: str) -> None:
    """Type markers, schemas, the stored corpus and the known deviations are installed."""
    assert fnmatch.filter(names, pattern) != []


def test_the_wheel_holds_no_tests(names: set[str]) -> None:
    """No test module is installed, in any folder."""
    assert [name for name in names if "tests" in name.split("/") or fnmatch.fnmatch(name, "*/test_*.py")] == []


def test_the_wheel_says_its_licence_and_command(wheel: Path) -> None:
    """The metadata carry the licence, its text and the command `rmspec`."""
    with zipfile.ZipFile(wheel) as archive:
        metadata = Parser().parsestr(archive.read("rmspec-0.1.0.dist-info/METADATA").decode())
        licence = archive.read("rmspec-0.1.0.dist-info/licenses/LICENSE").decode()
        entry_points = archive.read("rmspec-0.1.0.dist-info/entry_points.txt").decode()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in licence
    assert "rmspec = rmspec.reports.cli.start:main" in entry_points


def test_the_checkout_has_no_folder_named_rmspec() -> None:
    """The root has no folder `rmspec`, which would hide the installed package from whoever runs Python there."""
    assert not (ROOT / "rmspec").exists()
