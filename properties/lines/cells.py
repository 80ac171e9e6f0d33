"""Cells: the place of a check, and its result. Failures spoil their cell, and every cell with more circumstances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.amendments import branch_of
from rmspec.impl.arithmetic.envelope import Before
from rmspec.impl.arithmetic.formats import Format
from rmspec.impl.arithmetic.intervals import Interval
from rmspec.properties.lines.by_line import Ends, Question

__all__ = ["ELEMENTS", "Cell", "Counts", "Sample", "Samples", "Spoilers", "cell_of", "is_half", "sample_elements"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]

SAMPLES = {"any": 12, "rare": 48}
"""The samples of a cell to keep, the first ones: of any elements, and of those of a rare kind."""

ELEMENTS = 8
"""The elements in a sample, evenly spread over a parameter."""


class Cell(NamedTuple):
    """The branches of a step, the kind of its format, and the circumstances of a parameter beyond a plain step.

    A plain step is one of a contiguous parameter of one element, in the only group of the only optimizer, with every option
    given to the constructor.
    """

    momentum: bool
    centered: bool
    decay: bool
    half: bool
    pairs: bool
    circumstances: frozenset[str]

    @property
    def branches(self) -> tuple[bool, bool, bool]:
        """The branches of the step."""
        return self[:3]

    def within(self, cell: Cell) -> bool:
        """Whether it is ``cell``, or the same with more circumstances."""
        return self[:5] == cell[:5] and self.circumstances >= cell.circumstances


@dataclass(slots=True)
class Counts:
    """Checks of one line in one cell, by their result; ``unbounded`` ones are inconclusive, ``blocked`` ones hidden by a fault."""

    passed: int = 0
    failed: int = 0
    blocked: int = 0
    unbounded: int = 0

    def add(self, counts: Counts) -> None:
        """Add more checks."""
        self.passed += counts.passed
        self.failed += counts.failed
        self.blocked += counts.blocked
        self.unbounded += counts.unbounded


@dataclass(frozen=True, eq=False)
class Sample:
    """A few elements of a parameter in one step, with the result of each line.

    ``handed`` is what lines in error gave to those below. ``first``, ``sources``: as in ``Case``. ``telling`` are the marks of
    the clauses asked so far.
    """

    before: Before
    passed: Mapping[str, Booleans]
    question: Question
    first: bool
    sources: Mapping[str, str]
    handed: Mapping[str, Ends] = field(default_factory=dict)
    telling: dict[str, Mapping[str, Booleans]] = field(default_factory=dict)

    @cached_property
    def plain(self) -> Mapping[str, Interval]:
        """The interval of each line under the specification in force."""
        return self.question.envelope(self.before, self.handed)


@dataclass(slots=True, eq=False)
class Samples:
    """Samples by topic and cell. A topic is a clause on rare numbers, or empty: any elements."""

    of: dict[tuple[str, Cell], list[Sample]] = field(default_factory=dict)

    def room(self, topic: str, cell: Cell) -> bool:
        """Whether another sample is wanted."""
        return len(self.of.get((topic, cell), ())) < SAMPLES["rare" if topic else "any"]

    def take(self, topic: str, cell: Cell, sample: Sample) -> None:
        """Keep a sample, if there is room."""
        if self.room(topic, cell):
            self.of.setdefault((topic, cell), []).append(sample)

    def add(self, samples: Samples) -> None:
        """Keep more samples, as far as there is room."""
        for (topic, cell), rows in samples.of.items():
            for sample in rows:
                self.take(topic, cell, sample)


def cell_of(question: Question, circumstances: frozenset[str]) -> Cell:
    """The cell of a parameter in a step."""
    fmt = question.format
    return Cell(*branch_of(question.dialect, question.hyper), is_half(fmt), fmt.parts == 2, circumstances)


def is_half(fmt: Format) -> bool:
    """Whether a format is a half."""
    return fmt.unit_roundoff > 2.0**-20


def sample_elements(count: int, parts: int) -> NDArray[np.intp]:
    """Choose some of ``count`` reals, evenly spread, in whole pairs."""
    chosen = np.unique(np.linspace(0, count // parts - 1, min(count // parts, ELEMENTS)).astype(np.intp))
    return np.asarray((chosen[:, None] * parts + np.arange(parts, dtype=np.intp)).reshape(-1))


class Spoilers:
    """The cells with failures, by line: they spoil their own passes, and those in more circumstances."""

    def __init__(self, cells: Mapping[tuple[str, Cell], Counts]) -> None:
        self._failing: dict[tuple[str, tuple[Any, ...]], list[Cell]] = {}
        for (role, cell), counts in cells.items():
            if counts.failed:
                self._failing.setdefault((role, cell[:5]), []).append(cell)
        self._known: dict[tuple[str, Cell], frozenset[tuple[str, Cell]]] = {}

    def of(self, role: str, cell: Cell) -> frozenset[tuple[str, Cell]]:
        """Return the line with each cell to spoil ``cell``."""
        if not self._failing:
            return frozenset()
        if (role, cell) not in self._known:
            failing = self._failing.get((role, cell[:5]), ())
            self._known[role, cell] = frozenset((role, bad) for bad in failing if cell.within(bad))
        return self._known[role, cell]
