"""How soon each fault of the catalogue is found, and how long it takes to make its program short."""

import statistics
import time
from typing import Any

import pytest

pytest.importorskip("torch")

from rmspec.oracles import load
from rmspec.oracles.faults import FAULTS
from rmspec.properties import Settings, examine
from rmspec.properties.check import generated
from rmspec.properties.events import DeviationFound


def test_the_first_deviation_of_every_fault(benchmark: Any, figure: Any) -> None:
    """From the first call on, without imports and the programs that all subjects share; one run each."""
    programs = generated(Settings(profile="smoke"))
    load("torch").capabilities()
    first: dict[str, float] = {}
    reduction: dict[str, float] = {}
    missed: list[str] = []

    def measure() -> None:
        for fault in FAULTS:
            settings = Settings(
                profile="ci",
                fail_fast=True,
                dialect=fault.dialect,
                baseline="none" if fault.inherited else None,
                programs=programs,
            )
            subject = load(f"{fault.module}:{fault.attr}")
            subject.capabilities()
            held = time.perf_counter()
            for event in examine(subject, settings):
                now = time.perf_counter()
                # What is known or inherited is reduced as well, before the first that is neither.
                if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard:
                    first[fault.id] = event.deviation.seconds_to_first
                    reduction[fault.id] = now - held - event.deviation.seconds_to_first
                    break
            else:
                missed.append(fault.id)

    benchmark.pedantic(measure, rounds=1)
    times, seconds = sorted(reduction.values()), sorted(first.values())
    slowest, latest = (max(each, key=lambda name: each[name]) for each in (reduction, first))
    benchmark.extra_info.update(missed=missed, median_to_first=statistics.median(seconds), slowest_reduction=slowest)
    figure(f"first deviation, median of {len(first)} faults", f"{statistics.median(seconds):.3f} s", "under 1.5 s")
    figure("first deviation, nine in ten faults within", f"{seconds[int(len(seconds) * 0.9)]:.2f} s")
    figure(f"first deviation, slowest ({latest})", f"{seconds[-1]:.2f} s")
    figure("reduction and attribution, median", f"{statistics.median(times):.2f} s", "under 5 s")
    figure(f"reduction and attribution, slowest ({slowest})", f"{times[-1]:.2f} s", "under 5 s")
    figure("faults that are not found", f"{len(missed)} of {len(FAULTS)}", "0")
