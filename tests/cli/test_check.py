"""``rmspec check`` as a user runs it: exit codes, reports, trouble with subjects, interruption, same bytes twice."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from commandline import (
    COMMAND,
    SUBJECTS,
    Ran,
    interrupt,
    lines_over,
    report,
    rmspec,
    start_rmspec,
    subject,
    without_seconds,
)

from rmspec.oracles.program.program import from_json
from rmspec.reports.documents import stored_json

SMOKE = ("--profile", "smoke", "--dtype", "float32")
SHORT = ("reference", *SMOKE, "--time-budget", "0.001")
"""A check for tests of its output alone."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the subjects that need no framework."""
    made = tmp_path_factory.mktemp("check")
    (made / "mine.py").write_text(SUBJECTS)
    return made


@pytest.fixture(scope="module")
def conforming(folder: Path) -> tuple[Ran, dict[str, Any]]:
    """A run over two subjects that conform, one of which prints to standard output."""
    ran = start_rmspec(folder, "check", "reference", "mine.py:noisy", *SMOKE, "--json", "-")
    return ran, json.loads(ran.out)


@pytest.fixture(scope="module")
def deviating(folder: Path) -> tuple[Ran, dict[str, Any]]:
    """A run over a subject that deviates, with every kind of report."""
    outputs = ("--json", "d.json", "--junit", "d.xml", "--html", "d.html", "--markdown", "d.md", "--repro-dir", "repro")
    ran = rmspec(folder, "check", "mine.py:wrong", *SMOKE, "--fail-fast", *outputs)
    return ran, report(folder / "d.json")


@pytest.fixture(scope="module")
def troubled(folder: Path) -> tuple[Ran, dict[str, Any]]:
    """A run over subjects that crash, hang, raise and leave, followed by one that conforms."""
    names = [f"mine.py:{name}" for name in ("crash", "segfault", "hang", "error", "leaves", "good")]
    options = ("--call-timeout", "3", "--json", "t.json", "--junit", "t.xml")
    ran = start_rmspec(folder, "check", *names, *SMOKE, *options)
    return ran, report(folder / "t.json")


def test_a_subject_that_conforms_is_exit_code_0(conforming: tuple[Ran, dict[str, Any]]) -> None:
    """Subjects that conform end with exit code 0, a verdict each, and clauses that were checked."""
    ran, data = conforming
    assert ran.code == 0, ran.err
    for name in ("reference", "mine.py:noisy"):
        found = subject(data, name)
        assert found["verdict"] == "conforms"
        assert found["element_checks"] > 10_000
        assert sum(clause["verdict"] == "conforms" for clause in found["clauses"]) > 20


def test_the_report_on_standard_output_is_json_alone(conforming: tuple[Ran, dict[str, Any]]) -> None:
    """With --json - standard output is the report, whatever a subject prints, and the terminal is standard error."""
    ran, data = conforming
    assert data["schema"] == "rmspec.report/1"
    assert "reference: conforms" in ran.err
    assert "not JSON" not in ran.err


def test_reports_of_real_runs_follow_the_schema(
    conforming: tuple[Ran, dict[str, Any]],
    deviating: tuple[Ran, dict[str, Any]],
    troubled: tuple[Ran, dict[str, Any]],
) -> None:
    """Every report validates against the published JSON Schema, and its programs against theirs."""
    for _, data in (conforming, deviating, troubled):
        jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)
        for found in data["subjects"]:
            for deviation in (*found["deviations"], *found["hazards"]):
                assert len(from_json(deviation["program"]).calls) == deviation["calls"]


def test_the_same_seed_gives_the_same_bytes(folder: Path, conforming: tuple[Ran, dict[str, Any]]) -> None:
    """In another process, beside other subjects and in another order, a subject's report is the same but for times."""
    ran = start_rmspec(folder, "check", "mine.py:good", "reference", *SMOKE, "--json", "again.json", PYTHONHASHSEED="7")
    assert ran.code == 0
    again = report(folder / "again.json")
    before = conforming[1]
    assert again["environment"] == before["environment"]
    first, second = (json.dumps(without_seconds(subject(data, "reference"))) for data in (before, again))
    assert first == second


def test_another_seed_gives_other_programs(folder: Path, conforming: tuple[Ran, dict[str, Any]]) -> None:
    """The report's fingerprint tells the programs of one seed from those of another."""
    options = ("--seed", "1", "--fail-fast", "--json", "seed.json")
    rmspec(folder, "check", "mine.py:wrong", *SMOKE, *options)
    fingerprints = {data["environment"]["fingerprint"] for data in (conforming[1], report(folder / "seed.json"))}
    assert len(fingerprints) == 2


def test_a_subject_that_deviates_is_exit_code_1(deviating: tuple[Ran, dict[str, Any]]) -> None:
    """A deviation that nothing excuses ends with exit code 1; --fail-fast stops at the first."""
    ran, data = deviating
    assert ran.code == 1, ran.err
    found = subject(data, "mine.py:wrong")
    assert found["verdict"] == "deviates"
    [deviation] = [each for each in found["deviations"] if each["known"] is None]
    assert deviation["clause"] == "eps-placement"
    assert "stopped at the first deviation" in found["search"]


def test_a_deviation_is_printed_in_full(deviating: tuple[Ran, dict[str, Any]]) -> None:
    """The block has the clause and its title, observed and allowed in decimal and hex, the program, and the replay."""
    out = deviating[0].out
    assert "DEVIATION of mine.py:wrong\n  eps-placement: eps is added outside the square root\n" in out
    for part in ("  observed  ", "  allowed   from ", "            to   "):
        [line] = [line for line in out.splitlines() if line.startswith(part)]
        decimal, hexadecimal = line.removeprefix(part).split(" = ")
        assert float.fromhex(hexadecimal) == float(decimal)
    assert "A = RMSprop([" in out
    assert "A.step()    # <- here" in out
    assert (
        "  reproduce it with:\n    rmspec repro repro/mine.py-wrong-eps-placement.json --subject mine.py:wrong\n" in out
    )


def test_the_terminal_report_fits_the_page_and_has_no_colour(
    deviating: tuple[Ran, dict[str, Any]], troubled: tuple[Ran, dict[str, Any]]
) -> None:
    """Away from a terminal the output is plain text of 80 columns, header and verdict table included."""
    for ran in (deviating[0], troubled[0]):
        assert "\x1b" not in ran.out
        # A command stands whole.
        assert [line for line in lines_over(ran.out, 80) if "rmspec repro" not in line] == []
        assert ran.out.startswith("rmspec ")
        assert "profile smoke, seed 0, policy strict, device cpu" in ran.out
        assert re.search(r"\n\S+: (deviates from \d+ clauses?|conforms|errored)", ran.out)


def test_every_report_is_written(folder: Path, deviating: tuple[Ran, dict[str, Any]]) -> None:
    """All report files are there, whole, and the stored program is the one in the JSON report."""
    assert "</html>" in (folder / "d.html").read_text()
    assert "</testsuites>" in (folder / "d.xml").read_text()
    assert "eps-placement" in (folder / "d.md").read_text()
    stored = json.loads((folder / "repro" / "mine.py-wrong-eps-placement.json").read_text())
    shows = stored.pop("shows")
    assert (shows["kind"], shows["call"]) == ("value", len(stored["calls"]) - 1)
    assert stored in [each["program"] for each in subject(deviating[1], "mine.py:wrong")["deviations"]]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("crash", "it crashed: its interpreter ended with exit status 7 while it was checked"),
        ("segfault", "it crashed: its interpreter was ended by SIGSEGV while it was checked, at mine.py"),
        ("hang", "it hung: no answer for 3 s while it was checked, at mine.py, line"),
        ("error", "raised RuntimeError in session: as it likes"),
        ("leaves", "SystemExit"),
    ],
)
def test_a_subject_in_trouble_is_errored(troubled: tuple[Ran, dict[str, Any]], name: str, message: str) -> None:
    """A crash, a hang or an exception where none may be makes a subject errored, and the report says what happened."""
    found = subject(troubled[1], f"mine.py:{name}")
    assert found["verdict"] == "errored"
    assert not found["complete"]
    assert message in found["message"]


def test_trouble_alone_is_exit_code_4(troubled: tuple[Ran, dict[str, Any]]) -> None:
    """Where a subject could not be driven and nothing deviated, the exit code is 4, and nothing is blamed on rmspec."""
    assert troubled[0].code == 4
    assert "Traceback" not in troubled[0].out + troubled[0].err


def test_what_a_subject_last_printed_is_told(troubled: tuple[Ran, dict[str, Any]]) -> None:
    """The last lines of a crashed subject's output are in the report."""
    assert "about to end" in subject(troubled[1], "mine.py:crash")["message"]


def test_trouble_of_one_subject_is_no_trouble_of_the_next(troubled: tuple[Ran, dict[str, Any]]) -> None:
    """After crashes and hangs the remaining subjects are checked as if alone."""
    assert subject(troubled[1], "mine.py:good")["verdict"] == "conforms"


def test_deviations_before_a_crash_are_kept(folder: Path) -> None:
    """A subject that deviates and then crashes is errored, its deviation is reported, and the exit code is 1."""
    ran = rmspec(folder, "check", "mine.py:wrong_then_exits", *SMOKE, "--json", "w.json")
    found = subject(report(folder / "w.json"), "mine.py:wrong_then_exits")
    assert found["verdict"] == "errored"
    assert "eps-placement" in [each["clause"] for each in found["deviations"]]
    assert ran.code == 1


def test_a_deviation_that_its_program_does_not_show_alone_is_marked(
    folder: Path, deviating: tuple[Ran, dict[str, Any]]
) -> None:
    """State that a subject keeps in its process is told, in the block and in the report; any other deviation is not."""
    ran = rmspec(folder, "check", "mine.py:later", *SMOKE, "--fail-fast", "--json", "later.json")
    assert ran.code == 1, ran.out + ran.err
    assert "a fresh process does not show it" in ran.out
    [found] = subject(report(folder / "later.json"), "mine.py:later")["deviations"]
    assert found["reason"].startswith("a fresh process does not show it")
    ran, data = deviating
    assert "fresh process" not in ran.out
    [found] = subject(data, "mine.py:wrong")["deviations"]
    assert found["reason"] == ""


def test_the_printed_command_has_the_options_that_found_the_deviation(folder: Path) -> None:
    """Typed as it stands, it finds the same again and stores it; options at their default are left out."""
    options = ("--profile", "smoke", "--seed", "3", "--dtype", "float32,float64", "--without", "centered,momentum")
    ran = rmspec(folder, "check", "mine.py:wrong", *options, "--fail-fast")
    options_as_typed = "--profile smoke --seed 3 --dtype float32,float64 --without centered,momentum"
    wanted = f"rmspec check mine.py:wrong {options_as_typed} --repro-dir repro"
    assert wanted in ran.out
    again = rmspec(folder, *wanted.split()[1:])
    assert again.code == 1
    assert (folder / "repro" / "mine.py-wrong-eps-placement.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("command", [("clauses",), ("check", *SHORT), ("check", *SHORT, "--json", "-")])
def test_a_full_disk_is_exit_code_2(folder: Path, command: tuple[str, ...]) -> None:
    """Where standard output cannot be written, one message says so, and nothing is blamed on rmspec."""
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*COMMAND, *command], cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    # A budget that a slow machine spends before anything is checked makes it inconclusive, which stands above.
    assert done.returncode in ((2,) if command == ("clauses",) else (2, 5)), done.stderr
    assert "rmspec: cannot write to standard output: No space left on device\n" in done.stderr
    assert "Traceback" not in done.stderr


INTERRUPTED = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
from rmspec.reports.cli.start import main
sys.exit(main())
"""


def test_a_ctrl_c_while_the_command_is_imported_is_one_line(folder: Path) -> None:
    """It may come at any time, from the first import on."""
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "rmspec: interrupted\n")


BLOCKED = """
import sys
from pathlib import Path
from rmspec.reports.run.parent import Overseer

if __name__ == "__main__":
    with Overseer(forks=sys.argv[1] == "fork") as overseer:
        overseer._started()
        status = Path(f"/proc/{overseer._process.pid}/status").read_text()
        lines = dict(line.split(":") for line in status.splitlines())
        print(int(lines["SigBlk"], 16) | int(lines["SigIgn"], 16))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc to read a signal mask from")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_ctrl_c_while_the_worker_is_started_is_the_parents_to_tell(folder: Path, start: str) -> None:
    """It is blocked in the worker from the start, and ignored later: the worker neither dies of it nor prints where it was."""
    (folder / "blocked.py").write_text(BLOCKED)
    command = [sys.executable, "blocked.py", start]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert int(done.stdout) & 1 << (signal.SIGINT - 1)


def test_nothing_to_check_is_exit_code_5(folder: Path) -> None:
    """Where the one subject is not supported here, the exit code is 5, and the report says why."""
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("torch:capturable is supported here")
    ran = rmspec(folder, "check", "torch:capturable", *SMOKE)
    assert ran.code == 5, ran.out
    assert "unsupported" in ran.out
    assert "CUDA" in ran.out
    assert "--device" not in ran.out


def test_a_stale_entry_is_exit_code_6(folder: Path) -> None:
    """A known deviation that no longer occurs is named, and the exit code is 6."""
    (folder / "stale.toml").write_text(
        '[[known]]\nid = "was-once"\nclause = "hooks"\nsubject = "reference"\nreason = "mended since"\n'
    )
    ran = rmspec(folder, "check", "reference", *SMOKE, "--known", "stale.toml", "-q")
    assert ran.code == 6, ran.out + ran.err
    assert "stale known deviations: was-once" in ran.out


def test_hazards_fail_on_request(folder: Path) -> None:
    """A hazard of the formula is exit code 0, and 1 with --fail-on hazards."""
    options = ("check", "reference", *SMOKE, "-q")
    assert rmspec(folder, *options, "--fail-on", "hazards").code == 1


def test_an_interrupted_run_keeps_what_is_known(folder: Path) -> None:
    """A Ctrl-C ends with exit code 130; every report is written, valid, marked incomplete; no process is left."""
    outputs = ("--json", "i.json", "--junit", "i.xml", "--html", "i.html", "--markdown", "i.md")
    # More than are checked at a time.
    names = ("mine.py:good", *(f"mine.py:hang{number}" for number in range(9)))
    options = (*SMOKE, "--call-timeout", "100", *outputs)
    ran = interrupt(folder, "check", *names, *options, at="mine.py:hang0")
    assert ran.code == 130
    assert "interrupted" in ran.out
    assert ran.err == ""
    data = report(folder / "i.json")
    jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(data)
    assert data["complete"] is False
    assert [found["verdict"] for found in data["subjects"]] == ["conforms", *["inconclusive"] * 9]
    messages = [found["message"] for found in data["subjects"]]
    assert (messages[1], messages[-1]) == ("interrupted", "interrupted before it was checked")
    assert all((folder / name).exists() for name in outputs[1::2])


def test_an_interrupted_check_keeps_its_counts(folder: Path) -> None:
    """What was verified by then is in the report: steps, checks and the verdict of each clause that they are about."""
    # It takes a minute, and tells how it stands twice a second.
    ran = interrupt(
        folder, "check", "mine.py:slow", *SMOKE, "--json", "counts.json", at="mine.py:slow:", until=folder / "forty"
    )
    assert ran.code == 130
    found = subject(report(folder / "counts.json"), "mine.py:slow")
    assert (found["message"], found["complete"]) == ("interrupted", False)
    assert found["steps"] > 0
    assert found["element_checks"] > 0
    clauses = {clause["id"]: clause for clause in found["clauses"]}
    assert clauses["square-avg"]["verdict"] == "conforms"
    assert clauses["square-avg"]["checks"] > 0
    assert clauses["maximize"]["verdict"] == "not-checked"


def test_a_terminal_shows_progress_and_colour_unless_told_not_to(folder: Path) -> None:
    """On a terminal there is a transient progress display; with NO_COLOR there are no colours."""
    pty = pytest.importorskip("pty")
    main, worker = pty.openpty()
    command = [*COMMAND, "check", "reference", *SMOKE, "--fail-fast"]
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "NO_COLOR": "1"}
    with subprocess.Popen(command, cwd=folder, stdout=worker, stderr=worker, env=environment) as process:
        os.close(worker)
        shown = b""
        while True:
            try:
                chunk = os.read(main, 65536)
            except OSError:
                break
            if not chunk:
                break
            shown += chunk
        assert process.wait(300) == 0
    os.close(main)
    text = shown.decode()
    assert "generating programs" in text
    assert "\x1b[?25h" in text  # the cursor is back
    assert "\x1b[32m" not in text


@pytest.mark.skipif(sys.platform == "win32", reason="a shell pipeline")
def test_a_reader_that_goes_away_changes_no_verdict(folder: Path) -> None:
    """Piped into head, the check goes on and ends with its own exit code, without a word on standard error."""
    command = " ".join([*COMMAND, "check", "mine.py:wrong", *SMOKE, "--fail-fast", "--json", "piped.json"])
    line = f"{command} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert report(folder / "piped.json")["complete"] is True


@pytest.mark.parametrize(("name", "clause", "code"), [("good", "hooks", 6), ("wrong", "eps-placement", 1)])
def test_an_expired_entry_no_longer_counts(folder: Path, name: str, clause: str, code: int) -> None:
    """Its deviation is new again, exit code 1; where nothing deviates the list is stale, 6; it is named, with its date."""
    (folder / f"expired-{name}.toml").write_text(
        f'[[known]]\nid = "for-now"\nclause = "{clause}"\nsubject = "mine.py:{name}"\nreason = "for now"\n'
        "expires = 2020-01-31\n"
    )
    ran = rmspec(folder, "check", f"mine.py:{name}", *SMOKE, "--fail-fast", "--known", f"expired-{name}.toml")
    assert ran.code == code, ran.out + ran.err
    assert "    for-now: it expired on 2020-01-31, and no longer counts\n" in ran.out
