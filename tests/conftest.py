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
