"""Mutated inputs for every reader of rmspec: none may raise anything but ``RmspecError``, take long, or a lot of memory.

``python tests/fuzz/fuzz.py --seconds 60`` or ``--count 1000000``. An input is made from the seed, the reader and its number
alone, so that each can be made again. What fails is kept in a folder, and printed with the command that reads it again. Each
reader runs in a process of its own: a crash of a library fails the input that it was given.
"""

from __future__ import annotations

import argparse
import faulthandler
import mmap
import os
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]

from reader import RMSPEC_ERROR, Files, Reader, command_of, reading, write_files  # noqa: E402
from readers import READERS  # noqa: E402

SLOW = 5.0
"""Seconds of a processor that an input may take: on a machine with other work it waits for longer."""

BALLOON = 1 << 30
"""Bytes of memory that an input may take beyond the most that was taken before it."""

_ENDLESS = 60
_STUCK = 180  # seconds, of the preparations as well
_SPEED = 16  # inputs between two looks at the clock of the whole


@dataclass
class Failure:
    """An input that failed: its reader, its number, and how."""

    reader: str
    number: int
    problem: str


@dataclass
class Tally:
    """The inputs of a run."""

    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    failures: list[Failure] = field(default_factory=list)


def make(reader: Reader, name: str, seed: int, number: int) -> Files:
    """The input of this number."""
    return reader.make(Random(f"{seed}/{name}/{number}"))


def attempt(reader: Reader, files: Files) -> tuple[str, bool]:
    """Read an input: the problem, empty for none, and whether it was refused."""
    refused = False
    if reader.written:
        write_files(files)
    try:
        with warnings.catch_warnings():
            # As for a user: a warning, of numbers that overflow, ends nothing.
            warnings.simplefilter("ignore", RuntimeWarning)
            reader.read(files)
    except RMSPEC_ERROR:
        refused = True
    except _Endless:
        return f"it takes more than {_ENDLESS} s", False
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return "".join(line[:1000] + "\n" * (len(line) > 1000) for line in traceback.format_exception(error)), False
    return "", refused


class _Endless(BaseException):
    """An input takes too long."""


def _alarm(*_: object) -> None:
    raise _Endless


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


STARTS = frozenset(
    ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn", "subprocess.Popen")
)
"""What Python tells of a process that is started: no reader may, but for that of subjects on the wire."""

STRANGERS = frozenset(("a", "b", "elsewhere", "evil", "mine", "package"))
"""Modules that inputs name: no reader may import one."""


class Started(BaseException):
    """A reader has started a process, imported what an input names, or unpickled it."""


def forbid_starting(allowed: tuple[str, ...] = ()) -> None:
    """From now on whatever starts something in this process raises ``Started``, but for these events."""

    def look(event: str, arguments: tuple[object, ...]) -> None:
        # The reference optimizer pickles its own state, as a program asks it to.
        stranger = event == "pickle.find_class" and str(arguments[0]).partition(".")[0] not in ("numpy", "rmspec")
        if stranger or (event in STARTS and event not in allowed):
            raise Started(f"{event}{arguments!r:.200}")
        if event == "import" and str(arguments[0]).partition(".")[0] in STRANGERS:
            raise Started(f"import {arguments[0]}")

    sys.addaudithook(look)


def run_reader(
    name: str, seed: int, numbers: Iterator[int], seconds: float, report: mmap.mmap, keep: Path | None
) -> list[tuple[int, str]]:
    """Read inputs in this process until they or the time run out; where it stands is in ``report``."""
    failures: list[tuple[int, str]] = []
    signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory() as place, reading(Path(place)):
        reader = READERS[name].prepare()
        forbid_starting(READERS[name].starts)
        until = time.monotonic() + seconds
        count = refused = 0
        slowest, slow = 0.0, 0
        peak = _peak()
        begin = time.monotonic()
        for number in numbers:
            if count and count % _SPEED == 0 and time.monotonic() > until:
                break
            struct.pack_into("=qqqdqd", report, 0, number, count, refused, slowest, slow, time.monotonic() - begin)
            files = make(reader, name, seed, number)
            start = time.process_time()
            signal.alarm(_ENDLESS)
            problem, no = attempt(reader, files)
            signal.alarm(0)
            took = time.process_time() - start
            count += 1
            refused += no
            if took > slowest:
                slowest, slow = took, number
            if took > SLOW and not problem:
                problem = f"it takes {took:.1f} s"
            now = _peak()
            if now > peak + BALLOON and not problem:
                problem = f"it takes {(now - peak) >> 20} MiB of memory"
            peak = max(peak, now)
            if problem:
                failures.append((number, problem))
                if keep is not None:
                    keep_input(keep, name, number, files, problem)
                if len(failures) >= 200:
                    break
        struct.pack_into("=qqqdqd", report, 0, -1, count, refused, slowest, slow, time.monotonic() - begin)
    return failures


def keep_input(folder: Path, name: str, number: int, files: Files, problem: str) -> None:
    """Put an input that failed into a folder of its own."""
    place = folder / f"{name}-{number}"
    place.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (place / file).write_bytes(data)
    (place / "PROBLEM").write_text(problem)


def run(
    names: list[str], seed: int, first: int, counts: dict[str, int], seconds: dict[str, float], keep: Path | None
) -> Tally:
    """Run the readers one after the other, each in a fork of this process."""
    tally = Tally()
    for name in names:
        start, left = first, counts[name]
        while left > 0:
            done, failures, crash = _fork(name, seed, start, left, seconds[name], keep)
            number, count, refused, slowest, slow, took = done
            tally.counts[name] = tally.counts.get(name, 0) + count
            tally.refused[name] = tally.refused.get(name, 0) + refused
            tally.seconds[name] = tally.seconds.get(name, 0.0) + took
            tally.slowest = max(tally.slowest, (slowest, name, slow))
            tally.failures += [Failure(name, *failure) for failure in failures]
            if not crash:
                break
            tally.failures.append(Failure(name, number, crash))
            tally.counts[name] += 1
            left -= number + 1 - start
            start = number + 1
            if len(tally.failures) > 300:
                return tally
    return tally


def _fork(
    name: str, seed: int, start: int, count: int, seconds: float, keep: Path | None
) -> tuple[tuple[int, int, int, float, int, float], list[tuple[int, str]], str]:
    """Run a reader in a fork: where it stands at its end, its failures, and how it crashed if it did."""
    report = mmap.mmap(-1, 64)
    with tempfile.TemporaryFile() as failed:
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            code = 1
            try:
                os.setpgid(0, 0)
                faulthandler.enable()
                limit = resource.getrlimit(resource.RLIMIT_CORE)[1]
                resource.setrlimit(resource.RLIMIT_CORE, (0, limit))
                resource.setrlimit(resource.RLIMIT_AS, (12 << 30, resource.RLIM_INFINITY))
                failures = run_reader(name, seed, iter(range(start, start + count)), seconds, report, keep)
                failed.write(repr(failures).encode())
                failed.flush()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        status, hung = _wait(pid, report)
        failed.seek(0)
        text = failed.read().decode()
    done = struct.unpack_from("=qqqdqd", report, 0)
    if status:
        return done, [], hung or f"its process ended with {os.waitstatus_to_exitcode(status)}"
    import ast

    return done, ast.literal_eval(text), ""


def _wait(pid: int, report: mmap.mmap) -> tuple[int, str]:
    """Wait for the end of a reader; one that is at the same input for long, where no signal gets through, is killed."""
    number, since = None, time.monotonic()
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status, ""
        now = struct.unpack_from("=q", report, 0)[0], struct.unpack_from("=q", report, 8)[0]
        if now != number:
            number, since = now, time.monotonic()
        elif time.monotonic() - since > _STUCK:
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1], f"it takes more than {_STUCK} s"
        time.sleep(0.05)


def plan(names: list[str], count: int | None, seconds: float | None) -> tuple[dict[str, int], dict[str, float]]:
    """How many inputs and how much time each reader has."""
    whole = sum(READERS[name].share for name in names)
    shares = {name: READERS[name].share / whole for name in names}
    counts = {name: 1 << 40 if count is None else max(1, round(count * share)) for name, share in shares.items()}
    times = {name: 1e9 if seconds is None else seconds / len(names) for name in names}
    return counts, times


def usable(wanted: list[str]) -> list[str]:
    """The readers that can run here."""
    import importlib.util

    return [name for name in wanted if not READERS[name].needs or importlib.util.find_spec(READERS[name].needs)]


def summary(tally: Tally) -> str:
    """The counts, the slowest input, and the failures of a run."""
    lines = []
    for name, count in tally.counts.items():
        rate = count / max(tally.seconds[name], 1e-9)
        lines.append(f"{name:<14} {count:>9,} inputs, {tally.refused[name]:>9,} refused, {rate:>8,.0f} a second")
    took, name, number = tally.slowest
    lines.append(
        f"{'in all':<14} {sum(tally.counts.values()):>9,} inputs; the slowest took {took:.2f} s: {name} {number}"
    )
    return "\n".join(lines)


def main() -> int:
    """Run the command; 1 if an input failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", action="append", choices=list(READERS), help="this reader alone; may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, help="inputs in all, shared among the readers")
    parser.add_argument("--seconds", type=float, help="time in all, shared among the readers")
    parser.add_argument("--first", type=int, default=0, help="number of the first input of each reader")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for inputs that fail")
    options = parser.parse_args()
    names = usable(options.reader or list(READERS))
    seconds = 60.0 if options.count is None and options.seconds is None else options.seconds
    counts, times = plan(names, options.count, seconds)
    tally = run(names, options.seed, options.first, counts, times, options.keep.resolve())
    for failure in tally.failures:
        print(f"FAILED {failure.reader} {failure.number}: {command_of(failure.reader, options.seed, failure.number)}")
        print("  " + failure.problem.rstrip().replace("\n", "\n  "))
    print(summary(tally))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
