"""What is known of a clause stands in its row: no clause id is compared with, looked up or listed anywhere else.

A rule of the judge names the clauses under which it reports and counts: that is the value of an expression, or the key of a
table of counts, never a condition.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from rmspec.impl.spec.clauses import CLAUSES

ROOT = Path(__file__).parents[2]
FLOORS = ("impl", "oracles", "properties", "reports")
ROWS = "impl/spec/clauses.py"
RULES = "properties/judge/"

HOMONYMS = {"closure", "frame", "hooks", "layout", "maximize", "params", "step", "update"}
"""Ids that are also words for features, options or kinds of findings: they count where something called a clause is compared."""

EXCEPTIONS = {
    "properties/counterexamples/attribution.py": "asks one hypothesis of each clause: which call, option or rule explains a value",
    "properties/identify/update.py": "identification, replaced by the same mechanism",
    "properties/examination/diagnosis.py": "asks attribution again about the one hypothesis that may be true by chance",
}
"""Modules that may, and why."""


def conditions(tree: ast.AST) -> Iterator[tuple[int, ast.expr, str]]:
    """Line, what is compared, and the string: in comparisons and match cases, as keys of dicts, and in sets and tuples of them."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left, _, comparators):
                for side in (left, *comparators):
                    for text in strings(side):
                        yield node.lineno, node, text
            case ast.Match(subject, cases):
                for case in cases:
                    for pattern in ast.walk(case.pattern):
                        if isinstance(pattern, ast.MatchValue):
                            yield from ((pattern.lineno, subject, text) for text in strings(pattern.value))
            case ast.Dict(keys):
                yield from ((node.lineno, key, text) for key in keys if key is not None for text in strings(key))
            case ast.Set(elements):
                yield from ((node.lineno, each, text) for each in elements for text in strings(each))
            case ast.Call(ast.Attribute(_, "startswith" | "endswith" | "removeprefix"), arguments):
                yield from ((node.lineno, node, text + "lr") for each in arguments for text in strings(each))


def strings(node: ast.expr) -> Iterator[str]:
    """The strings that a side of a comparison is, or lists."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple | ast.List | ast.Set):
        for each in node.elts:
            yield from strings(each)


def named(source: str, *, counts: bool = False) -> list[tuple[int, str]]:
    """Where a source text makes something depend on a clause by its id; with ``counts``, keys of dicts are none."""
    return [
        (line, text)
        for line, about, text in conditions(ast.parse(source))
        if text in CLAUSES
        and (text not in HOMONYMS or "clause" in ast.unparse(about))
        and not (counts and isinstance(about, ast.Constant))
    ]


def sources() -> Iterator[str]:
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix()


def test_no_clause_id_decides_anything_outside_its_row():
    """What a condition would know of a clause is a field of ``Clause``."""
    found = {
        path: named((ROOT / path).read_text("utf-8"), counts=path.startswith(RULES))
        for path in sources()
        if path != ROWS
    }
    assert {path: where for path, where in found.items() if where and path not in EXCEPTIONS} == {}


@pytest.mark.parametrize("path", EXCEPTIONS)
def test_an_exception_is_still_one(path: str):
    """A module that names no clause in a condition any more leaves the table."""
    assert named((ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if clause == "load-shape": pass', ["load-shape"]),
        ('if clause in ("load-shape", "nothing", "step"): pass', ["load-shape", "step"]),
        ('match clause:\n    case "frame" | "update": pass', ["frame", "update"]),
        ('match kind:\n    case "frame": pass', []),
        ('ROLES = {"square-avg": "square_avg"}', ["square-avg"]),
        ('HIDDEN = {"load-partial"}', ["load-partial"]),
        ('id.startswith("default-")', ["default-lr"]),
        ('clause = "grad-none" if mine else "isolation"', []),
        ('if kind == "closure": pass', []),
    ],
)
def test_the_search_sees_each_way_to_depend_on_a_clause(source: str, found: list[str]):
    """Comparisons, cases, keys, sets and prefixes; what a rule reports under is none of them."""
    assert [text for _, text in named(source)] == found


def test_a_table_of_counts_is_no_condition():
    """The rules of the judge count the checks of several clauses at once; what they compare is judged as anywhere else."""
    source = 'tests = {"load-partial": 3}\nif clause == "load-shape": pass'
    assert [text for _, text in named(source, counts=True)] == ["load-shape"]
