"""Recording numbers: which values each result of the pseudocode is computed from."""

from __future__ import annotations

import pytest

from rmspec.impl.arithmetic.tracing import trace
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Hyperparameters

PLAIN = Hyperparameters(momentum=0.0, weight_decay=0.0, centered=False)


def test_the_square_average_follows_from_itself_the_gradient_and_alpha() -> None:
    """The first line of the loop reads nothing else, without weight decay."""
    assert trace(PLAIN, SPECIFICATION) == {
        "square_avg": {"square_avg", "grad", "alpha"},
        "param": {"param", "square_avg", "grad", "alpha", "lr", "eps"},
    }


def test_weight_decay_brings_the_parameter_into_every_line() -> None:
    """With l2 decay the gradient is one of the parameter as well."""
    decayed = Hyperparameters(weight_decay=0.1, momentum=0.5, centered=True)
    graph = trace(decayed, SPECIFICATION)
    assert set(graph) == {"square_avg", "grad_avg", "momentum_buffer", "param"}
    assert all({"param", "weight_decay"} <= names for names in graph.values())


@pytest.mark.parametrize(("place", "reads"), [("outside", False), ("inside", True)])
def test_the_place_of_lr_decides_whether_the_buffer_reads_it(place: str, reads: bool) -> None:
    """Inside, the buffer holds moves; outside, it holds directions."""
    dialect = next(each for each in DIALECTS.values() if each.lr_place == place and each.momentum_form != "never")
    graph = trace(Hyperparameters(momentum=0.5), dialect)
    assert ("lr" in graph["momentum_buffer"]) == reads


def test_a_branch_that_is_not_taken_sets_nothing() -> None:
    """Without momentum there is no buffer to be computed, and nothing reads one."""
    graph = trace(Hyperparameters(centered=True, momentum=0.0), SPECIFICATION)
    assert set(graph) == {"square_avg", "grad_avg", "param"}
    assert not any("momentum_buffer" in names for names in graph.values())
