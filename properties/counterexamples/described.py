"""From a finding to a deviation: its description, and its entry in a list of known deviations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.program.program import Program
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Finding
from rmspec.properties.known import Known, matches

__all__ = ["accepts", "allowed_by_page", "described", "recognized"]


def described(
    finding: Finding,
    program: Program,
    clause: str,
    *,
    call: int,
    optimizer: str,
    framework: str,
    state_names: Mapping[str, str],
) -> Deviation:
    """Describe a finding as a deviation from ``clause``, seen in a program at call number ``call``.

    ``state_names`` is what the subject calls each role of its state.
    """
    cause = CLAUSES[clause].cause
    return Deviation(
        clause=clause,
        summary=f"{finding.summary}: {cause}" if cause else finding.summary,
        program=replace(program, clause=clause),
        kind=finding.kind,
        call=call,
        optimizer=optimizer,
        param=finding.param,
        role=finding.role,
        element=finding.element,
        elements=finding.elements,
        observed=finding.observed,
        allowed=finding.allowed,
        hazard=finding.hazard,
        framework=framework,
        state_name=state_names.get(finding.role, ""),
    )


def accepts(entry: Known, deviation: Deviation, judged: str) -> bool:
    """Whether an entry names a deviation.

    Lists of 0.1.0 name an exception in a step by the clause that ``judged`` it, whatever causes it, and have a witness of it.
    """
    if matches(entry, deviation):
        return True
    earlier = deviation.kind == "raised" and entry.witness is not None and judged != ""
    return earlier and matches(entry, replace(deviation, clause=judged))


def allowed_by_page(deviation: Deviation) -> bool:
    """Whether the page allows the value of a deviation: only an amendment, or the wrong value of an earlier line, refuses it."""
    if deviation.plain is None or not isinstance(deviation.observed, float) or deviation.amendment:
        return False
    low, high = deviation.plain
    return low <= deviation.observed <= high


def recognized(
    deviation: Deviation, entries: Iterable[Known], inherited: Iterable[tuple[str, Known]] = (), judged: str = ""
) -> Deviation:
    """The deviation as a list knows it: by one of the subject's own ``entries``, or by one of a baseline's.

    ``inherited`` pairs names of baselines with their entries, ``judged`` is as in ``accepts``. What no entry names, and a hazard,
    is returned as it is.
    """
    if deviation.hazard:
        return deviation
    for entry in entries:
        if accepts(entry, deviation, judged):
            return replace(deviation, known=entry.id, reason=entry.reason)
    for name, entry in inherited:
        if accepts(entry, deviation, judged):
            return replace(deviation, known=f"inherited:{name}", reason=entry.reason)
    return deviation
