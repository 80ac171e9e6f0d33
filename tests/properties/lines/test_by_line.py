"""Line by line: a wrong line accuses no line below it, and hides none that is wrong as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from faulty_lines import programs, value_findings

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Arithmetic
from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.dialect import DIALECTS, SPECIFICATION, Dialect, Hyperparameters
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Program
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.lines.by_line import Question, judge_lines, widen

torch = pytest.importorskip("torch")

from rmspec.oracles.faults.base import LoopRMSprop  # noqa: E402 - needs torch
from rmspec.oracles.torch.subject import user_subject  # noqa: E402 - needs torch


class Scaled(LoopRMSprop):
    """v is scaled."""

    def _square_average(self, v, g, h):
        super()._square_average(v, g, h)
        v.mul_(1.5)


class AnotherEvaluation(LoopRMSprop):
    """v is scaled, and where not centered another evaluation of it divides than the one that is stored."""

    def _square_average(self, v, g, h):
        self.used = (v + (1 - h.alpha) * (g * g - v)) * 1.5
        super()._square_average(v, g, h)
        v.mul_(1.5)

    def _denominator(self, v, h):
        return super()._denominator(v if h.centered else self.used.clamp(min=0), h)


class Absolute(LoopRMSprop):
    """v averages the magnitude of the gradient."""

    def _square_average(self, v, g, h):
        v.mul_(h.alpha).add_(g.abs(), alpha=1 - h.alpha)


class Lagging(LoopRMSprop):
    """v averages the gradient before the last."""

    def _square_average(self, v, g, h):
        last = self.__dict__.setdefault("last", {})
        super()._square_average(v, last.get(v.data_ptr(), torch.zeros_like(g)), h)
        last[v.data_ptr()] = g.clone()


class FixedAlpha(LoopRMSprop):
    """v ignores alpha."""

    def _square_average(self, v, g, h):
        v.mul_(0.9).addcmul_(g, g, value=0.1)


class NoDecay(LoopRMSprop):
    """Weight decay is ignored."""

    def _decayed(self, g, theta, h):
        return g


class Dampened:
    """The buffer takes 1 - momentum of the normalized gradient."""

    def _accumulate(self, b, n, h):
        b.mul_(h.momentum).add_(n, alpha=1 - h.momentum)


class Doubled:
    """The step is twice as long."""

    def _apply(self, theta, direction, h):
        theta.add_(direction, alpha=-2 * h.lr)


class Heavy:
    """The gradient average takes the gradient with twice its weight."""

    def _grad_average(self, g_ave, g, h):
        g_ave.mul_(h.alpha).add_(g, alpha=2 * (1 - h.alpha))


FIRST = [Scaled, AnotherEvaluation, Absolute, Lagging, FixedAlpha]
SECOND = {Dampened: "momentum_buffer", Doubled: "param", Heavy: "grad_avg"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small tensors on many threads take longer."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def some() -> tuple[Program, ...]:
    return tuple(programs(stored=6, drawn=12, sweeps=6))


def found(kind: type, some: tuple[Program, ...], dialect: Dialect = SPECIFICATION) -> list[Finding]:
    return value_findings(user_subject(kind.__name__, kind, "cpu"), some, dialect)


@pytest.mark.parametrize("first", FIRST, ids=lambda each: each.__name__)
def test_a_fault_in_v_accuses_v_alone(first: type, some: tuple[Program, ...]) -> None:
    """Whatever is wrong with it: the lines below are right given what is seen of it."""
    assert {finding.role for finding in found(first, some)} == {"square_avg"}


@pytest.mark.parametrize("second", SECOND, ids=lambda each: each.__name__)
@pytest.mark.parametrize("first", FIRST, ids=lambda each: each.__name__)
def test_a_second_fault_beside_one_in_v_is_found(first: type, second: type, some: tuple[Program, ...]) -> None:
    """In the line that has it, by itself and given what was seen, and in no other."""
    findings = found(type("Both", (second, first), {}), some)
    assert {finding.role for finding in findings} == {"square_avg", SECOND[second]}
    later = [finding for finding in findings if finding.by_line]
    assert {finding.role for finding in later} == {SECOND[second]}
    assert all(finding.case is not None and finding.case.handed for finding in later)


def test_an_ignored_decay_accuses_no_line_by_what_was_seen(some: tuple[Program, ...]) -> None:
    """The gradient with weight decay is never seen: that v is wrong does not prove that it is right."""
    assert not [finding for finding in found(NoDecay, some) if finding.by_line]


@pytest.mark.parametrize("role", STATE_ROLES)
def test_where_nothing_failed_the_lines_are_those_of_the_envelope(role: str) -> None:
    """Nothing is handed on, so the intervals are the same numbers."""
    hyper = Hyperparameters(0.125, 0.75, 0.25, 0.5, 0.5, True)
    state = np.array([0.1, 0.2, 4.0]), np.zeros(3), np.ones(3)
    before = Before(np.array([1.0, -2.0, 0.5]), np.array([0.5, 3.0, -1.0]), *state)
    plain = envelope(before, FORMATS["float32"], hyper)
    observed = {line: np.asarray(interval.lo) for line, interval in plain.items()}
    failed = {line: np.zeros(3, dtype=bool) for line in plain}
    question = Question(FORMATS["float32"], hyper, SPECIFICATION, STRICT, 1)
    lines = judge_lines(before, observed, failed, question, question.envelope(before))
    assert np.array_equal(lines[role].interval.lo, plain[role].lo)
    assert np.array_equal(lines[role].interval.hi, plain[role].hi)
    assert not (lines[role].accused | lines[role].blocked).any()


@pytest.mark.parametrize("dialect", ["torch", "tensorflow1", "keras3", "optax", "torch-maximize"])
def test_correct_subjects_are_judged_by_the_plain_envelope(
    dialect: str, some: tuple[Program, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the corpus and the sweeps, nothing is judged line by line, and nothing is blocked."""
    monkeypatch.setattr("rmspec.properties.judge.stepcheck.judge_lines", None)
    tally = Tally()
    assert value_findings(ReferenceSubject(DIALECTS[dialect]), some, DIALECTS[dialect], tally) == []
    assert tally.element_checks > 10_000
    assert tally.blocked == {}


@pytest.mark.parametrize("fmt", ["float16", "bfloat16", "float32"])
def test_what_was_used_lies_in_the_width_around_what_was_seen(fmt: str) -> None:
    """Of a line with a factor or an addend that is wrong, stored in one legal evaluation and used in another."""
    rng, number = np.random.default_rng(0), FORMATS[fmt]
    lo = np.exp(rng.uniform(-6, 6, 4000))
    hi = lo * (1 + rng.integers(0, 8, 4000) * number.unit_roundoff)
    factor, addend = np.exp(rng.uniform(-3, 3, 4000)), rng.normal(size=4000)
    one, two = (lo + (hi - lo) * rng.uniform(size=4000) for _ in range(2))
    interval = Arithmetic(number, lo).between(lo, hi)
    for pair in ((factor * one, factor * two), (one + addend, two + addend)):
        stored, used = (np.array([number.round(value) for value in values]) for values in pair)
        low, high, nan = widen(stored, interval, number, STRICT)
        assert nan is None
        assert bool(((used >= low) & (used <= high)).all())


def test_a_line_whose_interval_reaches_zero_hands_on_anything() -> None:
    """No factor can be bounded there, so nothing below is accused."""
    number = FORMATS["float16"]
    interval = Arithmetic(number, np.zeros(1)).between(np.zeros(1), np.full(1, 1e-7))
    low, high, _ = widen(np.ones(1), interval, number, STRICT)
    assert (low[0], high[0]) == (-np.inf, np.inf)


class Maximizing(Scaled):
    """v is scaled, with the gradient negated."""

    def _gradient(self, p):
        return -super()._gradient(p)


class Descending(Scaled):
    """v is scaled, and the gradient is not negated."""


@pytest.mark.parametrize("kind", [Maximizing, Descending])
def test_the_sign_of_the_gradient_is_in_doubt_where_it_is_turned(kind: type, some: tuple[Program, ...]) -> None:
    """That v is wrong does not prove the sign, so a line that may be right but for it is not accused by what was seen."""
    assert not [finding for finding in found(kind, some, DIALECTS["torch-maximize"]) if finding.by_line]


class Nesterov(LoopRMSprop):
    """Correct with Nesterov's momentum."""

    def _apply_buffer(self, theta, b, n, h):
        self._apply(theta, h.momentum * b + n, h)


class ScaledNesterov(Scaled, Nesterov):
    """v is scaled."""


class DoubledNesterov(Doubled, ScaledNesterov):
    """v is scaled, and the step is twice as long."""


@pytest.mark.parametrize(
    ("kind", "roles"), [(ScaledNesterov, {"square_avg"}), (DoubledNesterov, {"square_avg", "param"})]
)
def test_nesterovs_form_reads_the_denominator_twice(kind: type, roles: set[str], some: tuple[Program, ...]) -> None:
    """The step reads the buffer and the denominator, both as seen."""
    assert {finding.role for finding in found(kind, some, replace(SPECIFICATION, nesterov=True))} == roles
