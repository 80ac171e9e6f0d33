"""What runs before a commit and on a hosted CI: well formed, and the same as here."""

import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
CONSTRAINTS = dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M))


def load(path: str) -> Any:
    return YAML(typ="safe", pure=True).load((ROOT / path).read_text("utf-8"))


def test_the_workflow_follows_the_schema() -> None:
    """The file is one that GitHub takes."""
    schema = json.loads(
        (files("check_jsonschema") / "builtin_schemas" / "vendor" / "github-workflows.json").read_text("utf-8")
    )
    jsonschema.validators.validator_for(schema)(schema).validate(load(".github/workflows/ci.yml"))


def test_the_workflow_runs_what_ci_runs() -> None:
    """One step, on the Python that the constraints are for, and it may write nothing to the repository."""
    workflow = load(".github/workflows/ci.yml")
    [job] = workflow["jobs"].values()
    [setup] = [step for step in job["steps"] if step.get("uses", "").startswith("actions/setup-python@")]
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert setup["with"]["python-version"] == "3.11"
    assert "on Python 3.11" in (ROOT / "constraints.txt").read_text("utf-8")
    assert workflow["permissions"] == {"contents": "read"}


def test_the_hook_before_a_commit_has_the_version_of_the_constraints() -> None:
    """So that a commit which the hook formats is one that lint accepts."""
    [ruff] = [repo for repo in load(".pre-commit-config.yaml")["repos"] if "ruff" in repo["repo"]]
    assert ruff["rev"] == f"v{CONSTRAINTS['ruff']}"


def test_the_local_hook_runs_tests_that_there_are() -> None:
    """A test that was moved takes its hook along."""
    hooks = [
        hook for repo in load(".pre-commit-config.yaml")["repos"] if repo["repo"] == "local" for hook in repo["hooks"]
    ]
    named = [word for hook in hooks for word in hook["entry"].split() if word.startswith("tests/")]
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_paths_that_a_page_names_exist(name: str) -> None:
    """A file or a folder in backquotes is there, unless it is about to be written; so is the target of a link."""
    text = (ROOT / name).read_text("utf-8")
    for path in re.findall(r"`((?:tests|impl|oracles|properties|reports|docs)/[\w./-]*)`", text):
        assert "NAME" in path or (ROOT / path).exists(), path
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_every_room_is_in_the_plan() -> None:
    """ARCHITECTURE.md names each room, and no other."""
    text = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    rooms = {
        f"{path.parent.relative_to(ROOT).as_posix()}/"
        for floor in ("impl", "oracles", "properties", "reports")
        for path in (ROOT / floor).glob("*/__init__.py")
    }
    assert set(re.findall(r"^\| `((?:impl|oracles|properties|reports)/\w+/)` \|", text, re.M)) == rooms
