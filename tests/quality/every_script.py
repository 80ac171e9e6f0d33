"""Whether every script that a check of a faulty optimizer prints fails on it, and passes on the correct one.

Run it as ``python tests/quality/every_script.py``: each of the shipped faults is checked in this process, and the scripts of
all its new deviations are run as ``rmspec check`` runs them, in fresh processes with torch alone; then once more with the
correct optimizer in the place of the fault. ``--faults 20 --seed 3`` draws so many; ``--small`` asks the stored programs
alone, in float32, which takes half of the time.
"""

from __future__ import annotations

import argparse
import random
import sys
from dataclasses import dataclass

import torch

from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import check
from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings
from rmspec.reports.run.scripts import ScriptRuns

_SETTINGS = Settings(call_timeout=60.0)
_REFUSED = "it ends in ValueError"


@dataclass(frozen=True, slots=True)
class Shown:
    """One script: what becomes of it on the fault, and on the correct optimizer; no words where all is well."""

    fault: Fault
    deviation: Deviation
    script: str
    on_fault: str
    on_mended: str


def mended(script: str, fault: Fault) -> str:
    """The script with the correct optimizer in the place of the fault."""
    base = (
        "DifferentiableRMSprop"
        if fault.switch == "differentiable"
        else "SwitchedRMSprop"
        if fault.switch
        else "LoopRMSprop"
        if fault.dialect == "torch-maximize" or fault.path == "for-loop"
        else "ForeachRMSprop"
    )
    line = f"from rmspec.oracles.faults.base import {base} as {fault.attr}"
    if fault.dialect == "torch-maximize":
        line += f"\nclass {fault.attr}({fault.attr}):\n    def _gradient(self, p): return -super()._gradient(p)"
    return script.replace(f"from {fault.module} import {fault.attr}", line)


def deviations(fault: Fault, *, small: bool) -> tuple[Deviation, ...]:
    """The new deviations of a fault: those that are printed with a script."""
    programs: tuple[Program, ...] | None = None
    formats: tuple[str, ...] = ()
    if small:
        programs, formats = (), ("float32",)
    result = check(
        load(fault.subject),
        profile="smoke",
        dialect=fault.dialect,
        baseline="none" if fault.inherited else None,
        programs=programs,
        formats=formats,
    )
    return tuple(each for each in result.deviations if each.known is None)


def shown(fault: Fault, deviation: Deviation, runs: ScriptRuns) -> Shown:
    """Run one script on the fault and on the correct optimizer, side by side."""
    script = standalone_script(deviation)
    assert script is not None
    begun = [runs.begin_script(text, deviation, _SETTINGS) for text in (script, mended(script, fault))]
    outcomes = [run.outcome() if run is not None else None for run in begun]
    if outcomes[0] is None or outcomes[1] is None:
        return Shown(fault, deviation, script, "it was not run", "it was not run")
    on_mended = "" if outcomes[1].end == "it passes" else outcomes[1].end or "it fails as on the fault"
    # Some readings of the page are kept by a refusal, too.
    refused = fault.inherited and on_mended.startswith(_REFUSED)
    return Shown(fault, deviation, script, outcomes[0].end, "" if refused else on_mended)


def main(arguments: list[str] | None = None) -> int:
    """Check the faults, print each script that does not do its work, then the shares; 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--faults", type=int, default=len(FAULTS), help="so many of the faults")
    parser.add_argument("--seed", type=int, default=0, help="the seed that they are drawn by")
    parser.add_argument("--small", action="store_true", help="the stored programs alone, in float32")
    parser.add_argument("-v", "--verbose", action="store_true", help="print these scripts as well")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    faults = random.Random(options.seed).sample(FAULTS, min(options.faults, len(FAULTS)))
    count, passing, failing, uncaught = 0, 0, 0, 0
    with ScriptRuns() as runs:
        for fault in faults:
            found = deviations(fault, small=options.small)
            uncaught += not found
            for deviation in found:
                result = shown(fault, deviation, runs)
                count += 1
                passing += bool(result.on_fault)
                failing += bool(result.on_mended)
                if result.on_fault or result.on_mended:
                    print(f"{fault.id}: {deviation.clause} ({deviation.kind}): {deviation.summary}")
                    print(
                        f"  on the fault: {result.on_fault or 'it fails'}; on the mended one: {result.on_mended or 'it passes'}"
                    )
                    if options.verbose:
                        print(result.script)
                sys.stdout.flush()
    print(f"{count} scripts of {len(faults)} faults, {uncaught} of them not caught by what was asked")
    print(f"  fail on the fault: {count - passing} ({(count - passing) / max(count, 1):.1%})")
    print(f"  pass on the mended one: {count - failing} ({(count - failing) / max(count, 1):.1%})")
    return int(passing + failing > 0)


if __name__ == "__main__":
    sys.exit(main())
