"""``rmspec report`` as a user runs it: what is written, what is refused, and how it ends."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import jsonschema
import pytest
from commandline import SUBJECTS, interrupt, report, rmspec, start_rmspec, subject
from verifications import document, results, text

from rmspec.reports.documents import stored_json
from rmspec.reports.files.folder import check_place, put
from rmspec.reports.gate import exit_code
from rmspec.reports.problems import BadOption

pytest.importorskip("matplotlib")
pytest.importorskip("latex2mathml")

QUICK = ("--profile", "smoke", "--dtype", "float32")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("desk")
    (folder / "mine.py").write_text(SUBJECTS)
    (folder / "all.json").write_text(text(*results()))
    return folder


def test_a_report_of_a_run_holds_what_check_finds(desk: Path) -> None:
    """One command checks and writes; the exit code is that of check, and the programs can be replayed from there."""
    done = rmspec(
        desk, "report", "reference", "mine.py:wrong", *QUICK, "--fail-fast", "--out", "run", "--json", "run.json"
    )
    assert (done.code, done.err) == (1, "")
    assert done.out.rstrip().endswith("report: run/report.html")
    found = report(desk / "run" / "report.json")
    assert {key: value for key, value in found.items() if key != "verification"} == report(desk / "run.json")
    assert subject(found, "mine.py:wrong")["verdict"] == "deviates"
    programs = sorted(each.name for each in (desk / "run" / "repro").iterdir())
    assert programs
    file = next(f"run/repro/{each}" for each in programs if each.startswith("mine.py-wrong"))
    again = rmspec(desk, "repro", file, "--subject", "mine.py:wrong")
    assert again.code == 1, again.out + again.err
    assert sorted(each.name for each in (desk / "run").iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
        "repro",
    ]
    # The two give the same report, but for the run's own environment.
    done = rmspec(desk, "report", "--from", "run.json", "--out", "read", "--quiet")
    assert done.code == 1
    for name in ("report.html", "report.md", "report.json"):
        assert (desk / "read" / name).read_bytes() == (desk / "run" / name).read_bytes()


def test_a_framework_that_is_missing_is_shown_as_unsupported(desk: Path) -> None:
    """The subject is in the report, with the line that installs it, its clauses are not checked, and the run passes."""
    (desk / "hide").mkdir()
    (desk / "hide" / "sitecustomize.py").write_text(
        "import importlib.util as u\nf = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'tensorflow' else f(n, *a)\n"
    )
    hidden = {"PYTHONPATH": str(desk / "hide")}
    done = start_rmspec(
        desk, "report", "reference", "tensorflow:v1", *QUICK, "--time-budget", "2", "--out", "missing", **hidden
    )
    assert done.code == 0, done.out + done.err
    found = report(desk / "missing" / "report.json")
    assert subject(found, "tensorflow:v1")["verdict"] == "unsupported"
    assert {each["verdicts"][1] for each in found["verification"]["clauses"]} == {"not-checked"}
    assert "rmspec[tensorflow]" in (desk / "missing" / "report.html").read_text("utf-8")


def test_a_run_that_is_interrupted_leaves_a_report(desk: Path) -> None:
    """A Ctrl-C ends with exit code 130, and the report is whole, valid and marked incomplete."""
    arguments = ("report", "mine.py:hang", "reference", *QUICK, "--call-timeout", "100", "--out", "cut")
    assert interrupt(desk, *arguments, at="mine.py:hang").code == 130
    found = report(desk / "cut" / "report.json")
    jsonschema.Draft202012Validator(stored_json("schemas/report-1.json")).validate(found)
    assert found["complete"] is False
    assert "Incomplete" in (desk / "cut" / "report.html").read_text("utf-8")


def test_reports_of_several_runs_are_merged(desk: Path) -> None:
    """Two files make one report, whose exit code is that of both."""
    good, bad, _ = results()
    (desk / "good.json").write_text(text(good))
    (desk / "bad.json").write_text(text(bad))
    assert rmspec(desk, "report", "--from", "good.json", "--out", "good").code == 0
    assert rmspec(desk, "report", "--from", "good.json", "bad.json", "--out", "both").code == 1
    assert [each["name"] for each in report(desk / "both" / "report.json")["subjects"]] == [good.name, bad.name]


def test_an_interrupted_run_keeps_its_exit_code(desk: Path) -> None:
    """A report of it can be made, says so, and ends with 130."""
    (desk / "part.json").write_text(text(results()[0], complete=False))
    done = rmspec(desk, "report", "--from", "part.json", "--out", "part")
    assert done.code == 130
    assert "interrupted" in done.out
    assert "Incomplete" in (desk / "part" / "report.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reference",), "no folder is named"),
        (("--from", "--out", "x"), "no file is named"),
        (("--from", "all.json", "--seed", "1", "--out", "x"), "--seed has no use with --from"),
        (("--from", "all.json", "all2.json", "--out", "x"), "cannot read all2.json"),
        (("--from", "cut.json", "--out", "x"), "cut off"),
        (("--from", "all.json", "--out", "mine.py"), "not a folder"),
        (("--from", "all.json", "--out", "."), "which no report wrote"),
        (("--from", "all.json", "--out", "old"), "another run's report"),
        (("--from", "all.json", "--fail-on", "hazard", "--out", "x"), "did you mean hazards"),
        (("refrence", "--out", "x"), "did you mean reference"),
        (("reference", "--prfile", "smoke", "--out", "x"), "--prfile"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_message(desk: Path, arguments: tuple[str, ...], told: str) -> None:
    """Exit code 2, no traceback, and nothing is written."""
    (desk / "cut.json").write_text(text(results()[0])[:5000])
    (desk / "old" / "repro").mkdir(parents=True, exist_ok=True)
    (desk / "old" / "report.json").write_text("{}")
    done = rmspec(desk, "report", *arguments)
    assert done.code == 2, done.out
    assert told in done.err
    assert "Traceback" not in done.err
    assert not (desk / "x").exists()
    assert (desk / "old" / "report.json").read_text() == "{}"
    assert [each for each in desk.iterdir() if each.name.startswith(".")] == []


@pytest.mark.parametrize(
    ("module", "loss"),
    [("matplotlib", "its plots are left out"), ("latex2mathml", "its pseudocode is plain text")],
)
def test_without_a_library_of_the_extra_a_report_is_written_and_says_what_it_lacks(
    desk: Path, module: str, loss: str
) -> None:
    """On standard error and in the page; all else is there."""
    (desk / "results.json").write_text(text(results()[0]))
    code = "import sys, importlib.util as u; f = u.find_spec\n"
    code += f"sys.modules[{module!r}] = None\n"
    code += f"u.find_spec = lambda n, *a: None if n == {module!r} else f(n, *a)\n"
    code += "from rmspec.reports.cli.main import main\n"
    code += f"sys.exit(main(['report', '--from', 'results.json', '--out', 'without-{module}']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=False)
    assert done.returncode == exit_code(results()[:1])
    assert f"{loss}, since {module} is not installed: pip install 'rmspec[report]'" in done.stderr
    page = (desk / f"without-{module}" / "report.html").read_text("utf-8")
    assert ("matplotlib is not installed" in page) is (module == "matplotlib")
    assert ("<svg" in page) is (module != "matplotlib")
    assert ("<math" in page) is (module != "latex2mathml")


class TestFolder:
    """A report is whole, and never mixed with another."""

    OLD: ClassVar = {"report.json": "old", "repro/a.json": "{}", "repro/known/a.json": "{}"}
    NEW: ClassVar = {"report.json": "new", "repro/b.json": "{}"}

    def listed(self, folder: Path) -> list[str]:
        return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*"))

    def test_an_older_report_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        """With --force nothing of the older one is left; without, nothing of the new one is written."""
        place = str(tmp_path / "deep" / "out")
        put(place, self.OLD)
        with pytest.raises(BadOption, match="another run's report"):
            put(place, self.NEW)
        assert (Path(place) / "report.json").read_text() == "old"
        put(place, self.NEW, force=True)
        assert self.listed(Path(place)) == sorted(["repro", "repro/b.json", "report.json"])
        assert [each.name for each in (tmp_path / "deep").iterdir()] == ["out"]

    def test_a_users_own_file_is_never_removed(self, tmp_path: Path) -> None:
        """Not even with --force."""
        put(str(tmp_path / "out"), self.OLD)
        (tmp_path / "out" / "thesis.tex").write_text("mine")
        with pytest.raises(BadOption, match=r"thesis\.tex"):
            check_place(str(tmp_path / "out"), force=True)
        with pytest.raises(BadOption, match=r"thesis\.tex"):
            put(str(tmp_path / "out"), self.NEW, force=True)
        assert (tmp_path / "out" / "thesis.tex").read_text() == "mine"

    def test_a_failed_move_leaves_the_older_report(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """And nothing beside it."""
        put(str(tmp_path / "out"), self.OLD)
        replace, calls = os.replace, []

        def second_fails(one: object, other: object) -> None:
            calls.append(one)
            if len(calls) == 2:
                raise OSError(28, "No space left on device")
            replace(one, other)  # type: ignore[call-overload]

        monkeypatch.setattr("os.replace", second_fails)
        with pytest.raises(BadOption, match="No space left on device"):
            put(str(tmp_path / "out"), self.NEW, force=True)
        assert (tmp_path / "out" / "report.json").read_text() == "old"
        assert [each.name for each in tmp_path.iterdir()] == ["out"]

    def test_an_empty_folder_and_a_link_to_one_are_filled(self, tmp_path: Path) -> None:
        """A link stays a link."""
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to("real")
        put(str(tmp_path / "link"), self.NEW)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "real" / "report.json").read_text() == "new"

    def test_the_document_is_what_was_run(self) -> None:
        """Two documents of one run are equal, so that two reports of it are."""
        assert json.dumps(document()) == json.dumps(document())
