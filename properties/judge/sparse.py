"""Row-sparse gradients: a step of the rows named by a gradient, apart from the untouched rows.

Some dialects step the named rows alone (``Dialect.sparse == "rows"``): the named rows are then checked as a parameter of
their own, and the others belong to the frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS, as_reals
from rmspec.properties.judge.findings import Finding
from rmspec.properties.lines.batch import Carry, SteppedParam

__all__ = ["SparseStep"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class SparseStep:
    """One parameter, ``whole``, in a step with a gradient for ``rows`` of its first axis."""

    whole: SteppedParam
    rows: tuple[int, ...]

    def touched(self) -> SteppedParam:
        """The named rows as a parameter of their own."""
        kept = sorted(set(self.rows))
        reals = self._reals()
        return replace(
            self.whole,
            param=self.whole.param[kept],
            grad=self.whole.grad[kept],
            after=self.whole.after[kept],
            before_state={
                role: _cut(carry, reals) if isinstance(carry, tuple) or carry is None else carry[kept]
                for role, carry in self.whole.before_state.items()
            },
            after_state={role: array[kept] for role, array in self.whole.after_state.items()},
            topics={topic: marks[reals] for topic, marks in self.whole.topics.items()},
        )

    def placed(self, finding: Finding) -> Finding:
        """A finding in the named rows, as one in the whole parameter."""
        positions = self._reals()
        return replace(finding, element=int(positions[finding.element]), elements=as_reals(self.whole.param).size)

    def spread(self, known: Mapping[str, Carry], initial: Callable[[str], float]) -> dict[str, Carry]:
        """Combine the state of the whole parameter after the step with the state of the named rows.

        ``initial`` is the value of a role that was not there before.
        """
        found: dict[str, Carry] = {}
        for role, carry in known.items():
            if not isinstance(carry, tuple):
                found[role] = self.whole.after_state.get(role)
                continue
            size = as_reals(self.whole.param).size
            before = self.whole.before_state.get(role)
            if isinstance(before, tuple):
                lo, hi = before[0].copy(), before[1].copy()
                nan = np.zeros(size, dtype=bool) if before[2] is None else before[2].copy()
            else:
                lo = np.full(size, initial(role)) if before is None else as_reals(before).copy()
                hi, nan = lo.copy(), np.zeros(size, dtype=bool)
            reals = self._reals()
            lo[reals], hi[reals] = carry[0], carry[1]
            nan[reals] = False if carry[2] is None else carry[2]
            found[role] = (lo, hi, nan)
        return found

    def changed(self, initial: Callable[[str], float]) -> Iterator[tuple[str, int, float, float]]:
        """Find a change in the other rows: the role, the index of the real, its value now and its value before.

        ``initial`` is the value of a role that was not there before.
        """
        size = as_reals(self.whole.param).size
        others = np.setdiff1d(np.arange(size), self._reals())
        for role in ("param", *STATE_ROLES):
            now = self.whole.after if role == "param" else self.whole.after_state.get(role)
            was = self.whole.param if role == "param" else self.whole.before_state.get(role)
            if now is None or isinstance(was, tuple):
                continue
            after = as_reals(now)
            before = np.full(size, initial(role)) if was is None else as_reals(was)
            same = (after == before) | (np.isnan(after) & np.isnan(before))
            wrong = others[~same[others]]
            if wrong.size:
                yield role, int(wrong[0]), float(after[wrong[0]]), float(before[wrong[0]])

    def _reals(self) -> NDArray[np.intp]:
        """The indices of the named rows' reals among those of the whole parameter."""
        shape, parts = self.whole.param.shape, FORMATS[self.whole.format].parts
        each = int(np.prod(shape[1:], dtype=np.int64)) * parts
        rows = np.asarray(sorted(set(self.rows)), dtype=np.intp)
        return (rows[:, None] * each + np.arange(each, dtype=np.intp)).reshape(-1)


def _cut(carry: tuple[Array, Array, Array | None] | None, reals: NDArray[np.intp]) -> Carry:
    if carry is None:
        return None
    return carry[0][reals], carry[1][reals], None if carry[2] is None else carry[2][reals]
