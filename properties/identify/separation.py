"""Separation: for each excluded position of a switch, the shortest program against it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.intervals import Scalars
from rmspec.impl.spec.switches import SWITCHES
from rmspec.properties.identify.answer import Evidence, Switch
from rmspec.properties.identify.elimination import Elimination
from rmspec.properties.identify.explanation import WIDEST, Hypothesis, Prediction, Value, alternatives, predictions
from rmspec.properties.identify.probes import Moment, Trace, shortened

__all__ = ["Separation"]


class Separation:
    """The outcome of an elimination for each switch, with evidence; it may run shorter programs to find it."""

    def __init__(self, elimination: Elimination) -> None:
        self._elimination = elimination
        self._found = elimination.hypotheses[0]
        self._known: dict[tuple[str, tuple[str, ...], Scalars], list[Prediction]] = {}

    def switch(self, name: str) -> Switch:
        """Summarize one switch, from the remaining hypotheses."""
        left = tuple(dict.fromkeys(each.value(name) for each in self._elimination.hypotheses))
        ruled_out = tuple(each for each in alternatives(name) if each not in left)
        reason = self._elimination.reasons.get(name, "")
        evidence = tuple(each for value in ruled_out if (each := self._against(name, value)) is not None)
        if name == "scalars":
            # What rounds less explains all that more does: without a program against it, the latter may be true.
            proved = {each.value for each in evidence}
            left = (*left, *(each for each in ruled_out if each not in proved))
            ruled_out = tuple(each for each in ruled_out if each in proved)
        if not reason and len(left) > 1:
            reason = "the programs do not separate them"
        return Switch(name, left, ruled_out, reason or _remark(name, left), evidence)

    def _against(self, name: str, value: Value) -> Evidence | None:
        """Find the shortest program against this position, all other switches as identified; the plainest first."""
        rival = self._found.with_switch(name, value)
        best: Evidence | None = None
        for trace in self._elimination.traces:
            found = self._refusal(name, value, rival, trace, best)
            best = found or best
        return best if best is None else self._short(name, value, rival, best)

    def _short(self, name: str, value: Value, rival: Hypothesis, evidence: Evidence) -> Evidence:
        """Drop every dispensable call of the evidence."""
        for program in shortened(evidence.program):
            trace = self._elimination.questions.prober.run(program)
            found = None if trace.raised else self._refusal(name, value, rival, trace, evidence)
            if found is not None:
                return self._short(name, value, rival, found)
        return evidence

    def _refusal(
        self, name: str, value: Value, rival: Hypothesis, trace: Trace, best: Evidence | None
    ) -> Evidence | None:
        """Find the first step of a trace with a conflict for the rival alone, if it is shorter than the best."""
        for ours, theirs in self._rounded(rival, trace) if name == "scalars" else self._both(name, rival, trace):
            if not ours.fits or (best is not None and ours.call >= best.call):
                return None
            if not theirs.fits:
                calls = trace.program.calls[: ours.call + 1]
                return Evidence(
                    value,
                    replace(trace.program, calls=calls),
                    ours.call,
                    ours.role,
                    ours.observed,
                    (ours.lo, ours.hi),
                    (theirs.lo, theirs.hi),
                )
        return None

    def _both(self, name: str, rival: Hypothesis, trace: Trace) -> Iterator[tuple[Prediction, Prediction]]:
        roles = ("momentum_buffer", "param") if name == "lr_place" else ("param",)
        return zip(self._ours(trace, roles, WIDEST), predictions(rival, trace, roles=roles), strict=False)

    def _rounded(self, rival: Hypothesis, trace: Trace) -> Iterator[tuple[Prediction, Prediction]]:
        """Pair the two at their difference: ``float32`` rounds more than the others in float64, ``double`` less in float32."""
        ours, theirs = self._found.dialect.scalars, rival.dialect.scalars
        apart = "float64" if "float32" in (ours, theirs) else "float32"
        if trace.format != apart and theirs != "double":
            return iter(())
        # One that rounds is supposed to have done so; of one that does not, nothing else is legal.
        coarser = theirs == "float32" if apart == "float64" else theirs == "storage"
        supposed = replace(trace, moments=tuple(map(_single, trace.moments))) if coarser else trace
        return zip(self._ours(trace, ("param",), ours), predictions(rival, supposed, scalars="double"), strict=False)

    def _ours(self, trace: Trace, roles: tuple[str, ...], scalars: Scalars) -> Sequence[Prediction]:
        key = (repr(trace.program), roles, scalars)
        if key not in self._known:
            self._known[key] = list(predictions(self._found, trace, scalars=scalars, roles=roles))
        return self._known[key]


def _remark(name: str, left: tuple[Value, ...]) -> str:
    row = SWITCHES[name]
    if row.remark and left[0] not in row.questions:
        return row.remark
    return row.position(left[0]).remark if len(left) == 1 else ""


def _single(moment: Moment) -> Moment:
    """Predict the step with options rounded to float32."""
    options = {
        name: value if isinstance(value, bool) else FORMATS["float32"].round(value)
        for name, value in moment.options.items()
    }
    return replace(moment, options=options)
