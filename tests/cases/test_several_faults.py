"""Optimizers with faults that hide each other from a check without peeling: each fault is named, and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.properties.check import check, examine, generated
from rmspec.properties.events import Deviation, DeviationFound, DialectFound, OtherDialect, SubjectResult
from rmspec.properties.settings import Settings, make_settings

torch = pytest.importorskip("torch")

SUBJECTS = Path(__file__).with_name("optimizers.py")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def programs() -> tuple[Program, ...]:
    """The programs of the search, generated once."""
    return generated(Settings(profile="smoke"))


def examined(name: str, formats: tuple[str, ...] = ("float32", "float64"), **settings: Any) -> SubjectResult:
    """The result on a subject, with one verdict for each clause."""
    result = check(f"{SUBJECTS}:{name}", profile="smoke", formats=formats, programs=programs(), **settings)
    assert len(result.clauses) == len(CLAUSES)
    assert sum(clause.verdict == "deviates" for clause in result.clauses) == len(
        {found.clause for found in result.deviations if found.known is None}
    )
    return result


def deviations(name: str, formats: tuple[str, ...] = ("float32", "float64"), **settings: Any) -> list[Deviation]:
    """The subject's new deviations, those left out that torch has as well."""
    return new(examined(name, formats, **settings))


def new(result: SubjectResult) -> list[Deviation]:
    """The deviations that nothing knows."""
    return [found for found in result.deviations if found.known is None]


def test_a_sound_optimizer_has_no_new_deviation() -> None:
    """Nothing is explained where nothing deviates."""
    assert deviations("Sound") == []


def test_three_faults_are_three_deviations() -> None:
    """Each is explained by an amendment of its own, and each is shown with the others adopted or alone."""
    result = examined("ThreeFaults")
    found = new(result)
    clauses = sorted(each.clause for each in found)
    assert len(found) == 3, clauses
    assert "eps-placement" in clauses
    assert {"momentum-buffer", "momentum-update"} & set(clauses), clauses
    assert {"grad-avg", "centered-variance"} & set(clauses), clauses
    amendments = [str(each.amendment) for each in found]
    assert all(each.amendment for each in found)
    assert len(set(amendments)) == 3, amendments
    verdicts = {clause.id: clause for clause in result.clauses}
    # Without momentum nothing is seen of where the learning rate goes in it: the clause neither passed nor was left out.
    assert verdicts["momentum-lr"].verdict == "hidden"
    assert verdicts["momentum-lr"].hidden_by == ("momentum-update",)
    assert verdicts["update"].verdict == "conforms"


@pytest.mark.parametrize(
    ("name", "clause"),
    [
        ("OtherDefault", "default-momentum"),
        ("HiddenDefaultEps", "default-eps"),
        ("HiddenDefaultAlpha", "default-alpha"),
        ("HiddenDefaultLr", "default-lr"),
    ],
)
def test_another_default_is_one_deviation(name: str, clause: str) -> None:
    """Groups that take it over, steps that use it, and habits of torch that it changes are no deviations of their own."""
    assert [found.clause for found in deviations(name, ("float32",))] == [clause]


def test_a_denominator_twice_too_large_is_found_in_both_branches() -> None:
    """A dialect without documented defaults: what is left out is off, so that steps are compared at all."""
    result = examined("Doubled", dialect="tensorflow", without=("weight_decay",))
    assert result.element_checks > 10_000
    assert {found.clause for found in new(result)} == {"update", "momentum-buffer"}


def test_eps_that_is_subtracted_where_centered_is_one_deviation() -> None:
    """Nothing is said of weight decay, or of added groups, in whose programs it is seen as well."""
    (found,) = deviations("SubtractsEps", dialect="tensorflow", without=("complex",))
    assert found.clause in ("centered-variance", "eps-placement")
    assert found.amendment


@pytest.mark.parametrize(
    ("name", "names", "switches"),
    [
        ("AsTensorFlow", ("tensorflow",), ["eps is added inside the square root"]),
        ("LrInside", (), ["eps is added inside the square root", "the learning rate is inside the buffer"]),
    ],
)
def test_another_dialect_throughout_is_told_first(name: str, names: tuple[str, ...], switches: list[str]) -> None:
    """Before the deviations that follow from it, and in the result."""
    settings = make_settings(profile="smoke", formats=("float32",), programs=programs())
    events = [
        event
        for event in examine(load(f"{SUBJECTS}:{name}"), settings)
        if isinstance(event, DialectFound | DeviationFound)
    ]
    values = [
        event
        for event in events
        if isinstance(event, DialectFound) or (event.deviation.kind == "value" and not event.deviation.hazard)
    ]
    first, *rest = values
    assert isinstance(first, DialectFound)
    assert first.speaks == OtherDialect(names, tuple(switches))
    assert len(rest) >= len(switches)


def test_a_fault_in_one_branch_is_no_dialect() -> None:
    """What is limited to a branch, or is a use of an option, makes none."""
    assert examined("EpsInsideCentered", ("float32",)).speaks is None
