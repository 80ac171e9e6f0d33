"""Differences: what a subject does otherwise than its dialect, in one branch, one option, one format or a default."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmspec.oracles import load
from rmspec.properties import identify
from rmspec.properties.identify.answer import Identification

pytest.importorskip("torch")

SUBJECTS = Path(__file__).parents[2] / "cases" / "optimizers.py"
REAL = ("float64", "float32", "bfloat16")


def identified(name: str, formats: tuple[str, ...] = REAL) -> Identification:
    """The identification of a subject of the cases."""
    return identify(load(f"{SUBJECTS}:{name}"), formats=formats)


def words(found: Identification) -> list[str]:
    """What a subject does otherwise, and what nothing explains, in words."""
    return [*(each.amendment.words() for each in found.differences), *(each.words() for each in found.remainders)]


@pytest.mark.parametrize(
    ("name", "base", "differences"),
    [
        ("EpsInsideCentered", "torch", ["eps is added inside the square root, with centered"]),
        ("HalfDecay", "torch", ["weight_decay is multiplied by 0.5"]),
        ("SubtractsEps", "tensorflow", ["eps has the other sign, with centered"]),
        ("DoubleInBfloat16", "torch", ["lr is multiplied by 2, in bfloat16"]),
    ],
)
def test_a_fault_is_told_from_the_dialect_that_it_is_a_fault_of(name: str, base: str, differences: list[str]) -> None:
    """As a check explains it: with its branch, its option, its format; a short program shows it."""
    found = identified(name)
    assert found.standing == "unexplained"
    assert (found.base, found.named) == (base, ())
    assert words(found) == differences
    for each in found.differences:
        assert each.evidence is not None
        assert not each.evidence.allowed[0] <= each.evidence.observed <= each.evidence.allowed[1]
        assert each.evidence.program.params[0].shape == (1,)


@pytest.mark.parametrize(
    ("name", "difference", "seen"),
    [
        ("OtherDefault", "momentum is 0.9 by default", "momentum"),
        ("HiddenDefaultEps", "eps is 1e-05 by default", "param"),
        ("HiddenDefaultAlpha", "alpha is 0.9 by default", "param"),
        ("HiddenDefaultLr", "lr is 0.001 by default", "param"),
    ],
)
def test_another_default_is_the_same_dialect(name: str, difference: str, seen: str) -> None:
    """The dialect is named as before, and the default beside it; it shows in the groups, or else in the steps."""
    found = identified(name, ("float64", "float32"))
    assert (found.standing, found.named, found.base) == ("dialect", ("torch",), "torch")
    assert words(found) == [difference]
    assert [each.evidence.role for each in found.differences if each.evidence] == [seen]


def test_a_denominator_twice_too_large_is_half_the_learning_rate_without_momentum() -> None:
    """And the buffer, which knows no learning rate, is left without an explanation, as in a check against this dialect."""
    found = identified("Doubled", ("float64", "float32"))
    assert (found.standing, found.base) == ("unexplained", "tensorflow")
    assert words(found) == [
        "lr is multiplied by 0.5",
        "nothing explains its momentum_buffer, with momentum, in float32 and float64",
    ]


def test_three_faults_are_three_switches() -> None:
    """The dialect has no name, and explains everything: the three are switches of it."""
    found = identified("ThreeFaults")
    assert (found.standing, words(found)) == ("dialect", [])
    positions = {each.name: each.value for each in found.switches}
    assert (positions["eps_place"], positions["momentum_form"], positions["centered_form"]) == (
        "inside",
        "never",
        "never",
    )


@pytest.mark.parametrize(
    ("name", "named"), [("Sound", ("torch",)), ("AsTensorFlow", ("tensorflow",)), ("LrInside", ())]
)
def test_what_a_dialect_explains_has_no_differences(name: str, named: tuple[str, ...]) -> None:
    """In no format, branch or default."""
    found = identified(name, ())
    assert (found.standing, found.named, words(found)) == ("dialect", named, [])


def test_where_the_widest_format_is_unexplained_the_next_is_asked() -> None:
    """The dialect is found in float32; the message says in which format it is not."""
    found = identified("InFloat32")
    assert (found.standing, found.format) == ("unexplained", "float32")
    assert found.message.startswith("in float64 no dialect of RMSprop explains what it does; in float32 it is that of")
    assert found.base == "torch"
    assert {name for each in found.remainders for name in each.formats} == {"float64"}


def test_an_option_that_one_line_ignores_is_told_with_the_line() -> None:
    """The parameter alone shows that it is ignored, and not where."""
    found = identify(load("rmspec.oracles.faults.averages:SquareAvgAlphaFixed"), formats=("float64", "float32"))
    assert words(found) == ["alpha is 0.99, whatever is given, in the line of square_avg"]


def test_what_is_listed_of_a_framework_excuses_no_more() -> None:
    """torch rounds a weight decay in bfloat16, as its list has it; that one is ignored there is a difference."""
    found = identify(load("rmspec.oracles.faults.precision:Bfloat16DecayIgnored"))
    assert found.standing == "unexplained"
    assert {name for each in found.differences for name in each.amendment.formats} == {"bfloat16"}
    assert identify(load("torch:foreach")).standing == "dialect"


def test_complex_numbers_alone_are_no_other_dialect() -> None:
    """A class that treats them as they are keeps the name of its dialect, and the numbers are mentioned."""
    found = identified("HiddenDefaultLr", ("float32", "complex64"))
    assert (found.standing, found.named) == ("dialect", ("torch",))
    assert [each.evidence.clause for each in found.remainders if each.evidence] == ["complex-pairs"]
    assert words(found)[1:] == ["complex numbers are not pairs of reals in its param"]
