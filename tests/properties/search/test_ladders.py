"""Ladders and scans: every decade of every hyperparameter, every exponent of every format."""

from __future__ import annotations

import itertools
import math

import pytest

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Create, SetGrad, from_json, plain_number, to_json
from rmspec.properties.search.builder import DECADES
from rmspec.properties.search.ladders import CLIMBED, ladder, ladders, scan


def rungs(option: str, dtype: str = "float32", seed: int = 0, turn: int = 0) -> list[float]:
    """The values of a climbed option."""
    create = ladder(seed, turn, option, dtype).calls[0]
    assert isinstance(create, Create)
    return [float(plain_number(group.options[option])) for group in create.groups]


def decade(value: float) -> int:
    """The power of ten of a number; its rounding is forgiven."""
    return math.floor(math.log10(value * (1 + 1e-3)))


@pytest.mark.parametrize("option", CLIMBED)
def test_a_ladder_has_a_rung_in_every_decade(option: str) -> None:
    """From 1e-12 to 1e3; of alpha and momentum down to 1e-12 from 0, and from 1."""
    values = rungs(option)
    if option in ("alpha", "momentum"):
        below = list(range(DECADES.start, 0))
        assert [decade(value) for value in values[: len(below)]] == below
        assert [decade(1 - value) for value in values[len(below) :]] == below
        assert all(0 < value < 1 for value in values)
    else:
        assert [decade(value) for value in values] == list(DECADES)


def test_the_mantissas_are_of_the_seed() -> None:
    """A threshold between two rungs of one seed lies elsewhere between those of another; one seed makes one ladder."""
    assert rungs("eps") != rungs("eps", seed=1)
    assert ladder(3, 1, "lr", "bfloat16") == ladder(3, 1, "lr", "bfloat16")


def test_in_three_turns_every_rung_is_climbed_in_every_format() -> None:
    """Elsewhere than in float32 a ladder has one rung in three, of each turn others."""
    decades = {decade(value) for turn in range(3) for value in rungs("weight_decay", "float16", turn=turn)}
    assert decades == set(DECADES)


@pytest.mark.parametrize("dtype", list(FORMATS))
def test_a_scan_has_every_exponent_and_the_landmarks(dtype: str) -> None:
    """From the smallest numbers of a format to its largest, three exponents apart in float64; it holds no infinity."""
    fmt = FORMATS[dtype].part
    grads = [call.values or () for call in scan(0, 0, dtype).calls if isinstance(call, SetGrad)]
    assert sorted(grads[0]) == sorted(grads[1])
    assert grads[0] != grads[1]
    sizes = [abs(value) for value in grads[0]]
    assert max(sizes) <= fmt.max_finite
    exponents = sorted({math.frexp(size)[1] for size in sizes})
    step = 3 if fmt.name == "float64" else 1
    assert max(after - before for before, after in itertools.pairwise(exponents)) == step
    # A number between the two smallest may be rounded up.
    assert exponents[0] <= math.frexp(fmt.smallest_subnormal)[1] + 1
    assert exponents[-1] >= math.frexp(fmt.max_finite)[1] - step
    root = math.sqrt(fmt.max_finite)
    assert any(root * 0.99 < size < root for size in sizes)
    assert any(root < size < root * 1.01 for size in sizes)


def test_the_first_format_is_climbed_whole_and_the_others_in_turn() -> None:
    """One seed makes all ladders of the first format, and one and a scan of each other; all of them are programs."""
    made = list(ladders(0, tuple(FORMATS), branches=2))
    assert len(made) == 2 * (len(CLIMBED) + len(FORMATS) + len(FORMATS) - 1)
    assert all(from_json(to_json(program)) == program for program in made)
    assert {program.params[0].dtype for program in made} == set(FORMATS)
