"""Every exception that rmspec raises on purpose has one root, and carries its data."""

from __future__ import annotations

import ast
import inspect
import pickle
from pathlib import Path

import pytest

from rmspec import impl, oracles
from rmspec.impl import CLAUSES, DIALECTS, FORMATS, RmspecError
from rmspec.impl.arithmetic.formats import UnknownFormat
from rmspec.impl.errors import closest, nearest
from rmspec.impl.spec.clauses import UnknownClause
from rmspec.impl.spec.dialect import UnknownDialect
from rmspec.oracles.errors import BadOption, ClosureFailed, choose
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.problems import InternalError
from rmspec.reports.run.jobs import Failed
from rmspec.reports.run.one_job import Stopped
from rmspec.reports.run.parent import WorkerLost

ROOT = Path(__file__).parents[2]
FLOORS = ("impl", "oracles", "properties", "reports")


def exceptions():
    """Every class of the product whose base is named as exceptions are, wherever in its module it stands."""
    for floor in FLOORS:
        for path in sorted((ROOT / floor).rglob("*.py")):
            if "faults" in path.parts:
                continue  # optimizers that are wrong on purpose: none is an exception
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ClassDef):
                    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
                    if any(base.endswith(("Error", "Exception", "Problem", "Failed", "Lost")) for base in bases):
                        yield path.relative_to(ROOT), node.name


FOUND = sorted(set(exceptions()), key=str)


def test_the_walk_finds_the_exceptions_that_there_are():
    """A walk that finds nothing would prove nothing: each floor has some."""
    assert {path.parts[0] for path, _ in FOUND} == set(FLOORS)
    assert len(FOUND) >= 25


@pytest.mark.parametrize(("path", "name"), FOUND, ids=[f"{path.as_posix()}:{name}" for path, name in FOUND])
def test_an_exception_has_the_one_root(path, name):
    """Whoever calls rmspec catches all that it raises on purpose by one name."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.ClassDef)}, "defined inside of something"
    module = pytest.importorskip(".".join(("rmspec", *path.with_suffix("").parts)))
    found = getattr(module, name)
    assert issubclass(found, RmspecError)
    assert inspect.getdoc(found)


def test_the_root_and_what_is_raised_at_the_edge_are_public():
    """The names to catch are in the lists of public names."""
    assert "RmspecError" in impl.__all__
    assert {"BadOption", "InputProblem", "SubjectFailed", "Unsupported"} <= set(oracles.__all__)


@pytest.mark.parametrize(
    ("error", "base"),
    [
        (UnknownClause("square_avg"), KeyError),
        (UnknownDialect("tensorfow"), ValueError),
        (UnknownFormat("flaot32"), ValueError),
    ],
)
def test_an_error_is_still_caught_as_what_it_was(error, base):
    """Code that catches the built-in exception keeps working."""
    assert isinstance(error, base)


@pytest.mark.parametrize(
    "error",
    [
        RmspecError("a", "b", "c"),
        UnknownClause("square_avg"),
        UnknownDialect("tensorfow"),
        UnknownFormat("flaot32"),
        BadOption("a", "b", "c"),
        ClosureFailed(),
        InternalError("Traceback\nValueError: no"),
        Stopped(ExitCode.SUBJECT_FAILED, "torch: it crashed"),
        Failed("internal", "it broke", trace="Traceback\nValueError: no"),
        WorkerLost("it crashed", "printed", "mine.py:3"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_carries_its_data_through_a_pipe(error):
    """Programs read attributes, not text, also in another process."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)
    assert error.what


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (RmspecError("it is wrong", "this matters.", "type that"), "it is wrong. this matters. type that."),
        (RmspecError("unknown x; did you mean y?", hint="choose"), "unknown x; did you mean y? choose."),
        (RmspecError("alone"), "alone."),
    ],
)
def test_an_error_reads_as_sentences(error, text):
    """What is wrong, why it matters and what to type, each ended once."""
    assert str(error) == text


@pytest.mark.parametrize(
    ("error", "names"),
    [(UnknownClause("zzzz"), CLAUSES), (UnknownDialect("zzzz"), DIALECTS), (UnknownFormat("zzzz"), FORMATS)],
)
def test_nothing_is_suggested_for_a_name_like_no_other(error, names):
    """The error does not guess."""
    assert error.closest is None
    assert "did you mean" not in str(error)
    assert closest("zzzz", names) is None
    assert nearest("zzzz", names) == ""


def test_choose_gives_back_a_name_that_there_is_and_names_the_closest_otherwise():
    """The refusal names what was typed, the closest name, every choice, and where it stands."""
    assert choose("dtype", "float32", FORMATS) == "float32"
    with pytest.raises(BadOption) as caught:
        choose("dtype", "flaot32", FORMATS, where="mine.toml")
    assert caught.value.what == "unknown dtype 'flaot32' in mine.toml; did you mean float32?"
    assert caught.value.hint == f"choose from {', '.join(FORMATS)}"
