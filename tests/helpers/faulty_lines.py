"""The lines of the pseudocode that a faulty optimizer gets wrong, and those that judging it accuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rmspec.impl.arithmetic.envelope import ROLES
from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect
from rmspec.oracles.program.program import Program
from rmspec.oracles.subject import Capabilities, Subject
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.judge.runner import run
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit, lacks_derivatives
from rmspec.properties.search.machine import generate
from rmspec.properties.search.sweeps import sweep

LINES_OF_METHODS = {
    "_square_average": {"square_avg"},
    "_grad_average": {"grad_avg"},
    "_variance": {"momentum_buffer", "param"},
    "_denominator": {"momentum_buffer", "param"},
    "_normalized": {"momentum_buffer", "param"},
    "_accumulate": {"momentum_buffer"},
    "_apply_buffer": {"param"},
    "_apply": {"param"},
}
"""The lines that each method of the correct optimizers computes; any other method may touch any line."""


def wrong_lines(fault: type, bases: Iterable[type]) -> set[str]:
    """The lines that a class may get wrong: those of the methods that it has changed."""
    changed = {name for each in fault.__mro__ if each not in bases for name in vars(each)}
    changed -= {name for base in bases for each in base.__mro__ for name in vars(each) if name not in changed}
    methods = {name for name in changed if not name.startswith("__") and callable(getattr(fault, name, None))}
    lines: set[str] = set()
    for name in methods:
        lines |= LINES_OF_METHODS.get(name, set(ROLES))
    return lines


def programs(stored: int = 4, drawn: int = 20, sweeps: int = 8) -> Iterator[Program]:
    """Every ``stored``-th program of the corpus, some of the state machine's, and some sweeps."""
    yield from [each for each in corpus() if not lacks_derivatives(each, Capabilities())][::stored]
    yield from generate(0, drawn)
    for index in range(sweeps):
        yield sweep(0, index, wide=512 if index % 2 else 0)


def value_findings(
    subject: Subject, programs: Iterable[Program], dialect: Dialect = SPECIFICATION, tally: Tally | None = None
) -> list[Finding]:
    """The findings on values of a subject in some programs, hazards left out."""
    capabilities: Any = subject.capabilities()
    found: list[Finding] = []
    for program in programs:
        admitted = admit(program, capabilities)
        if admitted is not None:
            found += run(admitted, subject, dialect, policy=STRICT, tally=tally).findings
    return [finding for finding in found if finding.kind == "value" and not finding.hazard]
