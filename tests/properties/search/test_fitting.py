"""Fitting programs to subjects: what a subject lacks is not asked, and everything else is asked as it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from programs import P, Spoilt, create, grouped, own, program, result, step

from rmspec.oracles.errors import BadOption
from rmspec.oracles.program.program import (
    AddParamGroup,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
)
from rmspec.oracles.subject import ANNOUNCED, FEATURES, Capabilities
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit, restrict

ALL = Capabilities(features=frozenset((*FEATURES, *ANNOUNCED)))

RICH = program(
    grouped(Group(("p",), {"lr": 0.5, "momentum": 0.5}), Group(("q",)), lr=TensorNumber(0.25), centered=True),
    SetGrad("p", (1.0,), "strided"),
    Step("A", "returns", {"p": (1.0,)}, hooks=True),
    Step("A", "raises"),
    SetOption("A", 0, {"lr": 0.5, "momentum": 0.0}),
    SetOption("A", 0, {"momentum": 0.5}),
    ZeroGrad("A"),
    Save("A", "s", "file"),
    EditState("s", "relabel"),
    Load("A", "s"),
    AddParamGroup("A", Group(("r",), {"momentum": 0.5})),
    Freeze("p"),
    params=(P, Param("q", "complex64", (2, 3), (1.0,), "transposed"), Param("r")),
)


def lacking(*features: str, options: set[str] | None = None) -> Program:
    taken = {} if options is None else {"options": ALL.options - options}
    admitted = admit(RICH, replace(ALL, features=ALL.features - set(features), **taken))
    assert admitted is not None
    return admitted


def kinds(given: Program) -> set[Any]:
    return {type(call) for call in given.calls}


def test_a_subject_that_can_do_everything_is_asked_the_program_as_it_is() -> None:
    """Nothing changes, in none of the stored programs either."""
    for each in (RICH, *corpus()):
        assert admit(each, ALL) == each


@pytest.mark.parametrize(
    ("feature", "gone"),
    [
        ("groups", {AddParamGroup}),
        ("schedule", {SetOption}),
        ("state_dict", {Save, Load, EditState}),
        ("zero_grad", {ZeroGrad}),
    ],
)
def test_a_feature_takes_its_calls_along(feature: str, gone: set[type]) -> None:
    """Without the feature its calls are left out, and no others."""
    assert kinds(RICH) - kinds(lacking(feature)) == gone


SURROUNDED = program(
    grouped(Group(("p",))),
    Create("B", (Group(("p",)),), {"lr": 0.5}, dicts="A", hooks=True),
    Step("A", hooks=True, mode="no_grad", bases=True),
    Step("B", mode="inference_mode"),
)


def test_circumstances_are_asked_of_a_subject_that_knows_them() -> None:
    """Without them the calls are plain ones; hooks take those from the start along."""
    assert admit(SURROUNDED, ALL) == SURROUNDED
    plain = admit(SURROUNDED, replace(ALL, features=ALL.features - {"circumstances"}))
    assert plain is not None
    assert plain.calls[1] == Create("B", (Group(("p",)),), {"lr": 0.5})
    assert plain.calls[2:] == (Step("A", hooks=True), Step("B"))
    silent = admit(SURROUNDED, replace(ALL, features=ALL.features - {"hooks"}))
    assert silent is not None
    assert silent.calls[1] == Create("B", (Group(("p",)),), {"lr": 0.5}, dicts="A")
    assert silent.calls[2] == Step("A", mode="no_grad")


@pytest.mark.parametrize("call", [grouped(Group(("p",)), Group(())), AddParamGroup("A", Group(()))])
def test_a_program_with_an_empty_group_is_for_a_subject_that_knows_circumstances(call: Any) -> None:
    """The numbers of its groups would be others without it."""
    given = program(create(), call, step(p=1.0))
    assert admit(given, ALL) == given
    assert admit(given, replace(ALL, features=ALL.features - {"circumstances"})) is None


def test_without_groups_all_parameters_are_one_list() -> None:
    """The first group's options count for all."""
    created = lacking("groups").calls[0]
    assert created == Create("A", (Group(("p", "q")),), {"lr": 0.5, "centered": True, "momentum": 0.5}, "list")


def test_without_closures_steps_are_plain() -> None:
    """A step whose closure fails is left out, for it would be a step."""
    steps = [call for call in lacking("closure", "hooks").calls if isinstance(call, Step)]
    assert steps == [Step("A")]


def test_without_layouts_everything_is_contiguous() -> None:
    """Parameters and gradients alike."""
    given = lacking("layout")
    assert {param.layout for param in given.params} == {"contiguous"}
    assert {call.layout for call in given.calls if isinstance(call, SetGrad)} == {"contiguous"}


def test_without_tensors_a_learning_rate_is_its_number() -> None:
    """And a saved file is a copy where the framework has no files."""
    assert lacking("tensor_lr").calls[0].options["lr"] == 0.25  # type: ignore[union-attr]
    assert [call.via for call in lacking("file").calls if isinstance(call, Save)] == ["deepcopy"]


def test_an_option_that_a_constructor_does_not_take_is_not_given() -> None:
    """Neither to the constructor nor to a group nor later; a change that was of nothing else is left out."""
    given = lacking(options={"momentum", "centered"})
    tables = [given.calls[0].options, *(group.options for group in given.calls[0].groups)]  # type: ignore[union-attr]
    tables += [call.options for call in given.calls if isinstance(call, SetOption)]
    tables += [call.group.options for call in given.calls if isinstance(call, AddParamGroup)]
    assert not any({"momentum", "centered"} & set(table) for table in tables)
    assert len([call for call in given.calls if isinstance(call, SetOption)]) == 1


def test_without_duplicates_a_program_of_them_is_not_asked() -> None:
    """It has no other purpose."""
    twice = program(create("p", "p"))
    assert admit(twice, ALL) == twice
    assert admit(twice, replace(ALL, features=ALL.features - {"duplicates"})) is None


def test_a_program_without_an_optimizer_is_not_asked() -> None:
    """There is nothing to look at."""
    assert admit(program(SetGrad("p", (1.0,))), ALL) is None


def test_formats_are_those_that_there_are() -> None:
    """A parameter of another format gets one that the subject has."""
    admitted = admit(RICH, replace(ALL, formats=("float64",)))
    assert admitted is not None
    assert [param.dtype for param in admitted.params] == ["float64"] * 3


def test_restricting_leaves_out_formats_and_features() -> None:
    """--dtype keeps the formats named, --without takes out features with the reason, and complex takes its formats along."""
    assert restrict(ALL, ("float16", "float8"), frozenset()).formats == ("float16",)
    assert restrict(ALL, (), frozenset({"complex"})).formats == ("float32", "float64", "float16", "bfloat16")
    without = restrict(ALL, (), frozenset({"momentum", "groups"}))
    assert without.features == ALL.features - {"momentum", "groups"}
    assert without.options == ALL.options - {"momentum"}
    assert set(without.missing.values()) == {"left out with --without"}


@pytest.mark.parametrize("feature", FEATURES)
def test_whatever_a_subject_lacks_it_is_not_blamed_for(feature: str) -> None:
    """The reference without a feature conforms on the whole corpus, and the feature's clauses are not checked."""
    verdict = result(Spoilt(), without=frozenset({feature}), formats=("float32",), time_budget=20.0)
    assert verdict.deviations == ()
    taken = {
        "momentum": "momentum-buffer",
        "centered": "grad-avg",
        "weight_decay": "weight-decay",
        "state_dict": "load-options",
    }
    if feature in taken:
        (clause,) = [each for each in verdict.clauses if each.id == taken[feature]]
        assert (clause.verdict, clause.checks, clause.reason) == ("not-checked", 0, "left out with --without")


def test_a_format_that_the_subject_lacks_leaves_nothing_to_check() -> None:
    """The verdict is inconclusive, never a pass; a format that there is not is refused before."""
    narrow = Spoilt(capabilities=replace(ALL, formats=("float32",)))
    assert result(narrow, formats=("float64",)).verdict == "inconclusive"
    assert own(narrow, formats=("float64",)) == []
    with pytest.raises(BadOption, match="unknown format 'float8'"):
        result(Spoilt(), formats=("float8",))


def test_a_step_survives_admission() -> None:
    """The helpers of these tests write what they say."""
    assert admit(program(create(), step(p=1.0)), ALL) is not None
