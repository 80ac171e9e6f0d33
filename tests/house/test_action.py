"""The action for GitHub: well formed, and its steps do what they say when a runner runs them."""

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commandline import SUBJECTS
from ruamel.yaml import YAML

from rmspec.reports.files.formats import FORMATS
from rmspec.reports.files.ndjson import read_log

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "action.yml").read_text("utf-8"))


def vendored(name: str) -> Any:
    """A schema that check-jsonschema ships."""
    place = files("check_jsonschema") / "builtin_schemas" / "vendor" / f"{name}.json"
    found = json.loads(place.read_text("utf-8"))
    return jsonschema.validators.validator_for(found)(found)


def step(name: str) -> dict[str, Any]:
    [found] = [each for each in ACTION["runs"]["steps"] if each["name"] == name]
    result: dict[str, Any] = found
    return result


def run(name: str, folder: Path, **inputs: str) -> tuple[subprocess.CompletedProcess[str], dict[str, str], list[str]]:
    """Run a step as the runner does: bash that stops at an error, inputs in its environment; with what it outputs."""
    given = {key: value["default"] for key, value in ACTION["inputs"].items()} | inputs
    values = {"${{ github.action_path }}": str(ROOT)}
    values |= {f"${{{{ inputs.{key} }}}}": value for key, value in given.items()}
    variables = {key: values[value] for key, value in step(name)["env"].items()}
    commands = folder / "commands"
    commands.mkdir(exist_ok=True)
    for command, line in {
        "rmspec": f'exec "{sys.executable}" -m rmspec.reports.cli "$@"',
        "python": f'printf "%s\\n" "$@" > "{folder}/asked"',
    }.items():
        (commands / command).write_text(f"#!/bin/sh\n{line}\n")
        (commands / command).chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        **variables,
    }
    script = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step(name)["run"]]
    done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    output = (folder / "output").read_text() if (folder / "output").exists() else ""
    asked = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    return done, dict(line.split("=", 1) for line in output.splitlines()), asked


def test_it_follows_the_schema_of_actions() -> None:
    """The file is one that GitHub takes; a step without a shell would not be."""
    validator = vendored("github-actions")
    validator.validate(ACTION)
    broken = json.loads(json.dumps(ACTION))
    del broken["runs"]["steps"][0]["shell"]
    assert not validator.is_valid(broken)


def test_no_input_is_part_of_a_script() -> None:
    """What a pull request can influence is data to the script, never text of it."""
    assert not [each["name"] for each in ACTION["runs"]["steps"] if "${{" in each["run"]]


def test_every_output_of_a_step_is_one_of_the_action() -> None:
    """By name, and each is written by the step."""
    for name, output in ACTION["outputs"].items():
        assert output["value"] == f"${{{{ steps.check.outputs.{name} }}}}"
        assert f'"{name}=' in step("Check")["run"]


def test_it_names_no_format() -> None:
    """A new format is written without a change of the action."""
    assert re.findall(r"--[\w-]+", step("Check")["run"]) == ["--reports"]


def test_a_deviation_fails_the_step_and_keeps_the_reports(tmp_path: Path) -> None:
    """The exit code is that of the check; annotations, the summary and every file are there."""
    (tmp_path / "mine.py").write_text(SUBJECTS)
    options = "--profile smoke --dtype float32 --fail-fast"
    done, output, _ = run("Check", tmp_path, subjects="mine.py:wrong\n  mine.py:good\n", options=options)
    assert done.returncode == 1, done.stderr
    assert output == {
        "exit-code": "1",
        "reports": f"{tmp_path}/rmspec-reports",
        "sarif": f"{tmp_path}/rmspec-reports/results.sarif",
    }
    assert done.stdout.count("\n::error ") == 1
    assert "::error file=mine.py,line=" in done.stdout
    assert "### Deviation: eps-placement" in (tmp_path / "summary.md").read_text()
    folder = tmp_path / "rmspec-reports"
    files = {file.name for file in folder.iterdir()}
    assert files == {row.file for row in FORMATS.values()}
    assert files >= {  # names that workflows may use
        "badge.json",
        "events.ndjson",
        "junit.xml",
        "repro",
        "report.html",
        "report.json",
        "report.md",
        "results.sarif",
    }
    assert read_log(str(folder / "events.ndjson")).header["subjects"] == ["mine.py:wrong", "mine.py:good"]


def test_what_an_input_holds_is_never_run(tmp_path: Path) -> None:
    """A name with shell in it is a name, of which there is no subject: exit code 2."""
    done, output, _ = run("Check", tmp_path, subjects='$(touch${IFS}owned) `touch owned`; touch "owned')
    assert done.returncode == 2
    assert output["exit-code"] == "2"
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    ("install", "asked"),
    [
        ("default", ["-m", "pip", "install", str(ROOT)]),
        ("-r requirements.txt rmspec", ["-m", "pip", "install", "-r", "requirements.txt", "rmspec"]),
    ],
)
def test_it_installs_what_is_asked_for(install: str, asked: list[str], tmp_path: Path) -> None:
    """This version of rmspec, or what the input says."""
    done, _, found = run("Install", tmp_path, install=install)
    assert (done.returncode, found) == (0, asked)
