"""Identification of a subject's dialect of RMSprop, or of another optimizer, from observations alone."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rmspec.impl.arithmetic.amendments import Amendment, Use
from rmspec.impl.spec.dialect import Defaults, Dialect
from rmspec.impl.spec.switches import SWITCHES as ROWS
from rmspec.oracles.dialects import dialect_named, dialects
from rmspec.oracles.host.perform import Driven
from rmspec.oracles.subject import CALL_TIMEOUT, Capabilities
from rmspec.properties.identify import families
from rmspec.properties.identify.answer import Contradiction, Identification, Neighbour, Switch
from rmspec.properties.identify.differences import Comparison, listed
from rmspec.properties.identify.elimination import Elimination
from rmspec.properties.identify.explanation import SWITCHES, WIDEST, alternatives, predictions
from rmspec.properties.identify.neighbours import named_after, neighbours
from rmspec.properties.identify.probes import Prober
from rmspec.properties.identify.questions import Questions, precise
from rmspec.properties.identify.separation import Separation
from rmspec.properties.identify.update import Unexplained, Update, explained, resting
from rmspec.properties.opening import opened
from rmspec.properties.peeling.evidence import PRECISE_FIRST, amended
from rmspec.properties.search.fitting import restrict
from rmspec.properties.settings import check_subject, make_settings

__all__ = ["identify"]


def identify(
    subject: str | Driven,
    *,
    formats: Iterable[str] = (),
    device: str = "cpu",
    framework: str | None = None,
    call_timeout: float = CALL_TIMEOUT,
    memory_limit: int | str | None = None,
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
        memory_limit=memory_limit,
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
    """Identify in the widest format, or in the next one if no dialect explains it; compare in all formats."""
    real = precise(capabilities.formats)
    formats = [name for name in real if name in PRECISE_FIRST[0]] or real[:1]
    if not formats:
        return Identification(subject.name, "unknown", message="it supports no real number format that was asked for")
    answers: list[tuple[Identification, Elimination | None]] = []
    for number, format in enumerate(formats):
        left = tuple(name for name in capabilities.formats if name not in formats[:number])
        answers.append(_answer(subject, Questions(prober, replace(capabilities, formats=left), format)))
        found, elimination = answers[-1]
        if found.standing == "dialect":
            return _compared(found, subject, capabilities, prober, elimination, frozenset(formats[:number]))
        if found.standing != "unexplained" or found.message:
            break
    found, elimination = answers[0]
    if found.standing != "unexplained" or found.message:
        return found
    return _compared(found, subject, capabilities, prober, elimination)


def _answer(subject: Driven, questions: Questions) -> tuple[Identification, Elimination | None]:
    """Answer by the probes in one format, with the elimination of the hypotheses if there were any."""
    plain, format = questions.plain(), questions.format
    if plain.raised:
        message = f"it raises {plain.raised} in the plainest of programs"
        return Identification(subject.name, "unknown", format=format, message=message), None
    if not all(math.isfinite(moment.after) for moment in plain.moments):
        message = "its parameter is not finite after a step of ordinary numbers"
        return Identification(subject.name, "unknown", format=format, message=message), None
    update = explained(questions)
    if not update.hypotheses:
        return _foreign(subject, questions, update), None
    elimination = Elimination(questions, update)
    elimination.stages()
    return _answered(subject, elimination), elimination


def _compared(
    found: Identification,
    subject: Driven,
    capabilities: Capabilities,
    prober: Prober,
    elimination: Elimination | None,
    refuted: frozenset[str] = frozenset(),
) -> Identification:
    """Add the differences: from the identified dialect, from the nearest, or else from the subject's own."""
    comparison = Comparison(prober, capabilities, found.format, refuted, listed(subject))
    agreeing = found.named or tuple(each.name for each in found.nearest if not each.differs)
    if elimination is None:
        outcome = comparison.against(dialect_named(subject.dialect))
        spoken = named_after(outcome.dialect, outcome.amendments, capabilities.options)
        if spoken and outcome.dialect.name not in spoken:
            # What is left is told from the dialect that most of it comes to.
            outcome = comparison.against(dialect_named(spoken[0]))
    else:
        bases = [dialect_named(name) for name in agreeing] or [_unnamed(elimination)]
        base = comparison.nearest(_with_fixed(each, elimination) for each in bases)
        # Parameters show that alpha is ignored, and not whether the average of gradients ignores it too.
        choices = {
            amended(base, given): given for given in (_ignored_in(elimination), _ignored_in(elimination, "square_avg"))
        }
        outcome = comparison.against(base, choices[comparison.nearest(choices)])
    if not (outcome.differences or outcome.remainders):
        return found
    name = outcome.dialect.name if outcome.dialect.name in dialects() else ""
    found = replace(found, base=name, differences=outcome.differences, remainders=outcome.remainders)
    if refuted:
        dialect = f"the dialect {' or '.join(found.named)}" if found.named else "a dialect without a name"
        asked = " and ".join(name for name in precise(refuted))
        message = f"in {asked} no dialect of RMSprop explains what it does; in {found.format} it is that of {dialect}"
        found = replace(found, message=message)
    if outcome.minor:
        return found
    nearest = (Neighbour(name),) if name else found.nearest
    return replace(found, standing="unexplained", named=(), nearest=nearest)


def _unnamed(elimination: Elimination) -> Dialect:
    """Make the dialect without a name; it documents no defaults."""
    left = {each.value("scalars") for each in elimination.hypotheses}
    dialect = replace(elimination.hypotheses[0].dialect, defaults=Defaults(None, None, None, None, None, None))
    return replace(dialect, scalars=WIDEST) if len(left) > 1 else dialect


def _with_fixed(dialect: Dialect, elimination: Elimination) -> Dialect:
    """Set the defaults of options closed to the caller to their inferred values."""
    fixed = elimination.hypotheses[0].fixed
    closed: dict[str, Any] = {name: fixed[name] for name in fixed if not elimination.questions.takes(name)}
    if "centered" in closed:
        closed["centered"] = bool(closed["centered"])
    return replace(dialect, defaults=replace(dialect.defaults, **closed))


def _ignored_in(elimination: Elimination, *alpha_in: str) -> tuple[Amendment, ...]:
    """Make amendments of the ignored options; of alpha in these lines alone, if some are named."""
    return tuple(
        Amendment(_ignored(name), uses=((name, Use("is", value)),), lines=alpha_in if name == "alpha" else ())
        for name, value in elimination.ignored.items()
    )


def _ignored(option: str) -> str:
    return "square-avg" if option == "alpha" else "eps-placement"


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
    closest = neighbours({each.name: each.left for each in switches})
    named = tuple(each.name for each in closest if not each.differs)
    nearest = () if named else tuple(closest)
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
        _ignored(name),
        f"it was given {name}={given!r}, and does as with {name}={value!r}",
        replace(trace.program, calls=trace.program.calls[: failed[0].call + 1]),
        failed[0].observed,
        (failed[0].lo, failed[0].hi),
    )
