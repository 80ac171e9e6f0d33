"""Step: whether the values after one step lie in the envelope of the values before it.

Elements of one group and one format are checked together. The filter (``rmspec.impl.accepted``) passes most of them; the
intervals decide on the rest; state that cannot be seen is carried as bounds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES, Before, accepted, envelope
from rmspec.impl.arithmetic.formats import FORMATS, Format, as_reals
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.clauses import CLAUSE_OF_ROLE
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.properties.judge.findings import Case, Finding, Tally, Usage
from rmspec.properties.judge.ledger import Carry, initial
from rmspec.properties.judge.usage import EVERY, sample

__all__ = ["SteppedParam", "check_group", "primary_clause"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Where:
    call: int
    optimizer: str
    sources: Mapping[str, str]


@dataclass(slots=True)
class SteppedParam:
    """One parameter in a step: its arrays before and after, and its expected state.

    ``after_state`` maps the roles that can be seen after the step; ``carry`` is replaced by what is known then.
    """

    name: str
    format: str
    param: NDArray[Any]
    grad: NDArray[Any]
    after: NDArray[Any]
    before_state: Mapping[str, Carry]
    after_state: Mapping[str, NDArray[Any]]
    t: int
    first: bool
    skipped: bool


def primary_clause(role: str, hyper: Hyperparameters, dialect: Dialect) -> str:
    """Name the clause for the computation of a role."""
    if role == "param":
        return "momentum-update" if dialect.momentum(hyper) else "update"
    return CLAUSE_OF_ROLE[role]


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
    """Judge one step of one group: at most one finding and one hazard per parameter, and the state expected next."""
    findings: list[Finding] = []
    known: dict[str, dict[str, Carry]] = {}
    where = _Where(call, optimizer, sources)
    batches: dict[tuple[str, int], list[SteppedParam]] = {}
    for each in stepped:
        # Bias correction depends on t; parameters of one age can be checked together.
        batches.setdefault((each.format, each.t if dialect.bias_correction else 0), []).append(each)
    for batch in batches.values():
        found, carried = _check_batch(batch, hyper, dialect, policy, tally, where)
        findings += found
        known.update(carried)
    return findings, known


@dataclass(frozen=True, slots=True)
class _Batch:
    """Parameters of one group, of one format and one age, joined: their values before and after a step.

    ``offsets`` are the places of each parameter's first real; ``visible`` and ``hidden`` the roles that the step sets and
    that can, or cannot, be seen after it.
    """

    params: list[SteppedParam]
    format: Format
    before: Before
    after: Mapping[str, Floats]
    offsets: NDArray[np.intp]
    visible: tuple[str, ...]
    hidden: tuple[str, ...]
    hyper: Hyperparameters
    dialect: Dialect
    policy: Policy
    where: _Where

    @property
    def total(self) -> int:
        """The number of reals."""
        return int(self.offsets[-1])

    def clause(self, role: str) -> str:
        """The clause on how a role is computed."""
        return primary_clause(role, self.hyper, self.dialect)

    def owner(self, position: int) -> int:
        """The number of the parameter with the real at ``position``."""
        return int(np.searchsorted(self.offsets, position, side="right")) - 1

    def case(self, position: int) -> Case:
        """The step of one real."""
        param = self.params[self.owner(position)]
        before, sources = self.before.at(slice(position, position + 1)), self.where.sources
        return Case(before, param.format, self.hyper, param.first, param.t, param.skipped, sources, self.visible)


def _check_batch(
    params: list[SteppedParam],
    hyper: Hyperparameters,
    dialect: Dialect,
    policy: Policy,
    tally: Tally,
    where: _Where,
) -> tuple[list[Finding], dict[str, dict[str, Carry]]]:
    batch = _joined_batch(params, hyper, dialect, policy, where)
    known: dict[str, dict[str, Carry]] = {
        param.name: {role: param.after_state[role] for role in batch.visible} for param in params
    }
    if not batch.total:
        return [], known
    tally.groups += 1
    if tally.groups % EVERY == 0:
        sample(tally.use, batch.before, batch.after, batch.format.name, hyper, dialect, policy, params[0].t)
    rest = _filtered(batch, tally)
    findings, doubts = _check_rest(batch, rest, tally, known) if rest.size else ([], {})
    for role in (*batch.visible, "param"):
        doubt = doubts.get(role, 0)
        tally.element_checks += batch.total
        tally.inconclusive_checks += doubt
        tally.check(batch.clause(role), batch.total, doubt)
    return findings, known


def _joined_batch(
    params: list[SteppedParam], hyper: Hyperparameters, dialect: Dialect, policy: Policy, where: _Where
) -> _Batch:
    before, counts = _before(params, hyper, dialect)
    roles = ["square_avg"]
    roles += ["grad_avg"] if dialect.centered(hyper) else []
    roles += ["momentum_buffer"] if dialect.momentum(hyper) else []
    visible = tuple(role for role in roles if all(role in param.after_state for param in params))
    after = {role: _joined([as_reals(param.after_state[role]) for param in params]) for role in visible}
    after["param"] = _joined([as_reals(param.after) for param in params])
    hidden = tuple(role for role in roles if role not in visible)
    offsets = np.cumsum([0, *counts])
    return _Batch(
        params, FORMATS[params[0].format], before, after, offsets, visible, hidden, hyper, dialect, policy, where
    )


def _filtered(batch: _Batch, tally: Tally) -> NDArray[np.intp]:
    """List the reals not passed by the filter in front of the intervals: all of them if it does not apply."""
    hidden = bool(batch.hidden) or any(isinstance(getattr(batch.before, role), tuple) for role in STATE_ROLES)
    passed = None
    if not hidden and batch.policy.strict:
        passed = accepted(batch.before, batch.after, batch.format, batch.hyper, batch.dialect)
    if passed is None:
        return np.arange(batch.total)
    outside = np.zeros(batch.total, dtype=bool)
    for role, (inside, used) in passed.items():
        outside |= ~inside
        _use(tally, batch, role, np.where(np.isfinite(used) & inside, used, -1.0), np.arange(batch.total), exact=False)
    return np.flatnonzero(outside)


def _check_rest(
    batch: _Batch, rest: NDArray[np.intp], tally: Tally, known: dict[str, dict[str, Carry]]
) -> tuple[list[Finding], dict[str, int]]:
    """Findings among the reals at ``rest``, by the intervals themselves, and how many could not be judged, by role."""
    part = batch.before.at(rest) if rest.size < batch.total else batch.before
    bounds = envelope(part, batch.format, batch.hyper, batch.dialect, policy=batch.policy, t=batch.params[0].t)
    finite_input = _finite(part)
    mixed = _mixed(batch, bounds, rest) if batch.format.parts == 2 else None
    findings: list[Finding] = []
    doubts: dict[str, int] = {}
    reported: set[tuple[str, bool]] = set()
    for role in (*batch.visible, "param"):
        values, interval, clause = batch.after[role][rest], bounds[role], batch.clause(role)
        inside = interval.contains(values)
        bounded = interval.bounded()
        hazards = ~np.isfinite(values) & inside & finite_input
        doubtful = inside & ~bounded & ~hazards
        if mixed is not None:
            doubtful, inside, hazards = doubtful | mixed, inside | mixed, hazards & ~mixed
        doubts[role] = int(np.count_nonzero(doubtful))
        for reason, count in _doubts(part, finite_input, mixed, doubtful):
            tally.doubt(clause, reason, count)
        tally.fail(clause, int(np.count_nonzero(~inside)))
        _use(tally, batch, role, _fractions(interval, values, inside & bounded), rest, exact=True)
        for index in np.flatnonzero(~inside | hazards):
            position, admitted = int(rest[index]), bool(inside[index])
            name = batch.params[batch.owner(position)].name
            if (name, admitted) not in reported:
                reported.add((name, admitted))
                findings.append(_finding(batch, role, position, _ends(interval, int(index)), admitted=admitted))
    deviated = {name for name, admitted in reported if not admitted}
    for role in batch.hidden:
        _carry(batch, role, bounds[role], deviated, mixed, known)
    return findings, doubts


def _carry(
    batch: _Batch,
    role: str,
    interval: Interval,
    deviated: set[str],
    mixed: NDArray[np.bool_] | None,
    known: dict[str, dict[str, Carry]],
) -> None:
    """Carry a hidden role along as bounds, infinite for parameters in ``deviated`` and for ``mixed`` pairs."""
    total = (batch.total,)
    for param, start, stop in zip(batch.params, batch.offsets[:-1], batch.offsets[1:], strict=True):
        lo = np.broadcast_to(interval.lo, total)[start:stop].copy()
        hi = np.broadcast_to(interval.hi, total)[start:stop].copy()
        nan = None if interval.nan is None else np.broadcast_to(interval.nan, total)[start:stop].copy()
        # After a wrong step, or in a mixed pair, what is hidden can be anything.
        lost = np.full(stop - start, param.name in deviated)
        if mixed is not None:
            lost |= mixed[start:stop]
        if lost.any():
            lo[lost], hi[lost] = -np.inf, np.inf
            nan = lost if nan is None else nan | lost
        known[param.name][role] = (lo, hi, nan)


def _before(batch: list[SteppedParam], hyper: Hyperparameters, dialect: Dialect) -> tuple[Before, list[int]]:
    params = [as_reals(each.param) for each in batch]
    counts = [len(each) for each in params]

    def role(name: str) -> Any:
        parts: list[Any] = []
        for each, count in zip(batch, counts, strict=True):
            carry = each.before_state.get(name)
            if carry is None:
                parts.append(initial(dialect, name, hyper, count))
            else:
                parts.append(carry if isinstance(carry, tuple) else as_reals(carry))
        if any(isinstance(part, tuple) for part in parts):
            triples = [part if isinstance(part, tuple) else (part, part, None) for part in parts]
            nans = [
                np.zeros(count, dtype=bool) if nan is None else nan
                for (_, _, nan), count in zip(triples, counts, strict=True)
            ]
            return (
                np.concatenate([lo for lo, _, _ in triples]),
                np.concatenate([hi for _, hi, _ in triples]),
                np.concatenate(nans),
            )
        return _joined(parts)

    return (
        Before(
            _joined(params),
            _joined([as_reals(each.grad) for each in batch]),
            role("square_avg"),
            role("grad_avg"),
            role("momentum_buffer"),
        ),
        counts,
    )


def _joined(parts: list[Floats]) -> Floats:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _finite(before: Before) -> NDArray[np.bool_]:
    finite = np.isfinite(before.param) & np.isfinite(before.grad)
    for role in STATE_ROLES:
        values = getattr(before, role)
        ends = values[:2] if isinstance(values, tuple) else (values,)
        for each in ends:
            finite = finite & np.isfinite(each)
    return np.asarray(finite)


def _doubts(
    before: Before, finite_input: NDArray[np.bool_], mixed: NDArray[np.bool_] | None, doubtful: NDArray[np.bool_]
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


def _still(before: Before, after: Mapping[str, Floats], position: int) -> bool:
    """Tell whether every visible role of an element is unchanged."""
    for role, values in after.items():
        was = getattr(before, role)
        if isinstance(was, tuple) or was[position] != values[position]:
            return False
    return True


def _mixed(batch: _Batch, bounds: Mapping[str, Interval], rest: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark elements with a partner, the other part of a complex number, not finite before or after the step."""
    # A complex product with a real number then mixes the parts (C99, annex G): a pair of reals promises nothing.
    finite = _finite(batch.before)
    lost = np.zeros(len(rest), dtype=bool)
    for role in (*batch.visible, "param"):
        values = batch.after[role][rest]
        lost |= ~np.isfinite(values) & bounds[role].contains(values)
    for role in batch.hidden:
        lost |= ~bounds[role].bounded()
    became = np.zeros(len(finite), dtype=bool)
    became[rest] = lost
    others = became.reshape(-1, 2)[:, ::-1].reshape(-1)
    return np.asarray((~np.repeat(finite.reshape(-1, 2).all(axis=1), 2) | others)[rest])


def _ends(interval: Interval, index: int) -> tuple[float, float]:
    def at(values: Any) -> float:
        array = np.asarray(values)
        return float(array[index] if array.ndim else array)

    return at(interval.lo), at(interval.hi)


def _fractions(interval: Interval, values: Floats, usable: NDArray[np.bool_]) -> Floats:
    """Measure each value in its envelope, from 0 in the middle to 1 at an end; -1 without a usable one."""
    with np.errstate(all="ignore"):
        half = (interval.hi - interval.lo) / 2
        return np.where(usable & (half > 0), np.abs(values - (interval.lo + half)) / half, -1.0)


def _use(tally: Tally, batch: _Batch, role: str, fractions: Floats, rest: NDArray[np.intp], *, exact: bool) -> None:
    """Remember the largest of the ``fractions`` of the reals at ``rest``, if none before was as large."""
    clause, top = batch.clause(role), int(np.argmax(fractions))
    largest = tally.worst.get(clause)
    if fractions[top] >= 0 and (largest is None or fractions[top] > largest.fraction):
        position = int(rest[top])
        fraction = min(float(fractions[top]), 1.0) if exact else float(fractions[top])
        tally.used(clause, Usage(fraction, exact, role, float(batch.after[role][position]), batch.case(position)))


def _finding(batch: _Batch, role: str, position: int, ends: tuple[float, float], *, admitted: bool) -> Finding:
    """Make the finding of a value outside of ``ends``, or the hazard of one not finite, as the formula ``admitted``."""
    number = batch.owner(position)
    start, stop = int(batch.offsets[number]), int(batch.offsets[number + 1])
    observed = float(batch.after[role][position])
    case = replace(batch.case(position), still=_still(batch.before, batch.after, position))
    clause = batch.clause(role)
    summary = f"{role} is {observed!r}, outside [{ends[0]!r}, {ends[1]!r}]"
    if admitted:
        what = "NaN" if math.isnan(observed) else "an infinity"
        # The variance is the only place where finite numbers of ordinary size can become NaN.
        if math.isnan(observed) and batch.dialect.centered(batch.hyper):
            clause = "centered-variance"
        summary = f"{role} became {what} from finite input, which the formula itself admits"
    return Finding(
        "value",
        clause,
        batch.where.call,
        summary,
        batch.where.optimizer,
        batch.params[number].name,
        role,
        position - start,
        stop - start,
        observed,
        ends,
        admitted,
        case,
    )
