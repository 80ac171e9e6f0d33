"""Identification on real TensorFlow, Keras and optax: each registered subject speaks the dialect that it is checked against."""

from __future__ import annotations

import pytest

from rmspec.oracles.errors import Unsupported
from rmspec.oracles.loader import load
from rmspec.oracles.registry import registered_names
from rmspec.properties import identify

pytest.importorskip("tensorflow")
pytest.importorskip("keras")

pytestmark = pytest.mark.frameworks

NAMES = [name for name, framework in registered_names().items() if framework.name in ("tensorflow", "keras", "optax")]


@pytest.mark.parametrize("name", NAMES)
def test_the_dialect_of_a_registered_subject_is_named(name: str) -> None:
    """From what it does alone, and nothing of that is left unexplained."""
    try:
        subject = load(name)
    except Unsupported as error:
        pytest.skip(f"{error.what}; {error.hint}")
    found = identify(subject)
    assert found.standing == "dialect"
    assert subject.dialect in found.named
    assert found.contradictions == ()
