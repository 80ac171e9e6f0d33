"""Elimination: the combinations of switches in agreement with a subject's observed behaviour.

Stage after stage switches on one more option, with a probe that its switches show in, and keeps the hypotheses that
explain it. Hyperparameters are dyadic, so that no rounding of them can be mistaken for a switch; the last stage, which
asks for that rounding, has numbers that are not. A stage that nothing explains is recorded, and its switches stay open.
"""

from __future__ import annotations

from collections.abc import Mapping

from rmspec.impl.arithmetic.intervals import Scalars
from rmspec.properties.identify.explanation import Hypothesis, expand, explains, predictions
from rmspec.properties.identify.probes import Trace, Turn
from rmspec.properties.identify.questions import DYADIC, Questions
from rmspec.properties.identify.update import Unexplained, Update, explaining, unexplained

__all__ = ["Elimination"]

_DECAY, _MOMENTUM = 2.0**-3, 0.5
_UNEVEN: Mapping[str, float] = {
    "lr": 0.01,
    "alpha": 0.999,
    "eps": 1e-3,
    "momentum": 0.9,
    "weight_decay": 0.01,
}
"""None of these is a float32 number; 1 - 0.999 formed in float32 is off by 1e-5."""
_LARGE = (64.0, 32.0)
"""Gradients that make (1 - alpha) g^2 count beside an average that starts at 1."""


class Elimination:
    """The remaining hypotheses of a subject's update, and the reasons against the rest.

    ``traces`` are the probes that the hypotheses explain, ``reasons`` why a switch cannot be told, ``problems`` what
    nothing explains. Each stage is a method.
    """

    def __init__(self, questions: Questions, update: Update) -> None:
        self.questions = questions
        self.hypotheses = list(update.hypotheses)
        self.traces = list(update.traces)
        self.ignored = update.ignored
        self.reasons: dict[str, str] = {}
        self.problems: list[Unexplained] = []

    def stages(self) -> None:
        """Every stage, in order."""
        for stage in (self.centered, self.decay, self.momentum, self.together, self.scalars):
            stage()

    def centered(self) -> None:
        """Whether ``centered=True`` subtracts the squared average of the gradients."""
        if all(each.value("centered_form") == "always" for each in self.hypotheses):
            return
        options = [each for each in self.hypotheses if each.value("centered_form") == "option"]
        others = [each for each in self.hypotheses if each not in options]
        candidates = [*expand(options, "centered_form", ("option", "never")), *others]
        if not self.questions.takes("centered"):
            self._open("centered_form", candidates, self._absence("centered"))
            return
        self._keep(candidates, self.questions.seen(0.5, 0.25, 2.0, given={"centered": True}), ("centered_form",))

    def decay(self) -> None:
        """Decide the form of ``weight_decay``."""
        candidates = expand(self.hypotheses, "decay")
        if not self.questions.takes("weight_decay"):
            self._open("decay", candidates, self._absence("weight_decay"))
            return
        self._keep(candidates, self.questions.seen(0.5, 0.25, given={"weight_decay": _DECAY}), ("decay",))

    def momentum(self) -> None:
        """Decide on momentum: its presence, its kind, and the place of the learning rate in it."""
        switches = ("momentum_form", "nesterov", "lr_place")
        fixed = not self.questions.takes("momentum") and any(
            each.fixed.get("momentum", 0.0) for each in self.hypotheses
        )
        if not (self.questions.takes("momentum") or fixed):
            for switch in switches:
                self._open(switch, expand(self.hypotheses, switch), self._absence("momentum"))
            return
        candidates = self.hypotheses
        for switch in ("momentum_form",) if fixed else ("momentum_form", "nesterov"):
            candidates = expand(candidates, switch)
        options = {} if fixed else {"momentum": _MOMENTUM}
        first = self._first_turns()
        trace = self.questions.seen(*first, 0.5, 0.5, given=options)
        moved = [each.with_switch("eps_place", "moves") for each in candidates if each.value("eps_place") == "outside"]
        if not fixed and not trace.raised and not explaining(candidates, [trace]) and explaining(moved, [trace]):
            candidates = moved
        if not self._keep(candidates, trace, ("momentum_form", "nesterov")):
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
        constant = self.questions.seen(*first, 0.5, 0.5, given=options)
        reason = self.questions.capabilities.missing.get(
            "schedule", "its learning rate cannot be changed between steps"
        )
        if "schedule" in self.questions.capabilities.features and self.questions.takes("lr"):
            changed = self.questions.seen(*first, 0.5, {"lr": DYADIC["lr"] / 4}, 0.5, given=options)
            left = [] if changed.raised else explaining(candidates, [changed])
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
        """Compare the options together with each option alone."""
        if self.problems:
            return
        options: dict[str, float] = {"weight_decay": _DECAY, "momentum": _MOMENTUM, "centered": True}
        trace = self.questions.seen(*self._first_turns(centered=True), 0.5, -1.0, 0.25, given=options)
        if not trace.raised:
            self._keep(self.hypotheses, trace, ())

    def scalars(self) -> None:
        """Decide the rounding of hyperparameters, in float64 and in float32 as far as the subject has them."""
        given = [name for name in ("lr", "alpha") if not self.questions.takes(name)]
        if self.problems or given:
            reason = f"its {' and '.join(given)} cannot be chosen" if given else "what it does is not explained"
            self._open("scalars", expand(self.hypotheses, "scalars"), reason)
            return
        needed: dict[str, Scalars] = {}
        for format in ("float64", "float32"):
            if format in self.questions.capabilities.formats:
                trace = self.questions.seen(*self._first_turns(), *_LARGE, format=format, given=_UNEVEN)
                level = self._level(trace)
                if level is None:
                    self._unrounded(trace)
                    return
                needed[format] = level
                self.traces.append(trace)
        self._rounding(needed)

    def _unrounded(self, trace: Trace) -> None:
        failed = None if trace.raised else unexplained(self.hypotheses, trace, ("scalars",))
        if failed is not None:
            self.problems.append(failed)
        reason = f"it raises {trace.raised}" if trace.raised else "no rounding of its hyperparameters explains it"
        self._open("scalars", expand(self.hypotheses, "scalars"), reason)

    def _level(self, trace: Trace) -> Scalars | None:
        levels: tuple[Scalars, ...] = ("double", "float32")
        for level in levels:
            if not trace.raised and any(explains(each, trace, scalars=level) for each in self.hypotheses):
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
        """Keep the candidates in agreement with a trace; without any, their switches stay open."""
        if trace.raised:
            for switch in switches:
                self.reasons[switch] = f"it raises {trace.raised} when it is asked"
            self.hypotheses = candidates
            return False
        left = explaining(candidates, [trace])
        if left:
            self.hypotheses = left
            self.traces.append(trace)
            return True
        vague = any(all(each.fits for each in predictions(one, trace)) for one in candidates)
        failed = None if vague else unexplained(candidates, trace, switches)
        if failed is not None:
            self.problems.append(failed)
        for switch in switches:
            self.reasons[switch] = (
                "the formula divides by zero there" if vague else "none of them explains what it does"
            )
        self.hypotheses = candidates
        return False

    def _absence(self, option: str) -> str:
        """Say why an option cannot be asked about: in the constructor's own words, if it refuses the option."""
        reason = self.questions.capabilities.missing.get(option, "")
        return reason if "refuses" in reason else f"it takes no option {option}"

    def _open(self, switch: str, candidates: list[Hypothesis], reason: str) -> None:
        self.hypotheses = candidates
        self.reasons[switch] = reason


def _degenerate(hypothesis: Hypothesis, centered: bool) -> bool:
    centers = hypothesis.value("centered_form") == "always" or centered
    return bool(hypothesis.value("bias_correction")) and centers and hypothesis.value("eps_place") != "none"
