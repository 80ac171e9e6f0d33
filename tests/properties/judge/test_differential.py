"""Two dialects that differ in one switch: how they are related, and subjects that break just that."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st
from remade import Faulty

from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.reference import RMSprop
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import DIALECTS, dialect_named
from rmspec.oracles.host.perform import perform
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.properties.check import examine, replay
from rmspec.properties.events import SubjectFinished
from rmspec.properties.judge.differential import differences, programs
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.search.fitting import admit
from rmspec.properties.settings import Settings

NAMES = tuple(id for id, each in CLAUSES.items() if each.kind == "differential")
FORMATS = ("float32", "float64", "float16", "bfloat16")


def found(subject: Any, clause: str, tally: Tally | None = None) -> list[Finding]:
    """What the programs of one clause show of it on a subject."""
    capabilities, dialect = subject.capabilities(), dialect_named(subject.dialect)
    findings: list[Finding] = []
    for each in programs(FORMATS):
        admitted = admit(each, capabilities)
        if each.clause == clause and admitted is not None:
            findings += differences(perform(admitted, subject), dialect, STRICT, Tally() if tally is None else tally)
    return findings


# -- the algebra

magnitudes = st.builds(lambda m, e: Fraction(m) * Fraction(2) ** e, st.integers(1, 2**20), st.integers(-80, 60))


@given(v=st.one_of(st.just(Fraction(0)), magnitudes), eps=magnitudes)
def test_the_denominators_differ_by_what_the_inequality_says(v: Fraction, eps: Fraction) -> None:
    """eps - sqrt(eps) <= (sqrt(v) + eps) - sqrt(v + eps) < eps, in 400 digits."""
    with mpmath.workdps(400):
        a, e = mpmath.mpf(v.numerator) / v.denominator, mpmath.mpf(eps.numerator) / eps.denominator
        difference = (mpmath.sqrt(a) + e) - mpmath.sqrt(a + e)
        slack = mpmath.mpf(10) ** -380 * (1 + a + e)
        assert e - mpmath.sqrt(e) - slack <= difference <= e + slack
        if v:
            assert difference > e - mpmath.sqrt(e) - slack


@given(eps=magnitudes)
def test_neither_end_of_the_inequality_can_be_moved(eps: Fraction) -> None:
    """At v = 0 the difference is eps - sqrt(eps); for a v that is large enough it comes as near to eps as one likes."""
    with mpmath.workdps(400):
        e = mpmath.mpf(eps.numerator) / eps.denominator
        large = (e * mpmath.mpf(10) ** 60) ** 2 + mpmath.mpf(10) ** 60
        difference = (mpmath.sqrt(large) + e) - mpmath.sqrt(large + e)
        assert e - difference < e * mpmath.mpf(10) ** -20
        assert abs((0 + e) - mpmath.sqrt(e) - (e - mpmath.sqrt(e))) == 0


# -- correct subjects


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_is_related_to_its_siblings_as_stated(dialect: str) -> None:
    """The reference in any dialect shows nothing, and the clauses that apply to it are checked."""
    subject, tally = ReferenceSubject(DIALECTS[dialect]), Tally()
    assert [each.summary for clause in NAMES for each in found(subject, clause, tally)] == []
    unchecked = set(NAMES) - set(tally.checks)
    expected = {"hinton": set(NAMES) - {"first-average"}, "graves2013": {"order-within-bound"}}
    assert unchecked == expected.get(dialect, set())


@pytest.mark.parametrize("name", ["torch", "torch:foreach", "torch:maximize"])
def test_torch_is_related_to_the_ordering_of_tensorflow_as_stated(name: str) -> None:
    """All five clauses, in every real format."""
    pytest.importorskip("torch")
    tally = Tally()
    assert [each.summary for clause in NAMES for each in found(load(name), clause, tally)] == []
    assert set(tally.checks) == set(NAMES)


# -- wrong on purpose


class NeverZero(RMSprop):
    """Takes an eps of 0 for none at all."""

    def step(self, closure: Any = None) -> Any:
        held = [group["eps"] for group in self.param_groups]
        for group in self.param_groups:
            group["eps"] = group["eps"] or 1e-3
        returned = super().step(closure)
        for group, eps in zip(self.param_groups, held, strict=True):
            group["eps"] = eps
        return returned


class TenTimes(RMSprop):
    """Adds ten times eps."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["eps"] *= 10
        returned = super().step(closure)
        for group in self.param_groups:
            group["eps"] /= 10
        return returned


class Growing(RMSprop):
    """Lets the buffer grow with each step, by another momentum than it is given."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            group["momentum"] *= 2
        returned = super().step(closure)
        for group in self.param_groups:
            group["momentum"] /= 2
        return returned


class Rescaling(RMSprop):
    """Rescales its buffers when lr changes, as if lr were inside."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            last = group.setdefault("last", group["lr"])
            for param in group["params"]:
                entry = self.state.get(id(param), {})
                if last != group["lr"] and "momentum_buffer" in entry:
                    entry["momentum_buffer"] *= last / group["lr"]
            group["last"] = group["lr"]
        return super().step(closure)


class HalfStarted(RMSprop):
    """Starts its average at a half."""

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for param in group["params"]:
                if id(param) not in self.state:
                    self.state[id(param)] = {"step": 0, "square_avg": param.data * 0 + param.data.dtype.type(0.5)}
        return super().step(closure)


FAULTS = [
    ("order-without-eps", NeverZero),
    ("order-within-bound", TenTimes),
    ("lr-place-unseen", Growing),
    ("lr-place-seen", Rescaling),
    ("first-average", HalfStarted),
]


@pytest.mark.parametrize(("clause", "kind"), FAULTS, ids=[clause for clause, _ in FAULTS])
@pytest.mark.parametrize("dialect", ["torch", "tensorflow", "keras3"])
def test_each_clause_catches_a_fault_of_its_own(clause: str, kind: type[RMSprop], dialect: str) -> None:
    """In the specification's order and in TensorFlow's, with the learning rate at either place."""
    if kind is Rescaling and dialect == "keras3":
        pytest.skip("lr is inside already: there is nothing to rescale")
    assert {each.clause for each in found(Faulty(kind, dialect), clause)} == {clause}


@pytest.mark.parametrize(("clause", "kind"), FAULTS, ids=[clause for clause, _ in FAULTS])
def test_a_check_reports_the_clause_with_a_program_that_shows_it(clause: str, kind: type[RMSprop]) -> None:
    """The stored program names the clause, so that a replay asks it again, by itself."""
    subject = Faulty(kind)
    finding = found(subject, clause)[0]
    program = next(
        each
        for each in programs(FORMATS)
        if each.clause == clause and finding in differences(perform(each, subject), DIALECTS["torch"], STRICT, Tally())
    )
    deviations = replay(subject, program, Settings())
    told = [each for each in deviations if each.clause == clause]
    assert told == [] or told[0].program.clause == clause
    # Where a clause of the dialect itself explains it, it is told by that one alone.
    assert told or any(each.kind == "value" and not each.hazard for each in deviations)


def test_what_a_clause_of_the_dialect_explains_is_not_told_again() -> None:
    """A fault in the place of eps breaks the relation to other dialects as well, and is one deviation."""
    settings = Settings(profile="smoke", formats=("float32",), programs=())
    result = next(each.result for each in examine(Faulty(TenTimes), settings) if isinstance(each, SubjectFinished))
    assert "eps-placement" in {each.clause for each in result.deviations}
    assert "differential" not in {CLAUSES[each.clause].kind for each in result.deviations}


def test_a_fault_in_the_place_of_eps_is_told_by_the_bound_in_every_format() -> None:
    """Ten times eps is outside the bound in halves as well."""
    told = {each.summary.split(" is ")[0] for each in found(Faulty(TenTimes), "order-within-bound")}
    assert told == {"param"}
    assert len(found(Faulty(TenTimes), "order-within-bound")) >= len(FORMATS)
