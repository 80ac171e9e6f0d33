"""What holds for every test file."""

import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

# A machine that is busy is no fault of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(autouse=True, scope="module")
def search_path() -> Iterator[None]:
    """A file that is loaded as a subject puts its folder on ``sys.path``: the tests of another file must not find it there."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture(autouse=True)
def gradient_mode() -> Iterator[None]:
    """A faulty optimizer that is stepped by hand may leave gradients off: the next test finds them on."""
    yield
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "set_grad_enabled"):
        torch.set_grad_enabled(True)
