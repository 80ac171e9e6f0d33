"""The execution paths of a class: each switch in its signature is checked as a path of its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from commandline import rmspec

from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step, to_json
from rmspec.properties.check import check

pytest.importorskip("torch")

CASES = Path(__file__).parents[1] / "cases"
QUICK = ("--profile", "smoke", "--dtype", "float32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paths")
    for name in ("switched.py", "optimizers.py"):
        shutil.copy(CASES / name, folder)
    return folder


def checked(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """The subjects of a report by name."""
    ran = rmspec(folder, "check", *arguments, *QUICK, "--json", "r.json")
    assert ran.code in (0, 1), ran.err
    return {subject["name"]: subject for subject in json.loads((folder / "r.json").read_text())["subjects"]}


def new(subject: dict[str, Any]) -> set[str]:
    return {deviation["clause"] for deviation in subject["deviations"] if not deviation["known"]}


def test_every_path_is_checked_by_the_dialect_that_it_means(folder: Path) -> None:
    """A sound class conforms on each; one path alone has the fault of each of the others, under its clause."""
    names = ("Switched", "Inherits", "LosesTheTail", "IgnoresMaximize", "FlipsDecay", "LoopIsWrong", "NoForeachYet")
    subjects = checked(folder, *(f"switched.py:{name}" for name in names), "--paths", "all")
    broken = {name.removeprefix("switched.py:"): new(subject) for name, subject in subjects.items()}
    assert {name: clauses for name, clauses in broken.items() if clauses} == {
        "LosesTheTail:foreach": {"elementwise"},
        "IgnoresMaximize:maximize": {"maximize"},
        "FlipsDecay:maximize": {"maximize"},
        "LoopIsWrong:no_foreach": {"eps-placement"},
    }
    assert set(broken) == {
        *names,
        *(f"{name}:maximize" for name in names),
        *(f"{name}:foreach" for name in names if name not in ("LoopIsWrong", "NoForeachYet")),
        "LoopIsWrong:no_foreach",
        "Inherits:differentiable",
    }
    assert all(subject["element_checks"] > 10_000 for subject in subjects.values())
    assert subjects["switched.py:Switched:maximize"]["dialect"] == "torch-maximize"
    assert subjects["switched.py:NoForeachYet"]["other_paths"] == {
        "foreach": "foreach is refused: foreach comes with the next version"
    }
    assert subjects["switched.py:Inherits"]["other_paths"] == {"capturable": "it exists on cuda alone"}


def test_a_quick_check_says_which_paths_it_left_out(folder: Path) -> None:
    """What is printed says how to have them checked."""
    ran = rmspec(folder, "check", "switched.py:IgnoresMaximize", *QUICK)
    assert ran.code == 0
    assert "execution paths not checked (2):" in ran.out
    assert "foreach, maximize: not asked: --paths all asks it" in ran.out


def test_every_report_says_which_paths_were_left_out(folder: Path) -> None:
    """The pages as well, also where they are made of a stored report."""
    pages = ("--json", "r.json", "--html", "r.html", "--markdown", "r.md")
    assert rmspec(folder, "check", "switched.py:NoForeachYet", *QUICK, *pages).code == 0
    assert rmspec(folder, "report", "--from", "r.json", "--out", "verified", "--force").code == 0
    for page in ("r.html", "r.md", "verified/report.html", "verified/report.md"):
        text = (folder / page).read_text()
        assert "execution path not checked: foreach: foreach is refused: foreach comes with the next version" in text, (
            page
        )
        assert "execution path not checked: maximize: not asked" in text, page


def test_paths_are_chosen_by_name(folder: Path) -> None:
    """A path in the name of the subject is that path; a registered subject is a path itself."""
    subjects = checked(folder, "switched.py:IgnoresMaximize", "torch", "--paths", "maximize")
    assert list(subjects) == ["switched.py:IgnoresMaximize:maximize", "torch"]
    named = checked(folder, "switched.py:IgnoresMaximize:foreach", "--paths", "all")
    assert list(named) == ["switched.py:IgnoresMaximize:foreach"]
    result = check(f"{folder}/switched.py:IgnoresMaximize:maximize", profile="smoke", formats=("float32",))
    assert {deviation.clause for deviation in result.deviations if deviation.known is None} == {"maximize"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("switched.py:Switched", "--paths", "foraech"), "did you mean foreach?"),
        (("switched.py:Switched", "--paths", "nesterov"), "its paths are default, foreach, maximize"),
        (("switched.py:Switched:nesterov",), "takes no argument nesterov"),
        (("switched.py:Switched:maximise",), "did you mean maximize?"),
        (("switched.py:Switched:NO_FOREECH",), "did you mean no_foreach?"),
        (("switched.py:Switched:foreach:maximize",), "has 'foreach' already"),
        (("switched.py:Switched:default",), "the path of the defaults is switched.py:Switched itself"),
        (("switched.py:Switched:foreach", "--paths", "maximize"), "is one execution path, and not maximize"),
        (("switched.py:Switched", "--paths", ""), "names no path"),
    ],
)
def test_a_path_that_is_not_there_is_refused(arguments: tuple[str, ...], words: str, folder: Path) -> None:
    """With the closest one, or those that there are."""
    ran = rmspec(folder, "check", *arguments, *QUICK)
    assert ran.code == 2
    assert words in ran.err


def test_a_deviation_of_a_path_is_stored_replayed_scripted_and_known(folder: Path) -> None:
    """Its name has the path; a list that names the class alone speaks of each of its paths."""
    name = "switched.py:LoopIsWrong:no_foreach"
    assert rmspec(folder, "check", name, *QUICK, "--repro-dir", "repro").code == 1
    file = "repro/switched.py-LoopIsWrong-no_foreach-eps-placement.json"
    replayed = rmspec(folder, "repro", file, "--subject", name)
    assert replayed.code == 1
    script = rmspec(folder, "script", file)
    assert "make(params, foreach=False, **options)" in script.out
    (folder / "known.toml").write_text(
        '[[known]]\nid = "x"\nclause = "eps-placement"\nsubject = "switched.py:LoopIsWrong"\nreason = "r"\n'
    )
    known = rmspec(folder, "check", name, *QUICK, "--known", "known.toml")
    assert known.code == 0


def test_a_path_that_crashes_leaves_the_others_alone(folder: Path) -> None:
    """It is lost, and they are judged."""
    ran = rmspec(
        folder, "check", "switched.py:CrashesWithForeach", "--paths", "default,foreach", *QUICK, "--json", "r.json"
    )
    verdicts = [subject["verdict"] for subject in json.loads((folder / "r.json").read_text())["subjects"]]
    assert (ran.code, verdicts) == (4, ["known", "errored"])


def test_a_path_that_its_constructor_refuses_is_not_checked_by_name_either(folder: Path) -> None:
    """With the constructor's words; any other exception says what it was called with."""
    refused = rmspec(folder, "check", "switched.py:NoForeachYet:foreach", *QUICK)
    assert refused.code == 5
    assert "foreach comes with the next version" in " ".join(refused.out.split())
    (folder / "raises.py").write_text(
        "from optimizers import Sound\n\n\nclass Raises(Sound):\n"
        "    def __init__(self, params, lr=0.01, foreach=False, **options):\n"
        "        if foreach:\n            raise TypeError('no')\n        super().__init__(params, lr, **options)\n"
    )
    raised = rmspec(folder, "check", "raises.py:Raises", "--paths", "foreach", *QUICK)
    assert raised.code == 4
    assert "foreach=True" in raised.out


def test_state_under_other_names_is_recognized_on_the_path_that_maximizes(folder: Path) -> None:
    """By its values, which have the other sign there."""
    (folder / "named.py").write_text(
        "from switched import Switched\n\n\nclass Named(Switched):\n    def buffer(self, state, name, like):\n"
        "        return super().buffer(state, {'grad_avg': 'm', 'momentum_buffer': 'b'}.get(name, name), like)\n"
    )
    subjects = checked(folder, "named.py:Named", "--paths", "default,maximize")
    assert [subject["state_visible"] for subject in subjects.values()] == [
        ["grad_avg", "momentum_buffer", "square_avg"]
    ] * 2
    assert not any(map(new, subjects.values()))


@pytest.mark.parametrize(("dialect", "code"), [("torch,eps_place=inside", 1), ("torch,eps_place=nowhere", 2)])
def test_a_stored_program_may_name_a_dialect_with_a_switch(dialect: str, code: int, folder: Path) -> None:
    """As those of a path do, whose dialect has no name of its own; one with an unknown position is refused."""
    calls = (Create("A", (Group(("p",)),), {"eps": 0.5}, "list"), SetGrad("p", (2.0,)), Step("A"))
    stored = Program((Param("p"),), calls, subject="reference", dialect=dialect, clause="eps-placement")
    (folder / "stored.json").write_text(json.dumps(to_json(stored)))
    ran = rmspec(folder, "repro", "stored.json")
    assert ran.code == code
    assert code != 2 or "unknown dialect 'torch,eps_place=nowhere' in stored.json" in ran.err
