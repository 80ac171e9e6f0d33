"""Elimination: of every combination of switches, those that explain what a subject was seen to do.

Stage after stage switches on one more option, with a probe that its switches show in, and keeps the hypotheses that
explain it. Hyperparameters are dyadic, so that no rounding of them can be mistaken for a switch; the last stage, which
asks for that rounding, has numbers that are not. A stage that nothing explains is recorded, and its switches stay open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rmspec.impl.dialect import SPECIFICATION
from rmspec.impl.formats import FORMATS
from rmspec.impl.intervals import Scalars
from rmspec.oracles.program import Program
from rmspec.oracles.subject import OPTIONS, Capabilities
from rmspec.properties import solving
from rmspec.properties.explanation import SWITCHES, Hypothesis, Prediction, expand, explains, predictions
from rmspec.properties.probes import Prober, Trace, Turn, probe

__all__ = ["DYADIC", "Elimination", "Unexplained", "widest"]

DYADIC: Mapping[str, float] = {"lr": 2.0**-4, "alpha": 0.75, "eps": 2.0**-4}
"""The options of every stage but the last; an option that is off is given as off."""

_OFF: Mapping[str, float] = {"weight_decay": 0.0, "momentum": 0.0, "centered": False}
_DECAY, _MOMENTUM = 2.0**-3, 0.5
_UNEVEN: Mapping[str, float] = {"lr": 0.01, "alpha": 0.999, "eps": 1e-3}
"""Not one of these, nor 1 - alpha, is a float32 number; 1 - 0.999 formed in float32 is off by 1e-5."""

_USUAL: Mapping[str, tuple[float, ...]] = {
    "lr": (1e-2, 1e-3, 1e-4, 0.1, 1.0, 5e-4, 2e-4, 1e-5),
    "alpha": (0.99, 0.9, 0.95, 0.999, 0.5),
    "eps": (1e-8, 1e-7, 1e-10, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.0, 1e-12),
    "momentum": (0.9, 0.99, 0.95, 0.5),
}
"""What implementations are known to have where they take no such option."""

_FIXED_ELSEWHERE: Mapping[str, float] = {"lr": 1e-2, "alpha": 0.99, "eps": 0.0}


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A probe that no hypothesis explains: its program up to the step where the last of them failed.

    ``allowed`` is the hull of what those predicted that had explained everything until then; ``switches`` stay open.
    """

    switches: tuple[str, ...]
    program: Program
    observed: float
    allowed: tuple[float, float]


def widest(capabilities: Capabilities) -> str | None:
    """The real number format with the most digits that a subject supports, or ``None``."""
    real = [name for name in capabilities.formats if FORMATS[name].parts == 1]
    return min(real, key=lambda name: FORMATS[name].unit_roundoff) if real else None


class Elimination:
    """What is left of the hypotheses about a subject, and why the rest is gone.

    ``traces`` are the probes that the hypotheses explain, ``reasons`` why a switch cannot be told, ``problems`` what
    nothing explains. ``begin`` comes first, then the stages in any order.
    """

    def __init__(self, prober: Prober, capabilities: Capabilities, format: str) -> None:
        self.prober = prober
        self.format = format
        self.hypotheses: list[Hypothesis] = []
        self.traces: list[Trace] = []
        self.reasons: dict[str, str] = {}
        self.problems: list[Unexplained] = []
        self.ignored: dict[str, float] = {}
        self._capabilities = capabilities
        self._fixed: dict[str, float] = {
            name: {**_FIXED_ELSEWHERE, **_OFF}[name] for name in OPTIONS if name not in capabilities.options
        }

    # -- what is asked of the subject

    def options(self, **changed: float | bool) -> dict[str, float | bool]:
        """The options of a probe, less those that the subject does not take."""
        given = {**DYADIC, **_OFF, **changed}
        return {name: given[name] for name in OPTIONS if name in self._capabilities.options}

    def takes(self, option: str) -> bool:
        """Whether the subject takes an option, and nobody asked to leave it out."""
        return option in self._capabilities.options

    def seen(self, *turns: Turn, format: str = "", theta: float = 1.0, **changed: float | bool) -> Trace:
        """The trace of a probe with these turns and options."""
        return self.prober.run(probe(format or self.format, self.options(**changed), *turns, theta=theta))

    # -- the first stage

    def plain(self) -> Trace:
        """The probe of the first stage: no weight decay, no momentum, not centered."""
        return self.seen(0.5, 0.25, 2.0)

    def begin(self) -> bool:
        """Whether some hypothesis explains the update by itself."""
        start = [Hypothesis(replace(SPECIFICATION, name="observed", title="as observed"), self._fixed)]
        for switch in ("bias_correction", "maximize"):
            start = expand(start, switch)
        start = self._supposed(expand(start, "centered_form", ("option", "always")))
        traces = self._first()
        whole = expand(expand(start, "eps_place"), "initial_square_avg")
        left = _explaining(whole, traces) or self._otherwise(start, traces)
        if not left:
            if start:
                self.problems.append(_unexplained(whole, traces[0], SWITCHES))
            return False
        self.hypotheses = left
        self.traces += traces
        return True

    def _first(self) -> list[Trace]:
        """The plain probe; another with small gradients where eps cannot be chosen, and may be small."""
        small = [] if self.takes("eps") else [self.seen(2.0**-13, 2.0**-14, 2.0**-12)]
        return [self.plain(), *small]

    def _supposed(self, start: list[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses with every usual value of what the subject does not let choose."""
        if not (self.takes("lr") and self.takes("alpha")):
            start = self._coarse(start)
        if not self.takes("eps"):
            start = [replace(each, fixed={**each.fixed, "eps": eps}) for each in start for eps in _USUAL["eps"]]
        return start

    def huge(self) -> Trace:
        """A probe with gradients so large that neither eps nor the initial average shows."""
        limit = FORMATS[self.format].max_finite
        size = 2.0 ** min(100, int(math.log2(limit)) // 2 - 10) if limit > 1e6 else 2.0**6
        return self.seen(size, size / 4, size * 4)

    def _coarse(self, start: list[Hypothesis]) -> list[Hypothesis]:
        trace = self.huge()
        lrs = [None] if self.takes("lr") else _USUAL["lr"]
        alphas = [None] if self.takes("alpha") else _USUAL["alpha"]
        momenta = (0.0,) if self.takes("momentum") else (0.0, *_USUAL["momentum"])
        bare = expand(start, "eps_place", ("none",))
        for momentum in momenta:
            supposed = [
                _fixing(each, lr=lr, alpha=alpha, momentum=None if self.takes("momentum") else momentum)
                for each in (bare if not momentum else expand(bare, "nesterov"))
                for lr in lrs
                for alpha in alphas
            ]
            left = _explaining(supposed, [trace])
            if left:
                return left
        return []

    def _otherwise(self, start: list[Hypothesis], traces: list[Trace]) -> list[Hypothesis]:
        """What explains the first stage with another initial average, or with momentum that cannot be chosen."""
        if not start or not traces[0].moments:
            return []
        found = [solving.starting(each, traces[0]) for each in expand(start, "eps_place")]
        left = _explaining([each for each in found if each is not None], traces)
        if left or self.takes("momentum"):
            return left
        moving = [_fixing(each, momentum=momentum) for each in start for momentum in _USUAL["momentum"]]
        return _explaining(expand(expand(expand(moving, "nesterov"), "eps_place"), "initial_square_avg"), traces)

    def pardon(self) -> bool:
        """Whether the first stage is explained once an option is supposed to be other than it was given, or than is usual."""
        start = [Hypothesis(replace(SPECIFICATION, name="observed", title="as observed"), self._fixed)]
        for switch in ("bias_correction", "maximize"):
            start = expand(start, switch)
        start = expand(start, "centered_form", ("option", "always"))
        traces = self._first()
        bare = expand(start, "eps_place", ("none",))
        guesses = [solving.option(each, "alpha", 2.0**-20, 1 - 2.0**-20, self.huge()) for each in bare]
        start = [each for each in guesses if each is not None] or start
        whole = expand(expand(start, "eps_place"), "initial_square_avg")
        left = _explaining(whole, traces)
        if not left:
            # The place must not be "none": there is no eps to solve for.
            placed = [each for each in whole if each.value("eps_place") != "none" and each.value("initial_square_avg") != "eps"]
            solved = [solving.option(each, "eps", 2.0**-60, 2.0**20, traces[-1]) for each in placed]
            left = _explaining([each for each in solved if each is not None], traces)
        if not left:
            return False
        self.ignored = {name: left[0].fixed[name] for name in sorted(left[0].ignored) if self.takes(name)}
        self._fixed = {**self._fixed, **left[0].fixed}
        self.hypotheses = left
        self.traces += traces
        return True

    # -- the other stages

    def centered(self) -> None:
        """Whether ``centered=True`` subtracts the squared average of the gradients."""
        if all(each.value("centered_form") == "always" for each in self.hypotheses):
            return
        options = [each for each in self.hypotheses if each.value("centered_form") == "option"]
        others = [each for each in self.hypotheses if each not in options]
        candidates = [*expand(options, "centered_form", ("option", "never")), *others]
        if not self.takes("centered"):
            self._open("centered_form", candidates, "it takes no option centered")
            return
        self._keep(candidates, self.seen(0.5, 0.25, 2.0, centered=True), ("centered_form",))

    def decay(self) -> None:
        """What ``weight_decay`` does."""
        candidates = expand(self.hypotheses, "decay")
        if not self.takes("weight_decay"):
            self._open("decay", candidates, "it takes no option weight_decay")
            return
        self._keep(candidates, self.seen(0.5, 0.25, weight_decay=_DECAY), ("decay",))

    def momentum(self) -> None:
        """Whether there is momentum, of which kind, and where the learning rate meets it."""
        switches = ("momentum_form", "nesterov", "lr_place")
        fixed = not self.takes("momentum") and any(each.fixed.get("momentum", 0.0) for each in self.hypotheses)
        if not (self.takes("momentum") or fixed):
            for switch in switches:
                self._open(switch, expand(self.hypotheses, switch), "it takes no option momentum")
            return
        candidates = self.hypotheses
        for switch in ("momentum_form",) if fixed else ("momentum_form", "nesterov"):
            candidates = expand(candidates, switch)
        options = {} if fixed else {"momentum": _MOMENTUM}
        first = self._first_turns()
        if not self._keep(candidates, self.seen(*first, 0.5, 0.5, **options), ("momentum_form", "nesterov")):
            self._open("lr_place", expand(self.hypotheses, "lr_place"), "nothing explains its momentum")
            return
        if all(each.value("momentum_form") == "never" for each in self.hypotheses):
            for switch in ("nesterov", "lr_place"):
                self._open(switch, expand(self.hypotheses, switch), "it has no momentum")
            return
        self._place(first, options)

    def _first_turns(self, *, centered: bool = False) -> tuple[Turn, ...]:
        """With bias correction the centered variance of a first gradient is 0: one of 0 keeps the buffer bounded."""
        return (0.0,) if any(_degenerate(each, centered) for each in self.hypotheses) else ()

    def _place(self, first: tuple[Turn, ...], options: Mapping[str, float]) -> None:
        candidates = expand(self.hypotheses, "lr_place")
        constant = self.seen(*first, 0.5, 0.5, **options)
        reason = self._capabilities.missing.get("schedule", "its learning rate cannot be changed between steps")
        if "schedule" in self._capabilities.features and self.takes("lr"):
            changed = self.seen(*first, 0.5, {"lr": DYADIC["lr"] / 4}, 0.5, **options)
            left = [] if changed.raised else _explaining(candidates, [changed])
            if left:
                self.hypotheses = left
                self.traces.append(changed)
                return
            raised = f"it raises {changed.raised} when its learning rate changes"
            reason = raised if changed.raised else "neither place explains the step after its learning rate changed"
        left = [each for each in candidates if explains(each, constant, roles=("momentum_buffer", "param"))]
        shown = any("momentum_buffer" in moment.state for moment in constant.moments)
        if shown and left:
            self.hypotheses = left
            return
        self._open("lr_place", candidates, f"{reason}, and no buffer of either kind can be seen")

    def together(self) -> None:
        """Whether the options do together what each does by itself."""
        if self.problems:
            return
        options: dict[str, float] = {"weight_decay": _DECAY, "momentum": _MOMENTUM, "centered": True}
        trace = self.seen(*self._first_turns(centered=True), 0.5, -1.0, 0.25, **options)
        if not trace.raised:
            self._keep(self.hypotheses, trace, ())

    def scalars(self) -> None:
        """How far hyperparameters are rounded: in float64 and in float32, where the subject has them."""
        if self.problems or not all(self.takes(name) for name in ("lr", "alpha")):
            reason = "what it does is not explained" if self.problems else "its lr and alpha cannot be chosen"
            self._open("scalars", expand(self.hypotheses, "scalars"), reason)
            return
        options = {**_UNEVEN, "momentum": 0.9, "weight_decay": 0.01}
        needed: dict[str, Scalars] = {}
        for format in ("float64", "float32"):
            if format in self._capabilities.formats:
                trace = self.seen(*self._first_turns(), 0.5, 0.25, format=format, **options)
                level = self._level(trace)
                if level is None:
                    self.problems.append(_unexplained(self.hypotheses, trace, ("scalars",)))
                    self._open("scalars", expand(self.hypotheses, "scalars"), "no rounding of its hyperparameters explains it")
                    return
                needed[format] = level
                self.traces.append(trace)
        self._rounding(needed)

    def _level(self, trace: Trace) -> Scalars | None:
        levels: tuple[Scalars, ...] = ("double", "float32")
        for level in levels:
            if trace.moments and any(explains(each, trace, scalars=level) for each in self.hypotheses):
                return level
        return None

    def _rounding(self, needed: Mapping[str, Scalars]) -> None:
        values: tuple[Scalars, ...]
        match needed.get("float64"), needed.get("float32"):
            case "float32", _:
                values, reason = ("float32",), ""
            case "double", "float32":
                values, reason = ("storage",), ""
            case "double", "double":
                values, reason = ("double",), ""
            case "double", None:
                values, reason = ("double", "storage"), "it has no float32, where the two differ"
            case None, "float32":
                values, reason = ("float32", "storage"), "it has no float64, where the two differ"
            case None, "double":
                values, reason = ("double", "float32"), "it has no float64, where the two differ"
            case _:
                values, reason = ("double", "float32", "storage"), "it has neither float64 nor float32"
        self.hypotheses = expand(self.hypotheses, "scalars", values)
        if reason:
            self.reasons["scalars"] = reason

    # -- keeping count

    def _keep(self, candidates: list[Hypothesis], trace: Trace, switches: tuple[str, ...]) -> bool:
        """Keep the candidates that explain a trace; where none does, their switches stay open."""
        if trace.raised:
            for switch in switches:
                self.reasons[switch] = f"it raises {trace.raised} when it is asked"
            self.hypotheses = candidates
            return False
        left = _explaining(candidates, [trace])
        if left:
            self.hypotheses = left
            self.traces.append(trace)
            return True
        vague = any(each.fits and not each.bounded for one in candidates for each in list(predictions(one, trace))[-1:])
        if not vague:
            self.problems.append(_unexplained(candidates, trace, switches))
        for switch in switches:
            self.reasons[switch] = "the formula divides by zero there" if vague else "none of them explains what it does"
        self.hypotheses = candidates
        return False

    def _open(self, switch: str, candidates: list[Hypothesis], reason: str) -> None:
        self.hypotheses = candidates
        self.reasons[switch] = reason


def _explaining(hypotheses: Iterable[Hypothesis], traces: list[Trace]) -> list[Hypothesis]:
    if any(trace.raised or not trace.moments for trace in traces):
        return []
    return [each for each in hypotheses if all(explains(each, trace) for trace in traces)]


def _fixing(hypothesis: Hypothesis, **values: float | None) -> Hypothesis:
    """The hypothesis with these options fixed; ``None`` leaves one as it is."""
    return replace(
        hypothesis,
        fixed={**hypothesis.fixed, **{name: value for name, value in values.items() if value is not None}},
    )


def _degenerate(hypothesis: Hypothesis, centered: bool) -> bool:
    centers = hypothesis.value("centered_form") == "always" or centered
    return bool(hypothesis.value("bias_correction")) and centers and hypothesis.value("eps_place") != "none"


def _failure(hypothesis: Hypothesis, trace: Trace) -> Prediction | None:
    return next((each for each in predictions(hypothesis, trace) if not each.fits), None)


def _unexplained(candidates: Iterable[Hypothesis], trace: Trace, switches: tuple[str, ...]) -> Unexplained:
    """Where the last of the candidates failed, and what those that came so far allowed there."""
    failed = [each for one in candidates if (each := _failure(one, trace)) is not None]
    latest = max(each.call for each in failed)
    last = [each for each in failed if each.call == latest]
    calls = trace.program.calls[: latest + 1]
    return Unexplained(
        switches,
        replace(trace.program, calls=calls),
        last[0].observed,
        (min(each.lo for each in last), max(each.hi for each in last)),
    )
