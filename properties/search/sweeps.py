"""Sweeps: programs from a seed and an index, wide ones among them, without the cost of Hypothesis.

One step on a wide tensor is thousands of cases, because RMSprop is elementwise. A sweep is a pure function of its seed
and index: the same on every machine and for every subject.
"""

from __future__ import annotations

from collections.abc import Iterator

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Program
from rmspec.properties.search.builder import Builder, RandomSource
from rmspec.properties.search.circumstances import surround

__all__ = ["sweep", "sweeps"]

_MOVES = (
    ("step", 10),
    ("step_again", 4),
    ("set_option", 3),
    ("set_grad", 2),
    ("zero_grad", 1),
    ("step_closure", 1),
    ("add_param_group", 2),
    ("save", 2),
    ("load", 3),
    ("freeze", 1),
    ("edit_state", 1),
    ("copy", 1),
)
_WEIGHTED = tuple(name for name, weight in _MOVES for _ in range(weight))


def sweep(seed: int, index: int, *, wide: int = 4096, moves: int = 10) -> Program:
    """The program number ``index`` of the sweep ``seed``; parameters have up to ``wide`` elements."""
    source = RandomSource(seed, index)
    names = tuple(FORMATS)
    first = names[index % len(names)]
    builder = Builder(source, formats=(first, *(name for name in names if name != first)), wide=wide)
    builder.start()
    builder.step()
    for _ in range(moves):
        getattr(builder, builder.choose(_WEIGHTED))()
    return surround(builder.program(f"sweep {seed}, number {index}"), seed, index)


def sweeps(seed: int, count: int, *, wide: int = 4096) -> Iterator[Program]:
    """The first ``count`` programs of a sweep, narrow and wide in turn."""
    for index in range(count):
        yield sweep(seed, index, wide=wide if index % 2 else 0)
