"""Scripts that are run before they are printed: how each may end, side by side, and nothing is left of one."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.properties.events import (
    Deviation,
    DeviationFound,
    DeviationPending,
    Event,
    ScriptOutcome,
    SubjectFinished,
    SubjectResult,
)
from rmspec.properties.settings import Settings
from rmspec.reports.run import scripts, worker
from rmspec.reports.run.checking import Checking, _Current
from rmspec.reports.run.scripts import ScriptRuns
from rmspec.reports.text import script_note

PROGRAM = Program(
    (Param("p", "float32", (1,), (1.0,)),),
    (Create("A", (Group(("p",)),)), SetGrad("p", (2.0,)), Step("A")),
    subject="mine.py:Mine",
)
DEVIATION = Deviation(
    "update", "p is 1.0", PROGRAM, "value", 2, "A", "p", "param", allowed=(0.0, 0.5), framework="torch"
)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts to be written next, in place of those of deviations; no framework is imported ahead."""
    waiting: list[str] = []
    monkeypatch.setattr(scripts, "standalone_script", lambda _: waiting.pop(0))
    monkeypatch.setattr(scripts, "_imported_ahead", lambda *_: ("json",))
    return waiting


@pytest.fixture
def runs() -> Iterator[ScriptRuns]:
    """A process for scripts, which ends with the test."""
    with ScriptRuns() as runs:
        yield runs


def outcome(
    runs: ScriptRuns, written: list[str], script: str, kind: str = "value", seconds: float = 20.0
) -> ScriptOutcome:
    """What becomes of a script of a deviation of this ``kind``."""
    written.append(script)
    deviation = replace(DEVIATION, kind=kind, observed="KeyError: 'lr'" if kind == "raised" else 1.0)
    run = runs.begin(deviation, Settings(call_timeout=seconds))
    assert run is not None
    found = run.outcome()
    assert found is not None
    return found


ENDS = {
    "its own assertion": ("assert 1 > 2, 3", "value", True, ""),
    "a silence that is told": ("raise SystemExit('it is silent')", "silent", True, ""),
    "the exception of the deviation": ("{}['lr']", "raised", True, ""),
    "a pass": ("print('fine')", "value", False, "it passes"),
    "another exception": ("{}['lr']", "value", False, "it ends in KeyError: 'lr'"),
    "another exception than that of the deviation": ("int('x')", "raised", False, "it ends in ValueError: invalid"),
    "an exit": ("import sys; sys.exit()", "raised", False, "it passes"),
    "a name that is missing": ("value = torch.zeros(1)", "value", False, "it ends in NameError: name 'torch'"),
    "an assertion of somebody else": (
        "import types; m = types.ModuleType('m')\nexec(compile('def f(): assert 0', 'm.py', 'exec'), vars(m)); m.f()",
        "value",
        False,
        "it ends in AssertionError",
    ),
    "an end of its process": ("import os; os._exit(0)", "value", False, "it ends its own process"),
    "a signal": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "value", False, "it ends its own process"),
    "no syntax": ("assert (", "value", False, "it ends in SyntaxError"),
}


@pytest.mark.parametrize("end", ENDS)
def test_only_the_failure_of_the_deviation_shows_it(end: str, runs: ScriptRuns, written: list[str]) -> None:
    """An assertion of the script itself does, or the exception that was observed; whatever else happens is said."""
    script, kind, shows, told = ENDS[end]
    found = outcome(runs, written, script, kind)
    assert found.shows is shows
    assert found.end.startswith(told)
    assert bool(found.end) is not shows


def test_nothing_of_rmspec_is_in_the_process_of_a_script(runs: ScriptRuns, written: list[str]) -> None:
    """It is the main module, and neither rmspec nor what it needs is imported; the folder is behind all else on the path."""
    script = (
        "import os, sys\n"
        "assert not [name for name in sys.modules if name.startswith(('rmspec', 'numpy'))], sorted(sys.modules)\n"
        "assert sys.modules['__main__'].os is os and sys.argv == ['script.py'] and os.getcwd() in sys.path"
    )
    assert outcome(runs, written, script) == ScriptOutcome(False, "it passes")


def test_a_script_without_an_end_is_ended_with_all_that_it_started(
    runs: ScriptRuns, written: list[str], tmp_path: Path
) -> None:
    """After the time limit the script is told not to have ended, and a process of its own is gone too."""
    script = (
        "import os, subprocess, time\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))\n"
        "time.sleep(60)"
    )
    found = outcome(runs, written, script, seconds=1.0)
    assert found == ScriptOutcome(False, "it did not end within 1 s")
    gone(int((tmp_path / "pid").read_text()))


def gone(pid: int) -> None:
    """Wait until there is no such process, or only what is left of one that nobody has waited for."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    pytest.fail(f"process {pid} is left")


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_no_script_outlives_whoever_asked_for_it(killed: bool, written: list[str], tmp_path: Path) -> None:
    """Its process ends with the one that runs scripts, whether that is closed or killed."""
    with ScriptRuns() as runs:
        written.append(f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)")
        run = runs.begin(DEVIATION, Settings())
        assert run is not None
        deadline = time.monotonic() + 20
        while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not run.done
        if killed:
            run.process._process.kill()
            assert run.outcome() is None
            assert run.done
    gone(int((tmp_path / "pid").read_text()))


def test_scripts_run_side_by_side(runs: ScriptRuns, written: list[str], tmp_path: Path) -> None:
    """Three scripts that wait for each other all come to their end; each has its own answer."""
    meet = (
        "import os, time\n"
        "open(os.path.join({folder!r}, '{index}'), 'w').close()\n"
        "while len(os.listdir({folder!r})) < 3: time.sleep(0.01)\n"
        "assert {index} != 1"
    )
    written.extend(meet.format(folder=str(tmp_path), index=index) for index in range(3))
    begun = [runs.begin(DEVIATION, Settings(call_timeout=20.0)) for _ in range(3)]
    assert [run is not None and run.outcome() for run in begun] == [
        ScriptOutcome(False, "it passes"),
        ScriptOutcome(True),
        ScriptOutcome(False, "it passes"),
    ]


def test_what_is_printed_of_a_run() -> None:
    """Nothing where the script shows the deviation; else how it ended, or that it was not run."""
    assert script_note(DEVIATION) == " (not run)"
    assert script_note(replace(DEVIATION, script_run=ScriptOutcome(True))) == ""
    note = script_note(replace(DEVIATION, script_run=ScriptOutcome(False, "it passes")))
    assert note == " (it was run, and does not show the deviation: it passes)"


class TestWhileAScriptRuns:
    """The worker's events while the scripts of deviations run, and the report of a run that ends before they do."""

    def events(self, monkeypatch: pytest.MonkeyPatch, written: list[str], runs: ScriptRuns | None) -> list[Event]:
        """The events of a check with four new deviations and a known one, in the order in which they come."""
        found = [replace(DEVIATION, number=number) for number in range(1, 5)]
        known = replace(DEVIATION, known="listed")
        result = SubjectResult("mine.py:Mine", "deviates", deviations=(*found, known))
        events = [DeviationFound("mine.py:Mine", each) for each in (found[0], known, *found[1:])]
        monkeypatch.setattr(worker, "examine", lambda *_, **__: [*events, SubjectFinished(result)])
        monkeypatch.setattr(worker, "_tried_alone", lambda _, deviation, __: deviation)
        monkeypatch.setattr(worker, "Host", object)
        monkeypatch.setattr(worker, "_key", lambda deviation: (deviation.number, deviation.known))
        written.extend(["import time; time.sleep(0.3); assert 0", "pass", "assert 0"])
        return list(worker._rechecked(None, Settings(call_timeout=20.0), runs))  # type: ignore[arg-type]

    def test_three_are_run_and_all_keep_their_order(
        self, monkeypatch: pytest.MonkeyPatch, written: list[str], runs: ScriptRuns
    ) -> None:
        """Each is pending, with its name, until its script has ended; the result says the same."""
        events = self.events(monkeypatch, written, runs)
        published = [event.deviation for event in events if isinstance(event, DeviationFound)]
        assert [(each.number, each.known) for each in published] == [
            (1, None),
            (1, "listed"),
            (2, None),
            (3, None),
            (4, None),
        ]
        outcomes = [ScriptOutcome(True), None, ScriptOutcome(False, "it passes"), ScriptOutcome(True), None]
        assert [each.script_run for each in published] == outcomes
        assert all(event.named for event in events if isinstance(event, DeviationPending))
        assert isinstance(events[-1], SubjectFinished)
        kept = {(each.number, each.known): each.script_run for each in events[-1].result.deviations}
        assert kept == {(each.number, each.known): each.script_run for each in published}

    def test_without_scripts_nothing_waits(self, monkeypatch: pytest.MonkeyPatch, written: list[str]) -> None:
        """Under -q none is started, and no deviation is pending."""
        events = self.events(monkeypatch, written, None)
        assert not [event for event in events if isinstance(event, DeviationPending)]
        assert len(written) == 3

    def test_an_interrupted_report_has_what_waited(self) -> None:
        """A deviation whose script had not ended is there once; one that followed as found is not there twice."""
        checking = Checking(["mine.py:Mine"], Settings(), [])
        current = _Current("mine.py:Mine")
        first, second = (replace(DEVIATION, number=number, observed=float("nan")) for number in (1, 2))
        for deviation in (first, second):
            checking._heard(current, DeviationPending("mine.py:Mine", deviation, named=True))
        done = replace(first, script_run=ScriptOutcome(True))
        checking._heard(current, DeviationFound("mine.py:Mine", done))
        checking._settle(current)
        assert [(each.number, each.script_run) for each in current.deviations] == [(1, ScriptOutcome(True)), (2, None)]
