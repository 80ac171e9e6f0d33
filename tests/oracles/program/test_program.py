"""Programs as data: JSON and back, the schema against the vocabulary, and what is said of a program that is none."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields, replace
from importlib.resources import files
from typing import Any, get_args, get_type_hints

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmspec.impl.arithmetic.accuracy import OPERATIONS
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.program import (
    AddParamGroup,
    Create,
    Differentiate,
    EditState,
    Freeze,
    GradMode,
    Group,
    Layout,
    Load,
    Operate,
    Param,
    Program,
    Record,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
    elements,
    from_json,
    hexadecimal,
    parse,
    real,
    to_json,
)
from rmspec.oracles.scripting.counterexample import StoredCounterexample

SCHEMA = json.loads((files("rmspec.oracles") / "schemas" / "program-1.json").read_text("utf-8"))

SMALL = Program(
    (Param("p", "float64", (2, 3), (0.1, -0.0), "strided"), Param("q")),
    (
        Create("A", (Group(("p",), {"lr": 0.25}),), {"centered": True, "eps": TensorNumber(0.5)}),
        SetGrad("p", (math.nan, math.inf, -math.inf), "expanded"),
        Step("A", "returns", {"p": (1.0,)}, 0.5, hooks=True),
        Save("A", "s", "file"),
        EditState("s", "drop", 1),
        Load("A", "s"),
        AddParamGroup("A", Group(("q",)), "tensor"),
        SetOption("A", 0, {"lr": 0.0}),
        ZeroGrad("A", False),
        Freeze("p", False),
    ),
    "a note",
    (3, 11),
    "update",
)
"""Every call of the vocabulary once."""

numbers = st.floats(width=64, allow_nan=True, allow_infinity=True)
values = st.lists(numbers, min_size=1, max_size=4).map(tuple)
names = st.sampled_from(("p", "q"))
layouts = st.sampled_from(get_args(Layout))
options = st.dictionaries(
    st.sampled_from(("lr", "alpha", "eps", "weight_decay", "momentum", "centered", "odd")),
    st.one_of(st.booleans(), numbers, numbers.map(TensorNumber)),
    max_size=3,
)
groups = st.builds(Group, st.lists(names, max_size=2).map(tuple), options)
calls = st.one_of(
    st.builds(Create, st.just("A"), st.lists(groups, min_size=1, max_size=2).map(tuple), options, hooks=st.booleans()),
    st.builds(SetGrad, names, st.none() | values, layouts, st.sampled_from(("", "sparse"))),
    st.builds(
        Step,
        st.just("A"),
        st.sampled_from(("", "returns", "raises")),
        st.dictionaries(names, values, max_size=2),
        numbers,
        st.booleans(),
        st.sampled_from(get_args(GradMode)),
        st.booleans(),
    ),
    st.builds(ZeroGrad, st.just("A"), st.none() | st.booleans()),
    st.builds(AddParamGroup, st.just("A"), groups, st.sampled_from(("list", "generator", "tensor"))),
    st.builds(SetOption, st.just("A"), st.integers(0, 3), options),
    st.builds(Save, st.just("A"), st.just("s"), st.sampled_from(("state_dict", "deepcopy", "file", "pickle"))),
    st.builds(EditState, st.just("s"), st.sampled_from(("relabel", "drop", "shorten", "reshape")), st.integers(0, 3)),
    st.builds(Load, st.just("A"), st.just("s")),
    st.builds(Freeze, names, st.booleans()),
    st.builds(
        Operate, st.tuples(names, names, names), st.dictionaries(st.sampled_from(list(OPERATIONS)), names, min_size=1)
    ),
    st.builds(Record),
    st.builds(Differentiate, names, values),
)
declared = st.tuples(
    *(
        st.builds(
            Param,
            st.just(name),
            st.sampled_from(list(FORMATS)),
            st.lists(st.integers(0, 5), max_size=3).map(tuple),
            values,
            layouts,
        )
        for name in ("p", "q")
    )
)
programs = st.builds(
    lambda params, made, note, classes: Program(params, (SMALL.calls[0], SMALL.calls[3], *made), note, classes),
    declared,
    st.lists(calls, max_size=6).map(tuple),
    st.text(max_size=20),
    st.lists(st.integers(1, 22), max_size=2).map(tuple),
)


def text(program: Program) -> str:
    return json.dumps(to_json(program))


def problem(data: Any) -> str:
    with pytest.raises(MalformedProgram) as caught:
        parse(data if isinstance(data, str) else json.dumps(data), where="mine.json")
    assert caught.value.what.startswith("mine.json is not ")
    assert caught.value.hint
    return caught.value.what


# -- there and back


@given(programs)
def test_a_program_survives_its_json_form(program: Program) -> None:
    """What is written is read back alike, to the sign of a zero and the last bit of every number."""
    assert text(parse(text(program))) == text(program)


@given(programs)
def test_what_is_written_follows_the_schema(program: Program) -> None:
    """Every program that can be made is one by the published schema."""
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text(program)))


def test_every_call_survives_its_json_form() -> None:
    """A program that names every call is equal to what is read back."""
    without_nan = replace(SMALL, calls=tuple(c for c in SMALL.calls if not isinstance(c, SetGrad)))
    assert parse(text(without_nan)) == without_nan
    assert text(parse(text(SMALL))) == text(SMALL)


def test_defaults_are_left_out_of_the_json_form() -> None:
    """A stored program shows what was chosen and nothing else."""
    assert to_json(Program((Param("p"),), (Create("A", (Group(("p",)),)), Step("A")))) == {
        "schema": "rmspec.program/1",
        "params": [{"name": "p"}],
        "calls": [{"op": "create", "optimizer": "A", "groups": [{"params": ["p"]}]}, {"op": "step", "optimizer": "A"}],
    }


@given(numbers)
def test_a_number_survives_its_text(number: float) -> None:
    """The hexadecimal form keeps every bit of a number that is one."""
    back = real(hexadecimal(number))
    assert back == number or (math.isnan(back) and math.isnan(number))
    assert math.isnan(number) or math.copysign(1.0, back) == math.copysign(1.0, number)


@pytest.mark.parametrize("given_text", ["", "one", "infinity", "0x", "1e5x", "NaN "])
def test_a_text_that_is_no_number_is_refused(given_text: str) -> None:
    """Only a hexadecimal number, nan, inf and -inf are numbers."""
    with pytest.raises(ValueError, match=r"hexadecimal|convert|float"):
        real(given_text)


# -- the schema and the vocabulary


def test_the_schema_is_a_schema() -> None:
    """It is valid JSON Schema itself."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def in_schema() -> dict[str, dict[str, Any]]:
    return {each["properties"]["op"]["const"]: each for each in SCHEMA["$defs"]["call"]["oneOf"]}


def test_the_schema_names_every_call_and_no_other() -> None:
    """Its calls are the classes of the vocabulary."""
    assert set(in_schema()) == set(vocabulary._OPS)


@pytest.mark.parametrize("op", sorted(vocabulary._OPS))
def test_the_schema_names_every_entry_of_a_call(op: str) -> None:
    """Its entries are the fields of the class, the required ones those without a default, the choices the same."""
    kind, schema = vocabulary._OPS[op], in_schema()[op]
    assert set(schema["properties"]) - {"op"} == {field.name for field in fields(kind)}
    required = {field.name for field in fields(kind) if repr(field.default) == repr(field.default_factory)}
    assert set(schema["required"]) == required
    hints = get_type_hints(kind)
    for name, entry in schema["properties"].items():
        if "enum" in entry:
            assert tuple(entry["enum"]) == get_args(hints[name])


def test_the_schema_names_every_format_and_layout() -> None:
    """Its formats and layouts are those of the vocabulary."""
    assert set(SCHEMA["$defs"]["dtype"]["enum"]) == set(FORMATS)
    assert tuple(SCHEMA["$defs"]["layout"]["enum"]) == get_args(Layout)


def test_the_schema_names_every_entry_of_a_program() -> None:
    """The entries of a program, a parameter and a group are the fields of their classes, and what it shows stands beside."""
    beside = {"shows"}
    whole = {**SCHEMA, "properties": {key: row for key, row in SCHEMA["properties"].items() if key not in beside}}
    assert beside < set(SCHEMA["properties"])
    for schema, kind in ((whole, Program), (SCHEMA["$defs"]["param"], Param), (SCHEMA["$defs"]["group"], Group)):
        assert set(schema["properties"]) == {field.name for field in fields(kind)}
    names = {field.name for field in fields(StoredCounterexample)} - {"program"}
    assert set(SCHEMA["properties"]["shows"]["properties"]) == names


# -- what is no program


def changed(path: str, value: Any) -> Any:
    data = to_json(SMALL)
    place: Any = data
    *parts, last = [int(each) if each.isdigit() else each for each in path.split("/")]
    for part in parts:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return data


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("schema", "rmspec.program/2", "schema"),
        ("params", ..., "top level"),
        ("params", [], "params"),
        ("params/0/name", "not a name", "params/0/name"),
        ("params/0/dtype", "float8", "params/0/dtype"),
        ("params/0/shape", [-1], "params/0/shape/0"),
        ("params/0/shape", [1.5], "params/0/shape/0"),
        ("params/0/values", [], "params/0/values"),
        ("params/0/values", [0.5], "params/0/values/0"),
        ("params/0/values", ["0.5"], "params/0/values/0"),
        ("params/1/colour", "red", "params/1"),
        ("calls/0/op", "make", "calls/0"),
        ("calls/0/op", ..., "calls/0"),
        ("calls/0/groups", [], "calls/0/groups"),
        ("calls/0/options/centered", "yes", "calls/0/options/centered"),
        ("calls/1/layout", "upside down", "calls/1/layout"),
        ("calls/2/loss", 0.5, "calls/2/loss"),
        ("calls/2/closure", "maybe", "calls/2/closure"),
        ("calls/3/slot", ..., "calls/3"),
        ("calls/7/group", -1, "calls/7/group"),
        ("calls/9/frozen", "no", "calls/9/frozen"),
        ("colour", "red", "top level"),
        ("bug_classes", [0], "bug_classes/0"),
        ("note", 3, "note"),
    ],
)
def test_a_malformed_program_is_named_with_its_place(path: str, value: Any, place: str) -> None:
    """The message says which program, and at which entry it goes wrong."""
    assert re.search(rf"at (the )?{re.escape(place)}\b", problem(changed(path, value)))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("params/1/name", "p", "two parameters have one name"),
        ("calls/0/groups/0/params", ["z"], "call 0 names a parameter that is not declared: z"),
        ("calls/1/param", "z", "call 1 names a parameter that is not declared: z"),
        ("calls/2/grads", {"z": ["nan"]}, "call 2 names a parameter that is not declared: z"),
        ("calls/2/optimizer", "B", "call 2 names an optimizer that is not created: B"),
        ("calls/4/slot", "t", "call 4 names a slot that was not saved: t"),
        ("calls/5/slot", "t", "call 5 names a slot that was not saved: t"),
        ("calls/6/group/params", ["z"], "call 6 names a parameter that is not declared: z"),
        ("params/0/values", ["0x1p+99999"], "too large"),
    ],
)
def test_a_name_that_leads_nowhere_is_said(path: str, value: Any, said: str) -> None:
    """A program that follows the schema but names what it has not made is refused, with the call."""
    assert said in problem(changed(path, value))


def test_every_truncated_program_is_refused() -> None:
    """Cut off after any character, a program is refused as such and nothing worse happens."""
    whole = text(SMALL)
    for length in range(len(whole)):
        assert "is not JSON" in problem(whole[:length])


def test_a_truncated_program_says_that_it_may_have_been_cut_off() -> None:
    """The message names the likely reason, and the line and the column."""
    with pytest.raises(MalformedProgram, match="cut off") as caught:
        parse(json.dumps(to_json(SMALL), indent=1)[:100], where="mine.json")
    assert re.search(r"line \d+, column \d+", caught.value.what)


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "null",
        "[]",
        "3",
        '"text"',
        "NaN",
        "{}",
        "[" * 100_000,
        "[" * 900 + "]" * 900,
        "1" * 5000,
        '{"schema": 1' + "1" * 5000,
    ],
)
def test_a_text_of_another_kind_is_refused(given_text: str) -> None:
    """JSON that is no program, or no JSON at all, gets the one kind of error, whatever its size or depth."""
    problem(given_text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3) | st.just("nan"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(("op", "params", "tensor")), inner),
    max_leaves=3,
)


@given(st.data())
def test_a_spoilt_program_is_refused_or_still_one(data: st.DataObject) -> None:
    """Whatever one entry of a program is replaced by, it is read or refused, and no other error comes out."""
    spoilt = json.loads(text(SMALL))
    place = spoilt
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.integers(0, 3)) == 0:
            break
        place = place[key]
    place[key] = data.draw(json_values)
    try:
        read = from_json(spoilt)
    except MalformedProgram:
        return
    assert from_json(to_json(read), trusted=True)


# -- values as arrays


def test_values_repeat_to_fill_a_shape() -> None:
    """A list that is shorter than its tensor starts over."""
    assert elements((1.0, 2.0, 3.0), "float32", (2, 2)).tolist() == [[1.0, 2.0], [3.0, 1.0]]
    assert elements((1.0, 2.0, 3.0), "complex64", (3,)).tolist() == [1 + 2j, 3 + 1j, 2 + 3j]
    assert elements((1.0, 2.0), "float64", ()).tolist() == 1.0
    assert elements((1.0,), "float16", (2, 0)).shape == (2, 0)


@pytest.mark.parametrize("name", list(FORMATS))
@given(numbers)
def test_values_are_rounded_to_nearest(name: str, number: float) -> None:
    """A value becomes the nearest number of its format, ties to even, however small or large."""
    fmt = FORMATS[name]
    got = elements((number,), name, (1,)).view(fmt.part.dtype).astype(np.float64)
    assert np.array_equal(got, np.full(fmt.parts, fmt.round(number)), equal_nan=True)


def test_a_half_way_value_is_rounded_once() -> None:
    """A value just above half way between two bfloat16 numbers goes up: it is not rounded to float32 on the way."""
    assert float(elements((1 + 2.0**-8 + 2.0**-40,), "bfloat16", (1,))[0]) == 1 + 2.0**-7


def test_a_parameter_is_found_by_its_name() -> None:
    """A name that is not declared is a KeyError."""
    assert SMALL.param("q").name == "q"
    with pytest.raises(KeyError):
        SMALL.param("z")
