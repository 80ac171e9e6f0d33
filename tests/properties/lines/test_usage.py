"""How much of the envelopes is used, and where one objective leads."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rmspec.impl import DIALECTS, FORMATS, SPECIFICATION, STRICT, Before, Hyperparameters, envelope
from rmspec.oracles.loader import load
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Step
from rmspec.oracles.subject import Outcome, Raised
from rmspec.properties import check
from rmspec.properties.judge.findings import Tally
from rmspec.properties.lines.usage import EDGES, ELEMENTS, EVERY, UseCounts, sample, ulp
from rmspec.properties.trajectory import STEPS, band, trajectory


def before(*v: float) -> Before:
    values = np.array(v)
    zeros = np.zeros_like(values)
    return Before(zeros, np.ones_like(values), values, zeros, zeros)


class TestUse:
    """The histogram by format, in ulp."""

    def test_an_ulp_is_the_distance_to_the_next_number(self) -> None:
        """In every format, from subnormals up."""
        values = np.array([1.0, 1.5, 2.0, 3.0, 0.0])
        for name in ("float32", "float16"):
            stored = values.astype(FORMATS[name].dtype)
            assert ulp(values, FORMATS[name]).tolist() == np.spacing(np.abs(stored)).astype(float).tolist()

    @pytest.mark.parametrize("off", [0, 1, -1])
    def test_a_result_is_counted_where_it_lies(self, off: int) -> None:
        """v is 1.25 here: off by so many ulp of float32, it is in the bin of its distance from the middle."""
        counts: dict[str, UseCounts] = {}
        found = 1.25 + off * 2.0**-23
        hyper = Hyperparameters(alpha=0.5)
        sample(counts, before(1.5), {"square_avg": np.array([found])}, "float32", hyper, SPECIFICATION, STRICT, 1)
        interval = envelope(before(1.5), FORMATS["float32"], hyper)["square_avg"]
        lo, hi = float(interval.lo[0]), float(interval.hi[0])
        for ends, value in (
            (counts["float32"].used, abs(found - (lo + hi) / 2)),
            (counts["float32"].allowed, (hi - lo) / 2),
        ):
            place = ends.index(1)
            assert (sum(ends), counts["float32"].results) == (1, 1)
            assert EDGES[place] <= value * 2.0**23 < EDGES[place + 1]

    def test_what_is_outside_or_unbounded_is_not_counted(self) -> None:
        """A deviation has no share of its envelope, and an endless envelope has no middle."""
        counts: dict[str, UseCounts] = {}
        hyper = Hyperparameters(alpha=0.5)
        found = {"square_avg": np.array([7.0, math.inf])}
        sample(counts, before(1.0, math.inf), found, "float32", hyper, SPECIFICATION, STRICT, 1)
        assert counts["float32"].results == 0

    def test_a_wide_step_gives_a_bounded_sample(self) -> None:
        """However many elements there are."""
        counts: dict[str, UseCounts] = {}
        many = np.ones(5000)
        hyper = Hyperparameters(alpha=0.5)
        sample(counts, before(*many), {"square_avg": many}, "float32", hyper, SPECIFICATION, STRICT, 1)
        assert counts["float32"].results == ELEMENTS
        assert sum(counts["float32"].allowed) == ELEMENTS

    def test_tallies_add_up(self) -> None:
        """The histograms of two tallies are one."""
        one, other = Tally(groups=EVERY), Tally(groups=1)
        one.use["float32"] = UseCounts(1, [1, *[0] * 11], [0, 1, *[0] * 10])
        other.use["float32"] = UseCounts(2, [1, 1, *[0] * 10], [0, 2, *[0] * 10])
        one.add(other)
        assert one.use["float32"] == UseCounts(3, [2, 1, *[0] * 10], [0, 3, *[0] * 10])
        assert one.groups == EVERY + 1

    def test_a_check_names_the_element_that_used_most(self) -> None:
        """What it was and what was allowed give the fraction that is reported, and it is the same in every run."""
        first, again = (check("reference", profile="smoke", formats=("float32",), time_budget=None) for _ in range(2))
        worst = {each.id: each for each in first.clauses}["square-avg"]
        assert worst.worst is not None
        lo, hi = worst.worst.allowed
        middle = lo + (hi - lo) / 2
        assert worst.worst_fraction == pytest.approx(abs(worst.worst.observed - middle) / ((hi - lo) / 2), abs=1e-9)
        assert set(worst.worst.before) >= {"param", "grad", "square_avg"}
        assert first.envelope_use["float32"].results > 100
        assert [each.worst for each in first.clauses] == [each.worst for each in again.clauses]
        assert first.envelope_use == again.envelope_use


class Raising(ReferenceSubject):
    """Its third step raises."""

    def session(self, params):
        session = super().session(params)
        perform, steps = session.perform, []

        def performed(call):
            steps.append(isinstance(call, Step))
            return Outcome(Raised("ValueError", "no more")) if sum(steps) == 3 else perform(call)

        session.perform = performed
        return session


class TestTrajectory:
    """One objective, and the band of the specification."""

    def test_the_reference_stays_in_the_band(self) -> None:
        """At every step, and the band stays narrow."""
        subject = load("reference")
        found = trajectory(subject, subject.capabilities())
        assert found is not None
        ends = band(SPECIFICATION)
        assert len(found.theta) == len(ends) == STEPS + 1
        assert all(lo <= theta <= hi for theta, (lo, hi) in zip(found.theta, ends, strict=True))
        assert ends[-1][1] - ends[-1][0] < 1e-3

    @pytest.mark.parametrize("name", ["tensorflow", "tensorflow1", "keras3", "torch-maximize"])
    def test_another_dialect_leaves_it(self, name: str) -> None:
        """eps inside the root, another initial accumulator, another sign: each parts within the forty steps."""
        subject = ReferenceSubject(DIALECTS[name])
        found = trajectory(subject, subject.capabilities())
        assert found is not None
        assert not all(lo <= theta <= hi for theta, (lo, hi) in zip(found.theta, band(SPECIFICATION), strict=True))

    def test_a_subject_without_the_options_has_none(self) -> None:
        """Nor one without the format."""
        subject = load("reference")
        able = subject.capabilities()
        assert trajectory(subject, replace(able, options=able.options - {"eps"})) is None
        assert trajectory(subject, replace(able, formats=("float64",))) is None

    def test_an_exception_ends_it(self) -> None:
        """What there was until then is kept, with the reason."""
        subject = Raising()
        found = trajectory(subject, subject.capabilities())
        assert found is not None
        assert (len(found.theta), found.stopped) == (3, "ValueError: no more")
