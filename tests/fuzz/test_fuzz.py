"""No reader is overcome by what it reads: mutated inputs for a minute, and every input that once overcame one."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fuzz
import pytest
from reader import RMSPEC_ERROR, Files, Reader, Row, reading
from readers import READERS

KEPT = Path(__file__).parent / "kept"
CASES = sorted(place for place in KEPT.glob("*/*") if place.is_dir())

SECONDS = 40.0
"""Of the inputs alone: with what is made ready for them, a minute on a machine without other work."""


@pytest.fixture(scope="module")
def tally() -> fuzz.Tally:
    """A run over all readers, each in a process of its own."""
    names = fuzz.usable(list(READERS))
    counts, seconds = fuzz.plan(names, None, SECONDS)
    return fuzz.run(names, 0, 0, counts, seconds, None)


@pytest.mark.slow
def test_no_reader_is_overcome(tally: fuzz.Tally) -> None:
    """Whatever an input is, it is read or refused in time, with no process started and nothing imported for it."""
    assert [
        f"{fuzz.command_of(failure.reader, 0, failure.number)}\n{failure.problem}" for failure in tally.failures
    ] == []


@pytest.mark.slow
def test_every_reader_has_read_something(tally: fuzz.Tally) -> None:
    """Inputs that are all refused at the door would prove little of what is behind it."""
    for name in fuzz.usable(list(READERS)):
        assert tally.counts[name] >= 16, name
        assert tally.refused[name] < tally.counts[name], name


def attempt_apart(read: Callable[[], str]) -> str:
    """What ``read`` returns in a fork of this process, in which nothing may be started."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(theirs, read().encode("utf-8", "replace")[-4000:] or b"-")
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        text = stream.read().decode()
    assert os.waitpid(pid, 0)[1] == 0, "its process crashed"
    return text.removeprefix("-")


@pytest.mark.parametrize("name", sorted({case.parent.name for case in CASES}))
def test_inputs_that_once_overcame_a_reader_are_refused(name: str, tmp_path: Path) -> None:
    """Each was kept when it raised what nobody caught, took long, or took the memory of the machine."""
    row = READERS[name]
    if row.needs:
        pytest.importorskip(row.needs)
    inputs = {
        case.name: {path.stem: path.read_bytes() for path in case.iterdir()}
        for case in CASES
        if case.parent.name == name
    }

    def read() -> str:
        with reading(tmp_path):
            reader = row.prepare()
            fuzz.forbid_starting(row.starts)
            problems = {case: fuzz.attempt(reader, files)[0] for case, files in inputs.items()}
        return "".join(f"{case}: {problem}" for case, problem in problems.items() if problem)

    assert attempt_apart(read) == ""


def test_each_kept_input_is_of_a_reader() -> None:
    """A reader that is renamed takes its inputs along."""
    assert {case.parent.name for case in CASES} <= READERS.keys()
    assert len(CASES) >= 30


# -- the fuzzer can fail


class Trap:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


def unpickles() -> None:
    pickle.loads(pickle.dumps(Trap()))


@pytest.mark.parametrize(
    "start",
    [
        lambda: subprocess.run(["true"], check=False),
        lambda: os.system("true"),
        lambda: os.fork() or os._exit(0),
        lambda: os.execv("/bin/true", ["true"]),
        lambda: os.posix_spawn("/bin/true", ["true"], {}),
        lambda: __import__("mine"),
        lambda: __import__("package.module"),
        unpickles,
    ],
    ids=("subprocess", "system", "fork", "exec", "spawn", "import", "submodule", "pickle"),
)
def test_a_reader_that_starts_something_is_noticed(start: Callable[[], object], tmp_path: Path) -> None:
    """By every way that Python has, before it is done."""

    def read() -> str:
        with reading(tmp_path):
            fuzz.forbid_starting()
            return fuzz.attempt(Reader(lambda random: {}, lambda files: start() and None), {})[0]

    assert "Started: " in attempt_apart(read)


def refuse(files: Files) -> None:
    raise RMSPEC_ERROR("it is no good")


def loop(files: Files) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "problem"),
    [
        (lambda files: None, None),
        (refuse, None),
        (lambda files: {}["x"], "KeyError"),
        (lambda files: sys.exit(1), "SystemExit"),
        (loop, "it takes"),
        (lambda files: os.abort(), "its process ended with -6"),
        (lambda files: len(b"x" * (1 << 28)) and None, "MiB of memory"),
    ],
    ids=("read", "refused", "raises", "exits", "loops", "crashes", "swells"),
)
def test_what_overcomes_a_reader_is_counted(
    read: Callable[[Files], None], problem: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception, an endless loop, a crash, a balloon; and nothing for what is read, or refused by rmspec's own error."""
    monkeypatch.setattr(fuzz, "_ENDLESS", 2)
    monkeypatch.setattr(fuzz, "BALLOON", 1 << 27)
    monkeypatch.setitem(READERS, "made", Row(lambda: Reader(lambda random: {"x": b""}, read, written=False)))
    tally = fuzz.run(["made"], 0, 0, {"made": 1}, {"made": 30.0}, None)
    assert tally.counts == {"made": 1}
    assert tally.refused == {"made": int(read is refuse)}
    assert len(tally.failures) == (problem is not None)
    assert all(problem in failure.problem for failure in tally.failures if problem)


def test_an_input_is_made_again_by_its_number(tmp_path: Path) -> None:
    """The same seed and number are the same bytes, and another seed or number is another input."""
    with reading(tmp_path):
        reader = READERS["names"].prepare()
        made = [fuzz.make(reader, "names", seed, number) for seed, number in ((0, 7), (0, 7), (0, 8), (1, 7))]
    assert made[0] == made[1]
    assert len({str(files) for files in made}) == 3


def test_the_command_reports_what_it_did(tmp_path: Path) -> None:
    """Counts by reader, the slowest input, and exit code 0."""
    done = subprocess.run(
        [sys.executable, fuzz.__file__, "--reader", "names", "--count", "50", "--keep", tmp_path / "kept"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "50 inputs" in done.stdout
    assert "the slowest took" in done.stdout
    assert not (tmp_path / "kept").exists()
