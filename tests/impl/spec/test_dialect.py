"""Dialects are data: named points, frozen, with predicates and errors that help."""

import dataclasses

import pytest

from rmspec.impl.spec.dialect import (
    DIALECTS,
    SPECIFICATION,
    Defaults,
    Dialect,
    Hyperparameters,
    UnknownDialect,
    dialect_named,
)

NAMES = (
    "torch",
    "tensorflow",
    "tensorflow-op",
    "tensorflow1",
    "keras3",
    "keras-legacy",
    "graves2013",
    "hinton",
    "optax",
    "torch-maximize",
)


def test_the_named_dialects_are_these():
    """A name that outsiders type is never removed or renamed."""
    assert tuple(DIALECTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_named_dialect_is_found_by_its_name_and_has_a_title(name):
    """The name in the mapping is the dialect's own."""
    dialect = dialect_named(name)
    assert dialect is DIALECTS[name]
    assert dialect.name == name
    assert dialect.title


def test_specification_is_another_name_of_torch():
    """Both words mean the page."""
    assert dialect_named("specification") is SPECIFICATION is DIALECTS["torch"]


@pytest.mark.parametrize(("typed", "closest"), [("tensorfow", "tensorflow"), ("keras", "keras3"), ("zzz", None)])
def test_an_unknown_dialect_is_refused_with_the_closest_name(typed, closest):
    """The error names what was typed, every choice, and the nearest one if there is one."""
    with pytest.raises(UnknownDialect, match=typed) as caught:
        dialect_named(typed)
    assert (caught.value.name, caught.value.closest) == (typed, closest)
    assert isinstance(caught.value, ValueError)
    assert all(name in str(caught.value) for name in NAMES)


def test_the_defaults_of_the_specification_are_those_of_the_page():
    """lr=0.01, alpha=0.99, eps=1e-08, weight_decay=0, momentum=0, centered=False."""
    page = {"lr": 0.01, "alpha": 0.99, "eps": 1e-08, "weight_decay": 0, "momentum": 0, "centered": False}
    assert dataclasses.asdict(Hyperparameters()) == page
    assert dataclasses.asdict(SPECIFICATION.defaults) == page
    assert {name: Hyperparameters().option(name) for name in page} == page


def test_the_specification_has_every_switch_where_the_page_has_it():
    """eps outside the root, averages from 0, lr outside the buffer, L2 decay, real scalars, nothing extra."""
    assert Dialect("torch", SPECIFICATION.title, "outside", 0.0, "outside", "l2", False, False) == SPECIFICATION
    assert (SPECIFICATION.centered_form, SPECIFICATION.momentum_form) == ("option", "option")
    assert (SPECIFICATION.maximize, SPECIFICATION.scalars) == (False, "double")


def test_the_tensorflow_ordering_differs_from_the_specification_in_eps_alone():
    """The page says that TensorFlow interchanges two operations, and nothing else."""
    tensorflow = DIALECTS["tensorflow"]
    same = dataclasses.replace(
        tensorflow, name="torch", title=SPECIFICATION.title, eps_place="outside", defaults=Defaults()
    )
    assert tensorflow.eps_place == "inside"
    assert same == SPECIFICATION


def test_the_initial_state_is_zero_except_where_a_dialect_says_otherwise():
    """TensorFlow 1 starts v at 1; "eps" starts it at eps; the other averages always start at 0."""
    hyper = Hyperparameters(eps=0.25)
    assert [SPECIFICATION.initial(role, hyper) for role in ("square_avg", "grad_avg", "momentum_buffer")] == [0, 0, 0]
    assert DIALECTS["tensorflow1"].initial("square_avg", hyper) == 1.0
    assert DIALECTS["tensorflow1"].initial("grad_avg", hyper) == 0.0
    assert Dialect("x", "x", initial_square_avg="eps").initial("square_avg", hyper) == 0.25


def test_centered_and_momentum_follow_the_option_unless_the_dialect_fixes_them():
    """Graves is always centered, Hinton never, and Hinton knows no momentum."""
    on, off = Hyperparameters(centered=True, momentum=0.5), Hyperparameters()
    assert (SPECIFICATION.centered(on), SPECIFICATION.centered(off)) == (True, False)
    assert (SPECIFICATION.momentum(on), SPECIFICATION.momentum(off)) == (True, False)
    assert DIALECTS["graves2013"].centered(off)
    assert not DIALECTS["hinton"].centered(on)
    assert not DIALECTS["hinton"].momentum(on)


@pytest.mark.parametrize("instance", [SPECIFICATION, Hyperparameters(), Defaults()])
def test_dialects_options_and_defaults_are_frozen(instance):
    """Nobody can change the specification by accident."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(instance, dataclasses.fields(instance)[0].name, 1)
