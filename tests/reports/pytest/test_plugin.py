"""The pytest plugin: one test for each clause, from the command line and from a marker."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import SUBJECTS

from rmspec.reports.pytest.clauses import CLAUSE_TESTS, KNOWN_LIST

pytest_plugins = ["pytester"]

QUICK = ("--rmspec-profile", "smoke", "--rmspec-dtype", "float32")
NARROW = (*QUICK, "--rmspec-without", "centered,momentum,weight_decay")
"""For a subject that deviates: to explain its deviations takes longer than to find them."""
TESTS = len(CLAUSE_TESTS)

MARKED = """
import pytest

pytestmark = pytest.mark.filterwarnings("error")
seen = []


@pytest.mark.rmspec("mine.py:good", profile="smoke", dtype="float32")
def test_good():
    seen.append(True)


@pytest.mark.rmspec("mine.py:wrong", profile="smoke", dtype=["float32"], without="centered,momentum,weight_decay")
def test_wrong(rmspec_clause):
    assert rmspec_clause


def test_other():
    assert len(seen) > 50
"""


def make_project(folder: Path) -> None:
    """Write optimizers of a project; each of their checks says in a file that it was done."""
    told = "with open('checks', 'a') as file: file.write('checked\\n')\n"
    folder.joinpath("mine.py").write_text(SUBJECTS + f"\nif __name__.startswith('_rmspec'):\n    {told}")


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with optimizers of its own."""
    make_project(pytester.path)
    monkeypatch.setenv("COLUMNS", "80")
    return pytester


PLAIN = ("-W", "error", "-p", "no:cacheprovider", "-p", "no:benchmark")


def ran(project: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return project.runpytest_subprocess(*PLAIN, *arguments)


@pytest.fixture(scope="module")
def deviating(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, list[str]]:
    """A run of one process over a subject that deviates: its exit code, and the lines of its output."""
    folder = tmp_path_factory.mktemp("deviating")
    make_project(folder)
    command = [sys.executable, "-m", "pytest", *PLAIN, "--rmspec", "mine.py:wrong", *NARROW]
    environment = {**os.environ, "COLUMNS": "80"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_a_subject_that_conforms_passes_clause_by_clause(project: pytest.Pytester) -> None:
    """Each clause is a test; what was not checked is skipped, with the reason."""
    done = ran(project, "--rmspec", "mine.py:good", *QUICK, "-rs")
    outcomes = done.parseoutcomes()
    assert done.ret == 0
    assert sum(outcomes.values()) == TESTS
    assert outcomes["passed"] > 40
    done.stdout.fnmatch_lines(["rmspec: mine.py:good", "SKIPPED*not checked: *"])


def test_a_deviation_fails_its_clause_with_the_block(deviating: tuple[int, list[str]]) -> None:
    """The failure is the deviation as it is always printed: rule, observed, allowed, program, two ways to reproduce it."""
    code, lines = deviating
    assert code == 1
    assert pytest.RunResult.parse_summary_nouns(lines)["failed"] >= 1
    pytest.LineMatcher(lines).fnmatch_lines(
        [
            "DEVIATION of mine.py:wrong",
            "  eps-placement: eps is added outside the square root",
            "  observed  *0x*",
            "  allowed   from *0x*",
            "  program (float32; * call*):",
            "    rmspec check mine.py:wrong --repro-dir repro",
            "FAILED rmspec::mine.py:wrong::eps-placement*",
        ]
    )
    assert "pytest_plugin.py" not in "\n".join(lines)


def test_clauses_are_chosen_by_name(project: pytest.Pytester) -> None:
    """``-k`` takes the ids of clauses, ``-m rmspec`` all of them."""
    project.makepyfile("def test_other(): pass")
    done = ran(project, "--rmspec", "mine.py:good", *QUICK, "-k", "eps-placement", "-v")
    done.assert_outcomes(passed=1, deselected=TESTS)
    done.stdout.fnmatch_lines(["rmspec::mine.py:good::eps-placement PASSED*"])
    done = ran(project, "--rmspec", "mine.py:good", *QUICK, "-m", "rmspec", "--co", "-q")
    done.stdout.fnmatch_lines([f"{TESTS}/{TESTS + 1} tests collected*"])


def test_a_marked_function_is_a_test_for_each_clause(project: pytest.Pytester) -> None:
    """Its body runs first, and may be empty; each subject is checked once."""
    project.makepyfile(test_mine=MARKED)
    done = ran(project, "test_mine.py")
    outcomes = done.parseoutcomes()
    assert sum(outcomes.values()) == 2 * TESTS + 1
    done.stdout.fnmatch_lines(["FAILED test_mine.py::test_wrong?eps-placement?*"])
    assert "test_good[" not in done.stdout.str()
    # Once each, and the one counterexample is replayed in a process in which nothing went before.
    assert project.path.joinpath("checks").read_text().count("checked") == 3


def test_workers_of_xdist_share_one_check(project: pytest.Pytester, deviating: tuple[int, list[str]]) -> None:
    """The outcomes are those of one process, and the subject is loaded and checked once."""
    done = ran(project, "--rmspec", "mine.py:wrong", *NARROW, "-n", "2")
    assert done.parseoutcomes() == pytest.RunResult.parse_summary_nouns(deviating[1])
    # Once, and the one counterexample is replayed in a process in which nothing went before.
    assert project.path.joinpath("checks").read_text().count("checked") == 2


def test_a_known_deviation_is_expected_to_fail(project: pytest.Pytester) -> None:
    """It is an xfail with the id and the reason, and a stale entry fails the test of the list."""
    entries = [("tf", "eps-placement", "on purpose"), ("old", "hooks", "long gone")]
    lines = [
        f'[[known]]\nid = "{id}"\nclause = "{clause}"\nsubject = "mine.py:wrong"\nreason = "{reason}"\n'
        for id, clause, reason in entries
    ]
    project.path.joinpath("known.toml").write_text("\n".join(lines))
    done = ran(project, "--rmspec", "mine.py:wrong", *NARROW, "--rmspec-known", "known.toml", "-rxf")
    assert done.ret == 1
    done.stdout.fnmatch_lines(["stale known deviations:", "  old: *"])
    done.stdout.fnmatch_lines(["XFAIL rmspec::mine.py:wrong::eps-placement - *tf: on purpose"])
    done.stdout.fnmatch_lines([f"FAILED rmspec::mine.py:wrong::{KNOWN_LIST}*"])


def test_a_subject_that_crashes_fails_every_clause(project: pytest.Pytester) -> None:
    """The process of pytest goes on, and says what happened."""
    done = ran(project, "--rmspec", "mine.py:crash", *QUICK, "-k", "eps-placement")
    done.assert_outcomes(failed=1, deselected=TESTS - 1)
    done.stdout.fnmatch_lines(["*it crashed: its interpreter ended with exit status 7*"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--rmspec", "mine.py:good", "--rmspec-profile", "smok"), "did you mean smoke?"),
        (("--rmspec", "torhc"), "did you mean torch?"),
        (("--rmspec-profile", "smoke"), "--rmspec-profile needs --rmspec SUBJECT"),
        (("--rmspec", "mine.py:good", "--rmspec-seed", "one"), "seed='one' is not a number"),
    ],
)
def test_what_is_typed_wrongly_is_a_usage_error(
    project: pytest.Pytester, arguments: tuple[str, ...], words: str
) -> None:
    """Before anything is collected, with the closest name."""
    done = ran(project, *arguments)
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    assert words in done.stderr.str() + done.stdout.str()


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("'mine.py:good', profil='smoke'", "unknown option 'profil'; did you mean profile?"),
        ("", "takes one subject"),
        ("3", "no class or function that a file defines"),
        ("'nowhere.py:good'", "there is no file nowhere.py"),
    ],
)
def test_a_marker_that_is_wrong_is_an_error(project: pytest.Pytester, marker: str, words: str) -> None:
    """It names the test, and no traceback is shown."""
    project.makepyfile(f"import pytest\n\n@pytest.mark.rmspec({marker})\ndef test_mine(): pass")
    done = ran(project)
    done.assert_outcomes(errors=1)
    assert words in re.sub(r"\s+", " ", done.stdout.str())
    assert "another exception" not in done.stdout.str()


def test_a_class_is_marked_with_itself(project: pytest.Pytester) -> None:
    """A class of the test's own project needs no name."""
    project.makepyfile(
        test_own="import pytest\nimport mine\n\n"
        "@pytest.mark.rmspec(mine.ReferenceSubject, profile='smoke')\ndef test_own(): pass"
    )
    project.path.joinpath("conftest.py").write_text("import sys\nsys.path.append('.')\n")
    done = ran(project, "--co", "-q")
    assert f"{TESTS} tests collected" in done.stdout.str()


def test_it_costs_nothing_where_it_is_not_used(project: pytest.Pytester) -> None:
    """A run without it imports of rmspec the plugin and the tables of options, and warns of nothing."""
    project.makepyfile(
        "import sys\n\n"
        "def test_nothing():\n"
        "    assert sorted(name for name in sys.modules if name.startswith('rmspec')) == "
        "['rmspec', 'rmspec.reports', 'rmspec.reports.config', 'rmspec.reports.config.keys', 'rmspec.reports.files', "
        "'rmspec.reports.files.formats', 'rmspec.reports.pytest', 'rmspec.reports.pytest.plugin']\n"
        "    assert not {'numpy', 'click', 'jinja2', 'rich'} & set(sys.modules)\n"
    )
    done = ran(project)
    done.assert_outcomes(passed=1)


def test_the_public_names_of_reports_are_there() -> None:
    """Each is imported when it is asked for, and another name is none."""
    code = (
        "import rmspec.reports as r; assert all(getattr(r, n) for n in r.__all__)\n"
        "try: r.nothing\nexcept AttributeError as e: print(e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout == "module 'rmspec.reports' has no attribute 'nothing'\n"
