"""Only the pseudocode branches on a switch of a dialect: all else reads the row of the switch.

A module in the table below does, and says why. A new switch needs none of them to be touched: it has no rule there, and the
row says what that means.
"""

import ast
from collections.abc import Iterator

import pytest
from imports import MODULES, ROOT

from rmspec.impl.spec.switches import SWITCHES

HOME = {"impl/spec/pseudocode.py", "impl/spec/dialect.py", "impl/spec/switches.py"}
"""The branches, and the properties of ``Dialect`` and the rows that they and everybody else go through."""

EXCEPTIONS = {
    "impl/arithmetic/bounds.py": "hands the arithmetic the two switches of rounding, as the envelope does",
    "impl/arithmetic/envelope.py": "hands the arithmetic the two switches of rounding, which are none of the pseudocode's",
    "impl/arithmetic/amendments.py": "which branches a step takes, by which an amendment may be limited",
    "impl/reference.py": "the optimizer around the pseudocode: which rows of a row-sparse gradient it hands over",
    "impl/translation/options.py": "the algebra of two switches with a rule of their own: weight decay and the place of lr",
    "impl/translation/state.py": "the algebra of the momentum buffer: times or over the learning rate",
    "impl/translation/translate.py": "the count of steps matters to a bias correction alone",
    "oracles/checkpoints/arrays.py": "a file of a dialect that always has a buffer must have one",
    "oracles/checkpoints/hyperparameters.py": "a file of a dialect that is always centered need not say so",
    "properties/counterexamples/hypotheses.py": "the usual violations of the clauses about switches",
    "properties/identify/elimination.py": "replaced by amendments (DESIGN 2.4)",
    "properties/identify/identification.py": "replaced by amendments (DESIGN 2.4)",
    "properties/identify/neighbours.py": "which positions of two switches cannot be told from those of another dialect",
    "properties/identify/separation.py": "replaced by amendments (DESIGN 2.4)",
    "properties/judge/differential.py": "the clauses about two dialects that differ in the place of eps, or of lr",
    "properties/judge/stepping.py": "which clauses a step checks, and the rows that a row-sparse gradient steps",
    "properties/lines/by_line.py": "with weight decay or maximize the gradient that the lines read cannot be seen",
    "properties/peeling/flushing.py": "a correction of the bias has no step without subnormal numbers to compare with",
    "properties/peeling/candidates.py": "the closed list: which switches can show in a value",
    "reports/verification/figures.py": "the figure of the two places of eps",
}
"""Modules that branch on a switch besides, and why."""

OTHERS = {"_rounding", "rounding", "style"}
"""Things with a field of the same name."""


def conditions(tree: ast.AST) -> Iterator[ast.expr]:
    """The expressions that decide which way a program goes, or what a comparison gives."""
    for node in ast.walk(tree):
        match node:
            case ast.If(test) | ast.IfExp(test) | ast.While(test) | ast.Match(subject=test):
                yield test
            case ast.comprehension(ifs=tests):
                yield from tests
            case ast.Compare() | ast.BoolOp():
                yield node


def branches(source: str) -> set[str]:
    """The switches that a source text branches on: in a condition, the field of a dialect, or the name of a switch."""
    return {
        name for condition in conditions(ast.parse(source)) for part in ast.walk(condition) if (name := switch_in(part))
    }


def switch_in(part: ast.AST) -> str:
    """The switch that a part of a condition names; of the names that are words for other things too, the field alone."""
    match part:
        case ast.Attribute(value, name) if name in SWITCHES and not OTHERS & set(ast.unparse(value).split(".")):
            return name
        case ast.Constant(str(name)) if name in SWITCHES and "_" in name:
            return name
        case _:
            return ""


def test_only_the_pseudocode_branches_on_a_switch():
    """Everything else that depends on one is in its row, or stands in the table."""
    found = {path.as_posix(): branches((ROOT / path).read_text("utf-8")) for path in MODULES}
    assert {path: names for path, names in found.items() if names and path not in HOME | set(EXCEPTIONS)} == {}


@pytest.mark.parametrize("path", EXCEPTIONS)
def test_an_exception_is_still_one(path: str):
    """A module that branches on no switch any more leaves the table."""
    assert branches((ROOT / path).read_text("utf-8"))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('if dialect.eps_place == "none": pass', {"eps_place"}),
        ("x = 1 if dialect.maximize else 2", {"maximize"}),
        ("ok = source.lr_place == target.lr_place", {"lr_place"}),
        ("match dialect.decay:\n    case _: pass", {"decay"}),
        ("x = [y for y in z if y.nesterov]", {"nesterov"}),
        ('if name == "lr_place": pass', {"lr_place"}),
        ('if name == "sparse": pass', set()),
        ("if rounding.single: pass", set()),
        ("x = dialect.decay", set()),
    ],
)
def test_the_search_sees_each_way_to_branch(source: str, found: set[str]):
    """Statements, expressions, comparisons, matches and filters; a value that is passed on is none."""
    assert branches(source) == found
