"""A run that is interrupted, by hand or by a CI: exit code 130, and every report valid and marked incomplete."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from commandline import COMMAND, SUBJECTS, heed_interrupts, report

from rmspec.reports.documents import stored_json
from rmspec.reports.files.ndjson import MissingFooter, read_log

SCHEMAS = Path(__file__).parents[1] / "schemas"
NAMES = ("mine.py:wrong", "mine.py:hang", "mine.py:hang1")
OUTPUTS = {
    "json": "r.json",
    "junit": "r.xml",
    "sarif": "r.sarif",
    "badge": "badge.json",
    "ndjson": "r.ndjson",
    "html": "r.html",
    "markdown": "r.md",
}


@pytest.fixture(scope="module", params=[signal.SIGINT, signal.SIGTERM], ids=lambda each: each.name)
def interrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on GitHub that a signal ended while its second subject hung, after the first deviated."""
    folder = tmp_path_factory.mktemp("interrupted")
    started(folder, request.param)
    return folder


def started(folder: Path, number: signal.Signals) -> None:
    """Run until the second subject hangs, send the signal, and wait for the end."""
    (folder / "mine.py").write_text(SUBJECTS)
    outputs = [part for option, name in OUTPUTS.items() for part in (f"--{option}", name)]
    options = ("--profile", "smoke", "--dtype", "float32", "--call-timeout", "100", "--fail-fast", *outputs)
    environment = {**os.environ, "GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
    with (
        (folder / "out").open("w") as out,
        subprocess.Popen(
            [*COMMAND, "check", *NAMES, *options],
            cwd=folder,
            stdout=out,
            stderr=out,
            env=environment,
            preexec_fn=heed_interrupts,
        ) as process,
    ):
        log = folder / "r.ndjson"
        while process.poll() is None and not (log.exists() and '"mine.py:hang", "framework"' in log.read_text()):
            time.sleep(0.05)
        process.send_signal(number)
        code = process.wait(300)
    (folder / "code").write_text(str(code))


def test_the_exit_code_is_130(interrupted: Path) -> None:
    """Whatever deviated before."""
    assert (interrupted / "code").read_text() == "130", (interrupted / "out").read_text()
    assert "Traceback" not in (interrupted / "out").read_text()


def test_the_json_report_is_valid_and_incomplete(interrupted: Path) -> None:
    """What was found is in it, and what was not reached is said to be so."""
    data = report(interrupted / "r.json")
    jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)
    assert data["complete"] is False
    assert [each["verdict"] for each in data["subjects"]] == ["deviates", "inconclusive", "inconclusive"]
    assert [each["complete"] for each in data["subjects"]] == [True, False, False]


def test_the_junit_report_is_valid_and_incomplete(interrupted: Path) -> None:
    """The failure is there, the others are errors, and each suite is marked."""
    text = (interrupted / "r.xml").read_text()
    xmlschema.XMLSchema(SCHEMAS / "junit.xsd").validate(text)
    root = ElementTree.fromstring(text)
    assert [each.get("type") for each in root.iter("failure")] == ["eps-placement"]
    # The second is checked ahead, as far as it came.
    assert all(str(each.get("message")).startswith("interrupted") for each in root.iter("error"))
    assert len(list(root.iter("error"))) == 2
    assert {each.get("value") for each in root.iter("property") if each.get("name") == "complete"} == {"false"}


def test_the_sarif_log_is_valid_and_incomplete(interrupted: Path) -> None:
    """It is no successful execution."""
    data = json.loads((interrupted / "r.sarif").read_text())
    jsonschema.Draft4Validator(json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())).validate(data)
    [run] = data["runs"]
    assert [each["ruleId"] for each in run["results"]] == ["eps-placement"]
    assert run["properties"]["complete"] is False
    assert run["invocations"][0]["executionSuccessful"] is False


def test_the_event_log_has_its_footer(interrupted: Path) -> None:
    """It is whole, and its footer says that the run is not."""
    log = read_log(str(interrupted / "r.ndjson"))
    assert log.footer["complete"] is False
    assert sum(event["event"] == "subject-finished" for event in log.events) == 3


def test_what_people_look_at_says_interrupted(interrupted: Path) -> None:
    """The badge, the page, the Markdown, the summary of the job and its annotations."""
    badge: dict[str, Any] = json.loads((interrupted / "badge.json").read_text())
    assert badge["message"] == "interrupted"
    for name in ("r.html", "r.md", "summary.md"):
        assert "Interrupted: this report holds what was known by then" in (interrupted / name).read_text()
    out = (interrupted / "out").read_text()
    assert "::error title=rmspec was interrupted::" in out
    assert "title=eps-placement%3A" in out
    assert sorted(each.name for each in interrupted.iterdir() if each.name.startswith(".")) == []


def test_a_run_that_is_killed_leaves_a_log_that_says_so(tmp_path: Path) -> None:
    """Nothing can be written then: the log has what came before, and is refused as cut off; no other report is there."""
    started(tmp_path, signal.SIGKILL)
    lines = [json.loads(line) for line in (tmp_path / "r.ndjson").read_text().splitlines()]
    assert "deviation" in [line["event"] for line in lines]
    with pytest.raises(MissingFooter):
        read_log(str(tmp_path / "r.ndjson"))
    assert not [name for option, name in OUTPUTS.items() if option != "ndjson" and (tmp_path / name).exists()]
