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
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
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
    seen: tuple[str, ...] = ()


@dataclass(slots=True)
class SteppedParam:
    """One parameter that a step is about: its arrays before and after, and what was known of its state.

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
    """The clause that states how a role is computed."""
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
    """Findings of one step of one group, at most one and one hazard per parameter, and what is then known of the parameters' state."""
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


def _check_batch(
    batch: list[SteppedParam],
    hyper: Hyperparameters,
    dialect: Dialect,
    policy: Policy,
    tally: Tally,
    where: _Where,
) -> tuple[list[Finding], dict[str, dict[str, Carry]]]:
    fmt = FORMATS[batch[0].format]
    before, counts = _before(batch, hyper, dialect)
    offsets = np.cumsum([0, *counts])
    total = int(offsets[-1])
    set_roles = ["square_avg"]
    set_roles += ["grad_avg"] if dialect.centered(hyper) else []
    set_roles += ["momentum_buffer"] if dialect.momentum(hyper) else []
    seen = [role for role in set_roles if all(role in each.after_state for each in batch)]
    unseen = [role for role in set_roles if role not in seen]
    where = replace(where, seen=tuple(seen))
    after: dict[str, Floats] = {role: _joined([as_reals(each.after_state[role]) for each in batch]) for role in seen}
    after["param"] = _joined([as_reals(each.after) for each in batch])
    known: dict[str, dict[str, Carry]] = {each.name: {role: each.after_state[role] for role in seen} for each in batch}
    findings: list[Finding] = []
    if not total:
        return findings, known

    tally.groups += 1
    if tally.groups % EVERY == 0:
        sample(tally.use, before, after, fmt.name, hyper, dialect, policy, batch[0].t)
    rest = np.arange(total)
    hidden = bool(unseen) or any(isinstance(getattr(before, role), tuple) for role in STATE_ROLES)
    passed = None if hidden or not policy.strict else accepted(before, after, fmt, hyper, dialect)
    if passed is not None:
        outside = np.zeros(total, dtype=bool)
        for role, (inside, used) in passed.items():
            outside |= ~inside
            clause = primary_clause(role, hyper, dialect)
            finite = np.where(np.isfinite(used) & inside, used, -1.0)
            top = int(np.argmax(finite))
            held = tally.worst.get(clause)
            if finite[top] >= 0 and (held is None or finite[top] > held.fraction):
                case = _case(batch, before, hyper, offsets, top, where)
                tally.used(clause, Usage(float(finite[top]), False, role, float(after[role][top]), case))
        rest = np.flatnonzero(outside)

    inconclusive: dict[str, int] = {}
    if rest.size:
        part = before.at(rest) if rest.size < total else before
        bounds = envelope(part, fmt, hyper, dialect, policy=policy, t=batch[0].t)
        finite_input = _finite(part)
        mixed = _mixed(before, after, bounds, rest, seen, unseen) if fmt.parts == 2 else None
        reported: set[tuple[str, bool]] = set()
        deviated: set[str] = set()
        for role in (*seen, "param"):
            values = after[role][rest]
            interval = bounds[role]
            inside = interval.contains(values)
            bounded = interval.bounded()
            clause = primary_clause(role, hyper, dialect)
            odd = ~np.isfinite(values) & inside
            hazards = odd & finite_input
            doubtful = inside & ~bounded & ~hazards
            if mixed is not None:
                doubtful, inside, hazards = doubtful | mixed, inside | mixed, hazards & ~mixed
            inconclusive[role] = int(np.count_nonzero(doubtful))
            for reason, count in _doubts(part, finite_input, mixed, doubtful):
                tally.doubt(clause, reason, count)
            _use(tally, clause, role, interval, values, inside & bounded, batch, before, hyper, offsets, rest, where)
            for index in np.flatnonzero(~inside | hazards):
                position = int(rest[index])
                owner = batch[int(np.searchsorted(offsets, position, side="right")) - 1]
                admitted = bool(inside[index])
                if (owner.name, admitted) in reported:
                    continue
                reported.add((owner.name, admitted))
                if not admitted:
                    deviated.add(owner.name)
                findings.append(
                    _finding(
                        owner,
                        role,
                        _ends(interval, int(index)),
                        replace(
                            _case(batch, before, hyper, offsets, position, where), still=_still(before, after, position)
                        ),
                        position - int(offsets[batch.index(owner)]),
                        counts[batch.index(owner)],
                        dialect,
                        float(values[index]),
                        admitted,
                        where,
                    )
                )
        for role in unseen:
            for each, start, stop in zip(batch, offsets[:-1], offsets[1:], strict=True):
                interval = bounds[role]
                lo = np.broadcast_to(interval.lo, (total,))[start:stop].copy()
                hi = np.broadcast_to(interval.hi, (total,))[start:stop].copy()
                nan = None if interval.nan is None else np.broadcast_to(interval.nan, (total,))[start:stop].copy()
                # After a wrong step, or in a mixed pair, what is hidden can be anything.
                lost = np.full(stop - start, each.name in deviated)
                if mixed is not None:
                    lost |= mixed[start:stop]
                if lost.any():
                    lo[lost], hi[lost] = -np.inf, np.inf
                    nan = lost if nan is None else nan | lost
                known[each.name][role] = (lo, hi, nan)
    for role in (*seen, "param"):
        doubt = inconclusive.get(role, 0)
        tally.element_checks += total
        tally.inconclusive_checks += doubt
        tally.check(primary_clause(role, hyper, dialect), total, doubt)
    return findings, known


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
    """Why elements cannot be judged, and how many for each reason; an element counts for the first that holds."""
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
    """Whether no role of an element that can be seen has changed."""
    for role, values in after.items():
        was = getattr(before, role)
        if isinstance(was, tuple) or was[position] != values[position]:
            return False
    return True


def _mixed(
    before: Before,
    after: Mapping[str, Floats],
    bounds: Mapping[str, Interval],
    rest: Any,
    seen: list[str],
    unseen: list[str],
) -> NDArray[np.bool_]:
    """Where the other part of a complex element is not finite, or is not any more after this step as it may be: a complex
    product with a real number then mixes the parts (C99, annex G), so that a pair of reals promises nothing."""
    finite = _finite(before)
    lost = np.zeros(len(rest), dtype=bool)
    for role in (*seen, "param"):
        values = after[role][rest]
        lost |= ~np.isfinite(values) & bounds[role].contains(values)
    for role in unseen:
        lost |= ~bounds[role].bounded()
    became = np.zeros(len(finite), dtype=bool)
    became[rest] = lost
    others = became.reshape(-1, 2)[:, ::-1].reshape(-1)
    return np.asarray((~np.repeat(finite.reshape(-1, 2).all(axis=1), 2) | others)[rest])


def _case(
    batch: list[SteppedParam], before: Before, hyper: Hyperparameters, offsets: Any, position: int, where: _Where
) -> Case:
    owner = batch[int(np.searchsorted(offsets, position, side="right")) - 1]
    one = before.at(slice(position, position + 1))
    return Case(one, owner.format, hyper, owner.first, owner.t, owner.skipped, where.sources, where.seen)


def _ends(interval: Interval, index: int) -> tuple[float, float]:
    def at(values: Any) -> float:
        array = np.asarray(values)
        return float(array[index] if array.ndim else array)

    return at(interval.lo), at(interval.hi)


def _use(
    tally: Tally,
    clause: str,
    role: str,
    interval: Interval,
    values: Floats,
    usable: Any,
    batch: list[SteppedParam],
    before: Before,
    hyper: Hyperparameters,
    offsets: Any,
    rest: Any,
    where: _Where,
) -> None:
    with np.errstate(all="ignore"):
        half = (interval.hi - interval.lo) / 2
        fraction = np.where(usable & (half > 0), np.abs(values - (interval.lo + half)) / half, -1.0)
    top = int(np.argmax(fraction))
    held = tally.worst.get(clause)
    if fraction[top] >= 0 and (held is None or fraction[top] > held.fraction):
        case = _case(batch, before, hyper, offsets, int(rest[top]), where)
        tally.used(clause, Usage(float(min(fraction[top], 1.0)), True, role, float(values[top]), case))


def _finding(
    owner: SteppedParam,
    role: str,
    ends: tuple[float, float],
    case: Case,
    element: int,
    elements: int,
    dialect: Dialect,
    observed: float,
    admitted: bool,
    where: _Where,
) -> Finding:
    clause = primary_clause(role, case.hyper, dialect)
    if admitted:
        what = "NaN" if math.isnan(observed) else "an infinity"
        # The variance is the only place where finite numbers of ordinary size can become NaN.
        if math.isnan(observed) and dialect.centered(case.hyper):
            clause = "centered-variance"
        summary = f"{role} became {what} from finite input, which the formula itself admits"
    else:
        summary = f"{role} is {observed!r}, outside [{ends[0]!r}, {ends[1]!r}]"
    return Finding(
        "value",
        clause,
        where.call,
        summary,
        where.optimizer,
        owner.name,
        role,
        element,
        elements,
        observed,
        ends,
        admitted,
        case,
    )


def exact_usage(usage: Usage, dialect: Dialect, policy: Policy) -> float:
    """The fraction of its envelope that an element used, from the intervals themselves: 0 in the middle, 1 at an end."""
    if usage.exact:
        return usage.fraction
    case = usage.case
    bounds = envelope(case.before, FORMATS[case.format], case.hyper, dialect, policy=policy, t=case.t)
    lo, hi = _ends(bounds[usage.role], 0)
    half = (hi - lo) / 2
    return abs(usage.observed - (lo + half)) / half if half > 0 and math.isfinite(half) else 0.0
