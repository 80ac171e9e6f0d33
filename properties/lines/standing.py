"""The standing of a line on the elements of a batch, and samples of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.intervals import Interval
from rmspec.properties.lines.batch import Batch, SteppedParam
from rmspec.properties.lines.by_line import Ends, Line
from rmspec.properties.lines.cells import ELEMENTS, Sample, sample_elements

__all__ = ["Standing", "sample_param", "sample_topics"]

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(slots=True)
class Standing:
    """One line on some elements: its values, its plain interval, and the elements of each standing.

    ``accused`` elements deviate, ``blocked`` and ``doubtful`` ones cannot be judged (after another fault; by the numbers
    themselves), ``hazards`` are not finite, as the formula admits. ``line``: the judgement given what was seen, on the elements
    ``judged``.
    """

    values: Floats
    interval: Interval
    accused: Booleans
    hazards: Booleans
    doubtful: Booleans
    blocked: Booleans
    judged: NDArray[np.intp]
    line: Line | None = None

    def ends(self, index: int) -> tuple[tuple[float, float], Mapping[str, Ends]]:
        """The permitted ends of an element, and the results of earlier lines in error, for a line judged by them."""
        plain = _ends(self.interval, index)
        at = int(np.searchsorted(self.judged, index))
        if self.line is None or at == len(self.judged) or self.judged[at] != index or not self.line.by_line[at]:
            return plain, {}
        by_line, value = _ends(self.line.interval, at), float(self.values[index])
        handed = {
            role: (lo[at : at + 1], hi[at : at + 1], None if nan is None else nan[at : at + 1])
            for role, (lo, hi, nan) in self.line.handed.items()
            if self.line.failed[role][at]
        }
        # What a line may give from the right numbers, and what it may give from those that were seen.
        both = min(plain[0], by_line[0]), max(plain[1], by_line[1])
        return (by_line if both[0] <= value <= both[1] else both), handed


def sample_topics(param: SteppedParam, parts: int) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """List the topics of samples with the elements of a parameter for them."""
    size = param.param.size * parts
    yield "", sample_elements(size, parts)
    for topic, marks in param.topics.items():
        yield topic, np.flatnonzero(marks)[:ELEMENTS]


def sample_param(
    batch: Batch,
    param: SteppedParam,
    index: NDArray[np.intp],
    rest: NDArray[np.intp],
    standings: Mapping[str, Standing],
) -> Sample:
    """Sample a parameter at ``index``, of lines in error some of these elements with their results."""
    handed: dict[str, Ends] = {}
    line = next((standing for standing in standings.values() if standing.line is not None), None)
    if line is not None:
        places = rest[line.judged]
        chosen = np.flatnonzero((places >= index[0]) & (places <= index[-1]))[:ELEMENTS]
        if chosen.size:
            index = places[chosen]
            for standing in standings.values():
                assert standing.line is not None
                for role, (lo, hi, nan) in standing.line.handed.items():
                    handed[role] = (lo[chosen], hi[chosen], None if nan is None else nan[chosen])
    passed = {role: np.ones(index.shape, dtype=bool) for role in batch.lines}
    if standings:
        at = np.minimum(np.searchsorted(rest, index), len(rest) - 1)
        judged = rest[at] == index
        for role, standing in standings.items():
            bad = standing.accused | standing.blocked | standing.doubtful | standing.hazards
            passed[role] = ~(judged & bad[at])
    if handed:
        # A pass by itself alone, not given what was seen, says nothing here.
        for role, standing in standings.items():
            assert standing.line is not None
            inside = np.asarray(standing.line.interval.contains(standing.values[standing.judged]))
            passed[role] &= inside[chosen]
    return Sample(batch.before.at(index), passed, batch.question, param.first, batch.sources, handed)


def _ends(interval: Interval, index: int) -> tuple[float, float]:
    def at(values: Any) -> float:
        array = np.asarray(values)
        return float(array[index] if array.ndim else array)

    return at(interval.lo), at(interval.hi)
