"""The list of faults is read from the source of their modules."""

import subprocess
import sys
from collections import Counter

import pytest

from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.faults.listing import read_faults

IMPORTS = "from rmspec.oracles.faults.base import LoopRMSprop\nfrom rmspec.oracles.faults.listing import fault\n"


def test_there_are_at_least_sixty_faults_with_ids_of_their_own() -> None:
    """Ids and classes are unique, and there are enough of them."""
    assert len(FAULTS) >= 60
    assert max(Counter(fault.id for fault in FAULTS).values()) == 1
    assert max(Counter(fault.attr for fault in FAULTS).values()) == 1


def test_both_paths_and_the_classes_of_faults_are_covered() -> None:
    """Each class of faults that the design asks for has at least one fault, each path many."""
    assert {fault.bug_class for fault in FAULTS} >= {*range(1, 17), 18, 19, 20, 21}
    assert min(Counter(fault.path for fault in FAULTS).values()) > 30


def test_listing_the_faults_imports_no_framework() -> None:
    """The list comes from the text of the modules."""
    code = "import sys; from rmspec.oracles.faults import FAULTS; sys.exit('torch' in sys.modules or not FAULTS)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_class_and_its_decorator_are_read() -> None:
    """The id from the name, the summary from the docstring, the path from the base class, the rest from the decorator."""
    source = f'''{IMPORTS}
@fault("update", "step", bug_class=7, elementwise=False, inherited=True, dialect="keras3")
class WrongSum2Late(LoopRMSprop):
    """It is wrong."""


class Helper(dict):
    """Not a fault."""
'''
    wanted = Fault(
        id="wrong-sum2-late",
        summary="It is wrong.",
        module="some.module",
        attr="WrongSum2Late",
        path="for-loop",
        clauses=("update", "step"),
        bug_class=7,
        elementwise=False,
        inherited=True,
        dialect="keras3",
    )
    assert list(read_faults(source, "some.module")) == [wanted]
    assert wanted.subject == "some.module:WrongSum2Late"


@pytest.mark.parametrize(
    "source", ["class Unmarked(LoopRMSprop):\n    pass", '@fault("update")\nclass Other(RMSprop):\n    pass']
)
def test_a_class_that_cannot_be_listed_is_refused(source: str) -> None:
    """A fault without a decorator would never be checked, one of another base class has no path."""
    with pytest.raises(ValueError, match=r"some\.module\.(Unmarked|Other) cannot be listed"):
        list(read_faults(source, "some.module"))
