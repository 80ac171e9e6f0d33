"""One test for each clause of the RMSprop specification."""

import pytest


@pytest.mark.rmspec("mine.py:RMSprop", profile="smoke")
def test_my_optimizer():
    pass
