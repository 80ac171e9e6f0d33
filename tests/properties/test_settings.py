"""The settings of a check: one validation for Python and for the command line, each in its own words."""

from __future__ import annotations

import inspect
import math
import sys
from dataclasses import fields, replace

import pytest

from rmspec.impl.arithmetic.policy import POLICIES, STRICT
from rmspec.oracles.errors import BadOption, InputProblem, NotAnOptimizer, UnknownSubject
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.properties import Settings, check, identify, make_settings, shipped
from rmspec.properties.known import BadKnownList, Known
from rmspec.reports.cli.identify import IdentifyOptions
from rmspec.reports.config.options import CheckOptions, resolve

PROGRAM = Program(
    (Param("p"),), (Create("A", (Group(("p",)),), {"lr": 0.5}), SetGrad("p", (2.0,)), Step("A")), clause="step"
)

BAD = {
    "profile": ({"profile": "cii"}, "unknown profile 'cii'; did you mean ci?"),
    "profile like no other": ({"profile": "quick"}, "unknown profile 'quick'"),
    "profile of another type": ({"profile": ["ci"]}, "unknown profile ['ci']"),
    "formats": ({"formats": ("flaot32",)}, "unknown format 'flaot32' in formats; did you mean float32?"),
    "formats as one string": ({"formats": "float32"}, "formats='float32' is no collection of names"),
    "formats as a number": ({"formats": 32}, "formats=32 is no collection of names"),
    "without": ({"without": {"momentun"}}, "unknown feature 'momentun' in without; did you mean momentum?"),
    "without as one string": ({"without": "momentum"}, "without='momentum' is no collection of names"),
    "dialect": ({"dialect": "tensorfow"}, "unknown dialect 'tensorfow'; did you mean tensorflow?"),
    "policy": ({"policy": "fastmath"}, "unknown policy 'fastmath'; did you mean fast-math?"),
    "framework": ({"framework": "tourch"}, "unknown framework 'tourch'; did you mean torch?"),
    "framework of another": ({"framework": "torch"}, "framework 'torch' is for classes of your own"),
    "seed below zero": ({"seed": -1}, "seed=-1 is negative"),
    "seed as text": ({"seed": "1"}, "seed='1' is not a whole number"),
    "seed as a truth value": ({"seed": True}, "seed=True is not a whole number"),
    "time budget of zero": ({"time_budget": 0}, "time_budget=0 is not a number of seconds above zero"),
    "time budget as text": ({"time_budget": "30"}, "time_budget='30' is not a number of seconds"),
    "call timeout without end": ({"call_timeout": math.inf}, "call_timeout=inf is not a number of seconds"),
    "memory limit in words": ({"memory_limit": "much"}, "memory_limit='much' is not a size of 64 MiB or more"),
    "memory limit without a unit": ({"memory_limit": "4"}, "memory_limit=4 is not a size of 64 MiB or more"),
    "memory limit of another type": ({"memory_limit": 1e9}, "memory_limit=1000000000.0 is not a size"),
    "call timeout that is no number": ({"call_timeout": math.nan}, "call_timeout=nan is not a number of seconds"),
    "device without a name": ({"device": " "}, "device names no device"),
    "device with a typing error": ({"device": "cdua:1"}, "unknown device 'cdua'; did you mean cuda"),
    "device as a number": ({"device": 0}, "device names no device"),
    "fail fast as text": ({"fail_fast": "no"}, "fail_fast='no' is neither True nor False"),
    "no known as text": ({"no_known": "no"}, "no_known='no' is neither True nor False"),
    "known and no known": ({"known": "list.toml", "no_known": True}, "known and no_known exclude each other"),
    "known as a number": ({"known": 3}, "known=3 is neither a file nor a known deviation"),
    "known that is not there": ({"known": "nowhere.toml"}, "there is no list of known deviations nowhere.toml"),
    "baseline": ({"baseline": "torhc"}, "unknown subject 'torhc'; did you mean torch?"),
    "baseline as a number": ({"baseline": 3}, "the name of a subject is a string, and 3 is none"),
    "programs as something else": ({"programs": ["step"]}, "programs is no collection of programs"),
}


@pytest.mark.parametrize(("given", "what"), BAD.values(), ids=BAD)
def test_a_bad_argument_of_check_is_refused_before_anything_runs(given, what, monkeypatch):
    """One kind of exception names what is wrong, the closest value where there is one, and what to type."""
    monkeypatch.setattr("rmspec.properties.opening.open_subject", lambda *_, **__: pytest.fail("a subject was loaded"))
    with pytest.raises(BadKnownList if "nowhere" in what else BadOption) as caught:
        check("reference", **given)
    assert caught.value.what.startswith(what)
    assert caught.value.hint


@pytest.mark.parametrize(
    "given", [{"profile": "quick"}, {"formats": ("flaot32",)}, {"seed": -1}, {"baseline": "torhc"}]
)
def test_settings_that_are_made_by_hand_are_validated_as_well(given):
    """Whoever follows the events of a check makes Settings, and a changed copy is one too."""
    with pytest.raises(BadOption):
        Settings(**given)
    with pytest.raises(BadOption):
        replace(Settings(), **given)


@pytest.mark.parametrize("given", [{"formats": ("flaot32",)}, {"device": ""}, {"framework": "x"}, {"call_timeout": 0}])
def test_a_bad_argument_of_identify_is_refused(given):
    """The arguments that both take are validated in one place."""
    with pytest.raises(BadOption):
        identify("reference", **given)


@pytest.mark.parametrize("call", [check, identify])
@pytest.mark.parametrize(
    ("subject", "what"),
    [
        (ReferenceSubject, "was given ReferenceSubject, which is neither the name of a subject nor an object"),
        (3, "was given an object of type int, which is neither"),
        ("torhc", "unknown subject 'torhc'; did you mean torch?"),
    ],
)
def test_something_that_is_no_subject_is_refused(call, subject, what):
    """A class is the likeliest mistake: its name, with the place where it stands, is what is asked for."""
    with pytest.raises(BadOption) as caught:
        call(subject)
    assert what in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize("given", [{"framework": "torch"}, {"call_timeout": 5.0}, {"memory_limit": "4G"}])
def test_an_argument_that_is_for_names_is_refused_beside_an_object(given):
    """It would change nothing, which nobody would notice."""
    with pytest.raises(BadOption, match="is for a subject that is given by name"):
        check(ReferenceSubject(), **given)


def test_check_takes_all_that_the_command_line_takes():
    """But for what only the command line has: where reports go, what fails the gate, how much is printed, and several paths."""
    outputs = {"reports", "files", "paths"}
    options = {each.name for each in fields(CheckOptions)} - outputs - {"subjects", "quiet", "verbose", "fail_on"}
    parameters = inspect.signature(check).parameters
    assert {"dtype" if name == "formats" else name for name in parameters} == options | {"subject", "programs"}
    assert all(each.kind is inspect.Parameter.KEYWORD_ONLY for name, each in parameters.items() if name != "subject")


def test_identify_takes_all_that_the_command_line_takes():
    """The same, for rmspec identify."""
    options = {each.name for each in fields(IdentifyOptions)} - {"json"}
    parameters = inspect.signature(identify).parameters
    assert {"dtype" if name == "formats" else name for name in parameters} == options


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        ({"profile": "cii"}, {"profile": "cii"}),
        ({"dtype": ("flaot32",)}, {"formats": ("flaot32",)}),
        ({"without": ("momentun",)}, {"without": ("momentun",)}),
        ({"policy": "fastmath"}, {"policy": "fastmath"}),
        ({"dialect": "tensorfow"}, {"dialect": "tensorfow"}),
        ({"seed": -1}, {"seed": -1}),
        ({"time_budget": 0.0}, {"time_budget": 0.0}),
        ({"call_timeout": -1.0}, {"call_timeout": -1.0}),
        ({"memory_limit": "4X"}, {"memory_limit": "4X"}),
        ({"device": ""}, {"device": ""}),
        ({"framework": "torch"}, {"framework": "torch"}),
        ({"known": "list.toml", "no_known": True}, {"known": "list.toml", "no_known": True}),
        ({"baseline": "torhc"}, {"baseline": "torhc"}),
    ],
    ids=lambda value: ",".join(value),
)
def test_the_command_line_refuses_the_same_in_its_own_words(typed, given):
    """What is a bad argument in Python is a bad option, and each is told as it was typed."""
    with pytest.raises(InputProblem) as option:
        resolve(CheckOptions(subjects=("reference",), **typed))
    with pytest.raises(InputProblem) as argument:
        make_settings(("reference",), **given)
    assert type(option.value) is type(argument.value)
    assert "--" not in str(argument.value)
    names = [
        name for name in ("seed", "time_budget", "call_timeout", "memory_limit", "device", "known") if name in typed
    ]
    for name in names:
        assert f"--{name.replace('_', '-')}" in option.value.what


def test_the_command_line_and_python_make_the_same_settings():
    """The options of one are the arguments of the other."""
    typed = CheckOptions(
        subjects=("mine.process:Class",),
        profile="smoke",
        seed=3,
        time_budget=2.5,
        dialect="keras3",
        device="cuda",
        dtype=("float64,float32",),
        without=("momentum", "groups"),
        fail_fast=True,
        no_known=True,
        baseline="none",
        policy="fast-math",
        framework="torch",
        call_timeout=7.0,
        memory_limit="1.5G",
    )
    made = make_settings(
        ("mine.process:Class",),
        profile="smoke",
        seed=3,
        time_budget=2.5,
        dialect="keras3",
        device="cuda",
        formats={"float64", "float32"},
        without=["groups", "momentum"],
        fail_fast=True,
        no_known=True,
        baseline="none",
        policy=POLICIES["fast-math"],
        framework="torch",
        call_timeout=7.0,
        memory_limit=3 << 29,
    )
    assert resolve(typed) == made
    assert made.formats == ("float32", "float64")
    assert made.known == ()


def test_the_defaults_are_those_of_the_command_line():
    """Nothing said is the same said nowhere."""
    assert resolve(CheckOptions(subjects=("torch",))) == make_settings(("torch",))
    assert make_settings() == replace(Settings(), known=shipped())
    assert make_settings().policy is STRICT


def test_known_deviations_come_from_files_and_entries_beside_the_shipped_list(tmp_path):
    """A path as text or as a Path, an entry, or several of them."""
    entry = Known("mine", "step", "mine.py:*", "accepted")
    file = tmp_path / "list.toml"
    file.write_text('[[known]]\nid = "other"\nclause = "step"\nsubject = "mine.py:*"\nreason = "accepted"\n')
    for known, ids in (
        (entry, ["mine"]),
        ((entry,), ["mine"]),
        (file, ["other"]),
        (str(file), ["other"]),
        ([file, entry], ["other", "mine"]),
    ):
        made = make_settings(known=known)
        assert [each.id for each in made.known[len(shipped()) :]] == ids
        assert made.known[: len(shipped())] == shipped()


def test_the_programs_that_are_given_are_run_in_place_of_the_generated_ones():
    """The result counts them, and none is generated."""
    few = check("reference", profile="smoke", formats=("float32",), programs=(), no_known=True)
    more = check("reference", profile="smoke", formats=("float32",), programs=[PROGRAM] * 3, no_known=True)
    assert more.programs == few.programs + 3


def test_the_policy_that_is_given_is_the_one_of_the_result():
    """By name or as a policy."""
    for policy in ("flush-subnormals", POLICIES["flush-subnormals"]):
        assert check("reference", profile="smoke", time_budget=1e-9, policy=policy).policy == "flush-subnormals"


def test_the_time_of_a_call_reaches_the_process_of_a_subject(monkeypatch):
    """A process that says nothing is given up after the seconds that were said, once it may have imported what it needs."""
    from rmspec.oracles.errors import SubjectHung

    monkeypatch.setattr("rmspec.oracles.wire.subject.IMPORT_TIMEOUT", 0.1)
    with pytest.raises(SubjectHung, match=r"0\.3 s"):
        check("process:sleep 60", call_timeout=0.3)


def test_the_limit_of_memory_reaches_the_process_of_a_subject():
    """A command that takes more is ended, and says how much it took."""
    from rmspec.oracles.errors import TooMuchMemory

    grows = "x = []\nwhile True: x.append(bytearray(1 << 24))"
    with pytest.raises(TooMuchMemory, match=r"iB of memory before it replied to 'hello'\. it may use 64 MiB"):
        check(f"process:{sys.executable} -c '{grows}'", memory_limit="64M")


def test_what_is_named_and_is_no_optimizer_stays_told_apart():
    """A name that leads nowhere, and one that leads to something else, have their own exceptions, of one root."""
    with pytest.raises(UnknownSubject):
        check("nowhere.py:RMSprop")
    with pytest.raises(NotAnOptimizer):
        check("math:pi")
