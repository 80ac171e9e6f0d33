"""The results of comparing one run with the specification: findings, hazards, and the tally of checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rmspec.impl.arithmetic.accuracy import Accuracy, Operation
from rmspec.properties.lines.batch import Case
from rmspec.properties.lines.cells import Cell, Counts, Samples
from rmspec.properties.lines.usage import Usage, UseCounts

__all__ = ["Case", "Finding", "Kind", "Observed", "Tally"]

Kind = Literal[
    "value",
    "base",
    "frame",
    "raised",
    "silent",
    "closure",
    "group",
    "hooks",
    "grad",
    "load",
    "operation",
    "derivative",
    "mode",
]
"""How a finding was made: a value outside its envelope; a wrong initial value; something changed that must not; an
exception; no exception where one is due; a closure or hook used wrongly; a group's options; zero_grad; a load; an elementary
operation; a derivative; the caller's gradient mode."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A deviation, or a hazard, at one call of a run.

    ``clause`` is the first attribution; ``call`` the index of the call; ``element`` the index among the parameter's
    reals (two per complex element); ``observed`` and ``allowed`` are numbers where there are any. ``hazard`` marks a NaN
    or an infinity that the formula itself admits; ``by_line`` a line that is wrong by itself and given what was seen of earlier
    lines, which are wrong as well. ``operands`` are those of an elementary operation.
    """

    kind: Kind
    clause: str
    call: int
    summary: str
    optimizer: str = ""
    param: str = ""
    role: str = ""
    element: int = 0
    elements: int = 1
    observed: float | str | None = None
    allowed: tuple[float, float] | None = None
    hazard: bool = False
    by_line: bool = False
    case: Case | None = field(default=None, compare=False, repr=False)
    cell: Cell | None = field(default=None, compare=False, repr=False)
    operands: tuple[float, ...] = ()

    @property
    def key(self) -> tuple[str, str, str, bool]:
        """The features to preserve in the reduction; of an exception its type and the beginning of its message."""
        role = self.role
        if self.kind == "raised" and isinstance(self.observed, str):
            role = " ".join(word for word in self.observed.split()[:4] if word.strip(":.,").isalpha())
        if self.kind == "derivative":
            # A shorter program has fewer gradients.
            role = role.partition("-")[0]
        return (self.kind, self.clause, role, self.hazard)

    @property
    def half(self) -> bool:
        """Whether it is about a half-precision number."""
        return self.case is not None and self.case.format in ("float16", "bfloat16")

    @property
    def place(self) -> tuple[str, int, str, str, str]:
        """The place of the finding: the same place on another subject is the same outcome."""
        return (self.kind, self.call, self.optimizer, self.param, self.role)


@dataclass(frozen=True, slots=True)
class Observed:
    """The behaviour of a subject under a clause without a promise: such a clause never fails a run."""

    clause: str
    behaviour: str


@dataclass(slots=True)
class Tally:
    """Counts of one or many runs: programs, steps, element checks, and per clause checks, failed ones and inconclusive ones.

    ``blocked`` counts what could not be judged after another fault, and is no check. ``doubts`` counts the inconclusive ones by
    clause and reason, ``groups`` the steps of groups; ``use`` is how much of their envelopes the sampled ones used, by format.
    ``exact`` counts the checks of a clause that compare with one value, all of which tell. ``cells`` counts the checks of each
    line by cell, and ``samples`` are elements of them. ``paths`` counts the steps on each execution path, and ``entries`` how
    often they entered it, as far as the framework counts; ``astray`` are the steps on another path than they should have
    taken, which are no checks. ``operations`` are the measured accuracies of elementary operations, by operation and format.
    """

    programs: int = 0
    steps: int = 0
    element_checks: int = 0
    inconclusive_checks: int = 0
    checks: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    inconclusive: dict[str, int] = field(default_factory=dict)
    blocked: dict[str, int] = field(default_factory=dict)
    doubts: dict[tuple[str, str], int] = field(default_factory=dict)
    worst: dict[str, Usage] = field(default_factory=dict)
    observed: dict[tuple[str, str], int] = field(default_factory=dict)
    groups: int = 0
    exact: dict[str, int] = field(default_factory=dict)
    cells: dict[tuple[str, Cell], Counts] = field(default_factory=dict)
    samples: Samples = field(default_factory=Samples, compare=False)
    use: dict[str, UseCounts] = field(default_factory=dict)
    paths: dict[str, int] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    astray: int = 0
    operations: dict[tuple[Operation, str], Accuracy] = field(default_factory=dict)

    def take(self, paths: Mapping[str, int]) -> None:
        """Count a step on each of its paths."""
        for path, count in paths.items():
            if count:
                self.paths[path] = self.paths.get(path, 0) + 1
                self.entries[path] = self.entries.get(path, 0) + count

    def check(self, clause: str, count: int = 1, inconclusive: int = 0) -> None:
        """Count checks of a clause against one value."""
        self.check_lines(clause, count, inconclusive)
        self.exact[clause] = self.exact.get(clause, 0) + count - inconclusive

    def check_lines(self, clause: str, count: int, inconclusive: int = 0, blocked: int = 0) -> None:
        """Count checks of a clause by envelopes, and those prevented by another fault."""
        self.block(clause, blocked)
        self.checks[clause] = self.checks.get(clause, 0) + count
        if inconclusive:
            self.inconclusive[clause] = self.inconclusive.get(clause, 0) + inconclusive

    def doubt(self, clause: str, reason: str, count: int) -> None:
        """Say why so many of the inconclusive checks of a clause could not be judged."""
        self.doubts[clause, reason] = self.doubts.get((clause, reason), 0) + count

    def fail(self, clause: str, count: int = 1) -> None:
        """Count failed checks of a clause."""
        if count:
            self.failed[clause] = self.failed.get(clause, 0) + count

    def block(self, clause: str, count: int = 1) -> None:
        """Count checks of a clause prevented by another fault."""
        if count:
            self.blocked[clause] = self.blocked.get(clause, 0) + count

    def used(self, clause: str, usage: Usage) -> None:
        """Remember the largest use of an envelope."""
        held = self.worst.get(clause)
        if held is None or usage.fraction > held.fraction:
            self.worst[clause] = usage

    def observe(self, observed: Observed) -> None:
        """Count a behaviour under a clause without a promise."""
        key = (observed.clause, observed.behaviour)
        self.observed[key] = self.observed.get(key, 0) + 1

    def add(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.programs += other.programs
        self.steps += other.steps
        self.element_checks += other.element_checks
        self.inconclusive_checks += other.inconclusive_checks
        for clause, count in other.checks.items():
            self.check_lines(clause, count, other.inconclusive.get(clause, 0))
        for clause, count in other.failed.items():
            self.fail(clause, count)
        for clause, count in other.blocked.items():
            self.block(clause, count)
        for (clause, reason), count in other.doubts.items():
            self.doubt(clause, reason, count)
        for clause, usage in other.worst.items():
            self.used(clause, usage)
        for key, count in other.observed.items():
            self.observed[key] = self.observed.get(key, 0) + count
        self.groups += other.groups
        for clause, count in other.exact.items():
            self.exact[clause] = self.exact.get(clause, 0) + count
        for place, results in other.cells.items():
            self.cells.setdefault(place, Counts()).add(results)
        self.samples.add(other.samples)
        self.astray += other.astray
        for path, count in other.paths.items():
            self.paths[path] = self.paths.get(path, 0) + count
        for path, count in other.entries.items():
            self.entries[path] = self.entries.get(path, 0) + count
        for operation, accuracy in other.operations.items():
            self.operations[operation] = self.operations.get(operation, Accuracy()) + accuracy
        for name, counts in other.use.items():
            self.use.setdefault(name, UseCounts()).add(counts)
