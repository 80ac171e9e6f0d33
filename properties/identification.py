"""Identification: from observations alone, which dialect of RMSprop a subject speaks, or that it is no RMSprop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

from rmspec.impl.dialect import DIALECTS
from rmspec.impl.formats import FORMATS
from rmspec.oracles.loader import load
from rmspec.oracles.subject import Capabilities, Subject
from rmspec.properties import families
from rmspec.properties.admission import restrict
from rmspec.properties.elimination import Elimination
from rmspec.properties.explanation import SWITCHES, Hypothesis, Prediction, Value, alternatives, predictions
from rmspec.properties.identified import Contradiction, Evidence, Identification, Neighbour, Switch
from rmspec.properties.probes import Moment, Prober, Trace, shortened
from rmspec.properties.questions import Questions, widest
from rmspec.properties.update import Unexplained, Update, explained

__all__ = ["identify"]

_ORDER = ("double", "float32", "storage")
"""What a dialect allows its scalars: each allows what those before it do."""

_CLAUSES = {
    "decay": "weight-decay",
    "centered_form": "centered-variance",
    "momentum_form": "momentum-buffer",
    "scalars": "scalar-precision",
}


def identify(subject: str | Subject, *, formats: tuple[str, ...] = ()) -> Identification:
    """Which RMSprop a subject is, found out with a few dozen short programs on one element.

    ``subject`` is a name, or an object with the ``Subject`` protocol; ``formats`` leaves only these number formats.
    Raises the errors of ``rmspec.oracles.load``, and ``SubjectFailed`` where it cannot be driven.
    """
    loaded = load(subject) if isinstance(subject, str) else subject
    begin = time.monotonic()
    prober = Prober(loaded)
    found = _identified(loaded, restrict(loaded.capabilities(), formats, frozenset()), prober)
    return replace(
        found,
        framework=loaded.framework,
        versions=dict(loaded.versions()),
        programs=prober.runs,
        seconds=time.monotonic() - begin,
    )


def _identified(subject: Subject, capabilities: Capabilities, prober: Prober) -> Identification:
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


def _foreign(subject: Subject, questions: Questions, update: Update) -> Identification:
    """What nothing explains from the start: another optimizer, or an RMSprop with a fault in its very update."""
    traces = [questions.plain(), questions.seen(1.0, 0.0, 1.0), questions.seen(1.0, 4.0)]
    decaying = questions.seen(0.5, 0.25, given={"weight_decay": 2.0**-3}) if questions.takes("weight_decay") else None
    family = families.named(traces, decaying)
    if family == "SGD" and questions.takes("momentum"):
        family = families.named([questions.seen(1.0, 0.0, given={"momentum": 0.5})]) or family
    still = all(moment.before == moment.after for trace in traces for moment in trace.moments)
    failed = [] if update.failed is None or update.contradictions else [_contradiction(update.failed, "update")]
    return Identification(
        subject.name,
        "other" if family or update.contradictions else "unexplained",
        format=questions.format,
        family=family,
        switches=tuple(_direction(questions, switch) for switch in SWITCHES),
        contradictions=(*update.contradictions, *failed),
        message="it does not move" if still else "",
    )


def _direction(questions: Questions, switch: str) -> Switch:
    """A switch of something that no dialect explains: only the direction of its first step can be told."""
    reason = "no dialect explains its update"
    moment = questions.plain().moments[0]
    if switch == "maximize" and moment.after != moment.before:
        uphill = (moment.after > moment.before) == (moment.grad > 0)
        return Switch(switch, (uphill,), (not uphill,), "by the direction of its first step alone")
    return Switch(switch, alternatives(switch), (), reason)


def _answered(subject: Subject, elimination: Elimination) -> Identification:
    hypotheses = elimination.hypotheses
    whole = _Evidence(elimination)
    switches = tuple(whole.switch(name) for name in SWITCHES)
    named, nearest = _neighbours(switches)
    contradictions = [
        _contradiction(each, _CLAUSES.get(each.switches[0], "update") if each.switches else "update")
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


def _contradiction(problem: Unexplained, clause: str) -> Contradiction:
    return Contradiction(
        clause,
        "no dialect explains this step; what is allowed is what the closest one allows",
        problem.program,
        problem.observed,
        problem.allowed,
    )


def _pardoned(elimination: Elimination, name: str, value: float) -> Contradiction:
    """An option whose value is passed over: what the given one would have led to, and what was seen."""
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
    """The named dialects that agree in all that was decided, or else those that differ in the fewest switches."""
    found = [
        Neighbour(name, tuple(each.name for each in switches if not _agrees(each, getattr(dialect, each.name))))
        for name, dialect in DIALECTS.items()
    ]
    fewest = min(len(each.differs) for each in found)
    closest = [each for each in found if len(each.differs) == fewest]
    if fewest:
        return (), tuple(closest)
    scalars = next(each for each in switches if each.name == "scalars")
    # Of those that allow the rounding, first those that allow no more.
    closest.sort(key=lambda each: DIALECTS[each.name].scalars not in scalars.left)
    return tuple(each.name for each in closest), ()


def _agrees(switch: Switch, value: Value) -> bool:
    if switch.name == "scalars":
        # A dialect says how far scalars may be rounded: one that rounds less agrees.
        return any(_ORDER.index(str(each)) <= _ORDER.index(str(value)) for each in switch.left)
    return value in switch.left


class _Evidence:
    """What was found out about each switch, with the shortest programs that separate its positions."""

    def __init__(self, elimination: Elimination) -> None:
        self._elimination = elimination
        self._found = elimination.hypotheses[0]

    def switch(self, name: str) -> Switch:
        """One switch, from the hypotheses that are left."""
        left = tuple(dict.fromkeys(each.value(name) for each in self._elimination.hypotheses))
        known = alternatives(name)
        ruled_out = tuple(each for each in known if each not in left)
        reason = self._elimination.reasons.get(name, "")
        if not reason and len(left) > 1:
            reason = "the programs do not separate them"
        evidence = tuple(each for value in ruled_out if (each := self._against(name, value)) is not None)
        if name == "scalars" and len(evidence) < len(ruled_out):
            # What rounds less explains all that more does: without a program against it, the latter may be true.
            open_ = tuple(each for each in ruled_out if each not in {one.value for one in evidence})
            left, ruled_out = (*left, *open_), tuple(each for each in ruled_out if each not in open_)
            reason = reason or "the programs do not separate them"
        return Switch(name, left, ruled_out, reason or self._remark(name, left), evidence)

    def _remark(self, name: str, left: tuple[Value, ...]) -> str:
        option = {"momentum_form": "momentum", "centered_form": "centered", "decay": "weight_decay"}.get(name)
        if option and left in (("never",), ("none",)):
            return f"it takes the option {option} and ignores it"
        if name == "initial_square_avg" and left[0] not in alternatives(name):
            return "a number of its own, found from the steps"
        if name == "scalars" and left == ("double",):
            return "as exact as the specification asks"
        return ""

    def _against(self, name: str, value: Value) -> Evidence | None:
        """The shortest program that rules out this position, the others being as they were found."""
        rival = self._found.with_switch(name, value)
        best: Evidence | None = None
        for trace in self._elimination.traces:
            found = _refusal(name, value, self._found, rival, trace)
            if found is not None and (best is None or len(found.program.calls) < len(best.program.calls)):
                best = found
        return best if best is None else self._short(name, value, rival, best)

    def _short(self, name: str, value: Value, rival: Hypothesis, evidence: Evidence) -> Evidence:
        """The same with every call dropped that it can do without."""
        for program in shortened(evidence.program):
            trace = self._elimination.questions.prober.run(program)
            found = None if trace.raised else _refusal(name, value, self._found, rival, trace)
            if found is not None:
                return self._short(name, value, rival, found)
        return evidence


def _refusal(name: str, value: Value, found: Hypothesis, rival: Hypothesis, trace: Trace) -> Evidence | None:
    """The first step of a trace that the rival does not explain, and the hypothesis that was found does."""
    pairs = _rounded(found, rival, trace) if name == "scalars" else _both(name, found, rival, trace)
    for ours, theirs in pairs:
        if not ours.fits:
            return None
        if not theirs.fits:
            return Evidence(
                value,
                replace(trace.program, calls=trace.program.calls[: ours.call + 1]),
                ours.call,
                ours.role,
                ours.observed,
                (ours.lo, ours.hi),
                (theirs.lo, theirs.hi),
            )
    return None


def _both(name: str, found: Hypothesis, rival: Hypothesis, trace: Trace) -> Iterator[tuple[Prediction, Prediction]]:
    roles = ("momentum_buffer", "param") if name == "lr_place" else ("param",)
    return zip(predictions(found, trace, roles=roles), predictions(rival, trace, roles=roles), strict=False)


def _rounded(found: Hypothesis, rival: Hypothesis, trace: Trace) -> Iterator[tuple[Prediction, Prediction]]:
    """The two where they differ: ``float32`` rounds more than the others in float64, ``double`` less in float32."""
    ours, theirs = found.dialect.scalars, rival.dialect.scalars
    apart = "float64" if "float32" in (ours, theirs) else "float32"
    if trace.format != apart and theirs != "double":
        return iter(())
    coarser = theirs == "float32" if apart == "float64" else theirs == "storage"
    # One that rounds is supposed to have done so; of one that does not, nothing else is legal.
    theirs_too = replace(trace, moments=tuple(map(_single, trace.moments))) if coarser else trace
    return zip(predictions(found, trace, scalars=ours), predictions(rival, theirs_too, scalars="double"), strict=False)


def _single(moment: Moment) -> Moment:
    options = {
        name: value if isinstance(value, bool) else FORMATS["float32"].round(value)
        for name, value in moment.options.items()
    }
    return replace(moment, options=options)


assert set(_ORDER) == set(alternatives("scalars"))
