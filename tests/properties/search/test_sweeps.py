"""Sweeps: programs from a seed and an index."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Step, from_json, to_json
from rmspec.properties.search.sweeps import sweep, sweeps


def test_a_sweep_is_a_function_of_its_seed_and_index() -> None:
    """The same twice, and another one for another seed or index."""
    assert sweep(3, 5, wide=80) == sweep(3, 5, wide=80)
    assert sweep(3, 5, wide=80) != sweep(3, 6, wide=80)
    assert sweep(3, 5, wide=80) != sweep(4, 5, wide=80)


def test_a_sweep_does_not_depend_on_the_state_of_a_generator() -> None:
    """What was drawn before from NumPy's own generator changes nothing."""
    first = sweep(0, 1)
    np.random.seed(1)
    np.random.rand(7)
    assert sweep(0, 1) == first


@pytest.mark.parametrize("index", range(12))
def test_a_sweep_is_a_program_with_steps(index: int) -> None:
    """It follows the schema, survives it, and steps at least once."""
    made = sweep(1, index, wide=80)
    assert to_json(from_json(to_json(made))) == to_json(made)
    assert any(isinstance(call, Step) for call in made.calls)
    assert str(index) in made.note


def test_every_format_takes_its_turn() -> None:
    """In six sweeps each format is the first choice once."""
    seen = {param.dtype for made in sweeps(2, 36, wide=80) for param in made.params}
    assert seen == set(FORMATS)


def test_narrow_and_wide_take_turns() -> None:
    """Every other sweep has parameters of many elements, up to the width and no wider."""
    sizes = [max(math.prod(param.shape) for param in made.params) for made in sweeps(0, 24, wide=300)]
    assert max(sizes[0::2]) <= 65
    assert 65 < max(sizes[1::2]) <= 300
