"""The execution paths that a signature offers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from rmspec.oracles.registry import framework_named
from rmspec.oracles.session.paths import offered_paths
from rmspec.oracles.subject import Raised


def offered(
    factory: Callable[..., Any], device: str = "cpu", raised: Raised | None = None, *, framework: str = "torch"
) -> dict[str, str]:
    known = framework_named(framework)
    assert known is not None
    return offered_paths(factory, known, device, lambda keywords, step: raised)


class Base:
    def __init__(self, params, foreach=None, maximize=False):
        pass


class Handing(Base):
    def __init__(self, params, nesterov=True, **rest):
        pass


class Closed(Base):
    def __init__(self, params):
        pass


def test_each_known_switch_of_a_signature_is_a_path() -> None:
    """It is set to what it is not by default."""

    def make(params, lr=0.1, foreach=False, maximize=True, unknown=False, fused=3):
        pass

    assert offered(make) == {"foreach": "", "no_maximize": ""}


def test_a_class_that_hands_its_keywords_on_has_the_switches_of_its_base() -> None:
    """One that does not has its own alone."""
    assert offered(Handing) == {"no_nesterov": "", "foreach": "", "maximize": ""}
    assert offered(Closed) == {}
    assert offered(lambda params, **options: None) == {}


def test_a_default_of_none_is_another_path_where_it_means_on() -> None:
    """On a GPU torch takes foreach by itself, so that the loop is the other path."""
    assert set(offered(Base)) == {"foreach", "maximize"}
    assert set(offered(Base, "cuda:0")) == {"no_foreach", "maximize"}


def test_a_path_of_another_device_is_named_with_the_reason() -> None:
    """It is in the list of what was not checked."""

    def make(params, capturable=False):
        pass

    assert offered(make) == {"capturable": "it exists on cuda alone"}
    assert offered(make, "cuda") == {"capturable": ""}


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (
            Raised("NotImplementedError", "later"),
            {"foreach": "foreach is refused: later", "fused": "fused is refused: later"},
        ),
        (Raised("RuntimeError", "no kernel"), {"foreach": "", "fused": "fused is refused here: no kernel"}),
        (Raised("TypeError", "oops"), {"foreach": "", "fused": ""}),
    ],
)
def test_only_a_refusal_leaves_a_path_out(raised: Raised, reason: Mapping[str, str]) -> None:
    """Any other exception is found, as a deviation: that of a path which the device may lack is one of the device."""

    def make(params, foreach=False, fused=False):
        pass

    assert offered(make, raised=raised) == reason


def test_a_switch_of_another_framework_is_no_path() -> None:
    """A factory for optax may call an argument foreach, and mean anything by it."""

    def make(learning_rate, foreach=False, nesterov=False):
        pass

    assert offered(make, framework="optax") == {"nesterov": ""}


def test_only_a_path_that_the_device_may_lack_takes_a_step() -> None:
    """A step that crashes on one path must not take the others with it."""
    stepped: dict[str, bool] = {}

    def attempt(keywords: Mapping[str, bool], step: bool) -> None:
        stepped.update(dict.fromkeys(keywords, step))

    def make(params, foreach=False, fused=False, maximize=False):
        pass

    torch = framework_named("torch")
    assert torch is not None
    offered_paths(make, torch, "cpu", attempt)
    assert stepped == {"foreach": False, "fused": True, "maximize": False}
