"""The registered names: each leads to a module that has it, and says what to install where it cannot."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.errors import Unsupported
from rmspec.oracles.framework import import_reference
from rmspec.oracles.loader import load
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.oracles.subject import ANNOUNCED, FEATURES, OPTIONS, Subject

PRESENT = {each.name for each in frameworks() if importlib.util.find_spec(each.requires) is not None}


def test_no_name_is_registered_twice() -> None:
    """Every name belongs to one framework."""
    assert len(registered_names()) == sum(len(each.subjects) for each in frameworks())


def test_every_dialect_but_the_specification_is_a_reference_of_its_own() -> None:
    """``reference:NAME`` is there for each named dialect."""
    assert {name for name in registered_names() if name.startswith("reference:")} == {
        f"reference:{name}" for name in DIALECTS if name != "torch"
    }


@pytest.mark.parametrize("framework", frameworks(), ids=lambda each: each.name)
def test_a_framework_says_how_to_install_it(framework) -> None:
    """It has an install line and a sentence for each of its subjects."""
    assert framework.install.startswith("pip install ")
    assert all(each.title for each in framework.subjects.values())


@pytest.mark.parametrize("framework", frameworks(), ids=lambda each: each.name)
def test_what_a_descriptor_names_is_there(framework) -> None:
    """Its subjects, its scripts, and what reads and writes its files."""
    if framework.name not in PRESENT:
        pytest.skip(f"{framework.requires} is not installed")
    references = [framework.registered, framework.user_subject, framework.script]
    references += [reference for each in framework.layouts for reference in (each.reader, each.writer)]
    assert all(callable(import_reference(reference)) for reference in references if reference)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow if name == "torch:compiled" else ()) for name in registered_names()],
)
def test_a_registered_name_loads_or_says_what_is_missing(name: str) -> None:
    """The subject has the name it was asked for, and can say what it can be asked."""
    if registered_names()[name].name not in PRESENT:
        pytest.skip(f"{registered_names()[name].requires} is not installed")
    if name == "torch:capturable" and not importlib.import_module("torch").cuda.is_available():
        with pytest.raises(Unsupported, match="no CUDA device"):
            load(name)
        return
    subject = load(name)
    assert isinstance(subject, Subject)
    assert subject.name == name
    assert subject.dialect in DIALECTS
    capabilities = subject.capabilities()
    assert set(capabilities.options) <= set(OPTIONS)
    assert set(capabilities.features) <= {*FEATURES, *ANNOUNCED}
    assert set(subject.state_names()) == set(capabilities.roles) != set()
    assert subject.versions()
