"""Whether every correct optimizer passes a check at every seed: the suite accuses nobody who keeps the rules.

Run it as ``python tests/quality/every_correct.py``: each class of ``tests/quality/correct`` is checked at each seed as
``rmspec check`` does it, in a process of its own, with the programs of the seed generated once. ``--seeds 0-9`` asks ten
seeds; ``--classes 5 --draw 3`` draws so many classes, ``--only wrapper,c_kernel`` names them. A class whose file has a line
``NEEDS = "gcc"`` is left out where that program is missing, and said so.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rmspec.impl.errors import RmspecError
from rmspec.oracles.program.program import Program
from rmspec.properties.check import check, generated
from rmspec.properties.events import SubjectResult
from rmspec.properties.settings import PROFILES, Settings

FOLDER = Path(__file__).parent / "correct"
FILES = sorted(FOLDER.glob("*.py"))
COMPILED = "compiled"
"""The file whose every shape costs a compilation: it is asked fewer programs, in one format."""
_COMPILED_PROGRAMS = 10


def subject_name(path: Path) -> str:
    """The name of the subject in a file: its last class or function that is called after RMSprop."""
    names = re.findall(r"^(?:class|def) (\w*rmsprop)\b", path.read_text(encoding="utf-8"), re.MULTILINE | re.IGNORECASE)
    return f"{path}:{names[-1]}"


def missing_program(path: Path) -> str:
    """The program that a file needs and this system lacks; nothing where it can run."""
    needed = re.search(r'^NEEDS = "(\S+)"$', path.read_text(encoding="utf-8"), re.MULTILINE)
    return "" if needed is None or shutil.which(needed[1]) else needed[1]


def accusations(result: SubjectResult) -> list[str]:
    """What the check holds against the optimizer, in a line each; nothing where it passes."""
    found = [f"{each.clause}: {each.summary}" for each in result.deviations if each.known is None]
    found += [f"stale entry: {each}" for each in result.stale]
    if not found and result.verdict not in ("conforms", "known"):
        found.append(f"the verdict is {result.verdict}")
    if not found and not result.element_checks:
        found.append("no element was checked")
    return found


def checked(path: Path, profile: str, seed: int, programs: tuple[Program, ...]) -> SubjectResult:
    """The result of one class at one seed, in a process of its own."""
    formats: tuple[str, ...] = ()
    if path.stem == COMPILED:
        programs, formats = programs[:_COMPILED_PROGRAMS], ("float32",)
    return check(subject_name(path), profile=profile, seed=seed, programs=programs, formats=formats)  # type: ignore[arg-type]


def seeds(text: str) -> list[int]:
    """The seeds of ``0-9``, ``3`` or ``0,4-6``."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        found.extend(range(int(first), int(last if dash else first) + 1))
    return found


def chosen(options: argparse.Namespace) -> list[Path]:
    """The files to check: those named, or as many as are to be drawn, or all."""
    files = FILES
    if options.only:
        names = options.only.split(",")
        absent = sorted(set(names) - {path.stem for path in FILES})
        if absent:
            raise SystemExit(f"there is no {', '.join(absent)} in {FOLDER}: name files without .py")
        files = [path for path in FILES if path.stem in names]
    if options.classes is not None:
        files = sorted(random.Random(options.draw).sample(files, min(options.classes, len(files))))
    return files


def runnable(files: list[Path]) -> Iterator[Path]:
    """The files whose needs are met; the others are named."""
    for path in files:
        if program := missing_program(path):
            print(f"{path.stem}: not checked, because {program} is not installed")
        else:
            yield path


def main(arguments: list[str] | None = None) -> int:
    """Check the classes, print a line for each at each seed, then the sums; 1 if one is accused of anything."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="ci", help="how thorough a check is")
    parser.add_argument("--seeds", type=seeds, default=[0], help="the seeds of the programs, as 0-9 or 0,4-6")
    parser.add_argument("--classes", type=int, help="so many of the classes")
    parser.add_argument("--draw", type=int, default=0, help="the seed that they are drawn by")
    parser.add_argument("--only", help="these classes, by the names of their files")
    options = parser.parse_args(arguments)
    files = list(runnable(chosen(options)))
    runs, elements, alarms = 0, 0, 0
    for seed in options.seeds:
        programs = generated(Settings(profile=options.profile, seed=seed))
        for path in files:
            start = time.monotonic()
            try:
                result = checked(path, options.profile, seed, programs)
                held, verdict, count = accusations(result), result.verdict, result.element_checks
            except RmspecError as error:
                held, verdict, count = [str(error)], "errored", 0
            runs, elements, alarms = runs + 1, elements + count, alarms + len(held)
            seconds = time.monotonic() - start
            print(f"{path.stem}, seed {seed}: {verdict}, {len(held)} new, {count:,} element checks, {seconds:.0f} s")
            for each in held:
                print(f"  {each}")
            sys.stdout.flush()
    print(
        f"{len(files)} classes at {len(options.seeds)} seeds, {runs} checks: {elements:,} element checks, {alarms} false alarms"
    )
    return int(alarms > 0)


if __name__ == "__main__":
    sys.exit(main())
