"""Hosts: a subject lives in a process of its own, and whatever it does there fails only itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from programs import P, create, program, step
from transcripts import assert_same

from rmspec.oracles.errors import (
    CannotImport,
    ProtocolBroken,
    SubjectFailed,
    SubjectHung,
    TooMuchMemory,
    UnknownSubject,
)
from rmspec.oracles.host.frames import Kind, receive, send
from rmspec.oracles.host.host import Host, _modules, open_subject
from rmspec.oracles.host.perform import perform
from rmspec.oracles.host.primitives import with_operations
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Param, Program, Save, SetGrad, Step
from rmspec.properties.search.corpus import corpus
from rmspec.properties.trajectory import trajectory

SHORT = program(create(), step(p=2.0), Save("A", "s"), step(p=0.5), params=(P,))
MEMORY = 1 << 28
FILE = Path(__file__).parents[2] / "helpers" / "hostile.py"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FILE, tmp_path / "hostile.py")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def neighbour() -> Iterator[Host]:
    with Host("reference") as host:
        yield host


def asked(name: str, programs: int = 6) -> None:
    """Ask a subject for some programs."""
    with Host(f"hostile.py:{name}", call_timeout=2, memory_limit=MEMORY) as host:
        for _ in range(programs):
            host.perform(SHORT)


def test_a_host_performs_what_the_subject_does_in_place(neighbour: Host) -> None:
    """Each program of the corpus has the transcript that it has in this process."""
    reference = ReferenceSubject()
    for stored in list(corpus())[:150]:
        assert_same(neighbour.perform(stored), perform(stored, reference))


def test_a_host_says_what_the_subject_says_of_itself(neighbour: Host) -> None:
    """Name, framework, dialect, baselines, capabilities, with its operations, versions and names of state."""
    subject = ReferenceSubject()
    for attribute in ("name", "framework", "dialect", "baselines"):
        assert getattr(neighbour, attribute) == getattr(subject, attribute)
    assert neighbour.capabilities() == with_operations(subject)
    assert neighbour.versions() == subject.versions()
    assert neighbour.state_names() == subject.state_names()


def test_a_host_descends_as_the_subject_does_in_place(neighbour: Host) -> None:
    """Each step's gradient is what the last step left."""
    subject = ReferenceSubject()
    there, here = (trajectory(driven, subject.capabilities()) for driven in (neighbour, subject))
    assert there == here
    assert there is not None
    assert len(there.theta) == 41


def test_wide_tensors_come_whole(neighbour: Host) -> None:
    """A million elements, in every part of an observation."""
    wide = program(create(), SetGrad("p", (1.0, 2.0)), Step("A"), params=(Param("p", "float64", (1 << 20,)),))
    assert_same(neighbour.perform(wide), perform(wide, ReferenceSubject()))


def test_two_subjects_of_one_file_have_two_processes(tmp_path: Path) -> None:
    """What the module of one keeps, the other does not see."""
    (tmp_path / "both.py").write_text(
        "import os\n"
        "from rmspec.oracles.numpy.subject import ReferenceSubject\n"
        "open(f'{os.getpid()}.txt', 'w').close()\n"
        "one, two = ReferenceSubject(), ReferenceSubject()\n"
    )
    with Host("both.py:one") as one, Host("both.py:two") as two:
        assert {path.stem for path in tmp_path.glob("*.txt")} == {str(one.pid), str(two.pid)}
        assert os.getpid() not in (one.pid, two.pid)


@pytest.mark.parametrize(
    ("name", "error", "told"),
    [
        ("loop", SubjectHung, "it hung: no answer for 2 s while it was checked, at hostile.py, line"),
        ("interrupt", SubjectFailed, "the subject raised KeyboardInterrupt"),
        ("leaves", SubjectFailed, "the subject raised SystemExit: 3"),
        ("pipes", ProtocolBroken, "something in its process wrote to a connection of rmspec"),
        ("hangup", SubjectFailed, "it crashed: "),
        ("orphan", SubjectFailed, "it crashed: its interpreter ended with exit status 3 while it was checked"),
        ("segfault", SubjectFailed, "it crashed: its interpreter was ended by SIGSEGV while it was checked, at"),
        ("killed", SubjectFailed, "it crashed: its interpreter was ended by SIGKILL while it was checked"),
        ("ends", SubjectFailed, "it crashed: its interpreter ended with exit status 7 while it was checked"),
        ("memory", SubjectFailed, "MemoryError in session"),
        ("numpy_patch", SubjectFailed, "its observations cannot be read"),
        ("deaf", SubjectHung, "it hung: no answer for 2 s while it was checked"),
        ("daemon_orphan", SubjectFailed, "it crashed: its interpreter ended with exit status 5"),
        ("hungry", TooMuchMemory, "iB of memory while it was checked"),
        ("hungry_child", TooMuchMemory, "iB of memory while it was checked"),
        ("speechless", SubjectFailed, "raised Speechless in session: its message cannot be had: __str__ raises"),
        ("endless", SubjectFailed, "raised Endless in session: yyyyyyyyyyyyyyyyyyyyyy"),
        ("peculiar", SubjectFailed, "the subject raised Peculiar: odd"),
        ("generator_exit", SubjectFailed, "the subject raised GeneratorExit"),
        ("deep", SubjectFailed, "it "),
        ("alarm", SubjectFailed, "it crashed: its interpreter was ended by SIGALRM"),
        ("printing", SubjectHung, "it hung: no answer for 2 s while it was checked"),
    ],
)
def test_a_subject_that_takes_its_process_down_fails_alone(
    name: str, error: type[SubjectFailed], told: str, neighbour: Host
) -> None:
    """Whatever happens is a failure of the subject, which says what it was, and its neighbour goes on as before."""
    with pytest.raises(SubjectFailed) as caught:
        asked(name, 40)
    assert type(caught.value) is error or name == "deep"
    assert told in str(caught.value)
    assert len(str(caught.value)) < 10_000
    assert_same(neighbour.perform(SHORT), perform(SHORT, ReferenceSubject()))


@pytest.mark.parametrize(
    "name",
    [
        "fork",
        "child",
        "daemon",
        "late",
        "rounding",
        "numpy_errors",
        "math_patch",
        "surroundings",
        "parent_stopped",
        "folder",
        "streams",
        "sound",
    ],
)
def test_what_a_subject_does_to_its_process_bends_no_neighbour(name: str, neighbour: Host) -> None:
    """Forks, threads, rounding, error states, patches, environment and handlers end with the process that has them."""
    before = os.getcwd(), dict(os.environ), ReferenceSubject().capabilities()
    begin = time.monotonic()
    asked(name)
    assert time.monotonic() - begin < 30
    assert_same(neighbour.perform(SHORT), perform(SHORT, ReferenceSubject()))
    assert (os.getcwd(), dict(os.environ), ReferenceSubject().capabilities()) == before


def test_what_a_subject_started_ends_with_it() -> None:
    """A child of the subject is in the group that is ended."""
    with Host("hostile.py:child") as host:
        for _ in range(4):
            host.perform(SHORT)
        group = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _group(pid) == host.pid]
        assert len(group) == 3
    deadline = time.monotonic() + 10
    while any(_group(pid) == host.pid for pid in group) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not [pid for pid in group if _group(pid) == host.pid]


def processes() -> set[int]:
    """The processes of a host, of a subject or of what one left behind: those that know this folder as their own."""
    here = os.getcwd()
    mine = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{name}/cwd") == here and int(name) != os.getpid():
                mine.add(int(name))
    return mine


@pytest.mark.parametrize("name", ["daemon", "daemon_orphan"])
def test_a_daemon_of_the_subject_ends_with_it(name: str) -> None:
    """It forked twice, leads a session of its own and ignores every signal, and its parent may be gone before."""
    before = processes()
    with contextlib.suppress(SubjectFailed):
        asked(name)
    deadline = time.monotonic() + 10
    while processes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes() - before


def test_what_a_subject_prints_takes_no_place_without_end() -> None:
    """The log is emptied now and then, and what is reported of it is its end."""
    with Host("hostile.py:printing", call_timeout=2) as host:
        for _ in range(2):
            host.perform(SHORT)
        log = host._process._log.fileno()
        sizes = []
        look = host._process._look
        host._process._look = lambda: (look(), sizes.append(os.fstat(log).st_size))[0]  # type: ignore[method-assign]
        with pytest.raises(SubjectHung, match="it last printed:\nall work and no play"):
            host.perform(SHORT)
    assert any(later < sooner for sooner, later in pairwise(sizes))


def test_a_reply_is_no_longer_than_the_memory_of_the_subject() -> None:
    """A length alone, with a flood behind it, fills nobody else's memory."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(theirs, Kind.REPLY, 1, bytes(1000))
        with pytest.raises(ProtocolBroken, match="something in its process wrote to a connection"):
            receive(ours, longest=999)


def _group(pid: int) -> int | None:
    """The group of a process that runs; one that ended may wait for its parent to notice."""
    try:
        state, _, group = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[:3]
    except (OSError, ValueError):
        return None
    return None if state in "ZX" else int(group)


def test_a_subject_that_failed_is_asked_no_more() -> None:
    """Its process is gone; another one is as good as new."""
    with Host("hostile.py:ends", call_timeout=20) as host:
        for _ in range(2):
            host.perform(SHORT)
        with pytest.raises(SubjectFailed, match="exit status 7"):
            host.perform(SHORT)
        with pytest.raises(SubjectFailed, match="was ended before"):
            host.perform(SHORT)
        with host.fresh() as again:
            assert_same(again.perform(SHORT), perform(SHORT, ReferenceSubject()))


def test_a_host_that_nobody_keeps_ends_its_process() -> None:
    """Forgetting to close one leaves nothing running."""
    host = Host("reference")
    pid = host.pid
    del host
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_errors_of_loading_are_those_of_this_process(tmp_path: Path) -> None:
    """A file that does not import, one without the class, and one that raises what ends an interpreter."""
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    (tmp_path / "stops.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(CannotImport, match="no_such_module"):
        Host("broken.py:X")
    with pytest.raises(UnknownSubject, match="did you mean sound"):
        Host("hostile.py:sond")
    with pytest.raises(SubjectFailed, match="raised KeyboardInterrupt") as caught:
        Host("stops.py:X")
    assert not isinstance(caught.value, ProtocolBroken)


def test_a_subject_sees_the_surroundings_of_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its current directory and its environment are those of the moment, and what it prints is nobody else's."""
    monkeypatch.setenv("RMSPEC_TEST_HOST", "here")
    (tmp_path / "looks.py").write_text(
        "import os\nfrom rmspec.oracles.numpy.subject import ReferenceSubject\nprint('loud')\n"
        "class Looks(ReferenceSubject):\n    def versions(self):\n"
        "        return {'folder': os.getcwd(), 'variable': os.environ['RMSPEC_TEST_HOST']}\nlooks = Looks()\n"
    )
    with Host("looks.py:looks") as host:
        assert host.versions() == {"folder": str(tmp_path), "variable": "here"}


def test_an_observation_that_cannot_be_read_is_a_failure_of_the_subject(tmp_path: Path) -> None:
    """A subject of the user's may show anything; what is no number is refused where it is shown."""
    (tmp_path / "odd.py").write_text(
        "from dataclasses import replace\nimport numpy as np\nfrom rmspec.oracles.numpy.subject import ReferenceSubject\n"
        "class Session:\n    def __init__(self, inner): self.inner = inner\n"
        "    def perform(self, call): return self.inner.perform(call)\n    def close(self): self.inner.close()\n"
        "    def observe(self): return replace(self.inner.observe(), params={'p': np.array([None])})\n"
        "class Odd(ReferenceSubject):\n    def session(self, params): return Session(super().session(params))\nodd = Odd()\n"
    )
    with Host("odd.py:odd") as host, pytest.raises(SubjectFailed, match="its observations cannot be read"):
        host.perform(SHORT)


def test_a_command_is_a_process_already() -> None:
    """What speaks the wire protocol needs no host."""
    subject = open_subject("process:cat")
    assert not isinstance(subject, Host)
    subject.close()


def test_a_program_that_ends_early_has_its_failure_in_the_transcript() -> None:
    """An error that the session raises is kept, as in this process."""
    with Host("reference") as host:
        impossible = Program((P,), (Step("A"),))
        there, here = host.perform(impossible), perform(impossible, ReferenceSubject())
    assert len(there.answers) == len(here.answers)
    assert (there.failure is None) == (here.failure is None)


@pytest.mark.parametrize(
    ("name", "device", "text", "ahead"),
    [
        ("torch", "cpu", "", True),
        ("torch", "cuda", "", False),
        ("torch:capturable", "cpu", "", False),
        ("mine.py:X", "cpu", "import torch\n", True),
        ("mine.py:X", "cpu", "import os\nos.environ['OMP_NUM_THREADS'] = '1'\nimport torch\n", False),
        ("mine.py:X", "cpu", "import numpy\n", False),
        ("mine:X", "cpu", "from torch import optim\n", True),
        ("nowhere:X", "cpu", "", False),
    ],
)
def test_a_framework_is_imported_ahead_where_that_changes_nothing(
    name: str, device: str, text: str, ahead: bool, tmp_path: Path
) -> None:
    """Not on a GPU, nor for a file that sets what an import may read, nor for one that has no need of it."""
    (tmp_path / "mine.py").write_text(text)
    assert bool(_modules(name, device)) is ahead
