"""Names in a script: whatever a program calls its parameters, the script runs, and nothing of a file becomes code in it."""

from __future__ import annotations

import contextlib
import keyword
from dataclasses import replace

import pytest

from rmspec.oracles.names import parse_name
from rmspec.oracles.program.changes import program_names, rename
from rmspec.oracles.program.program import Create, EditState, Group, Load, Param, Program, Save, SetGrad, Step
from rmspec.oracles.recordings.onestep import OneStep, Reproduction
from rmspec.oracles.scripting.counterexample import StoredCounterexample
from rmspec.oracles.scripting.standalone import standalone_script

torch = pytest.importorskip("torch")

from rmspec.oracles.torch.onestep_script import onestep_script  # noqa: E402 - it writes for torch

PLAIN = ("p", "A", "s0")
NAMES = [
    PLAIN,
    ("import", "torch", "copy"),
    ("torch", "RMSprop", "p"),
    ("v", "ids", "entry"),
    ("k", "g", "x"),
    ("value", "print", "float"),
    ("x", "x_grad", "x_state"),
    ("x_", "x", "x__"),
    ("list", "enumerate", "None"),
    ("p" * 100, "A" * 100, "s" * 100),
    ("__name__", "__doc__", "__file__"),
]


def program(param: str, optimizer: str, slot: str, *, subject: str = "torch", saves: bool = True) -> Program:
    """A program with these names, which saves a state, edits and loads it."""
    saved = (Save(optimizer, slot), EditState(slot, "relabel"), Load(optimizer, slot), EditState(slot, "reshape"))
    return Program(
        (Param(param, "float32", (1,), (2.0,)),),
        (
            Create(optimizer, (Group((param,)),), form="generator"),
            SetGrad(param, (0.5,)),
            Step(optimizer, "returns", {param: (0.5,)}),
            *(saved if saves else ()),
            Step(optimizer),
        ),
        clause="update",
        subject=subject,
    )


def shown(given: Program, framework: str = "torch", **facts: object) -> StoredCounterexample:
    """What the last call shows of the parameter."""
    param, optimizer = given.params[0].name, given.calls[0].optimizer  # type: ignore[union-attr]
    told = {"param": param, "optimizer": optimizer, "role": "param", "allowed": (1.0, 4.0), "framework": framework}
    return StoredCounterexample(given, **{"kind": "value", "call": len(given.calls) - 1, **told, **facts})  # type: ignore[arg-type]


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:12])
def test_a_script_runs_whatever_its_program_calls_things(names: tuple[str, str, str]) -> None:
    """It steps torch's own optimizer, and finds the number where it is allowed to be."""
    script = standalone_script(shown(program(*names)))
    assert script is not None
    exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("names", NAMES, ids=lambda names: names[0][:12])
@pytest.mark.parametrize("framework", ["keras", "optax", "tensorflow"])
def test_a_script_of_another_framework_is_python(names: tuple[str, str, str], framework: str) -> None:
    """No name of the program is assigned that Python or the script has another use for."""
    script = standalone_script(shown(program(*names, subject=framework, saves=False), framework))
    assert script is not None
    compiled = compile(script, "script.py", "exec")
    assert not set(compiled.co_names) & set(keyword.kwlist)


def test_the_names_of_rmspec_stay() -> None:
    """A script of a program of rmspec's own is written as it was."""
    script = standalone_script(shown(program(*PLAIN)))
    assert script is not None
    assert "p = torch.tensor" in script
    assert "A = RMSprop((p for p in [p]))" in script
    assert "s0 = copy.deepcopy(A.state_dict())" in script


def test_a_renamed_program_is_the_same_program() -> None:
    """Names are changed in every call, and back."""
    given = program(*PLAIN)
    assert program_names(given) == list(PLAIN)
    there = dict(zip(PLAIN, ("a", "b", "c"), strict=True))
    back = {new: old for old, new in there.items()}
    assert program_names(rename(given, there)) == ["a", "b", "c"]
    assert rename(rename(given, there), back) == given


@pytest.mark.parametrize(
    "subject",
    [
        "module:X); import os; os.abort()",
        "mod ule:X",
        "module:X\nimport os",
        "a.b:import",
        "a-b:X",
        "x.py:X[0]",
        "x.py:X()",
        "x.py:__import__('os').abort",
    ],
)
def test_a_subject_that_is_no_name_of_python_has_no_script(subject: str) -> None:
    """What stands in its place in a script is an expression: it would be run."""
    assert not parse_name(subject).writable
    assert standalone_script(shown(program(*PLAIN, subject=subject))) is None


@pytest.mark.parametrize(
    "subject", ["torch", "torch:foreach", "mine.py:X", "a/b c/'\".py:X.Y", "package.module:X", "x.py:X:foreach"]
)
def test_a_subject_that_is_a_name_has_a_script(subject: str) -> None:
    """Registered, of a file however that is called, or of a module."""
    script = standalone_script(shown(program(*PLAIN, subject=subject)))
    assert script is not None
    compile(script, "script.py", "exec")


EVIL = 'x"]; raise SystemExit("owned"); ["'


FACTS = ({"role": EVIL}, {"state_name": EVIL}, {"role": "a\nb"}, {"summary": EVIL}, {"kind": "frame", "role": EVIL})


def run(script: str | None) -> None:
    """Run a script; where it says that something is missing, or wrong, it is as good."""
    assert script is not None
    with contextlib.suppress(KeyError, AssertionError, RuntimeError):
        exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("facts", FACTS)
def test_the_facts_of_a_deviation_are_text_in_a_script(facts: dict[str, object]) -> None:
    """Names of state that a subject has, and its messages."""
    run(standalone_script(shown(program(*PLAIN), **facts)))


@pytest.mark.parametrize("changes", [{"device": EVIL}, {"clause": '"""' + EVIL}, {"clause": "\\N{x}"}])
def test_the_facts_of_a_program_are_text_in_a_script(changes: dict[str, str]) -> None:
    """Its device, and its clause in the title."""
    run(standalone_script(shown(replace(program(*PLAIN), **changes))))  # type: ignore[arg-type]


def test_a_recording_is_text_in_a_script() -> None:
    """The names of options, of state and of attributes come from its file."""
    step = OneStep(
        "float32",
        (1.0,),
        (0.5,),
        {"lr": 0.5, EVIL: 1.0, "import": 1.0},
        {EVIL: ("float32", (1.0,)), "step": ("number", (1.0,)), "square_avg": ("float32", (1.0,))},
        {EVIL: EVIL, "more": 1},
        {EVIL: EVIL, "own": 1, "import": 1.0},
        device="cpu",
    )
    script = onestep_script(shown(program(*PLAIN)), "torch", Reproduction(step, 0.5, (0.0, 4.0), 0))
    run(script)
