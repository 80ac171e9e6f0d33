"""The README is true: its commands end as it says, its transcript is what is printed, its lists are complete."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path

import click
import jsonschema
import pytest
from docs.readme import BLOCKS, EXAMPLES, ROOT, TEXT, Block, asking, section
from ruamel.yaml import YAML

from rmspec.impl import CLAUSES, DIALECTS, POLICIES
from rmspec.oracles import FEATURES, check_name, registered_names, to_json
from rmspec.properties import PROFILES, read_known, shipped
from rmspec.properties.known import _CONDITIONS, _KEYS
from rmspec.reports import ExitCode
from rmspec.reports.cli.main import _group
from rmspec.reports.config.pyproject import KEYS, read_config
from rmspec.reports.pytest.plugin import _OPTIONS

KINDS = {"install", "run", "transcript", "output", "file", "config", "python", "yaml"}
INSTALL = os.environ.get("RMSPEC_DOCS_INSTALL") == "1"


def by_line(blocks: list[Block]) -> list[object]:
    return [pytest.param(block, id=f"line-{block.line}") for block in blocks]


def shell(text: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["sh", "-c", text], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def words(pattern: str, text: str = TEXT) -> set[str]:
    return set(re.findall(pattern, text))


# ---- commands


@pytest.fixture(scope="module")
def printed(desk: Path, environment: dict[str, str]) -> dict[int, subprocess.CompletedProcess[str]]:
    """What each block that runs did, by its line. The first writes what the others need; those run two at a time."""
    pytest.importorskip("torch")
    first, *others = (each for each in asking("run") if "needs node" not in each.asks or shutil.which("node"))

    def done(block: Block) -> subprocess.CompletedProcess[str]:
        return shell(block.text, ROOT if "from the clone" in block.asks else desk, environment)

    found = {first.line: done(first)}
    with ThreadPoolExecutor(2) as pool:
        found.update(zip([each.line for each in others], pool.map(done, others), strict=True))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("block", by_line(asking("run")))
def test_a_command_ends_as_the_page_says(block: Block, printed: dict[int, subprocess.CompletedProcess[str]]) -> None:
    """The exit code is the one beside the command, and what went wrong with rmspec itself would show."""
    if block.line not in printed:
        pytest.skip("there is no node here")
    done = printed[block.line]
    assert done.returncode == block.code, f"{block.text}{done.stdout}{done.stderr}"
    assert done.stderr == "" or "python" in block.text


@pytest.mark.slow
@pytest.mark.parametrize("transcript", by_line(asking("transcript")))
def test_the_transcript_is_what_is_printed(
    transcript: Block, printed: dict[int, subprocess.CompletedProcess[str]]
) -> None:
    """Line after line, seconds aside; only what ``...`` stands for is left out."""
    before = max((block for block in asking("run") if block.line < transcript.line), key=lambda block: block.line)
    lines = iter(unwrapped(printed[before.line].stdout))
    for wanted in unwrapped(transcript.text):
        if wanted.strip() != "...":
            assert any(line == wanted for line in lines), wanted
    assert all(len(line) <= 80 for line in transcript.text.splitlines())


@pytest.mark.slow
def test_an_output_begins_as_it_is_shown(printed: dict[int, subprocess.CompletedProcess[str]]) -> None:
    """Of the command before it, up to ``...``."""
    for shown in asking("output"):
        before = max((block for block in asking("run") if block.line < shown.line), key=lambda block: block.line)
        assert printed[before.line].stdout.startswith(shown.text.removesuffix("...\n"))


def unwrapped(text: str) -> Iterator[str]:
    """The lines of an output with its seconds made equal."""
    for line in text.splitlines():
        yield re.sub(r" +\d+\.\d$", "  SECONDS", line.rstrip())


@pytest.mark.slow
def test_the_class_that_is_mended_differs_in_one_line() -> None:
    """What the page calls mended is the faulty class, but for the fault."""
    faulty, mended = ((EXAMPLES / name).read_text().splitlines()[1:] for name in ("mine.py", "mended.py"))
    assert sum(one != other for one, other in zip(faulty, mended, strict=True)) == 1


@pytest.mark.parametrize("block", by_line(asking("install")))
def test_an_install_command_has_its_form(block: Block, tmp_path: Path, environment: dict[str, str]) -> None:
    """It is shell, installs with pip, and names extras and files that there are; ``RMSPEC_DOCS_INSTALL=1`` runs it."""
    assert shell(f"set -n\n{block.text}", tmp_path, environment).returncode == 0
    assert "pip install" in block.text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert words(r"\.\[(\w+)\]", block.text) <= set(project["optional-dependencies"])
    for file in words(r"-c (\S+)", block.text):
        assert (ROOT / file).is_file()
    for subjects in words(r"rmspec check ([^\n]*)", block.text):
        for name in subjects.split():
            check_name(name)


@pytest.mark.slow
@pytest.mark.skipif(not INSTALL, reason="RMSPEC_DOCS_INSTALL=1 installs, over the network")
def test_the_first_command_installs_and_checks(tmp_path: Path) -> None:
    """In a virtual environment that has nothing, on a copy of the clone."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    path = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = shell(asking("install")[0].text, clone, {**environment, "PATH": path})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert all(entry.id in done.stdout for entry in shipped() if entry.subject == "torch*")


# ---- snippets


def test_every_block_is_checked() -> None:
    """No block of the page is left to trust: each says what it is."""
    assert [block.line for block in BLOCKS if not block.asks or block.asks[0].split()[0] not in KINDS] == []


@pytest.mark.parametrize("block", by_line(asking("python")))
def test_a_python_snippet_runs(block: Block, desk: Path, environment: dict[str, str]) -> None:
    """As a file of its own, warnings being errors."""
    ast.parse(block.text)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text], cwd=desk, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("block", by_line(asking("file")))
def test_a_file_is_shown_as_it_is(block: Block) -> None:
    """The files of the page are those of ``tests/docs/examples``."""
    name = block.asks[0].removeprefix("file ")
    assert block.text == (EXAMPLES / name).read_text("utf-8")


@pytest.mark.parametrize("block", by_line(asking("yaml")))
def test_a_job_is_one_that_the_ci_takes(block: Block) -> None:
    """By the schema of that CI; what it says of the action's inputs and outputs, and of rmspec's options, there is."""
    data = YAML(typ="safe", pure=True).load(block.text)
    kind = block.asks[0].removeprefix("yaml ")
    name = {"github": "github-workflows", "gitlab": "gitlab-ci"}[kind]
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json").read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(data)
    assert words(r"(?<![\w-])(--[a-z][a-z-]+)", block.text) <= options("check")
    action = YAML(typ="safe", pure=True).load((ROOT / "action.yml").read_text("utf-8"))
    used = [
        step for job in data.get("jobs", {}).values() for step in job["steps"] if "/rmspec@" in step.get("uses", "")
    ]
    assert len(used) == (kind == "github")
    for step in used:
        assert set(step["with"]) <= set(action["inputs"])
        assert words(r"outputs\.([\w-]+)", block.text) <= set(action["outputs"])


def test_the_configuration_is_read(tmp_path: Path) -> None:
    """By the reader that rmspec itself uses, which refuses an unknown key."""
    (block,) = asking("config")
    (tmp_path / "pyproject.toml").write_text(block.text)
    found = read_config(tmp_path)
    assert found["subjects"] == ["src/mine.py:RMSprop"]
    assert {name.replace("_", "-") for name in found} <= set(KEYS)


def test_the_list_of_known_deviations_is_read(tmp_path: Path) -> None:
    """By the reader that rmspec itself uses, with a witness in its place; its clause exists."""
    shutil.copy(EXAMPLES / "known.toml", tmp_path)
    witness = next(entry.witness for entry in shipped() if entry.witness is not None)
    (tmp_path / "repro").mkdir()
    (tmp_path / "repro" / "mine.py-RMSprop-eps-placement.json").write_text(json.dumps(to_json(witness)))
    (entry,) = read_known(tmp_path / "known.toml")
    assert not entry.matches_no_clause


# ---- lists


def test_every_option_that_is_mentioned_exists() -> None:
    """Of rmspec and its pytest plugin; those of pip, of pytest and of the tests are theirs."""
    plugin = {"--rmspec", *(f"--rmspec-{name}" for name in _OPTIONS)}
    foreign = {"--no-index", "--no-deps", "--no-build-isolation"}
    assert words(r"(?<![\w-])(--[a-z][a-z-]+)") - foreign <= options() | plugin


@pytest.mark.parametrize("command", ["check", "translate"])
def test_every_option_is_mentioned(command: str) -> None:
    """What ``rmspec check --help`` and ``rmspec translate --help`` list, the page has."""
    missing = {each for each in options(command) if not re.search(rf"(?<![\w-]){each}(?![\w-])", TEXT)}
    assert missing == set()


def options(*names: str) -> set[str]:
    assert isinstance(_group, click.Group)
    found: set[str] = set()
    commands = [_group.commands[name] for name in names or tuple(_group.commands)]
    commands += [each for command in commands if isinstance(command, click.Group) for each in command.commands.values()]
    for command in commands:
        for each in command.get_params(click.Context(command, help_option_names=["-h", "--help"])):
            if isinstance(each, click.Option):
                found |= {*each.opts, *each.secondary_opts}
    return found


def test_the_table_of_exit_codes_is_complete() -> None:
    """Code by code, in order."""
    assert [int(each) for each in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.M)] == [
        int(code) for code in ExitCode
    ]


def test_the_table_of_profiles_is_true() -> None:
    """The numbers of programs and sweeps are those that run."""
    rows = re.findall(r"^\| `(\w+)`[^|]*\| ([\d,]+) \| ([\d,]+) \|", section("Profiles"), re.M)
    assert [
        (name, int(programs.replace(",", "")), int(sweeps.replace(",", ""))) for name, programs, sweeps in rows
    ] == [(each.name, each.programs, each.sweeps) for each in PROFILES.values()]


def test_features_dialects_and_policies_are_all_named() -> None:
    """A reader need not guess a name, and none is out of date."""
    (features,) = words(r"--without ([\w,]+_[\w,]+)")
    assert features.split(",") == list(FEATURES)
    assert {name for name in DIALECTS if f"`{name}`" not in TEXT} == set()
    assert {name for name in POLICIES if not re.search(rf"\b{name}\b", section("Profiles"))} == set()
    assert f"{len(CLAUSES)} clauses" in TEXT
    assert {name for name in _KEYS | _CONDITIONS if not re.search(rf"\b{name}\b", section("Known deviations"))} == set()


def _begins(id: str, shown: str) -> bool:
    return id == shown or (shown.endswith("-...") and id.startswith(shown.removesuffix("...")))


def test_every_shipped_known_deviation_is_explained() -> None:
    """torch's table has each entry with its clause, and no other; the other table has each, some by what their ids begin with."""
    rows = re.findall(r"^\| `([\w-]+)` \| `([\w-]+)` \|", section("What was found on torch 2.13"), re.M)
    assert sorted(rows) == sorted((entry.id, entry.clause) for entry in shipped() if entry.id.startswith("torch"))
    table = [
        row for row in section("What was found on TensorFlow, Keras and optax").splitlines() if row.startswith("| `")
    ]
    for entry in shipped():
        if not entry.id.startswith("torch"):
            telling = [row for row in table if any(_begins(entry.id, each) for each in re.findall(r"`([\w.-]+)`", row))]
            assert [f"`{entry.clause}`" in row for row in telling] == [True], entry.id


def test_subjects_that_are_named_exist() -> None:
    """Registered names are written as they are registered."""
    named = words(r"`((?:torch|reference):[\w-]+)`")
    assert named <= set(registered_names())


def test_files_that_are_named_exist() -> None:
    """A pointer into the clone leads somewhere."""
    for name in words(r"`((?:tests|oracles|reports|properties|impl)/[\w./-]+)`"):
        assert (ROOT / name).exists(), name
    for name in words(r"`(rmspec\.\w+(?:\.\w+)?)`"):
        assert (
            (ROOT / name.removeprefix("rmspec.").replace(".", "/")).with_suffix(".py").exists()
            or (ROOT / name.removeprefix("rmspec.").replace(".", "/")).is_dir()
            or name.startswith("rmspec.report")
        ), name
