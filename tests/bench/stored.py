"""Makes the data that the reports ship: ``python tests/bench/stored.py strength``, ``oracles`` or ``examples``.

``strength`` checks each faulty optimizer once and writes ``reports/data/strength.json`` (minutes); ``oracles`` checks the
registered optimizers that can run here and writes ``reports/data/oracles.json``, what each does about the clauses that are
interpretations (minutes); ``examples`` finds for each clause a fault that breaks it and writes ``reports/data/examples.json``,
which ``rmspec clauses ID`` prints (minutes). All say with which versions, where and when it was.
"""

import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles import load
from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties import Settings, examine
from rmspec.properties.check import generated
from rmspec.properties.events import DeviationFound
from rmspec.reports.environment import environment

DATA = Path(__file__).parents[2] / "reports" / "data"
ORACLES = (
    "reference",
    "torch",
    "torch:foreach",
    "torch:differentiable",
    "torch:tensor-lr",
    "keras",
    "tensorflow",
    "tensorflow:v1",
)


class Measured(NamedTuple):
    """One fault: what its first deviation is, in how many calls, after how many seconds, and the seconds to shorten it."""

    id: str
    bug_class: int
    caught: bool
    named: bool = False
    clause: str = ""
    calls: int = 0
    seconds: float = 0.0
    reduction: float = 0.0


def measured() -> list[Measured]:
    """Check every fault, up to its first deviation, without imports and the programs that all share."""
    programs = generated(Settings(profile="smoke"))
    load("torch").capabilities()
    return [_measured(fault, programs) for fault in FAULTS]


def _measured(fault: Any, programs: Any) -> Measured:
    settings = Settings(
        profile="ci",
        fail_fast=True,
        dialect=fault.dialect,
        baseline="none" if fault.inherited else None,
        programs=programs,
    )
    subject = load(fault.subject)
    subject.capabilities()
    begin = time.perf_counter()
    for event in examine(subject, settings):
        # What is known or inherited is reduced as well, before the first that is neither.
        if isinstance(event, DeviationFound) and event.deviation.known is None and not event.deviation.hazard:
            found = event.deviation
            return Measured(
                fault.id,
                fault.bug_class,
                True,
                found.clause in fault.clauses,
                found.clause,
                len(found.program.calls),
                round(found.seconds_to_first, 3),
                round(time.perf_counter() - begin - found.seconds_to_first, 3),
            )
    return Measured(fault.id, fault.bug_class, False)


def provenance(settings: Settings, command: str, packages: tuple[str, ...]) -> Mapping[str, str]:
    """With what it was measured, and when."""
    found = environment(settings, "")
    versions = {name: metadata.version(name) for name in packages}
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return {"command": command, "date": day, **found, "cores": str(os.cpu_count()), **versions}


def strength() -> None:
    """Measure the faults, and store them."""
    rows = [
        {
            "id": each.id,
            "class": each.bug_class,
            "caught": each.caught,
            "named": each.named,
            "clause": each.clause,
            "calls": each.calls,
            "seconds": each.seconds,
        }
        for each in measured()
    ]
    command = "python tests/bench/stored.py strength"
    _write("strength", {"provenance": provenance(Settings(profile="smoke"), command, ("torch",)), "faults": rows})


def oracles() -> None:
    """Check the registered optimizers, and store what each does about the interpretations."""
    from rmspec.reports.cli.main import main
    from rmspec.reports.verification.interpretations import behaviour

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.json"
        main(["check", *ORACLES, "--profile", "smoke", "--quiet", "--json", str(path)])
        report = json.loads(path.read_text("utf-8"))
    command = "python tests/bench/stored.py oracles"
    told = provenance(Settings(profile="smoke"), command, ())
    open_clauses = [id for id, clause in CLAUSES.items() if clause.kind == "interpretation"]
    rows = [
        {
            "name": each["name"],
            "dialect": each["dialect"],
            "versions": each["versions"],
            "behaviours": {id: behaviour(each, id) for id in open_clauses},
        }
        for each in report["subjects"]
        if each["clauses"]
    ]
    _write("oracles", {"provenance": told, "oracles": rows})


def examples() -> None:
    """Find, for each clause, the fault with the shortest program that breaks it, and store the script of that program.

    The example of before stays as long as it shows the clause; one on the path of the defaults is preferred.
    """
    before = json.loads((DATA / "examples.json").read_text("utf-8"))["examples"]
    rows = json.loads((DATA / "strength.json").read_text("utf-8"))["faults"]
    calls = {row["id"]: row["calls"] for row in rows if row["named"]}
    settings = Settings(profile="smoke", programs=generated(Settings(profile="smoke")))
    scripts = {}
    for clause in CLAUSES:
        faults = [fault for fault in FAULTS if fault.clauses[0] == clause and fault.id in calls]
        stored = before.get(clause, {}).get("fault")
        for fault in sorted(
            faults, key=lambda fault: (fault.id != stored, fault.inherited, bool(fault.switch), calls[fault.id])
        ):
            if script := _script_of(fault, clause, settings):
                scripts[clause] = {"fault": fault.id, "script": script}
                break
    command = "python tests/bench/stored.py examples"
    _write("examples", {"provenance": provenance(settings, command, ("torch",)), "examples": scripts})


def _script_of(fault: Fault, clause: str, settings: Settings) -> str | None:
    """Find the script of the first deviation of a fault from a clause."""
    baseline = "none" if fault.inherited else None
    subject = load(fault.subject)
    for event in examine(subject, replace(settings, dialect=fault.dialect, baseline=baseline, known=())):
        if isinstance(event, DeviationFound) and event.deviation.clause == clause and not event.deviation.hazard:
            return standalone_script(event.deviation)
    return None


def _write(name: str, data: Mapping[str, object]) -> None:
    (DATA / f"{name}.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    {"strength": strength, "oracles": oracles, "examples": examples}[sys.argv[1]]()
