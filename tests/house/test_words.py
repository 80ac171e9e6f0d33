"""The words of the house, as far as a machine can tell: names of things, and the first lines of docstrings.

A function is a verb on a noun, a thing has a noun for its name, and the first line of a docstring says what without a
relative clause. ``words.toml`` counts, module by module, what was written before there was this rule; it only shrinks.
"""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import MODULES, ROOT

NO_NAMES = {
    "asked",
    "each",
    "found",
    "gone",
    "held",
    "here",
    "it",
    "kept",
    "made",
    "other",
    "others",
    "said",
    "seen",
    "shown",
    "taken",
    "that",
    "them",
    "these",
    "this",
    "those",
    "told",
    "wanted",
    "what",
    "which",
    "written",
}
"""Participles and pronouns: a thing that is called so has no name. ``given`` and ``telling`` are terms of the reports."""

RELATIVE = re.compile(
    r"\b(what|whatever|which|whichever|who|whoever|whom|whose|where|wherever)\b|(?<!\bso) \bthat\b(?! is,)", re.I
)
"""Words that begin a relative clause."""

ALLOWED: dict[str, dict[str, int]] = tomllib.loads((Path(__file__).parent / "words.toml").read_text("utf-8"))


def names_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """List what a module defines or assigns: functions, classes, parameters, variables and fields, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name, node.lineno


def bad_names(source: str) -> list[str]:
    """List the names of a module that name no thing."""
    return [f"{line}: {name}" for name, line in names_of(ast.parse(source)) if name.strip("_").lower() in NO_NAMES]


def bad_docstrings(source: str) -> list[str]:
    """List the docstrings of a module whose first line has a relative clause."""
    broken = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if RELATIVE.search(re.sub(r"``.*?``", "", first)):
                broken.append(f"{getattr(node, 'lineno', 1)}: {first}")
    return broken


@pytest.mark.parametrize("path", MODULES, ids=Path.as_posix)
def test_things_have_names_and_docstrings_begin_plainly(path: Path) -> None:
    """No more names and docstrings break the rule than the table counts for the module: none, for a new one."""
    source = (ROOT / path).read_text("utf-8")
    allowed = ALLOWED.get(path.as_posix(), {})
    for rule, broken in (("names", bad_names(source)), ("docstrings", bad_docstrings(source))):
        assert len(broken) <= allowed.get(rule, 0), f"{path}: {rule}: at most {allowed.get(rule, 0)}\n" + "\n".join(
            broken
        )


def test_the_table_counts_modules_that_there_are() -> None:
    """A module that was moved or deleted takes its row along."""
    assert set(ALLOWED) <= {path.as_posix() for path in MODULES}


@pytest.mark.parametrize(
    "source",
    [
        "def told(x): ...",
        "def f(held): ...",
        "_found = 1",
        "for each in (): ...",
        "class Seen: ...",
        "match x:\n    case [taken]: ...",
        "class A:\n    kept: int",
    ],
)
def test_a_name_that_names_nothing_is_found(source: str) -> None:
    """Of a function, a class, a parameter, a variable, a field or a capture."""
    assert len(bad_names(source)) == 1


@pytest.mark.parametrize(
    ("first", "broken"),
    [
        ("What a call changed.", 1),
        ("The line where a module defines a name.", 1),
        ("Format a deviation that was found.", 1),
        ("Format a deviation.", 0),
        ("Round outward, so that no result escapes.", 0),
        ("Read ``what`` of a call.", 0),
    ],
)
def test_a_relative_clause_is_found(first: str, broken: int) -> None:
    """In the first line alone; a name in backquotes is no word."""
    assert len(bad_docstrings(f'def f():\n    """{first}\n\n    What follows may say which it is.\n    """')) == broken
