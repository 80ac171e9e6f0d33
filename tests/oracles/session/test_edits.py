"""Edits of saved states: each changes one thing, in a copy."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from rmspec.oracles.program.program import EditState
from rmspec.oracles.session.edits import UNKNOWN, edited, ids
from rmspec.oracles.subject import EDITS, OPTIONS

SAVED: dict[str, Any] = {
    "state": {0: {"step": 3, "square_avg": np.array([1.0, 2.0])}, 2: {"step": 1, "square_avg": np.array([3.0])}},
    "param_groups": [{"lr": 0.5, "params": [0, 1]}, {"lr": 0.25, "params": [2]}],
    "extra": "kept",
}


def longer(array: Any) -> Any:
    return np.append(np.ravel(array), 0.0)


def edit(name: Any, index: int = 0) -> dict[str, Any]:
    return edited(SAVED, EditState("s", name, index), longer, {"square_avg": "square_avg", "buf": "momentum_buffer"})


def test_the_ids_are_in_the_order_of_the_parameters() -> None:
    """They are read off the groups, one after the other."""
    assert ids(SAVED) == [0, 1, 2]


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_leaves_the_saved_state_alone(name: str) -> None:
    """What was saved is copied as far as it is changed, and entries of its own are kept."""
    kept = copy.deepcopy(SAVED)
    assert edit(name, 2)["extra"] == "kept"
    assert repr(SAVED) == repr(kept)


def test_relabelling_changes_ids_and_nothing_else() -> None:
    """The ids are other numbers in another order, and lead from the same parameters to the same state."""
    relabelled = edit("relabel")
    assert set(ids(relabelled)).isdisjoint(ids(SAVED))
    assert list(relabelled["state"]) != sorted(relabelled["state"], key=ids(relabelled).index)
    for old, new in zip(ids(SAVED), ids(relabelled), strict=True):
        assert SAVED["state"].get(old) is relabelled["state"].get(new)


@pytest.mark.parametrize(("index", "left"), [(0, {2}), (1, {0, 2}), (2, {0}), (5, {0})])
def test_dropping_takes_out_one_parameters_state(index: int, left: set[int]) -> None:
    """The index counts parameters, round and round; one without state loses nothing."""
    dropped = edit("drop", index)
    assert set(dropped["state"]) == left
    assert ids(dropped) == ids(SAVED)


def test_shortening_takes_a_parameter_out_of_the_last_group() -> None:
    """Its state goes with it."""
    shortened = edit("shorten")
    assert [group["params"] for group in shortened["param_groups"]] == [[0, 1], []]
    assert set(shortened["state"]) == {0}


def test_reshaping_gives_one_entrys_arrays_another_element() -> None:
    """The count of steps stays as it is, and so do the other parameters."""
    reshaped = edit("reshape", 2)["state"]
    assert reshaped[2]["square_avg"].tolist() == [3.0, 0.0]
    assert reshaped[2]["step"] == 1
    assert reshaped[0] is SAVED["state"][0]
    assert edit("reshape", 1)["state"] == SAVED["state"]


VERSIONED: dict[str, Any] = {
    "state": {
        0: {"step": 3, "square_avg": np.ones(2), "buf": np.ones(2)},
        1: {"step": 3, "square_avg": np.ones(2), "buf": np.ones(2)},
    },
    "param_groups": [{"momentum": 0.5, "foreach": None, "params": [0]}, {"momentum": 0.0, "lr": 0.5, "params": [1]}],
}


def versioned(name: Any, index: int = 0) -> tuple[list[dict[str, Any]], dict[Any, Any]]:
    """The groups and the state of another checkpoint, after an edit."""
    roles = {"square_avg": "square_avg", "buf": "momentum_buffer"}
    changed = edited(VERSIONED, EditState("s", name, index), longer, roles)
    return changed["param_groups"], changed["state"]


def test_an_older_checkpoint_has_the_options_of_the_page_alone() -> None:
    """Those that it has; none is added."""
    assert [set(group) for group in versioned("older")[0]] == [{"momentum", "params"}, {"momentum", "lr", "params"}]


def test_a_newer_checkpoint_has_an_option_that_nobody_knows() -> None:
    """In each group."""
    assert all(UNKNOWN in group for group in versioned("newer")[0])


def test_an_extended_checkpoint_has_an_entry_that_nobody_knows() -> None:
    """It is an array of its own, shaped as the parameter is."""
    state = versioned("extended")[1]
    assert state[0][UNKNOWN].tolist() == [1.0, 1.0]
    assert state[0][UNKNOWN] is not state[0]["square_avg"]


def test_a_lean_checkpoint_lacks_the_state_of_branches_that_are_off() -> None:
    """By the options of each group: the first has momentum."""
    assert [set(entry) for entry in versioned("lean")[1].values()] == [
        {"step", "square_avg", "buf"},
        {"step", "square_avg"},
    ]


def test_an_uncounted_checkpoint_lacks_the_step() -> None:
    """In every entry."""
    assert not any("step" in entry for entry in versioned("uncounted")[1].values())


@pytest.mark.parametrize("index", range(7))
def test_an_option_can_be_forgotten(index: int) -> None:
    """The index counts the options of the page, round and round."""
    assert not any(OPTIONS[index % 6] in group for group in versioned("forget", index)[0])
