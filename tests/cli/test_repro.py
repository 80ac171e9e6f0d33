"""``rmspec repro`` and ``rmspec script``: a stored program is replayed, and the answer is in words and an exit code."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import SUBJECTS, rmspec

STORED = {
    "schema": "rmspec.program/1",
    "params": [{"name": "p", "dtype": "float32", "shape": [1], "values": ["0x1.0p+0"]}],
    "calls": [
        {
            "op": "create",
            "optimizer": "A",
            "groups": [{"params": ["p"]}],
            "options": {"eps": "0x1.0p-1"},
            "form": "list",
        },
        {"op": "set_grad", "param": "p", "values": ["0x1.0p+1"]},
        {"op": "step", "optimizer": "A"},
    ],
    "clause": "eps-placement",
    "subject": "mine.py:wrong",
    "dialect": "torch",
}

TORCH_CLASS = '''
import torch


class Inside(torch.optim.Optimizer):
    """RMSprop with eps inside the root."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, dict(lr=lr, alpha=alpha, eps=eps))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                v = self.state[p].setdefault("square_avg", torch.zeros_like(p))
                v.mul_(group["alpha"]).addcmul_(p.grad, p.grad, value=1 - group["alpha"])
                p.addcdiv_(p.grad, v.add(group["eps"]).sqrt(), value=-group["lr"])
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with subjects and stored programs."""
    made = tmp_path_factory.mktemp("repro")
    (made / "mine.py").write_text(SUBJECTS + "\ncrash.programs = 100\n")
    (made / "inside.py").write_text(TORCH_CLASS)
    (made / "stored.json").write_text(json.dumps(STORED))
    (made / "other.json").write_text(json.dumps({**STORED, "clause": "hooks"}))
    (made / "torch.json").write_text(json.dumps({**STORED, "subject": "inside.py:Inside"}))
    return made


def test_a_program_that_still_fails_is_exit_code_1(folder: Path) -> None:
    """The replay says that it still fails, and prints the deviation in full."""
    ran = rmspec(folder, "repro", "stored.json", "--subject", "mine.py:wrong")
    assert ran.code == 1, ran.err
    assert ran.out.startswith("mine.py:wrong: STILL FAILS: eps-placement\n")
    assert "A.step()    # <- here" in ran.out
    assert "    rmspec repro stored.json --subject mine.py:wrong\n" in ran.out


def test_a_program_that_fails_no_more_is_fixed(folder: Path) -> None:
    """On a subject that conforms the replay says FIXED, exit code 0."""
    ran = rmspec(folder, "repro", "stored.json", "--subject", "mine.py:good")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("mine.py:good: FIXED: eps-placement")


def test_a_program_that_fails_by_another_clause_says_so(folder: Path) -> None:
    """Where the stored clause holds but another breaks, the replay names both, exit code 1."""
    ran = rmspec(folder, "repro", "other.json", "--subject", "mine.py:wrong")
    assert ran.code == 1
    words = " ".join(ran.out.split())
    assert "mine.py:wrong: hooks" in words
    assert "holds, but the program fails by another clause: eps-placement" in words


def test_a_program_that_makes_no_check_of_its_clause_is_exit_code_5(folder: Path) -> None:
    """It shows neither that the clause holds nor that it is broken: never FIXED."""
    for number, calls in enumerate((STORED["calls"][:1], STORED["calls"][:2])):
        (folder / f"nothing{number}.json").write_text(json.dumps({**STORED, "calls": calls}))
        ran = rmspec(folder, "repro", f"nothing{number}.json", "--subject", "mine.py:wrong")
        assert ran.code == 5, ran.out + ran.err
        assert "mine.py:wrong: nothing of eps-placement was exercised" in ran.out
        assert "FIXED" not in ran.out


def test_a_known_deviation_is_exit_code_0_unless_told_otherwise(folder: Path) -> None:
    """A deviation that a list names is told as known, exit code 0; with --no-known it fails."""
    (folder / "known.toml").write_text(
        '[[known]]\nid = "as-tensorflow"\nclause = "eps-placement"\nsubject = "mine.py:wrong"\nreason = "on purpose"\n'
    )
    ran = rmspec(folder, "repro", "stored.json", "--subject", "mine.py:wrong", "--known", "known.toml")
    assert ran.code == 0
    assert "still fails, and that is known" in ran.out
    assert "as-tensorflow: on purpose" in ran.out
    assert rmspec(folder, "repro", "stored.json", "--subject", "mine.py:wrong", "--no-known").code == 1


def test_a_subject_that_crashes_in_the_replay_is_exit_code_4(folder: Path) -> None:
    """A crash in the replay is told in words, exit code 4."""
    ran = rmspec(folder, "repro", "stored.json", "--subject", "mine.py:crash")
    assert ran.code == 4
    assert "crashed: its interpreter ended with exit status 7" in " ".join(ran.out.split())
    assert ran.err == ""


def test_a_script_that_cannot_be_is_refused(folder: Path) -> None:
    """There is no script of a subject without a framework, nor of a program that fails no more: exit code 2."""
    for name, reason in (("mine.py:wrong", "no standalone script"), ("mine.py:good", "shows no deviation")):
        ran = rmspec(folder, "script", "stored.json", "--subject", name)
        assert (ran.code, ran.out) == (2, "")
        assert reason in ran.err


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the stored program of a check of ``inside.py``."""
    place = tmp_path_factory.mktemp("made")
    (place / "inside.py").write_text(TORCH_CLASS)
    rmspec(place, "check", "inside.py:Inside", "--profile", "smoke", "--dtype", "float32", "--repro-dir", "repro", "-q")
    return place


FILE = "repro/inside.py-Inside-eps-placement.json"


def test_a_script_is_printed_without_starting_anything(made: Path, tmp_path: Path) -> None:
    """The file says what it shows: the script of the check, whether the class is there or not."""
    pytest.importorskip("torch")
    (tmp_path / "given.json").write_bytes((made / FILE).read_bytes())
    (tmp_path / "inside.py").write_text("open('started', 'w').close()\n")
    ran = rmspec(tmp_path, "script", "given.json")
    assert ran.code == 0, ran.err
    assert not (tmp_path / "started").exists()
    assert ran.out == rmspec(made, "script", FILE).out
    failed = subprocess.run([sys.executable, "-c", ran.out], cwd=made, capture_output=True, text=True, check=False)
    assert "AssertionError" in failed.stderr
    replayed = rmspec(made, "repro", FILE, "--subject", "inside.py:Inside").out
    assert all(line.strip() in replayed for line in ran.out.splitlines())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"call": 99}, "beyond the last call"),
        ({"param": "nobody"}, "what its calls cannot show"),
        ({"role": "x'); import os"}, "shows/role"),
        ({"state_name": "a\n"}, "shows/state_name"),
        ({"kind": 3}, "shows/kind"),
        ({"allowed": ["0x1p+0"]}, "shows/allowed"),
        ({"more": 1}, "shows"),
    ],
)
def test_what_a_file_cannot_show_is_refused(made: Path, tmp_path: Path, change: dict[str, object], words: str) -> None:
    """In words, exit code 2, and nothing of it reaches a script."""
    data = json.loads((made / FILE).read_text())
    data["shows"] |= change
    (tmp_path / "odd.json").write_text(json.dumps(data))
    ran = rmspec(tmp_path, "script", "odd.json")
    assert (ran.code, ran.out) == (2, ""), ran.out
    assert words in ran.err, ran.err


def test_a_printed_script_fails_on_the_subject(folder: Path) -> None:
    """The script of a torch class needs no rmspec, has at most 25 lines, and fails by its assertion."""
    pytest.importorskip("torch")
    ran = rmspec(folder, "script", "torch.json", "--subject", "inside.py:Inside")
    assert ran.code == 0, ran.err
    assert len(ran.out.splitlines()) <= 25
    assert "rmspec" not in ran.out
    done = subprocess.run([sys.executable, "-c", ran.out], cwd=folder, capture_output=True, text=True, check=False)
    assert "AssertionError" in done.stderr


@pytest.mark.parametrize("command", ["repro", "script"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("process:touch started", "run the command touch started"),
        ("evil.py:RMSprop", "import the file evil.py"),
        ("evil:RMSprop", "import the module evil"),
        ("{folder}/evil.py:RMSprop", "import the file {folder}/evil.py"),
    ],
)
def test_a_stored_program_starts_nothing(tmp_path: Path, command: str, name: str, words: str) -> None:
    """People attach these files to reports: what one names is run once the command line names it, and the refusal says how."""
    name, words = name.format(folder=tmp_path), words.format(folder=tmp_path)
    (tmp_path / "evil.py").write_text("open('started', 'w').close()\nRMSprop = None\n")
    (tmp_path / "given.json").write_text(json.dumps({**STORED, "subject": name}))
    ran = rmspec(tmp_path, command, "given.json")
    assert (ran.code, ran.out) == (2, "")
    assert f"this would {words}" in ran.err
    assert f"rmspec {command} given.json --subject {shlex.quote(name)}" in ran.err
    assert not (tmp_path / "started").exists()
    rmspec(tmp_path, command, "given.json", "--subject", name)
    assert (tmp_path / "started").exists()


def test_a_registered_subject_is_started_by_a_file(tmp_path: Path) -> None:
    """It is code that is installed: the file chooses among it, and no more."""
    (tmp_path / "given.json").write_text(json.dumps({**STORED, "subject": "reference:tensorflow"}))
    ran = rmspec(tmp_path, "repro", "given.json")
    assert ran.code == 1, ran.err
    assert "rmspec repro given.json --subject reference:tensorflow" in ran.out
