"""Differential clauses: how a subject is related to a dialect with one switch in another position.

No subject is compared with another run of it: each is compared with what the algebra says of its sibling, so that a clause
that holds for both is a statement about the two. The sibling's state is never looked at: it is carried along as envelopes.

**The two orders.** Let ``s = sqrt(v) >= 0`` and ``f(s) = (s + eps) - sqrt(s^2 + eps)``. Then ``f`` grows with ``s``, because
``f'(s) = 1 - s / sqrt(s^2 + eps) > 0``; ``f(0) = eps - sqrt(eps)``; and ``f(s) = eps - eps / (sqrt(s^2 + eps) + s) < eps``,
with the limit ``eps`` as ``s`` grows. Hence ``eps - sqrt(eps) <= (sqrt(v) + eps) - sqrt(v + eps) < eps`` for every ``v``; the
sign changes at ``s = (1 - eps) / 2``; and with ``eps = 0`` both are ``sqrt(v)``.

**The place of lr.** Outside, ``b_t = mu b_{t-1} + u_t`` and ``theta`` moves by ``lr b_t``; inside, ``c_t = mu c_{t-1} + lr u_t`` and
``theta`` moves by ``c_t``. With ``b_0 = c_0 = 0`` and one ``lr``, ``c_t = lr b_t`` by induction. Once ``lr`` becomes ``lr'``,
the moves differ by ``(lr' - lr) mu b_{t-1}``.

**The initial average.** ``v_1 = alpha v_0 + (1 - alpha) g^2``, so that two of them differ by ``alpha (v_0 - v_0')``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import Before, envelope
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.impl.arithmetic.intervals import Arithmetic, Interval
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.oracles.host.hiding import show_only
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.program.program import Call, Create, Group, Param, Program, SetGrad, SetOption, Step, plain_number
from rmspec.oracles.subject import Observation
from rmspec.properties.judge.conformance import judge_calls
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.ledger import format_of

__all__ = ["differences", "programs"]


def programs(formats: tuple[str, ...]) -> Iterator[Program]:
    """The programs of the differential clauses, in each real format."""
    gradients = tuple(sign * 2.0**power for power in range(-12, 5) for sign in (1.0, -1.0))
    wide = (len(gradients),)
    # Every option is given: of one that a dialect has no default for nothing could be said.
    plain = {"lr": 0.125, "alpha": 0.75, "eps": 0.0, "momentum": 0.0, "weight_decay": 0.0, "centered": False}
    for name in formats:
        if FORMATS[name].parts == 2:
            continue
        steps = (SetGrad("p0", gradients), Step("A"), Step("A"))
        zeros, twos = Param("p0", name, wide, (0.0,)), Param("p0", name, wide, (2.0,))
        yield _program("order-without-eps", twos, plain, steps)
        yield _program("order-without-eps", twos, {**plain, "momentum": 0.5}, steps)
        for eps in (1.0, 2.0**-4, 2.0**-7, 2.0**-12):
            yield _program("order-within-bound", zeros, {**plain, "lr": 1.0, "eps": eps}, steps[:2])
        held = {**plain, "eps": 0.0625, "momentum": 0.5}
        yield _program("lr-place-unseen", twos, held, (*steps, Step("A")))
        changed = (*steps, SetOption("A", 0, {"lr": 2.0}), Step("A"))
        yield _program("lr-place-seen", twos, held, changed)
        yield _program("first-average", twos, plain, steps[:2])


def _program(clause: str, param: Param, options: dict[str, Any], calls: tuple[Call, ...]) -> Program:
    return Program((param,), (Create("A", (Group(("p0",)),), options, "list"), *calls), "two dialects", clause=clause)


def differences(transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally) -> tuple[Finding, ...]:
    """Judge a program made for a differential clause; return nothing if the clause does not apply."""
    program = transcript.program
    if not any(isinstance(call, Create) for call in program.calls) or any(
        answer.outcome.astray for answer in transcript.answers
    ):
        return ()
    judge = next(judge for clause, judge in _RELATIONS if clause == program.clause)
    found = judge(transcript, dialect, policy, tally)
    tally.fail(program.clause, len(found))
    return found


def _against(transcript: Transcript, dialect: Dialect, policy: Policy) -> list[Finding]:
    """Values of a subject's parameters outside the envelope of a dialect, its state unseen."""
    judged = judge_calls(show_only(transcript, frozenset()), dialect, policy, Tally())
    return [each for each in judged.findings if each.kind == "value" and not each.hazard]


def _reclaused(finding: Finding, clause: str) -> Finding:
    return replace(finding, clause=clause, case=None)


def _order_without_eps(transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally) -> tuple[Finding, ...]:
    program = transcript.program
    if dialect.eps_place == "none" or _option(program, "eps", dialect) != 0.0:
        return ()
    other = replace(dialect, eps_place="inside" if dialect.eps_place == "outside" else "outside")
    tally.check("order-without-eps", _elements(program))
    return tuple(_reclaused(each, "order-without-eps") for each in _against(transcript, other, policy)[:1])


def _lr_place(
    transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally, *, changes: bool
) -> tuple[Finding, ...]:
    program = transcript.program
    if dialect.momentum_form == "never" or not _option(program, "momentum", dialect):
        return ()
    changed = any(isinstance(call, SetOption) for call in program.calls)
    if changed != changes:
        return ()
    other = replace(dialect, lr_place="inside" if dialect.lr_place == "outside" else "outside")
    tally.check(program.clause, _elements(program))
    # What both dialects give is asked of the other one; where they part, of the subject's own.
    found = _against(transcript, dialect if changed else other, policy)
    return tuple(_reclaused(each, program.clause) for each in found[:1])


def _first_average(transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally) -> tuple[Finding, ...]:
    program = transcript.program
    seen = _first_step(transcript)
    if seen is None or "square_avg" not in seen[1].state.get("A", {}).get("p0", {}):
        return ()
    before, after = seen
    fmt = FORMATS[format_of(before.params["p0"])]
    hyper = _hyper(program, dialect)
    mine = dialect.initial("square_avg", hyper)
    other = 0.0 if mine else 1.0
    arithmetic = Arithmetic(fmt, as_reals(before.params["p0"]), policy=policy, scalars=dialect.scalars)
    sibling = _envelope(before, dialect, hyper, policy, square_avg=other)["square_avg"]
    alpha = arithmetic.coefficient(hyper.alpha)
    apart = (sibling + alpha * arithmetic.point(np.full_like(sibling.lo, mine - other))).settle()
    values = as_reals(after.state["A"]["p0"]["square_avg"])
    tally.check("first-average", values.size)
    return _outside("first-average", program, values, apart, "square_avg")


def _order_within_bound(transcript: Transcript, dialect: Dialect, policy: Policy, tally: Tally) -> tuple[Finding, ...]:
    program = transcript.program
    eps = _option(program, "eps", dialect)
    seen = _first_step(transcript)
    # The inequality is one of the averages as they are.
    plain = not (_option(program, "momentum", dialect) or dialect.bias_correction) and dialect.centered_form != "always"
    if seen is None or dialect.eps_place == "none" or not eps or not plain or np.any(seen[0].params["p0"]):
        return ()
    before, after = seen
    fmt = FORMATS[format_of(before.params["p0"])]
    hyper = _hyper(program, dialect)
    arithmetic = Arithmetic(fmt, as_reals(before.params["p0"]), policy=policy, scalars=dialect.scalars)
    v = _envelope(before, dialect, hyper, policy)["square_avg"]
    given = arithmetic.coefficient(eps)
    # What the difference may be, from the inequality of the module; the sibling's denominator, from its rule.
    like = np.zeros_like(as_reals(before.params["p0"]))
    low, high = like + (eps - float(np.sqrt(eps))), like + eps
    if dialect.eps_at(hyper) == "outside":
        own = (v + given).sqrt() + arithmetic.between(low, high)
    else:
        own = v.sqrt() + given + arithmetic.between(-high, -low)
    # No denominator is negative, whatever the two ends of a difference allow.
    settled = own.settle()
    positive = arithmetic.between(np.maximum(settled.lo, 0.0), settled.hi, settled.nan)
    g, lr = arithmetic.point(as_reals(before.grads["p0"])), arithmetic.coefficient(hyper.lr)  # type: ignore[arg-type]
    g = -g if dialect.maximize else g
    with np.errstate(all="ignore"):
        moved = (arithmetic.point(like) - lr * g / positive).settle()
    values = as_reals(after.params["p0"])
    tally.check("order-within-bound", values.size, int(np.count_nonzero(~moved.bounded())))
    return _outside("order-within-bound", program, values, moved, "param")


_RELATIONS: tuple[tuple[str, Callable[[Transcript, Dialect, Policy, Tally], tuple[Finding, ...]]], ...] = (
    ("order-without-eps", _order_without_eps),
    ("order-within-bound", _order_within_bound),
    ("lr-place-unseen", partial(_lr_place, changes=False)),
    ("lr-place-seen", partial(_lr_place, changes=True)),
    ("first-average", _first_average),
)
"""The rule that judges each differential clause."""


def _outside(clause: str, program: Program, values: Any, allowed: Interval, role: str) -> tuple[Finding, ...]:
    wrong = np.flatnonzero(~allowed.contains(values))
    if not wrong.size:
        return ()
    index = int(wrong[0])
    lo, hi = (float(np.broadcast_to(end, values.shape)[index]) for end in (allowed.lo, allowed.hi))
    call = next(position for position, each in enumerate(program.calls) if isinstance(each, Step))
    summary = f"{role} is {float(values[index])!r}, outside [{lo!r}, {hi!r}] of the dialect that differs in one switch"
    return (
        Finding("value", clause, call, summary, "A", "p0", role, index, values.size, float(values[index]), (lo, hi)),
    )


def _envelope(
    before: Observation, dialect: Dialect, hyper: Hyperparameters, policy: Policy, square_avg: float | None = None
) -> Any:
    """The envelope of the first step from the initial state, or from another initial average."""
    theta = as_reals(before.params["p0"])
    grad = before.grads["p0"]
    assert grad is not None
    start = dialect.initial("square_avg", hyper) if square_avg is None else square_avg
    zeros = np.zeros_like(theta)
    fmt = FORMATS[format_of(before.params["p0"])]
    return envelope(Before(theta, as_reals(grad), zeros + start, zeros, zeros), fmt, hyper, dialect, policy=policy)


def _first_step(transcript: Transcript) -> tuple[Observation, Observation] | None:
    """Take the observations before and after the first step; ``None`` if a call raised, or without a gradient."""
    before = transcript.start
    for call, answer in zip(transcript.program.calls, transcript.answers, strict=False):
        if answer.outcome.raised:
            return None
        if isinstance(call, Step):
            return (before, answer.after) if before.grads.get("p0") is not None else None
        before = answer.after
    return None


def _elements(program: Program) -> int:
    return int(np.prod(program.params[0].shape))


def _option(program: Program, name: str, dialect: Dialect) -> float | None:
    """Look up an option at the first step: as given, else the dialect's default, else ``None``."""
    created = next(call for call in program.calls if isinstance(call, Create))
    given = {**created.options, **created.groups[0].options}.get(name)
    value = getattr(dialect.defaults, name) if given is None else plain_number(given)
    return None if value is None else float(value)


def _hyper(program: Program, dialect: Dialect) -> Hyperparameters:
    page = Hyperparameters()
    values: dict[str, Any] = {}
    for name in ("lr", "alpha", "eps", "weight_decay", "momentum"):
        value = _option(program, name, dialect)
        values[name] = page.option(name) if value is None else value
    return Hyperparameters(**values)
