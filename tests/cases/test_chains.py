"""What a trace of optax holds is learned from a step, never assumed."""

from pathlib import Path

import pytest
from programs import create, program, step

from rmspec.oracles.loader import load
from rmspec.properties.check import replay
from rmspec.properties.settings import Settings

pytest.importorskip("optax")

FILE = Path(__file__).with_name("chains.py")


@pytest.mark.parametrize(
    ("name", "shows"), [("holds_buffer", True), ("holds_negative", True), ("holds_quarter", False)]
)
def test_a_chain_that_equals_the_page_is_accused_of_nothing(name: str, shows: bool) -> None:
    """A trace that is neither the buffer nor lr times it is not shown."""
    subject = load(f"{FILE}:{name}")
    assert ("momentum_buffer" in subject.capabilities().roles) == shows
    given = program(create(momentum=0.5, lr=0.25, alpha=0.75), step(p=2.0), step(p=-0.5), step(p=1.0))
    assert replay(subject, given, Settings(dialect="torch")) == ()
