"""Step: whether the values after one step lie in the envelope of the values before it.

Elements of one group and one format are checked together. The filter (``rmspec.impl.accepted``) passes most of them; the
intervals decide on the rest, line by line where a line fails; state that cannot be seen is carried as bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import line_readings
from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, accepted
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.ledger import Carry
from rmspec.properties.lines.batch import Batch, SteppedParam, join_params
from rmspec.properties.lines.by_line import Ends, judge_lines, pick
from rmspec.properties.lines.cells import Counts, cell_of
from rmspec.properties.lines.standing import Standing, sample_param, sample_topics
from rmspec.properties.lines.usage import EVERY, Usage, sample

__all__ = ["check_group"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Where:
    call: int
    optimizer: str
    sources: Mapping[str, str]


def check_group(
    stepped: list[SteppedParam],
    hyper: Hyperparameters,
    dialect: Dialect,
    policy: Policy,
    tally: Tally,
    *,
    call: int,
    optimizer: str,
    sources: Mapping[str, str],
) -> tuple[list[Finding], dict[str, dict[str, Carry]]]:
    """Judge one step of one group: at most one finding per line and one hazard per parameter, and the state expected next."""
    findings: list[Finding] = []
    known: dict[str, dict[str, Carry]] = {}
    where = _Where(call, optimizer, sources)
    batches: dict[tuple[str, int], list[SteppedParam]] = {}
    for param in stepped:
        # Bias correction depends on t; parameters of one age can be checked together.
        readings = line_readings(dialect, hyper, param.format).values()
        aged = any(read.bias_correction for read, _ in readings)
        batches.setdefault((param.format, param.t if aged else 0), []).append(param)
    for params in batches.values():
        deviating, carried = _check_batch(join_params(params, hyper, dialect, policy, sources), tally, where)
        findings += deviating
        known.update(carried)
    return findings, known


def _check_batch(batch: Batch, tally: Tally, where: _Where) -> tuple[list[Finding], dict[str, dict[str, Carry]]]:
    known: dict[str, dict[str, Carry]] = {
        param.name: {role: param.after_state[role] for role in batch.visible} for param in batch.params
    }
    if not batch.total:
        return [], known
    question = batch.question
    tally.groups += 1
    if tally.groups % EVERY == 0:
        name, hyper, dialect = batch.format.name, question.hyper, question.dialect
        sample(tally.use, batch.before, batch.after, name, hyper, dialect, question.policy, question.t)
    rest = _filtered(batch, tally)
    findings: list[Finding] = []
    standings: dict[str, Standing] = {}
    if rest.size:
        findings, standings = _check_rest(batch, rest, tally, known, where)
    for role in batch.lines:
        standing = standings.get(role)
        doubt = 0 if standing is None else int(np.count_nonzero(standing.doubtful))
        blocked = 0 if standing is None else int(np.count_nonzero(standing.blocked))
        tally.element_checks += batch.total - blocked
        tally.inconclusive_checks += doubt
        tally.check_lines(batch.clause(role), batch.total - blocked, doubt, blocked)
    for number, param in enumerate(batch.params):
        _count_cells(batch, number, param, rest, standings, tally)
    return findings, known


def _filtered(batch: Batch, tally: Tally) -> NDArray[np.intp]:
    """List the reals not passed by the filter in front of the intervals: all of them if it does not apply."""
    hidden = bool(batch.hidden) or any(isinstance(getattr(batch.before, role), tuple) for role in STATE_ROLES)
    question, passed = batch.question, None
    if not hidden and question.policy.strict:
        passed = accepted(batch.before, batch.after, batch.format, question.hyper, question.dialect)
    if passed is None:
        return np.arange(batch.total)
    outside = np.zeros(batch.total, dtype=bool)
    for role, (inside, used) in passed.items():
        outside |= ~inside
        _use(tally, batch, role, np.where(np.isfinite(used) & inside, used, -1.0), np.arange(batch.total), exact=False)
    return np.flatnonzero(outside)


def _count_cells(
    batch: Batch,
    number: int,
    param: SteppedParam,
    rest: NDArray[np.intp],
    standings: Mapping[str, Standing],
    tally: Tally,
) -> None:
    """Count the checks of one parameter in its cell, and sample them."""
    start, stop = int(batch.offsets[number]), int(batch.offsets[number + 1])
    if start == stop:
        return
    cell = cell_of(batch.question, param.circumstances)
    low, high = np.searchsorted(rest, (start, stop)) if standings else (0, 0)
    for role in batch.lines:
        counts = tally.cells.setdefault((role, cell), Counts())
        standing = standings.get(role)
        if standing is None:
            counts.passed += stop - start
            continue
        marks = (standing.accused, standing.blocked, standing.doubtful)
        failed, blocked, doubtful = (int(np.count_nonzero(mark[low:high])) for mark in marks)
        counts.add(Counts(stop - start - failed - blocked - doubtful, failed, blocked, doubtful))
        param.blocked = blocked
    for topic, index in sample_topics(param, batch.format.parts):
        if index.size and tally.samples.room(topic, cell):
            tally.samples.take(topic, cell, sample_param(batch, param, start + index, rest, standings))


def _check_rest(
    batch: Batch, rest: NDArray[np.intp], tally: Tally, known: dict[str, dict[str, Carry]], where: _Where
) -> tuple[list[Finding], dict[str, Standing]]:
    """Findings among the reals at ``rest``, by the intervals themselves, and how each line stands there."""
    part = batch.before.at(rest) if rest.size < batch.total else batch.before
    bounds = batch.question.envelope(part)
    finite_input = _finite(part)
    mixed = _mixed(batch, bounds, rest) if batch.format.parts == 2 else None
    standings = _standings(batch, part, bounds, rest, finite_input, mixed)
    findings: list[Finding] = []
    reported: set[tuple[str, str]] = set()
    for role, standing in standings.items():
        clause = batch.clause(role)
        for reason, count in _doubts(part, finite_input, mixed, standing.doubtful):
            tally.doubt(clause, reason, count)
        tally.fail(clause, int(np.count_nonzero(standing.accused)))
        passed = standing.interval.contains(standing.values) & standing.interval.bounded()
        if mixed is not None:
            passed = (passed | mixed) & standing.interval.bounded()
        _use(tally, batch, role, _fractions(standing.interval, standing.values, passed), rest, exact=True)
        for index in _first(standing):
            position, admitted = int(rest[index]), bool(standing.hazards[index])
            name = batch.params[batch.owner(position)].name
            if (name, "" if admitted else role) not in reported:
                reported.add((name, "" if admitted else role))
                ends, handed = standing.ends(index)
                findings.append(_finding(batch, role, position, ends, handed, where, admitted=admitted))
    deviated = {name for name, role in reported if role}
    for role in batch.hidden:
        _carry(batch, role, bounds[role], deviated, mixed, known)
    return findings, standings


def _first(standing: Standing) -> Iterator[int]:
    """List the elements to report, the first failures before those by line."""
    by_line = np.zeros(standing.values.shape, dtype=bool)
    if standing.line is not None:
        by_line[standing.judged] = standing.line.by_line
    for index in (*np.flatnonzero((standing.accused | standing.hazards) & ~by_line), *np.flatnonzero(by_line)):
        yield int(index)


def _standings(
    batch: Batch,
    part: Before,
    bounds: Mapping[str, Interval],
    rest: NDArray[np.intp],
    finite_input: Booleans,
    mixed: Booleans | None,
) -> dict[str, Standing]:
    standings: dict[str, Standing] = {}
    for role in batch.lines:
        values, interval = batch.after[role][rest], bounds[role]
        inside = interval.contains(values)
        hazards = ~np.isfinite(values) & inside & finite_input
        doubtful = inside & ~interval.bounded() & ~hazards
        if mixed is not None:
            doubtful, inside, hazards = doubtful | mixed, inside | mixed, hazards & ~mixed
        blocked, nothing = np.zeros(inside.shape, dtype=bool), np.zeros(0, dtype=np.intp)
        standings[role] = Standing(values, interval, ~inside, hazards, doubtful, blocked, nothing)
    if any(standings[role].accused.any() for role in batch.visible):
        index = np.flatnonzero(np.logical_or.reduce([standing.accused for standing in standings.values()]))
        observed = {role: standing.values[index] for role, standing in standings.items()}
        failed = {role: standing.accused[index] for role, standing in standings.items()}
        plain = {role: bounds[role].arithmetic.between(*pick(bounds[role], rest.size, index)) for role in standings}
        for role, line in judge_lines(part.at(index), observed, failed, batch.question, plain).items():
            standing = standings[role]
            standing.accused[index], standing.blocked[index] = line.accused, line.blocked
            standing.judged, standing.line = index, line
    return standings


def _carry(
    batch: Batch,
    role: str,
    interval: Interval,
    deviated: set[str],
    mixed: Booleans | None,
    known: dict[str, dict[str, Carry]],
) -> None:
    """Carry a hidden role along as bounds, infinite for parameters in ``deviated`` and for ``mixed`` pairs."""
    lows, highs, nans = pick(interval, batch.total)
    for param, start, stop in zip(batch.params, batch.offsets[:-1], batch.offsets[1:], strict=True):
        lo, hi = lows[start:stop].copy(), highs[start:stop].copy()
        nan = None if nans is None else nans[start:stop].copy()
        # After a wrong step, or in a mixed pair, what is hidden can be anything.
        lost = np.full(stop - start, param.name in deviated)
        if mixed is not None:
            lost |= mixed[start:stop]
        if lost.any():
            lo[lost], hi[lost] = -np.inf, np.inf
            nan = lost if nan is None else nan | lost
        known[param.name][role] = (lo, hi, nan)


def _finite(before: Before) -> Booleans:
    finite = np.isfinite(before.param) & np.isfinite(before.grad)
    for role in STATE_ROLES:
        values = getattr(before, role)
        ends = values[:2] if isinstance(values, tuple) else (values,)
        for array in ends:
            finite = finite & np.isfinite(array)
    return np.asarray(finite)


def _doubts(
    before: Before, finite_input: Booleans, mixed: Booleans | None, doubtful: Booleans
) -> Iterator[tuple[str, int]]:
    """Count the elements to leave unjudged, by reason; an element counts for the first reason."""
    visible = np.isfinite(before.param) & np.isfinite(before.grad)
    for role in STATE_ROLES:
        values = getattr(before, role)
        visible = visible if isinstance(values, tuple) else visible & np.isfinite(values)
    nothing = np.zeros(doubtful.shape, dtype=bool)
    reasons = (
        ("the step starts from an infinity or a NaN", ~visible),
        ("the hidden state may be any number by then", visible & ~finite_input),
        ("the other part of the complex number is not finite", nothing if mixed is None else mixed),
        ("the formula may overflow, or divide by zero, on these numbers", ~nothing),
    )
    for reason, holds in reasons:
        if count := int(np.count_nonzero(doubtful & holds)):
            yield reason, count
        doubtful = doubtful & ~holds


def _mixed(batch: Batch, bounds: Mapping[str, Interval], rest: NDArray[np.intp]) -> Booleans:
    """Mark elements with a partner, the other part of a complex number, not finite before or after the step."""
    # A complex product with a real number then mixes the parts (C99, annex G): a pair of reals promises nothing.
    finite = _finite(batch.before)
    lost = np.zeros(len(rest), dtype=bool)
    for role in (*batch.visible, "param"):
        values = batch.after[role][rest]
        # NaN in both parts is what mixing makes of two infinities, so that the bounds need not contain it.
        lost |= ~np.isfinite(values) & (bounds[role].contains(values) | ~bounds[role].bounded())
    for role in batch.hidden:
        lost |= ~bounds[role].bounded()
    became = np.zeros(len(finite), dtype=bool)
    became[rest] = lost
    partners = became.reshape(-1, 2)[:, ::-1].reshape(-1)
    return np.asarray((~np.repeat(finite.reshape(-1, 2).all(axis=1), 2) | partners)[rest])


def _fractions(interval: Interval, values: Floats, usable: Booleans) -> Floats:
    """Measure each value in its envelope, from 0 in the middle to 1 at an end; -1 without a usable one."""
    with np.errstate(all="ignore"):
        half = (interval.hi - interval.lo) / 2
        return np.where(usable & (half > 0), np.abs(values - (interval.lo + half)) / half, -1.0)


def _use(tally: Tally, batch: Batch, role: str, fractions: Floats, rest: NDArray[np.intp], *, exact: bool) -> None:
    """Remember the largest of the ``fractions`` of the reals at ``rest``, if none before was as large."""
    clause, top = batch.clause(role), int(np.argmax(fractions))
    largest = tally.worst.get(clause)
    if fractions[top] >= 0 and (largest is None or fractions[top] > largest.fraction):
        position = int(rest[top])
        fraction = min(float(fractions[top]), 1.0) if exact else float(fractions[top])
        tally.used(clause, Usage(fraction, exact, role, float(batch.after[role][position]), batch.case(position)))


def _finding(
    batch: Batch,
    role: str,
    position: int,
    ends: tuple[float, float],
    handed: Mapping[str, Ends],
    where: _Where,
    *,
    admitted: bool,
) -> Finding:
    """Make the finding of a value outside of ``ends``, or the hazard of one not finite, as the formula ``admitted``."""
    number = batch.owner(position)
    start, stop = int(batch.offsets[number]), int(batch.offsets[number + 1])
    observed = float(batch.after[role][position])
    clause = batch.clause(role)
    summary = f"{role} is {observed!r}, outside [{ends[0]!r}, {ends[1]!r}]"
    if handed:
        summary += f", also given the {' and the '.join(handed)} that it shows"
    if admitted:
        value = "NaN" if math.isnan(observed) else "an infinity"
        # The variance is the only place where finite numbers of ordinary size can become NaN.
        if math.isnan(observed) and "grad_avg" in (*batch.visible, *batch.hidden):
            clause = "centered-variance"
        summary = f"{role} became {value} from finite input, which the formula itself admits"
    return Finding(
        "value",
        clause,
        where.call,
        summary,
        where.optimizer,
        batch.params[number].name,
        role,
        position - start,
        stop - start,
        observed,
        ends,
        admitted,
        bool(handed),
        batch.case(position, handed),
        cell_of(batch.question, batch.params[number].circumstances),
    )
