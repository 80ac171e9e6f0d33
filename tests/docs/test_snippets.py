"""The blocks that nobody types as they stand: installations, jobs of a CI, configuration and lists of known deviations."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
from option_names import options
from pages import PAGES, README, ROOT, Block, blocks_of, blocks_of_kind
from ruamel.yaml import YAML

from rmspec.oracles import check_name, to_json
from rmspec.properties import read_known, shipped
from rmspec.reports.config.keys import KEYS
from rmspec.reports.config.pyproject import read_config

INSTALL = os.environ.get("RMSPEC_DOCS_INSTALL") == "1"


def by_line(kind: str) -> list[object]:
    return [pytest.param(block, id=f"{name}-line-{block.line}") for name, block in blocks_of_kind(kind)]


def words(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text))


@pytest.mark.parametrize("block", by_line("install"))
def test_an_install_command_has_its_form(block: Block, tmp_path: Path, environment: dict[str, str]) -> None:
    """It is shell, installs with pip, and names extras and files that there are; ``RMSPEC_DOCS_INSTALL=1`` runs it."""
    checked = subprocess.run(["sh", "-c", f"set -n\n{block.text}"], cwd=tmp_path, env=environment, check=False)
    assert checked.returncode == 0
    assert "pip install" in block.text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = {extra for extras in words(r"[.)]\[([\w,]+)\]", block.text) for extra in extras.split(",")}
    assert extras <= set(project["optional-dependencies"])
    for file in words(r"-c (\S+)", block.text):
        assert (ROOT / file).is_file()
    for subjects in words(r"rmspec (?:check|report) ([^-\n]*)", block.text):
        for name in subjects.split():
            check_name(name)


def test_the_two_commands_are_those_that_are_promised() -> None:
    """One installs and checks torch, one installs and passes the tests."""
    first, second = (block.text for block in blocks_of(PAGES[README]) if block.kind == "install")
    assert first == "pip install -c constraints.txt '.[torch]' && rmspec check torch torch:foreach\n"
    assert second == "pip install tox && tox\n"


@pytest.mark.slow
@pytest.mark.skipif(not INSTALL, reason="RMSPEC_DOCS_INSTALL=1 installs, over the network")
def test_the_first_command_installs_and_checks(tmp_path: Path) -> None:
    """In a virtual environment that has nothing, on a copy of the clone."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__"))
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    path = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    [first, _] = (block.text for block in blocks_of(PAGES[README]) if block.kind == "install")
    done = subprocess.run(
        ["sh", "-c", first], cwd=clone, env={**environment, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert all(entry.id in done.stdout for entry in shipped() if entry.subject == "torch*")


@pytest.mark.parametrize("block", by_line("excerpt"))
def test_an_excerpt_is_what_the_file_says(block: Block) -> None:
    """Word for word."""
    assert block.text in (ROOT / block.name).read_text("utf-8")


@pytest.mark.parametrize("block", by_line("yaml"))
def test_a_job_is_one_that_the_ci_takes(block: Block) -> None:
    """By the schema of that CI; what it says of the action's inputs and outputs, and of rmspec's options, there is."""
    data = YAML(typ="safe", pure=True).load(block.text)
    name = {"github": "github-workflows", "gitlab": "gitlab-ci"}[block.name]
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json").read_text("utf-8"))
    jsonschema.validators.validator_for(schema)(schema).validate(data)
    assert words(r"(?<![\w-])(--[a-z][a-z-]+)", block.text) <= options("check")
    action = YAML(typ="safe", pure=True).load((ROOT / "action.yml").read_text("utf-8"))
    steps = [step for job in data.get("jobs", {}).values() for step in job["steps"] if step.get("uses") == "./rmspec"]
    assert len(steps) == (block.name == "github")
    for step in steps:
        assert set(step["with"]) <= set(action["inputs"])
        assert words(r"outputs\.([\w-]+)", block.text) <= set(action["outputs"])


def test_both_cis_have_a_job() -> None:
    """GitHub's and GitLab's."""
    assert {block.name for _, block in blocks_of_kind("yaml")} == {"github", "gitlab"}


def test_the_configuration_is_read(tmp_path: Path) -> None:
    """By the reader that rmspec itself uses, which refuses an unknown key."""
    [(_, block)] = blocks_of_kind("config")
    (tmp_path / "pyproject.toml").write_text(block.text)
    config = read_config(tmp_path)
    assert config["subjects"] == ["src/mine.py:RMSprop"]
    assert {name.replace("_", "-") for name in config} <= set(KEYS)


def test_the_list_of_known_deviations_is_read(tmp_path: Path) -> None:
    """By the reader that rmspec itself uses, with a witness in its place; its clause exists."""
    [(_, block)] = blocks_of_kind("known")
    (tmp_path / "known.toml").write_text(block.text)
    witness = next(entry.witness for entry in shipped() if entry.witness is not None)
    (tmp_path / "repro").mkdir()
    (tmp_path / "repro" / "mine.py-RMSprop-eps-placement.json").write_text(json.dumps(to_json(witness)))
    [entry] = read_known(tmp_path / "known.toml")
    assert not entry.matches_no_clause
