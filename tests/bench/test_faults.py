"""How soon each fault is found, and how long it takes to make its program short."""

import statistics
from typing import Any

import pytest

pytest.importorskip("torch")

from stored import Measured, measured

from rmspec.oracles.faults import FAULTS


def test_the_first_deviation_of_every_fault(benchmark: Any, figure: Any) -> None:
    """From the first call on, without imports and the programs that all subjects share; one run each."""
    found: list[Measured] = []
    benchmark.pedantic(lambda: found.extend(measured()), rounds=1)
    caught = {each.id: each for each in found if each.caught}
    missed = [each.id for each in found if not each.caught]
    times, seconds = (
        sorted(values) for values in zip(*((e.reduction, e.seconds) for e in caught.values()), strict=True)
    )
    slowest = max(caught, key=lambda name: caught[name].reduction)
    latest = max(caught, key=lambda name: caught[name].seconds)
    benchmark.extra_info.update(missed=missed, median_to_first=statistics.median(seconds), slowest_reduction=slowest)
    figure(f"first deviation, median of {len(caught)} faults", f"{statistics.median(seconds):.3f} s", "under 1.5 s")
    figure("first deviation, nine in ten faults within", f"{seconds[int(len(seconds) * 0.9)]:.2f} s")
    figure(f"first deviation, slowest ({latest})", f"{seconds[-1]:.2f} s")
    figure("reduction and attribution, median", f"{statistics.median(times):.2f} s", "under 5 s")
    figure(f"reduction and attribution, slowest ({slowest})", f"{times[-1]:.2f} s", "under 5 s")
    figure("faults that are not found", f"{len(missed)} of {len(FAULTS)}", "0")
