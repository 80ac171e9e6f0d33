"""The update by itself: hypotheses for steps without weight decay, without momentum, and not centered.

First the switches that every step shows, with the options as they are given. What a subject does not let choose is
supposed to be one of the usual values, or is solved for. Where nothing explains the steps, contrasts tell whether it is some
other optimizer, and solving tells whether it is one that passes over an option.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from rmspec.impl.spec.dialect import SPECIFICATION
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.identify import solving
from rmspec.properties.identify.answer import Contradiction
from rmspec.properties.identify.contrasts import contrasts
from rmspec.properties.identify.explanation import Hypothesis, Prediction, expand, explains, predictions
from rmspec.properties.identify.probes import Trace
from rmspec.properties.identify.questions import OFF, Questions
from rmspec.properties.peeling.candidates import USUAL

__all__ = ["Unexplained", "Update", "explained", "explaining", "resting", "unexplained"]

_SUPPOSED: Mapping[str, float] = {"lr": 1e-2, "alpha": 0.99, "eps": 0.0, **OFF}
"""What a hypothesis has for an option that cannot be chosen, until that is found out."""


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A probe beyond every hypothesis: its program up to the last one's failing step.

    Of those that had explained everything until then, ``allowed`` is what came closest; ``switches`` stay open.
    """

    switches: tuple[str, ...]
    program: Program
    observed: float
    allowed: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Update:
    """The hypotheses for the update; without any, ``contradictions`` to every RMSprop, and the step ``failed``.

    ``ignored`` are options that were given and passed over, with the values that were found instead.
    """

    hypotheses: tuple[Hypothesis, ...] = ()
    traces: tuple[Trace, ...] = ()
    contradictions: tuple[Contradiction, ...] = ()
    failed: Unexplained | None = None
    ignored: Mapping[str, float] = field(default_factory=dict)


def explained(questions: Questions) -> Update:
    """Explain the subject's steps, in the order of the module's first paragraph."""
    traces = _traces(questions)
    start = _start(questions)
    left = _from(questions, _sizeable(questions, start), traces)
    if not left and _choosable(questions):
        left = explaining(_placed(start), traces)
    if left:
        return Update(tuple(left), tuple(traces))
    contradictions = tuple(contrasts(questions))
    if any(each.clause == "update" for each in contradictions) and not questions.takes("momentum"):
        # It may go on without a gradient since it has momentum that cannot be chosen.
        left = _from(questions, _sizeable(questions, _moving(start)), traces)
        if left:
            return Update(tuple(left), tuple(traces))
    failed = _failed(questions, start)
    if contradictions:
        return Update(contradictions=contradictions, failed=failed)
    return _solved(questions, start, traces) or Update(failed=failed)


def explaining(hypotheses: Iterable[Hypothesis], traces: list[Trace]) -> list[Hypothesis]:
    """List the hypotheses in agreement with all of the traces; none if one of them broke off."""
    if any(trace.raised for trace in traces):
        return []
    return [each for each in hypotheses if all(explains(each, trace) for trace in traces)]


def unexplained(candidates: Iterable[Hypothesis], trace: Trace, switches: tuple[str, ...]) -> Unexplained | None:
    """Find the last failing step of the candidates, and the smallest miss there; ``None`` if none failed."""
    failed = [each for one in candidates if (each := _failure(one, trace)) is not None]
    if not failed:
        return None
    latest = max(each.call for each in failed)
    last = [each for each in failed if each.call == latest]
    closest = min(last, key=lambda each: max(each.lo - each.observed, each.observed - each.hi))
    calls = trace.program.calls[: latest + 1]
    return Unexplained(switches, replace(trace.program, calls=calls), closest.observed, (closest.lo, closest.hi))


def resting(questions: Questions) -> Unexplained | None:
    """Compare the first step of the plain probe with every descending dialect's."""
    plain = questions.plain()
    first = plain.moments[0]
    calls = plain.program.calls[: first.call + 1]
    alone = Trace(replace(plain.program, calls=calls), (first,))
    start = [each for each in _start(questions) if not each.value("maximize")]
    if not questions.takes("lr"):
        start = [_fixing(each, "lr", value) for each in start for value in USUAL["lr"]]
    return unexplained(_placed(start), alone, ())


def _failure(hypothesis: Hypothesis, trace: Trace) -> Prediction | None:
    return next((each for each in predictions(hypothesis, trace) if not each.fits), None)


def _traces(questions: Questions) -> list[Trace]:
    return [questions.plain(), *([] if questions.takes("eps") else [questions.small()])]


def _failed(questions: Questions, start: list[Hypothesis]) -> Unexplained | None:
    """Find the last failing step of an RMSprop with the usual values: with huge gradients, or else in the plain probe."""
    usual = _placed(_with_eps(questions, _sizeable(questions, start) or (start if _choosable(questions) else [])))
    if usual:
        return unexplained(usual, questions.plain(), ())
    return unexplained(expand(_every(questions, start), "eps_place", ("none",)), questions.huge(), ())


def _start(questions: Questions) -> list[Hypothesis]:
    """Decide the switches visible in a step for any eps and initial average."""
    fixed = {name: _SUPPOSED[name] for name in OPTIONS if not questions.takes(name)}
    start = [Hypothesis(replace(SPECIFICATION, name="observed", title="as observed"), fixed)]
    start = expand(expand(start, "bias_correction"), "maximize")
    return expand(start, "centered_form", ("option", "always"))


def _placed(start: Iterable[Hypothesis]) -> list[Hypothesis]:
    return expand(expand(start, "eps_place"), "initial_square_avg")


def _choosable(questions: Questions) -> bool:
    return all(questions.takes(name) for name in ("lr", "alpha", "eps"))


def _sizeable(questions: Questions, start: list[Hypothesis]) -> list[Hypothesis]:
    """List the hypotheses for huge gradients, with every usual lr and alpha: neither eps nor v_0 shows there."""
    return explaining(expand(_every(questions, start), "eps_place", ("none",)), [questions.huge()])


def _with_eps(questions: Questions, start: list[Hypothesis]) -> list[Hypothesis]:
    """Add every usual eps to the hypotheses, unless it can be chosen."""
    if questions.takes("eps"):
        return start
    return [_fixing(each, "eps", value) for each in start for value in USUAL["eps"]]


def _from(questions: Questions, sizeable: list[Hypothesis], traces: list[Trace]) -> list[Hypothesis]:
    """Explain the traces by a usual initial average, or by one of the subject's own."""
    start = _with_eps(questions, sizeable)
    return explaining(_placed(start), traces) or explaining(_own_start(questions, start), traces)


def _every(questions: Questions, start: list[Hypothesis]) -> list[Hypothesis]:
    """Add every usual lr and alpha to the hypotheses, unless they can be chosen."""
    for name in ("lr", "alpha"):
        if not questions.takes(name):
            start = [_fixing(each, name, value) for each in start for value in USUAL[name]]
    return start


def _moving(start: list[Hypothesis]) -> list[Hypothesis]:
    return expand(
        [_fixing(each, "momentum", value) for each in start for value in USUAL["momentum"] if value], "nesterov"
    )


def _own_start(questions: Questions, start: list[Hypothesis]) -> list[Hypothesis]:
    """The hypotheses with an initial average of the subject's own, found from its first step."""
    found = [solving.starting(each, questions.plain()) for each in expand(start, "eps_place")]
    return [each for each in found if each is not None]


def _solved(questions: Questions, start: list[Hypothesis], traces: list[Trace]) -> Update | None:
    """Explain the steps with another alpha, eps or both than given or usual."""
    bare = expand(start, "eps_place", ("none",))
    huge = questions.huge()
    right = explaining(bare, [huge])
    guesses = right or [each for one in bare if (each := solving.option(one, "alpha", huge)) is not None]
    left = explaining(_placed(guesses), traces)
    if not left:
        places = expand(expand(guesses, "eps_place", ("outside", "inside")), "initial_square_avg", (0.0, 1.0))
        solved = [each for one in places if (each := solving.option(one, "eps", traces[-1])) is not None]
        left = explaining(solved, traces)
    if not left:
        return None
    ignored = {name: left[0].fixed[name] for name in sorted(left[0].ignored) if questions.takes(name)}
    return Update(tuple(left), tuple(traces), ignored=ignored)


def _fixing(hypothesis: Hypothesis, name: str, value: float) -> Hypothesis:
    return replace(hypothesis, fixed={**hypothesis.fixed, name: value})
