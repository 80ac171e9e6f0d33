"""Optimizers with faults that hide each other from a check without peeling: each fault is named, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rmspec.properties.check import check
from rmspec.properties.events import Deviation

torch = pytest.importorskip("torch")

SUBJECTS = Path(__file__).with_name("optimizers.py")


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def deviations(name: str, formats: tuple[str, ...] = ("float32", "float64"), **settings: Any) -> list[Deviation]:
    """The subject's new deviations, those left out that torch has as well."""
    result = check(f"{SUBJECTS}:{name}", profile="smoke", formats=formats, **settings)
    assert sum(clause.verdict == "deviates" for clause in result.clauses) == len(
        {found.clause for found in result.deviations if found.known is None}
    )
    return [found for found in result.deviations if found.known is None]


def test_a_sound_optimizer_has_no_new_deviation() -> None:
    """Nothing is explained where nothing deviates."""
    assert deviations("Sound") == []


def test_three_faults_are_three_deviations() -> None:
    """Each is explained by an amendment of its own, and each is shown with the others adopted or alone."""
    found = deviations("ThreeFaults")
    clauses = sorted(each.clause for each in found)
    assert len(found) == 3, clauses
    assert "eps-placement" in clauses
    assert {"momentum-buffer", "momentum-update"} & set(clauses), clauses
    assert {"grad-avg", "centered-variance"} & set(clauses), clauses
    amendments = [str(each.amendment) for each in found]
    assert all(each.amendment for each in found)
    assert len(set(amendments)) == 3, amendments


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


def test_eps_that_is_subtracted_where_centered_is_one_deviation() -> None:
    """Nothing is said of weight decay, or of added groups, in whose programs it is seen as well."""
    (found,) = deviations("SubtractsEps", dialect="tensorflow", without=("complex",))
    assert found.clause in ("centered-variance", "eps-placement")
    assert found.amendment
