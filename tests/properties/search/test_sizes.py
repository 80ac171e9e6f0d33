"""Sizes: beside the powers of two, beyond a launch, on one thread and on several."""

from __future__ import annotations

import math

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Program, SetGrad, Step, from_json, to_json
from rmspec.properties.search.sizes import SPLIT, sizes

CI = list(sizes(0, tuple(FORMATS), largest=2**17))


def size(program: Program) -> int:
    """The elements of the first parameter."""
    return math.prod(program.params[0].shape)


def test_sizes_are_beside_every_power_of_two() -> None:
    """One less, as many, one more, up to 2^17; 2^20 once, in one step."""
    single = [program for program in CI if len(program.params) == 1]
    assert {size(program) for program in single} == {2**k + beside for k in range(10, 18) for beside in (-1, 0, 1)} | {
        2**20
    }
    assert sum(isinstance(call, Step) for call in single[-1].calls) == 1
    assert max(size(program) for program in sizes(0, ("float32",), largest=2**12)) == 2**12 + 1


def test_lists_of_values_are_short_and_of_prime_length() -> None:
    """They repeat in no block of a usual size, and in no two quantities alike."""
    for program in CI:
        if len(program.params) == 1:
            lengths = [len(call.values or ()) for call in program.calls if isinstance(call, SetGrad)]
            lengths.append(len(program.params[0].values))
            assert len(set(lengths)) == len(lengths)
            assert all(length < 600 and all(length % factor for factor in range(2, length)) for length in lengths)


def test_groups_have_more_tensors_than_a_launch() -> None:
    """More than 110, and more than three times that, of mixed sizes and in part of mixed formats."""
    groups = [program for program in CI if len(program.params) > 1]
    assert [len(program.params) for program in groups] == [111, 131, 337]
    assert all(len({param.shape for param in program.params}) > 10 for program in groups)
    assert {len({param.dtype for param in program.params}) for program in groups} == {1, len(FORMATS)}


def test_large_steps_are_on_one_thread_and_on_several() -> None:
    """Where threads share a tensor it is asked on one, on three, and on those of the process; a small one on these."""
    assert {program.threads for program in CI if size(program) >= SPLIT} == {0, 1, 3}
    assert {program.threads for program in CI if size(program) < SPLIT} == {0}


def test_every_format_is_asked_in_a_large_tensor_and_float64_seldom() -> None:
    """Each has one of more than 8,191 elements; of float64 none is above 2^15 + 1."""
    largest = {name: max(size(p) for p in CI if p.params[0].dtype == name and len(p.params) == 1) for name in FORMATS}
    assert min(largest.values()) > 8191
    assert largest["float64"] <= SPLIT + 1
    assert largest["float32"] == 2**20


def test_they_are_programs_and_a_function_of_the_seed() -> None:
    """Each is one in JSON as well; another seed makes others."""
    assert all(from_json(to_json(program)) == program for program in CI)
    assert list(sizes(0, tuple(FORMATS), largest=2**17)) == CI
    assert list(sizes(1, tuple(FORMATS), largest=2**17)) != CI
