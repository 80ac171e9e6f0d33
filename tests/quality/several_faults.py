"""How a check fares with several faults at once: pairs and triples of the shipped ones, drawn by seed.

Run it as ``python tests/quality/several_faults.py --pairs 500 --triples 100 --seed 0``. What a fault alone is caught
by must be named of the composed optimizer as well, by any of the fault's clauses, or be hidden by a clause that it is
said to be hidden by; it must never conform. Each fault is then taken as known, with the entries that ``rmspec known
add`` makes of the fault alone: the others must still be named by what is left, or be hidden. ``--among 40 --every``
measures every pair of so many faults, ``--alone`` single ones: what each breaks besides the clauses that its row
names. ``--processes`` measures so many at once.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, islice
from multiprocessing import get_context
from typing import Any

import torch

from rmspec.impl.arithmetic.amendments import parse_amendment
from rmspec.oracles.faults import FAULTS, Fault
from rmspec.oracles.faults.composed import Clash, compose
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Program
from rmspec.properties.check import check
from rmspec.properties.events import ClauseResult, Deviation, SubjectResult
from rmspec.properties.known import Known, matches

CHOICES = [fault for fault in FAULTS if not fault.inherited and not fault.switch]
"""The faults to draw from; those that torch itself has are left out, and those of one execution path."""

NAMED, HIDDEN, CONFORMS, UNCHECKED, UNFOUNDED = (
    "named",
    "hidden",
    "conforms",
    "not checked",
    "hidden by none of the others",
)
"""What becomes of a fault: one of its clauses deviates; else all that it breaks alone are hidden, each by a clause that another
fault breaks, or one is said to conform."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One composed optimizer: the fates of its faults, and the clauses that deviate though no fault breaks them.

    ``conforming`` are the clauses that conform though a fault alone breaks them. ``known`` maps each fault, taken as known, to the
    fates of the others then.
    """

    faults: tuple[Fault, ...]
    fates: Mapping[str, str]
    conforming: tuple[str, ...]
    accused: tuple[str, ...]
    seconds: float
    verdicts: Mapping[str, str] = field(default_factory=dict)
    known: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def drawn(size: int, seed: int, among: int | None = None) -> Iterator[tuple[Fault, ...]]:
    """Draw so many faults that go together, each set once; ``among``: from so many that were drawn before."""
    chance = random.Random(f"{size} faults, seed {seed}")
    if among is not None:
        sets = list(combinations(_parting(among, chance), size))
        yield from chance.sample(sets, len(sets))
        return
    met: set[frozenset[str]] = set()
    while True:
        faults = tuple(chance.sample(CHOICES, size))
        names = frozenset(fault.id for fault in faults)
        if names not in met and together(faults):
            yield faults
        met.add(names)


def _parting(count: int, chance: random.Random) -> list[Fault]:
    """Draw faults that go together pairwise."""
    chosen: list[Fault] = []
    for fault in chance.sample(CHOICES, len(CHOICES)):
        if len(chosen) < count and all(together((fault, other)) for other in chosen):
            chosen.append(fault)
    return chosen


def together(faults: tuple[Fault, ...]) -> bool:
    """Whether one optimizer can have all of these faults."""
    try:
        compose(*faults)
    except Clash:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Checks:
    """How optimizers are checked: a profile, number formats (all, if empty), and programs in place of the generated ones."""

    profile: Any = "smoke"
    formats: tuple[str, ...] = ()
    programs: tuple[Program, ...] | None = None

    def of(self, subject: str, dialect: str) -> SubjectResult:
        """The verdict on a subject called in this process: none is started for each."""
        return check(load(subject), profile=self.profile, formats=self.formats, dialect=dialect, programs=self.programs)


Alone = Mapping[str, tuple[Deviation, ...]]
"""The new deviations of each fault when it is the only one, by the fault's id."""


def deviations(fault: Fault, checks: Checks) -> tuple[Deviation, ...]:
    """The new deviations when the fault is the only one."""
    return tuple(found for found in checks.of(fault.subject, fault.dialect).deviations if found.known is None)


def broken(alone: Alone, fault: Fault) -> frozenset[str]:
    """The clauses that deviate when the fault is the only one."""
    return frozenset(found.clause for found in alone[fault.id])


def measure(faults: tuple[Fault, ...], alone: Alone, checks: Checks) -> Measured:
    """Check the optimizer composed of these faults."""
    composed = compose(*faults)
    started = time.monotonic()
    result = checks.of(f"{composed.__module__}:{composed.__name__}", faults[0].dialect)
    seconds = time.monotonic() - started
    rows = {row.id: row for row in result.clauses}
    verdicts = {id: row.verdict for id, row in rows.items()}
    new = [found for found in result.deviations if found.known is None]
    deviating = {found.clause for found in new}
    caught = [fault for fault in faults if broken(alone, fault)]
    others = {
        fault.id: {clause for each in faults if each is not fault for clause in (*broken(alone, each), *each.clauses)}
        for fault in faults
    }
    fates = {fault.id: _fate(broken(alone, fault), deviating, rows, others[fault.id]) for fault in caught}
    known: dict[str, dict[str, str]] = {}
    for accepted in caught:
        entries = [accepting(deviation) for deviation in alone[accepted.id]]
        left = {found.clause for found in new if not any(matches(entry, found) for entry in entries)}
        known[accepted.id] = {
            fault.id: _fate(broken(alone, fault), left, rows, others[fault.id])
            for fault in caught
            if fault is not accepted
        }
    every = frozenset().union(*(broken(alone, fault) for fault in faults))
    conforming = tuple(sorted(clause for clause in every if verdicts.get(clause) == "conforms"))
    rightly = every.union(*(fault.clauses for fault in faults))
    return Measured(faults, fates, conforming, tuple(sorted(deviating - rightly)), seconds, verdicts, known)


def told_alone(fault: Fault, alone: Alone) -> str:
    """One fault as a line: whether its own clauses name it, and what is said besides."""
    found = broken(alone, fault)
    own = "named" if found & set(fault.clauses) else "named otherwise" if found else "not caught"
    besides = ", ".join(sorted(found - set(fault.clauses)))
    return f"{fault.id}: {own}" + (f"; besides: {besides}" if besides else "")


def accepting(deviation: Deviation) -> Known:
    """The entry of a known list that ``rmspec known add`` makes of a deviation."""
    amendment = parse_amendment(deviation.amendment, deviation.clause) if deviation.amendment else None
    return Known("known", deviation.clause, "*", "measured", when={"kind": deviation.kind}, amendment=amendment)


def _fate(
    broken: frozenset[str], deviating: set[str], rows: Mapping[str, ClauseResult], others: Collection[str]
) -> str:
    """What became of a fault that alone breaks these clauses; ``others`` are those that the other faults break."""
    if broken & deviating:
        return NAMED
    found = [rows[clause] for clause in broken if clause in rows]
    if len(found) == len(broken) and all(row.verdict == "hidden" for row in found):
        return HIDDEN if all(set(row.hidden_by).intersection(others) for row in found) else UNFOUNDED
    return CONFORMS if any(row.verdict == "conforms" for row in found) else UNCHECKED


def lost(measured: Measured) -> list[str]:
    """List the faults that are neither named nor hidden when another one is known, in words."""
    return [
        f"{name} {fate} with {accepted} known"
        for accepted, fates in measured.known.items()
        for name, fate in fates.items()
        if fate not in (NAMED, HIDDEN)
    ]


def told(measured: Measured, alone: Alone) -> str:
    """One composed optimizer as a line: its faults, what became of each, and what is said besides."""
    parts = []
    for fault in measured.faults:
        fate = measured.fates.get(fault.id, "not caught alone")
        verdicts = ", ".join(f"{each} {measured.verdicts.get(each)}" for each in sorted(broken(alone, fault)))
        parts.append(f"{fault.id}: {fate}" + (f" ({verdicts})" if fate != NAMED and fault.id in measured.fates else ""))
    parts += [f"conforms: {', '.join(measured.conforming)}"] if measured.conforming else []
    parts += [f"accused besides: {', '.join(measured.accused)}"] if measured.accused else []
    parts += lost(measured)
    return f"{'; '.join(parts)} [{measured.seconds:.1f} s]"


@contextmanager
def mapping(processes: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A ``map`` that works on so many processes, which know what this one knows; with one, the built-in one."""
    if processes == 1:
        yield map
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("fork")) as pool:
        yield pool.map


def main(arguments: list[str] | None = None) -> int:
    """Measure, print each optimizer as it is done, then the shares; 1 if a fault is neither named nor hidden."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=500, help="so many pairs of faults")
    parser.add_argument("--triples", type=int, default=100, help="so many triples of faults")
    parser.add_argument("--seed", type=int, default=0, help="the seed that they are drawn by")
    parser.add_argument("--among", type=int, help="draw from so many faults that go together pairwise")
    parser.add_argument("--every", action="store_true", help="every pair of these, and no triple")
    parser.add_argument("--profile", choices=("smoke", "ci", "deep"), default="smoke")
    parser.add_argument("--dtype", default="", help="the number formats, with commas between; all of them if left out")
    parser.add_argument("--stored", action="store_true", help="the stored programs and sweeps alone")
    parser.add_argument("--alone", type=int, default=0, help="so many faults alone")
    parser.add_argument("--processes", type=int, default=1, help="measure in so many processes")
    options = parser.parse_args(arguments)
    if options.every and options.among is None:
        parser.error("--every needs --among")
    checks = Checks(options.profile, tuple(filter(None, options.dtype.split(","))), () if options.stored else None)
    torch.set_num_threads(1)
    singles = random.Random(f"single faults, seed {options.seed}").sample(CHOICES, min(options.alone, len(CHOICES)))
    sizes = ((2, None if options.every else options.pairs), (3, 0 if options.every else options.triples))
    sets = [each for size, wanted in sizes for each in islice(drawn(size, options.seed, options.among), wanted)]
    needed = list(dict.fromkeys([*singles, *(fault for faults in sets for fault in faults)]))
    alone: dict[str, tuple[Deviation, ...]] = {}
    with mapping(options.processes) as each:
        for fault, found in zip(needed, each(partial(deviations, checks=checks), needed), strict=True):
            alone[fault.id] = found
            if fault in singles:
                print(told_alone(fault, alone), flush=True)
    clean = [fault for fault in singles if broken(alone, fault) and broken(alone, fault) <= set(fault.clauses)]
    if singles:
        print(f"{len(singles)} faults alone: {len(clean)} break no clause but their own", flush=True)
    fates: Counter[str] = Counter()
    known: Counter[str] = Counter()
    whole, conforming, accused, count = 0, 0, 0, 0
    with mapping(options.processes) as each:
        for measured in each(partial(measure, alone=alone, checks=checks), sets):
            fates.update(measured.fates.values())
            known.update(fate for others in measured.known.values() for fate in others.values())
            count += 1
            whole += set(measured.fates.values()) <= {NAMED, HIDDEN} and not lost(measured)
            conforming += bool(measured.conforming)
            accused += bool(measured.accused)
            print(told(measured, alone), flush=True)
    print(f"{count} optimizers, {sum(fates.values())} faults that are caught alone")
    for title, counted in (("", fates), (", another one known", known)):
        for fate in (NAMED, HIDDEN, UNFOUNDED, CONFORMS, UNCHECKED):
            print(f"  {fate}{title}: {counted[fate]} ({counted[fate] / max(sum(counted.values()), 1):.1%})")
    print(f"  every fault named or hidden, another one known or not: {whole} of {count} optimizers")
    print(f"  a clause conforms that a fault alone breaks: {conforming} of {count} optimizers")
    print(f"  a clause accused that none of its faults breaks: {accused} of {count} optimizers")
    return int(whole < count)


if __name__ == "__main__":
    sys.exit(main())
