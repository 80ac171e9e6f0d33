"""The ledger: what an optimizer must hold after each call, and where every option came from."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Hyperparameters
from rmspec.oracles.program.program import Group, TensorNumber
from rmspec.properties.judge.ledger import OptimizerLedger, count_reals, format_of, number


def ledger(**options: float) -> OptimizerLedger:
    made = OptimizerLedger.create("A", options, SPECIFICATION.defaults)
    made.add(Group(("p",)))
    made.add(Group(("q", "r"), {"alpha": 0.5}))
    return made


def test_an_option_comes_from_the_group_the_constructor_or_the_page() -> None:
    """In this order, and the ledger remembers which."""
    first, second = ledger(lr=0.5).groups
    assert (first.options["lr"], first.options["alpha"], first.options["eps"]) == (0.5, 0.99, 1e-8)
    assert (second.options["lr"], second.options["alpha"]) == (0.5, 0.5)
    assert (first.sources["lr"], first.sources["alpha"], second.sources["alpha"]) == ("constructor", "default", "group")


def test_a_dialect_without_a_default_leaves_a_group_undecided() -> None:
    """Where an option was not given and the dialect documents none, nothing can be said of a step."""
    made = OptimizerLedger.create("A", {"lr": 0.5}, DIALECTS["tensorflow"].defaults)
    assert made.add(Group(("p",))).hyper() is None
    complete = {"lr": 0.5, "alpha": 0.5, "eps": 0.1, "weight_decay": 0.0, "momentum": 0.0, "centered": False}
    assert made.add(Group(("q",), complete)).hyper() == Hyperparameters(0.5, 0.5, 0.1)  # type: ignore[arg-type]


def test_what_is_saved_does_not_change_with_the_ledger() -> None:
    """Options and state that change later are not those that were saved, and loading brings them back."""
    made = ledger()
    made.state["p"] = {"square_avg": np.array([1.0])}
    made.steps["p"] = 3
    saved = made.save()
    made.groups[0].options["lr"] = 0.25
    made.state["p"]["square_avg"] = np.array([2.0])
    made.steps["p"] = 4
    made.load(saved)
    assert made.groups[0].options["lr"] == 0.01
    assert set(made.groups[0].sources.values()) == {"loaded"}
    assert made.state["p"]["square_avg"].tolist() == [1.0]  # type: ignore[union-attr]
    assert (made.steps["p"], made.steps["q"]) == (3, 0)
    assert made.loaded_from == {"A"}


def test_loading_takes_state_by_the_order_of_the_parameters() -> None:
    """Another optimizer's parameters take over what is saved for theirs, and nothing else."""
    made, twin = ledger(), OptimizerLedger.create("B", {}, SPECIFICATION.defaults)
    twin.add(Group(("x",)))
    twin.add(Group(("y", "z")))
    made.state["r"] = {"square_avg": np.array([3.0])}
    twin.state["x"] = {"square_avg": np.array([1.0])}
    twin.load(made.save())
    assert twin.known("z", "square_avg") is made.known("r", "square_avg") is not None
    assert twin.known("x", "square_avg") is None
    assert twin.params() == ["x", "y", "z"]


def test_a_tensor_counts_as_a_float32() -> None:
    """A number that is given as a tensor is rounded as one."""
    assert number(TensorNumber(0.1)) == float(np.float32(0.1))
    assert number(0.1) == 0.1
    assert number(True) is True


@pytest.mark.parametrize(
    ("dtype", "name", "reals"),
    [
        (np.float16, "float16", 3),
        (ml_dtypes.bfloat16, "bfloat16", 3),
        (np.float64, "float64", 3),
        (np.complex64, "complex64", 6),
    ],
)
def test_an_array_names_its_format_and_counts_its_reals(dtype: type, name: str, reals: int) -> None:
    """A complex element is two reals."""
    array = np.zeros(3, dtype=dtype)
    assert (format_of(array), count_reals(array)) == (name, reals)


def test_an_array_of_another_kind_has_no_format() -> None:
    """Integers are no number format of the suite's."""
    with pytest.raises(KeyError, match="int64"):
        format_of(np.zeros(1, dtype=np.int64))
