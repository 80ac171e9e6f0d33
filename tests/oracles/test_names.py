"""The names of subjects: a place, an attribute and an execution path, and the dialect that a path speaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmspec.impl.spec.dialect import SPECIFICATION, UnknownDialect
from rmspec.impl.spec.switches import spell_switches
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.errors import UnknownSubject
from rmspec.oracles.loader import check_name, load
from rmspec.oracles.names import SubjectName, dialect_of_path, parse_name, path_setting


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("torch", SubjectName("", "torch")),
        ("torch:foreach", SubjectName("", "torch:foreach")),
        ("process:python3 x.py:A:foreach", SubjectName("", "process:python3 x.py:A:foreach")),
        ("a/mine.py:Mine", SubjectName("a/mine.py", "Mine")),
        ("a/mine.py:Mine.make:foreach", SubjectName("a/mine.py", "Mine.make", "foreach")),
        ("package.module:Mine:no_foreach", SubjectName("package.module", "Mine", "no_foreach")),
        ("mine.py:Mine:nesterov", SubjectName("mine.py", "Mine", "nesterov")),
        ("mine.py:Mine:other", SubjectName("mine.py:Mine", "other")),
    ],
)
def test_a_name_is_taken_apart(name: str, parts: SubjectName) -> None:
    """What is no path stays where it was, to be refused; the parts make the name again."""
    assert parse_name(name) == parts
    assert str(parts) == name


def test_a_path_sets_a_known_switch() -> None:
    """``no_`` before it sets it to False."""
    assert path_setting("foreach") == ("foreach", True)
    assert path_setting("no_eps_in_sqrt") == ("eps_in_sqrt", False)
    assert path_setting("no_") is None
    assert path_setting("momentum") is None


def test_a_switch_of_the_dialect_is_judged_by_that_dialect() -> None:
    """By the named one where there is one; a switch of execution changes nothing."""
    optax = dialect_named("optax")
    assert dialect_of_path(SPECIFICATION, "maximize").name == "torch-maximize"
    assert dialect_of_path(SPECIFICATION, "foreach") is SPECIFICATION
    assert dialect_of_path(SPECIFICATION, "") is SPECIFICATION
    assert dialect_of_path(optax, "no_nesterov") is optax
    nesterov = dialect_of_path(optax, "nesterov")
    assert nesterov.nesterov
    assert nesterov.name == "optax,nesterov=true"
    assert dialect_of_path(optax, "no_eps_in_sqrt").eps_place == "outside"


def test_the_name_of_such_a_dialect_leads_back_to_it() -> None:
    """A stored program names it."""
    for path in ("nesterov", "no_eps_in_sqrt", "bias_correction"):
        spoken = dialect_of_path(dialect_named("optax"), path)
        assert spell_switches(dialect_named(spoken.name)) == spell_switches(spoken)
        assert dialect_named(spoken.name).name == spoken.name


@pytest.mark.parametrize(
    "name", ["optax,nesterov", "optax,nestrov=true", "optax,eps_place=nowhere", "optx,nesterov=true"]
)
def test_a_dialect_with_an_unknown_switch_is_refused(name: str) -> None:
    """Whatever part of it is wrong."""
    with pytest.raises(UnknownDialect):
        dialect_named(name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("{}:Plain:forech", "did you mean foreach?"),
        ("{}:Plain:", "names no path"),
        ("{}:Plain:a:b", "is no execution path"),
    ],
)
def test_a_mistyped_path_is_refused_before_anything_is_imported(name: str, words: str, tmp_path: Path) -> None:
    """With the closest one."""
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('imported')\n")
    with pytest.raises(UnknownSubject, match=words.replace("?", r"\?")):
        check_name(name.format(file))


def test_a_class_without_the_switch_has_no_such_path(tmp_path: Path) -> None:
    """The message names the switches that it has."""
    pytest.importorskip("torch")
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch\nclass Mine(torch.optim.RMSprop):\n"
        "    def __init__(self, params, lr=0.01, maximize=False):\n        super().__init__(params, lr, maximize=maximize)\n"
    )
    with pytest.raises(UnknownSubject, match="takes no argument foreach") as refused:
        load(f"{file}:Mine:foreach")
    assert refused.value.why == "its switches are maximize"
    assert load(f"{file}:Mine:maximize").name == f"{file}:Mine:maximize"
