"""The first steps of a subject's processes, and deviations gone when the same process takes the step again.

The kernels of a process may be set up by its first step, on each thread by itself, and that step may come out otherwise than
every later one (pytorch#188792). So each process begins with a wide step on all threads. A replay of it is no first step, so what is
seen once is kept with the numbers that were seen: the inputs of one element, what it became, and what was allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.host.host import Host
from rmspec.oracles.program.program import Program
from rmspec.properties.counterexamples.variants import at_element
from rmspec.properties.events import Deviation, Sighting
from rmspec.properties.examination.diagnosis import Diagnosis
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.judge.findings import Finding, Tally

__all__ = ["judge_first_steps"]

_CONFIRMING = 4
"""So many starts say how often a deviation is seen, where fewer were asked for."""


def judge_first_steps(
    host: Host, examinee: Examinee, diagnosis: Diagnosis, tally: Tally, starts: int, spent: Callable[[], bool]
) -> tuple[list[Deviation], tuple[Finding, ...]]:
    """Judge the first step of ``host`` and of other processes, ``starts`` in all, until the time is ``spent``.

    Returns the deviations of first steps alone, one of each clause, and the findings of the step whenever it is taken.
    Raises ``SubjectFailed``.
    """
    assert host.beginning is not None
    program = host.beginning.program
    runs = [examinee.judge(host.beginning, tally).findings]
    while len(runs) < (max(starts, _CONFIRMING) if any(map(_deviating, runs)) else starts) and not spent():
        with host.fresh() as fresh:
            assert fresh.beginning is not None
            runs.append(examinee.judge(fresh.beginning, tally).findings)
    if not any(runs):
        return [], ()
    lasting = examinee.run(program).findings
    places = {finding.place for finding in lasting}
    passing: dict[str, list[Finding]] = {}
    for findings in runs:
        for finding in _deviating(findings):
            if finding.place not in places:
                passing.setdefault(finding.clause, []).append(finding)
    deviations = []
    for clause, alike in passing.items():
        deviation = diagnosis.describe(*_cut(program, alike[0]), clause)
        deviations.append(replace(deviation, sighting=Sighting(len(alike), len(runs)), occurrences=len(alike)))
    return deviations, lasting


def _cut(program: Program, finding: Finding) -> tuple[Program, Finding]:
    """The program with the one element of a finding, and the finding there: the observed numbers."""
    if finding.case is None:
        return program, finding
    parts = FORMATS[finding.case.format].parts
    alone = replace(finding, element=finding.element % parts, elements=parts)
    return at_element(program, finding.element // parts), alone


def _deviating(findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if not finding.hazard]
