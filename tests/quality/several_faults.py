"""How a check fares with several faults at once: pairs and triples of the shipped ones, drawn by seed.

Run it as ``python tests/quality/several_faults.py --pairs 500 --triples 100 --seed 0``. What a fault alone is caught by must
be named of the composed optimizer as well, by any of the fault's clauses, or be hidden by a clause that it is said to be hidden by;
it must never conform.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice

import torch

from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.faults.composed import Clash, compose
from rmspec.oracles.loader import load
from rmspec.properties.check import check
from rmspec.properties.events import SubjectResult

NAMED, HIDDEN, CONFORMS, UNCHECKED = "named", "hidden", "conforms", "not checked"
"""What becomes of a fault: one of its clauses deviates; else all that it breaks alone are hidden, or one is said to conform."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One composed optimizer: the fates of its faults, and the clauses that deviate though no fault breaks them.

    ``conforming`` are the clauses that conform though a fault alone breaks them.
    """

    faults: tuple[Fault, ...]
    fates: Mapping[str, str]
    conforming: tuple[str, ...]
    accused: tuple[str, ...]
    seconds: float
    verdicts: Mapping[str, str] = field(default_factory=dict)


def drawn(size: int, seed: int) -> Iterator[tuple[Fault, ...]]:
    """Draw so many faults that go together, again and again; those that torch itself has are left out."""
    chance = random.Random(f"{size} faults, seed {seed}")
    choices = [fault for fault in FAULTS if not fault.inherited]
    met: set[frozenset[str]] = set()
    while True:
        faults = tuple(chance.sample(choices, size))
        names = frozenset(fault.id for fault in faults)
        if names in met:
            continue
        met.add(names)
        try:
            compose(*faults)
        except Clash:
            continue
        yield faults


def checked(subject: str, dialect: str, profile: str, formats: tuple[str, ...]) -> SubjectResult:
    """The verdict on a subject of the shipped faults, called in this process: none is started for each."""
    return check(load(subject), profile=profile, formats=formats, dialect=dialect)  # type: ignore[arg-type]


@cache
def alone(fault: Fault, profile: str, formats: tuple[str, ...]) -> frozenset[str]:
    """The clauses that deviate when the fault is the only one."""
    result = checked(fault.subject, fault.dialect, profile, formats)
    return frozenset(found.clause for found in result.deviations if found.known is None)


def measure(faults: tuple[Fault, ...], profile: str = "smoke", formats: tuple[str, ...] = ()) -> Measured:
    """Check the optimizer composed of these faults."""
    composed = compose(*faults)
    started = time.monotonic()
    result = checked(f"{composed.__module__}:{composed.__name__}", faults[0].dialect, profile, formats)
    seconds = time.monotonic() - started
    rows = {clause.id: clause for clause in result.clauses}
    verdicts = {id: row.verdict for id, row in rows.items()}
    deviating = {found.clause for found in result.deviations if found.known is None}
    fates: dict[str, str] = {}
    for fault in faults:
        clauses = alone(fault, profile, formats)
        if clauses:
            fates[fault.id] = _fate(clauses, deviating, verdicts)
    broken = frozenset().union(*(alone(fault, profile, formats) for fault in faults))
    conforming = tuple(sorted(clause for clause in broken if verdicts.get(clause) == "conforms"))
    rightly = frozenset().union(*(alone(fault, profile, formats) | set(fault.clauses) for fault in faults))
    return Measured(faults, fates, conforming, tuple(sorted(deviating - rightly)), seconds, verdicts)


def _fate(broken: frozenset[str], deviating: set[str], verdicts: Mapping[str, str]) -> str:
    """What became of a fault that alone breaks these clauses."""
    if broken & deviating:
        return NAMED
    if all(verdicts.get(clause) == "hidden" for clause in broken):
        return HIDDEN
    return CONFORMS if any(verdicts.get(clause) == "conforms" for clause in broken) else UNCHECKED


def told(measured: Measured, profile: str, formats: tuple[str, ...]) -> str:
    """One composed optimizer as a line: its faults, what became of each, and what is said besides."""
    parts = [
        f"{fault.id}: {measured.fates.get(fault.id, 'not caught alone')}"
        + (
            ""
            if measured.fates.get(fault.id, NAMED) == NAMED
            else f" ({', '.join(f'{each} {measured.verdicts.get(each)}' for each in sorted(alone(fault, profile, formats)))})"
        )
        for fault in measured.faults
    ]
    parts += [f"conforms: {', '.join(measured.conforming)}"] if measured.conforming else []
    parts += [f"accused besides: {', '.join(measured.accused)}"] if measured.accused else []
    return f"{'; '.join(parts)} [{measured.seconds:.1f} s]"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print each optimizer as it is done, then the shares; 1 if a fault is neither named nor hidden."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=500, help="so many pairs of faults")
    parser.add_argument("--triples", type=int, default=100, help="so many triples of faults")
    parser.add_argument("--seed", type=int, default=0, help="the seed that they are drawn by")
    parser.add_argument("--profile", choices=("smoke", "ci", "deep"), default="smoke")
    parser.add_argument("--dtype", default="", help="the number formats, with commas between; all of them if left out")
    options = parser.parse_args(arguments)
    formats = tuple(filter(None, options.dtype.split(",")))
    torch.set_num_threads(1)
    fates: Counter[str] = Counter()
    whole, conforming, accused, count = 0, 0, 0, 0
    for size, wanted in ((2, options.pairs), (3, options.triples)):
        for faults in islice(drawn(size, options.seed), wanted):
            measured = measure(faults, options.profile, formats)
            fates.update(measured.fates.values())
            count += 1
            whole += set(measured.fates.values()) <= {NAMED, HIDDEN}
            conforming += bool(measured.conforming)
            accused += bool(measured.accused)
            print(told(measured, options.profile, formats), flush=True)
    print(f"{count} optimizers, {sum(fates.values())} faults that are caught alone")
    for fate in (NAMED, HIDDEN, CONFORMS, UNCHECKED):
        print(f"  {fate}: {fates[fate]} ({fates[fate] / max(sum(fates.values()), 1):.1%})")
    print(f"  every fault named or hidden: {whole} of {count} optimizers")
    print(f"  a clause conforms that a fault alone breaks: {conforming} of {count} optimizers")
    print(f"  a clause accused that none of its faults breaks: {accused} of {count} optimizers")
    return int(whole < count)


if __name__ == "__main__":
    sys.exit(main())
