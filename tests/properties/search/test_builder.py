"""The builder: whatever the choices, a program is one, and its numbers are of every size."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import AddParamGroup, Create, Load, Step, from_json, to_json
from rmspec.properties.search.builder import SHAPES, Builder, RandomSource

MOVES = (
    "step", "step_again", "step_closure", "set_grad", "zero_grad", "add_param_group", "set_option", "save", "load",
    "edit_state", "freeze",
)  # fmt: skip


class Drawn:
    """Choices of Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


def built(*seed: int, moves: int = 12, wide: int = 0) -> Builder:
    builder = Builder(RandomSource(*seed), wide=wide)
    builder.start()
    for _ in range(moves):
        getattr(builder, builder.choose(MOVES))()
    return builder


@given(st.data(), st.lists(st.sampled_from(MOVES), max_size=8), st.booleans())
def test_every_sequence_of_moves_is_a_program(data: st.DataObject, moves: list[str], refused: bool) -> None:
    """It follows the schema, names only what it has made, and survives its JSON form."""
    builder = Builder(Drawn(data))
    builder.start()
    for move in moves:
        getattr(builder, move)()
    if refused:
        builder.refused()
    assert builder.over is refused
    program = builder.program("a note")
    assert from_json(to_json(program)) == program


def test_the_choices_are_the_whole_of_a_program() -> None:
    """The same source gives the same program."""
    assert built(1, 2).program() == built(1, 2).program()
    assert built(1, 2).program() != built(1, 3).program()


def test_choices_stay_within_their_bounds() -> None:
    """Both ends are included, and reached."""
    source = RandomSource(0)
    assert {source.integer(2, 4) for _ in range(100)} == {2, 3, 4}
    assert source.integer(7, 7) == 7


@pytest.mark.parametrize("name", list(FORMATS))
def test_numbers_are_of_every_size(name: str) -> None:
    """Zeros, subnormals, small ones, large ones and near-overflow ones of both signs, all finite in their format."""
    builder, fmt = Builder(RandomSource(1)), FORMATS[name].part
    drawn = [builder.number(name) for _ in range(2000)]
    assert all(math.isfinite(fmt.round(each)) for each in drawn)
    sizes = Counter(
        "zero" if each == 0
        else "subnormal" if abs(each) < fmt.smallest_normal
        else "huge" if abs(each) > fmt.max_finite / 100
        else "small" if abs(each) < 1
        else "large"
        for each in drawn
    )  # fmt: skip
    assert min(sizes[each] for each in ("zero", "subnormal", "huge", "small", "large")) > 20
    assert 800 < sum(each < 0 for each in drawn) < 1200


def programs() -> Iterator[Builder]:
    return (built(5, index) for index in range(150))


def test_shapes_layouts_and_formats_all_occur() -> None:
    """Scalars, empty ones, odd ones and matrices, in every layout and format."""
    params = [param for builder in programs() for param in builder.params]
    assert {param.shape for param in params} >= set(SHAPES)
    assert {param.layout for param in params} == {"contiguous", "transposed", "strided"}
    assert {param.dtype for param in params} == set(FORMATS)


def test_loads_fit_what_was_saved() -> None:
    """A state is loaded into an optimizer with as many parameters in each group as were saved."""
    loads = 0
    for builder in programs():
        sizes: dict[str, list[int]] = {}
        slots: dict[str, list[int]] = {}
        for call in builder.calls:
            if isinstance(call, Create):
                groups = call.groups if call.form == "groups" else call.groups[:1]
                sizes[call.optimizer] = [len(group.params) for group in groups]
            elif isinstance(call, AddParamGroup):
                sizes[call.optimizer] = [*sizes[call.optimizer], len(call.group.params)]
            elif type(call).__name__ == "Save":
                slots[call.slot] = list(sizes[call.optimizer])  # type: ignore[union-attr]
            elif isinstance(call, Load):
                loads += 1
                assert sizes[call.optimizer] == slots[call.slot]
    assert loads > 30


def test_gradients_repeat_and_optimizers_come_in_pairs() -> None:
    """Steps with the gradients as they are, and twins over parameters of their own, are frequent."""
    runs = [builder.calls for builder in programs()]
    assert sum(isinstance(a, Step) and a == b for calls in runs for a, b in itertools.pairwise(calls)) > 50
    assert sum(len({call.optimizer for call in calls if isinstance(call, Create)}) == 2 for calls in runs) > 30


def test_wide_parameters_have_a_number_for_each_element() -> None:
    """A wide tensor is thousands of cases, not one repeated."""
    wide = [param for index in range(20) for param in built(2, index, wide=500).params if math.prod(param.shape) > 65]
    assert wide
    for param in wide:
        count = math.prod(param.shape) * FORMATS[param.dtype].parts
        assert len(param.values) == count <= 1000
        assert len(set(param.values)) > count / 2
