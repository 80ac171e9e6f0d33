"""What a user's site-packages gets: one package `rmspec`, complete, and nothing else."""

import fnmatch
import re
import shutil
import subprocess
import sys
import tarfile
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


ALL = sorted(name for package in PACKAGES for name in sources_of(package))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the whole tree, tests included, so that no build leaves anything in the checkout."""
    folder = tmp_path_factory.mktemp("tree") / "rmspec"
    shutil.copytree(ROOT, folder, ignore=NOT_SOURCES)
    return folder


@pytest.fixture(scope="module")
def built(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build the sdist of the tree, and from that sdist the wheel."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(tree))
    return {"sdist" if path.name.endswith(".tar.gz") else "wheel": path for path in out.iterdir()}


@pytest.fixture(scope="module")
def wheel(built: dict[str, Path]) -> Path:
    """Return the wheel that was built from the sdist."""
    return built["wheel"]


def run(*command: str, cwd: Path | None = None) -> str:
    """Run a command that must succeed, and return its output."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


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


def test_the_sdist_holds_all_that_the_wheel_is_made_of(built: dict[str, Path]) -> None:
    """Whoever builds from the sdist needs no clone: sources, data, metadata, and the pages that they refer to."""
    with tarfile.open(built["sdist"]) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    sources = {name.removeprefix("rmspec/") for name in ALL}
    assert sources | {"pyproject.toml", "setup.py", "README.md", "LICENSE"} <= inside


KINDS = {
    "wheel": [],
    "editable": ["--editable"],
    "strict editable": ["--config-settings", "editable_mode=strict", "--editable"],
}
"""The ways to install, and the options of pip for them."""


@pytest.fixture(scope="module", params=KINDS)
def installed(
    request: pytest.FixtureRequest, tree: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Install into an environment that has the dependencies and no other rmspec; return its Python and the sources' folder."""
    environment = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", str(environment))
    [site] = environment.glob("lib/python*/site-packages")
    dependencies = environment / "dependencies"
    dependencies.mkdir()
    for folder in (Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")):
        for path in folder.iterdir():
            link = dependencies / path.name
            if not re.search(r"rmspec|\.pth$|__pycache__", path.name) and not link.exists():
                link.symlink_to(path)
    (site / "dependencies.pth").write_text(f"{dependencies}\n")
    python = environment / "bin" / "python"
    target = str(wheel if request.param == "wheel" else tree)
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", *KINDS[request.param], target]
    run(sys.executable, "-m", "pip", "--python", str(python), "install", *options, cwd=environment)
    return python, site if request.param == "wheel" else tree


def test_every_package_is_imported_from_the_install(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """Each room, from where it was installed, with its marker of types."""
    python, folder = installed
    packages = [name.removesuffix("/__init__.py").replace("/", ".") for name in ALL if name.endswith("/__init__.py")]
    code = (
        "import importlib, importlib.resources, sys\n"
        "for name in sys.argv[1:]:\n"
        "    print(importlib.import_module(name).__file__)\n"
        "    top = '.'.join(name.split('.')[:2])\n"
        "    assert (importlib.resources.files(top) / 'py.typed').is_file(), top\n"
        "assert not any(name in sys.modules for name in ('torch', 'tensorflow', 'jax', 'keras'))\n"
    )
    places = run(str(python), "-c", code, *packages, cwd=tmp_path).splitlines()
    assert len(places) == len(packages)
    assert [place for place in places if not Path(place).is_relative_to(folder)] == []


def test_every_data_file_is_found_by_the_name_of_its_package(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """``importlib.resources`` reads schemas, programs, lists and templates, however rmspec was installed."""
    python, _ = installed
    data = [name for name in ALL if not name.endswith(".py")]
    code = (
        "import importlib.resources, sys\n"
        "for name in sys.argv[1:]:\n"
        "    package, path = '.'.join(name.split('/')[:2]), name.split('/')[2:]\n"
        "    print(len(importlib.resources.files(package).joinpath(*path).read_bytes()))\n"
    )
    sizes = list(map(int, run(str(python), "-c", code, *data, cwd=tmp_path).split()))
    assert sizes == [(ROOT / name.removeprefix("rmspec/")).stat().st_size for name in data]


def test_the_entry_points_lead_to_the_install(installed: tuple[Path, Path], tmp_path: Path) -> None:
    """The command runs, and the plugin of pytest can be loaded."""
    python, _ = installed
    assert "eps-placement" in run(str(python.with_name("rmspec")), "clauses", cwd=tmp_path)
    code = (
        "from importlib.metadata import entry_points\n"
        "[plugin] = entry_points(group='pytest11', name='rmspec')\n"
        "print(plugin.load().__name__)\n"
    )
    assert run(str(python), "-c", code, cwd=tmp_path).strip() == "rmspec.reports.pytest.plugin"


def test_the_checkout_has_no_folder_named_rmspec() -> None:
    """The root has no folder `rmspec`, which would hide the installed package from whoever runs Python there."""
    assert not (ROOT / "rmspec").exists()
