"""The corpus: every stored program is one by the schema, says what it is for, and works in every format."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest
from programs import findings

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import from_json, to_json
from rmspec.properties.judge.findings import Tally
from rmspec.properties.search.corpus import corpus, in_format, ordered
from rmspec.properties.search.fitting import lacks_derivatives

STORED = sorted(
    (each for each in (files("rmspec.properties") / "corpus").iterdir() if each.name.endswith(".json")),
    key=lambda each: each.name,
)


def test_the_corpus_is_what_is_stored() -> None:
    """Every file is a program of it, in the order of the names."""
    assert len(corpus()) == len(STORED) > 100
    assert [to_json(each) for each in corpus()] == [json.loads(each.read_text("utf-8")) for each in STORED]


@pytest.mark.parametrize("stored", STORED, ids=lambda each: each.name.removesuffix(".json"))
def test_a_stored_program_is_valid_and_says_what_it_catches(stored) -> None:
    """It follows the schema, is written as the suite writes it, and has a note and at least one class of faults."""
    data = json.loads(stored.read_text("utf-8"))
    program = from_json(data)
    assert to_json(program) == data
    assert program.note
    assert program.bug_classes
    assert set(program.bug_classes) <= set(range(1, 30))
    assert not program.clause or program.clause in CLAUSES


def test_no_two_stored_programs_are_the_same() -> None:
    """Neither in what they do nor in their notes."""
    assert len({repr((each.params, each.calls)) for each in corpus()}) == len(corpus())


def test_the_corpus_covers_the_classes_of_faults() -> None:
    """Each class that the design asks for is caught by a stored program."""
    classes = {each for program in corpus() for each in program.bug_classes}
    assert classes >= {1, 2, 3, *range(5, 12), 13, 15, 16, 18, 19, 20}


def test_the_corpus_alone_exercises_nearly_every_clause() -> None:
    """What the reference can be asked of the gating clauses is checked before any search."""
    tally = Tally()
    for program in corpus():
        if not lacks_derivatives(program, ReferenceSubject().capabilities()):
            findings(program, ReferenceSubject(), tally=tally)
    # The differential clauses have programs of their own (rmspec.properties.judge.differential).
    gating = {id for id, clause in CLAUSES.items() if clause.gates and clause.kind != "differential"}
    assert {id for id in gating if not tally.checks.get(id)} <= {
        "maximize",
        "hooks",
        "load-isolation",
        "operation-rounding",
        "differentiable-step",
    }


def test_a_program_is_moved_to_another_format_as_a_whole() -> None:
    """float32 becomes the other format; a program that names formats itself stays alone."""
    plain = next(each for each in corpus() if all(param.dtype == "float32" for param in each.params))
    named = next(each for each in corpus() if any(param.dtype != "float32" for param in each.params))
    moved = in_format(plain, "bfloat16")
    assert moved is not None
    assert {param.dtype for param in moved.params} == {"bfloat16"}
    assert moved.calls == plain.calls
    assert in_format(named, "bfloat16") is None
    assert in_format(named, "float32") is named
    assert in_format(plain, "float8") is None


def test_float32_comes_first() -> None:
    """All programs in float32, then those that can be moved in every other format that the subject has."""
    programs = ordered(corpus(), ("float64", "float32"))
    assert programs[: len(corpus())] == list(corpus())
    assert {param.dtype for program in programs[len(corpus()) :] for param in program.params} == {"float64"}
    assert len(ordered(corpus(), tuple(FORMATS))) > 5 * len(corpus())


def test_a_subject_without_float32_is_asked_every_program_all_the_same() -> None:
    """They are retargeted later: none is lost."""
    assert ordered(corpus(), ("float64",))[: len(corpus())] == list(corpus())
