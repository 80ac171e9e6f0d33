"""Reports that cannot be written: the others are, the message says which, and the exit code is that of the run."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commandline import COMMAND, SUBJECTS, report, rmspec

from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.files import junit
from rmspec.reports.problems import tell_failure

QUICK = ("--profile", "smoke", "--dtype", "float32", "--fail-fast", "-q")
HIDES = """
import os
import shutil

from mine import Wrong
from rmspec.oracles.numpy.subject import ReferenceSubject


class Hides(ReferenceSubject):
    def session(self, params):
        hide()
        return super().session(params)


class HidesWrong(Wrong, Hides):
    pass


def hide():
    shutil.rmtree("folder", ignore_errors=True)
    if not os.path.exists("out"):
        open("out", "w").close()


good, wrong = Hides(), HidesWrong()
"""
FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(SUBJECTS)
    (tmp_path / "hides.py").write_text(HIDES)
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.mark.parametrize(("subject", "code"), [("wrong", ExitCode.DEVIATES), ("good", ExitCode.BAD_INPUT)])
def test_a_report_without_a_place_hides_no_deviation_and_no_other_report(
    subject: str, code: ExitCode, folder: Path
) -> None:
    """Its folder is gone when the run ends; a run without a deviation fails for it."""
    lost = ("--junit", "folder/r.xml", "--markdown", "folder/r.md")
    done = rmspec(folder, "check", f"hides.py:{subject}", *QUICK, *lost, "--json", "r.json", "--sarif", "r.sarif")
    assert done.code == code, done.err
    assert report(folder / "r.json")["subjects"][0]["verdict"] == ("deviates" if subject == "wrong" else "conforms")
    assert (folder / "r.sarif").exists()
    assert done.err.count("rmspec: cannot write folder/r.") == 2
    assert f"hides.py:{subject}: " in done.out


@needs_full
@pytest.mark.parametrize("option", ["--ndjson", "--junit", "--html"])
def test_a_full_disk_hides_no_deviation(option: str, folder: Path) -> None:
    """From the start on, as for a log, or at the end."""
    done = rmspec(folder, "check", "mine.py:wrong", *QUICK, option, str(FULL), "--json", "r.json")
    assert done.code == ExitCode.DEVIATES
    assert done.err.splitlines()[0] == "rmspec: cannot write /dev/full: No space left on device"
    assert report(folder / "r.json")["exit_code"] == 1


@needs_full
@pytest.mark.parametrize("options", [(), ("--json", "-")], ids=["lines", "report"])
def test_a_full_standard_output_hides_no_deviation(options: tuple[str, ...], folder: Path) -> None:
    """What was to be printed is lost, and files are written."""
    command = [*COMMAND, "check", "mine.py:wrong", *QUICK, "--sarif", "r.sarif", *options]
    with FULL.open("w") as full:
        done = subprocess.run(command, cwd=folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ExitCode.DEVIATES
    assert "rmspec: cannot write to standard output: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert (folder / "r.sarif").exists()


def test_a_pipe_that_nobody_reads_hides_no_deviation(folder: Path) -> None:
    """It is no failure at all."""
    read, write = os.pipe()
    os.close(read)
    command = [*COMMAND, "check", "mine.py:wrong", *QUICK, "--sarif", "r.sarif", "--json", "-"]
    done = subprocess.run(command, cwd=folder, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert done.returncode == ExitCode.DEVIATES
    assert "rmspec:" not in done.stderr
    assert (folder / "r.sarif").exists()


def test_the_verification_report_without_a_place_hides_no_deviation(folder: Path) -> None:
    """A file has taken the place of its folder."""
    done = rmspec(folder, "report", "hides.py:wrong", *QUICK, "--out", "out/report", "--json", "r.json")
    assert done.code == ExitCode.DEVIATES
    assert "rmspec: " in done.err
    assert "report.html" not in done.out
    again = rmspec(folder, "report", "--from", "r.json", "--out", "out/report")
    assert again.code == ExitCode.BAD_INPUT  # nothing is written, and nothing was run


@needs_full
def test_an_identification_that_cannot_be_stored_is_printed(folder: Path) -> None:
    """It is no success either."""
    done = rmspec(folder, "identify", "mine.py:good", "--dtype", "float64", "--json", str(FULL))
    assert done.code == ExitCode.BAD_INPUT
    assert "cannot write /dev/full" in done.err
    assert "mine.py:good" in done.out


def test_a_fault_in_one_report_leaves_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of rmspec is told as one, behind the results."""

    def render(record: object) -> str:
        raise KeyError("no such thing")

    monkeypatch.setattr(junit, "render", render)
    done = rmspec(
        folder, "check", "mine.py:wrong", *QUICK, "--junit", "r.xml", "--sarif", "r.sarif", "--json", "r.json"
    )
    assert done.code == ExitCode.INTERNAL
    assert "rmspec: internal error: KeyError: 'no such thing'" in done.err
    assert report(folder / "r.json")["exit_code"] == 1
    assert (folder / "r.sarif").exists()
    assert "mine.py:wrong: deviates" in done.out


@pytest.mark.parametrize(
    ("error", "codes"),
    [
        (OSError(28, "No space left on device"), {0: 2, 1: 1, 4: 4, 5: 5, 6: 6, 130: 130}),
        (KeyError("x"), {0: 3, 1: 3, 2: 3, 130: 130}),
        (BrokenPipeError(), {0: 0, 1: 1}),
    ],
)
def test_the_exit_code_of_a_run_stands_above_an_unwritten_report(
    error: Exception, codes: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of rmspec stands above all but an interrupt."""
    silenced: Callable[[], None] = lambda: None  # noqa: E731
    monkeypatch.setattr("rmspec.reports.problems.silence_output", silenced)
    assert {code: int(tell_failure(error, ExitCode(code))) for code in codes} == codes
