"""The runner: executes a program on a subject and compares, call by call. Search, corpus and replay all use it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import STRICT, Policy
from rmspec.impl.spec.clauses import CLAUSES, Clause
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Session, Subject
from rmspec.properties.judge.conformance import Conformance
from rmspec.properties.judge.findings import Finding, Tally

__all__ = ["Run", "follow", "retarget", "run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One executed program: what was found, and how many calls were performed."""

    findings: tuple[Finding, ...]
    calls: int


def run(
    program: Program, subject: Subject, dialect: Dialect, *, policy: Policy = STRICT, tally: Tally | None = None
) -> Run:
    """Execute ``program`` on ``subject`` and compare it with the specification in ``dialect``.

    Findings are in the order of the calls. Raises ``SubjectFailed`` where the subject cannot be driven.
    """
    tally = Tally() if tally is None else tally
    tally.programs += 1
    session = subject.session(program.params)
    try:
        capabilities = subject.capabilities()
        dialect = _without(dialect, capabilities.options)
        done = follow(program, session, Conformance(program, dialect, policy, tally, carried=capabilities.carried))
    finally:
        session.close()
    if CLAUSES.get(program.clause, _NONE).kind != "differential":
        return done
    from rmspec.properties.judge.differential import differences

    return Run((*done.findings, *differences(program, subject, dialect, policy, tally)), done.calls)


def _without(dialect: Dialect, options: frozenset[str]) -> Dialect:
    """The dialect with the branches that a subject takes no option for switched off, where it documents no default."""
    defaults = dialect.defaults
    if "weight_decay" not in options and defaults.weight_decay is None:
        defaults = replace(defaults, weight_decay=0.0)
    if "momentum" not in options and defaults.momentum is None:
        defaults = replace(defaults, momentum=0.0)
    if "centered" not in options and defaults.centered is None:
        defaults = replace(defaults, centered=False)
    return replace(dialect, defaults=defaults)


_NONE = Clause("", "", "api", "", "")


def follow(program: Program, session: Session, conformance: Conformance) -> Run:
    """Perform a program in a session, and let ``conformance`` judge each call."""
    findings: list[Finding] = []
    before = session.observe()
    performed = 0
    for index, call in enumerate(program.calls):
        outcome = session.perform(call)
        performed += 1
        after = session.observe()
        findings += conformance.call(index, call, outcome, before, after)
        if conformance.over:
            break
        before = after
    return Run(tuple(findings), performed)


def retarget(program: Program, formats: tuple[str, ...]) -> Program:
    """The program with every number format that is not among ``formats`` replaced by one that is.

    A real format becomes the first real one there is, a complex one the first complex one, or else the first format.
    """
    if all(param.dtype in formats for param in program.params):
        return program
    real = [name for name in formats if FORMATS[name].parts == 1]
    pairs = [name for name in formats if FORMATS[name].parts == 2]

    def choose(dtype: str) -> str:
        if dtype in formats:
            return dtype
        same = pairs if FORMATS[dtype].parts == 2 else real
        return (same or list(formats))[0]

    return replace(program, params=tuple(replace(param, dtype=choose(param.dtype)) for param in program.params))
