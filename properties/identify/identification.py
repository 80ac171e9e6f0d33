"""Identification of a subject's dialect of RMSprop, or of another optimizer, from observations alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace

from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.switches import SWITCHES as ROWS
from rmspec.oracles.dialects import dialects
from rmspec.oracles.host.perform import Driven
from rmspec.oracles.subject import CALL_TIMEOUT, Capabilities
from rmspec.properties.identify import families
from rmspec.properties.identify.answer import Contradiction, Identification, Neighbour, Switch
from rmspec.properties.identify.elimination import Elimination
from rmspec.properties.identify.explanation import SWITCHES, Value, alternatives, predictions
from rmspec.properties.identify.probes import Prober
from rmspec.properties.identify.questions import Questions, widest
from rmspec.properties.identify.separation import Separation
from rmspec.properties.identify.update import Unexplained, Update, explained, resting
from rmspec.properties.search.fitting import restrict
from rmspec.properties.settings import check_subject, make_settings, opened

__all__ = ["identify", "told"]

_ORDER = ("double", "storage", "float32")
"""How far scalars are rounded: not at all; in float32, where ``1 - alpha`` is formed after; in float64 as well."""


def identify(
    subject: str | Driven,
    *,
    formats: Iterable[str] = (),
    device: str = "cpu",
    framework: str | None = None,
    call_timeout: float = CALL_TIMEOUT,
) -> Identification:
    """Identify a subject's dialect of RMSprop with a few dozen short programs on one element.

    ``subject`` is a name, or an object with the ``Subject`` protocol; ``formats`` leaves only these number formats. The
    arguments are the options of ``rmspec identify``. Raises ``BadOption`` for one that cannot be used, the errors of
    ``rmspec.oracles.load``, and ``SubjectFailed`` where the subject cannot be driven.
    """
    check_subject(subject, call="identify")
    settings = make_settings(
        (subject,) if isinstance(subject, str) else (),
        device=device,
        formats=formats,
        framework=framework,
        call_timeout=call_timeout,
    )
    with opened(subject, settings) as driven:
        begin = time.monotonic()
        prober = Prober(driven)
        found = _identified(driven, restrict(driven.capabilities(), settings.formats, frozenset()), prober)
        return replace(
            found,
            framework=driven.framework,
            versions=dict(driven.versions()),
            programs=prober.runs,
            seconds=time.monotonic() - begin,
        )


def _identified(subject: Driven, capabilities: Capabilities, prober: Prober) -> Identification:
    format = widest(capabilities)
    if format is None:
        return Identification(subject.name, "unknown", message="it supports no real number format that was asked for")
    questions = Questions(prober, capabilities, format)
    plain = questions.plain()
    if plain.raised:
        return Identification(
            subject.name, "unknown", format=format, message=f"it raises {plain.raised} in the plainest of programs"
        )
    if not all(math.isfinite(moment.after) for moment in plain.moments):
        return Identification(
            subject.name,
            "unknown",
            format=format,
            message="its parameter is not finite after a step of ordinary numbers",
        )
    update = explained(questions)
    if not update.hypotheses:
        return _foreign(subject, questions, update)
    elimination = Elimination(questions, update)
    elimination.stages()
    return _answered(subject, elimination)


def _foreign(subject: Driven, questions: Questions, update: Update) -> Identification:
    """Answer for a subject without any explanation: another optimizer, or an RMSprop with a fault in its very update."""
    traces = [questions.plain(), questions.seen(1.0, 0.0, 1.0), questions.seen(1.0, 4.0)]
    decaying = questions.seen(0.5, 0.25, given={"weight_decay": 2.0**-3}) if questions.takes("weight_decay") else None
    family = families.named(traces, decaying)
    if family == "SGD" and questions.takes("momentum"):
        family = families.named([questions.seen(1.0, 0.0, given={"momentum": 0.5})]) or family
    if all(moment.before == moment.after for trace in traces for moment in trace.moments):
        return _still(subject, questions)
    failed = [] if update.failed is None or update.contradictions else [_contradiction(update.failed, "update")]
    return Identification(
        subject.name,
        "other" if family or update.contradictions else "unexplained",
        format=questions.format,
        family=family,
        switches=tuple(_direction(questions, switch) for switch in SWITCHES),
        contradictions=(*update.contradictions, *failed),
    )


def _still(subject: Driven, questions: Questions) -> Identification:
    """Answer for a subject at rest: no RMSprop, unless it has a learning rate of its own, possibly 0."""
    problem = resting(questions)
    chosen = questions.takes("lr")
    summary = "the step leaves the parameter where it is; what is allowed is what the closest dialect allows"
    return Identification(
        subject.name,
        "other" if chosen else "unexplained",
        format=questions.format,
        switches=tuple(_direction(questions, switch) for switch in SWITCHES),
        contradictions=() if problem is None else (_contradiction(problem, "step", summary),),
        message="its steps change nothing" + ("" if chosen else "; its learning rate cannot be chosen, and may be 0"),
    )


def _direction(questions: Questions, switch: str) -> Switch:
    """Describe a switch of a subject without any explanation: the direction of its first step alone is known."""
    reason = "no dialect explains its update"
    moment = questions.plain().moments[0]
    if switch == "maximize" and moment.after != moment.before:
        uphill = (moment.after > moment.before) == (moment.grad > 0)
        return Switch(switch, (uphill,), (not uphill,), "by the direction of its first step alone")
    return Switch(switch, alternatives(switch), (), reason)


def _answered(subject: Driven, elimination: Elimination) -> Identification:
    hypotheses = elimination.hypotheses
    separation = Separation(elimination)
    switches = tuple(separation.switch(name) for name in SWITCHES)
    named, nearest = _neighbours(switches)
    contradictions = [
        _contradiction(each, ROWS[each.switches[0]].clause if each.switches else "update")
        for each in elimination.problems
    ]
    contradictions += [_pardoned(elimination, name, value) for name, value in elimination.ignored.items()]
    free = ("lr", "alpha", "eps", "momentum")
    options = {
        name: hypotheses[0].fixed[name]
        for name in free
        if name in hypotheses[0].fixed and not (name == "eps" and hypotheses[0].value("eps_place") == "none")
    }
    return Identification(
        subject.name,
        "unexplained" if contradictions else "dialect",
        format=elimination.questions.format,
        named=() if contradictions else named,
        nearest=tuple(Neighbour(name) for name in named) if contradictions and named else nearest,
        switches=switches,
        options={name: value for name, value in options.items() if name != "momentum" or value},
        contradictions=tuple(contradictions),
    )


def _contradiction(
    problem: Unexplained,
    clause: str,
    summary: str = "no dialect explains this step; what is allowed is what the closest one allows",
) -> Contradiction:
    return Contradiction(
        clause,
        summary,
        problem.program,
        problem.observed,
        problem.allowed,
    )


def _pardoned(elimination: Elimination, name: str, value: float) -> Contradiction:
    """Report an ignored option: the prediction for the given value, and the observation."""
    trace = elimination.questions.plain()
    honest = [replace(each, ignored=frozenset()) for each in elimination.hypotheses]
    failed = [next(each for each in predictions(one, trace) if not each.fits) for one in honest[:1]]
    given = elimination.questions.options()[name]
    return Contradiction(
        "square-avg" if name == "alpha" else "eps-placement",
        f"it was given {name}={given!r}, and does as with {name}={value!r}",
        replace(trace.program, calls=trace.program.calls[: failed[0].call + 1]),
        failed[0].observed,
        (failed[0].lo, failed[0].hi),
    )


def _neighbours(switches: tuple[Switch, ...]) -> tuple[tuple[str, ...], tuple[Neighbour, ...]]:
    """List the named dialects in agreement with every decided switch, or else the closest ones."""
    moving = len(next(each for each in switches if each.name == "momentum_form").left) == 1
    found = [
        Neighbour(name, tuple(each.name for each in switches if not _agrees(each, told(dialect, each.name, moving))))
        for name, dialect in dialects().items()
    ]
    fewest = min(len(each.differs) for each in found)
    closest = [each for each in found if len(each.differs) == fewest]
    if fewest:
        return (), tuple(closest)
    scalars = next(each for each in switches if each.name == "scalars")
    # Of those that allow the rounding, first those that allow no more.
    closest.sort(key=lambda each: told(dialects()[each.name], "scalars") not in scalars.left)
    return tuple(each.name for each in closest), ()


def told(dialect: Dialect, switch: str, moving: bool = True) -> Value:
    """The position of a switch as far as it can be told from parameters: see ``alternatives``.

    ``moving`` tells whether momentum was seen: without it eps that moves with momentum stays outside.
    """
    value: Value = getattr(dialect, switch)
    if switch == "eps_place" and value == "moves" and not moving:
        return "outside"
    if switch == "scalars" and "lr" in dialect.single:
        return "float32"
    resembles = ROWS[switch].position(value).resembles
    return value if resembles is None else resembles  # type: ignore[return-value]


def _agrees(switch: Switch, value: Value) -> bool:
    if switch.name == "scalars":
        # A dialect says how far scalars may be rounded: one that rounds less agrees.
        return any(_ORDER.index(str(each)) <= _ORDER.index(str(value)) for each in switch.left)
    return value in switch.left
