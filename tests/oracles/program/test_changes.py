"""Changes throughout a program reach every option table and every value, and nothing else."""

from __future__ import annotations

import pytest

from rmspec.oracles.program.changes import change_options, change_values, option_tables, replace_tables
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    Group,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
)

GROUPED = Create("A", (Group(("p",), {"lr": 0.5}), Group(("q",))), {"lr": 1.0, "eps": 0.25})


@pytest.mark.parametrize(
    ("call", "tables"),
    [
        (GROUPED, ({"lr": 1.0, "eps": 0.25}, {"lr": 0.5}, {})),
        (AddParamGroup("A", Group(("q",), {"alpha": 0.5})), ({"alpha": 0.5},)),
        (SetOption("A", 1, {"lr": 2.0}), ({"lr": 2.0},)),
        (Save("A", "s"), ()),
    ],
)
def test_the_option_tables_of_a_call_are_listed_and_replaced(call: Call, tables: tuple[dict[str, float], ...]) -> None:
    """Those of the constructor come first; what is replaced by itself stays as it is."""
    assert option_tables(call) == tables
    assert replace_tables(call, tables) == call
    doubled = change_options(call, lambda options: {name: 2 * float(value) for name, value in options.items()})
    assert option_tables(doubled) == tuple({name: 2 * value for name, value in table.items()} for table in tables)


def test_the_values_of_parameters_and_gradients_are_changed() -> None:
    """With the parameter that they are for and where they stand; a gradient of None has none."""
    params = (Param("p", values=(1.0,)), Param("q", values=(2.0,)))
    calls = (SetGrad("p", (3.0,)), SetGrad("q", None), Step("A", "returns", {"q": (4.0,)}), Step("A"))
    seen: list[tuple[str, object]] = []

    def negate(values: tuple[float, ...], param: Param, place: object) -> tuple[float, ...]:
        seen.append((param.name, place))
        return tuple(-value for value in values)

    changed = change_values(Program(params, calls), negate)
    assert seen == [("p", params[0]), ("q", params[1]), ("p", calls[0]), ("q", calls[2])]
    assert [param.values for param in changed.params] == [(-1.0,), (-2.0,)]
    assert changed.calls == (SetGrad("p", (-3.0,)), calls[1], Step("A", "returns", {"q": (-4.0,)}), calls[3])
