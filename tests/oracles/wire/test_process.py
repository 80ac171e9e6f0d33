"""A subject in a process of its own: the wire carries everything, and no process that misbehaves can hurt the suite."""

from __future__ import annotations

import copy
import gc
import io
import json
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import referencing

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.dialect import SPECIFICATION, dialect_named
from rmspec.oracles import FEATURES, OPTIONS, Subject, load
from rmspec.oracles.errors import (
    CannotStart,
    MalformedProgram,
    ProtocolBroken,
    SubjectFailed,
    SubjectHung,
    UnknownSubject,
)
from rmspec.oracles.host.perform import perform
from rmspec.oracles.numpy.subject import ReferenceSubject
from rmspec.oracles.program.program import Create, Differentiate, Group, Param, Program, SetGrad, Step
from rmspec.oracles.serve import Server, serve
from rmspec.oracles.subject import ANNOUNCED, Observation
from rmspec.oracles.wire.schema import violation
from rmspec.oracles.wire.subject import ProcessSubject
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.runner import judge, run
from rmspec.properties.search.corpus import corpus
from rmspec.properties.search.fitting import admit
from rmspec.properties.search.machine import generate
from rmspec.properties.search.sweeps import sweep

EXAMPLES = Path(__file__).parents[2] / "examples"
CREATE = Create("A", (Group(("p",)),))
STEP = Step("A")

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="the example in JavaScript needs node")


def command(*words: str | Path) -> str:
    return "process:" + shlex.join(str(word) for word in words)


def served(subject: str) -> str:
    return command(sys.executable, "-m", "rmspec.oracles.serve", subject)


def example(name: str, *arguments: str) -> str:
    runtime = "node" if name.endswith(".mjs") else sys.executable
    return command(runtime, EXAMPLES / name, *arguments)


def broken(fault: str, timeout: float = 30.0) -> ProcessSubject:
    return ProcessSubject(example("broken.py", fault), timeout=timeout)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def programs() -> tuple[Program, ...]:
    stored = (each for each in corpus() if not any(isinstance(call, Differentiate) for call in each.calls))
    return (*stored, *generate(7, 15), *(sweep(7, index, wide=0) for index in range(40)))


def deviations(subject: Subject) -> tuple[list[Finding], int]:
    """What the subject does wrong in the programs that it can be asked, and how many those are."""
    capabilities, dialect = subject.capabilities(), dialect_named(subject.dialect)
    asked = [admitted for program in programs() if (admitted := admit(program, capabilities)) is not None]
    found = [finding for program in asked for finding in run(program, subject, dialect).findings]
    return [finding for finding in found if not finding.hazard], len(asked)


def comparable(value: Any) -> Any:
    """A value in which two NaNs are one, and all else is told apart to the last bit."""
    if isinstance(value, np.ndarray):
        canonical = np.where(np.isnan(value), np.array(np.nan, value.dtype), value)
        parts = (value.real, value.imag) if value.dtype.kind == "c" else (canonical,)
        return str(value.dtype), value.shape, [[str(each) for each in part.astype(float).ravel()] for part in parts]
    if isinstance(value, Mapping):
        return {key: comparable(each) for key, each in value.items()}
    if isinstance(value, Observation):
        return {name: comparable(getattr(value, name)) for name in value.__slots__}
    return value


# -- the wire carries everything


def test_the_wire_shows_what_the_subject_shows() -> None:
    """Outcomes and observations of the reference are the same through a process as without, call by call."""
    inside = ReferenceSubject()
    with ProcessSubject(served("reference")) as outside:
        assert outside.capabilities() == inside.capabilities()
        assert outside.versions() == inside.versions()
        assert outside.state_names() == inside.state_names()
        for program in programs():
            here, there = inside.session(program.params), outside.session(program.params)
            assert comparable(there.observe()) == comparable(here.observe())
            for call in program.calls:
                assert there.perform(call) == here.perform(call)
                assert comparable(there.observe()) == comparable(here.observe())
            there.close()


def test_every_number_survives_the_wire() -> None:
    """Signed zeros, subnormals, the largest numbers, infinities and NaN arrive in every format as they left."""
    with ProcessSubject(served("reference")) as subject:
        for name, fmt in FORMATS.items():
            tiny, large = fmt.part.smallest_subnormal, fmt.part.max_finite
            values = (0.0, -0.0, tiny, -3 * tiny, large, -large, float("inf"), float("-inf"), float("nan"), 1.5)
            params = (
                Param("p", name, (10 // fmt.parts,), values),
                Param("empty", name, (2, 0)),
                Param("bare", name, ()),
            )
            here, there = ReferenceSubject().session(params), subject.session(params)
            assert comparable(there.observe()) == comparable(here.observe())


def test_a_process_announces_its_dialect() -> None:
    """The dialect is the one that the process names, and asking for it starts the process."""
    with ProcessSubject(served("reference:graves2013")) as subject:
        assert subject.dialect == "graves2013"


def test_a_process_that_names_no_dialect_claims_the_specification() -> None:
    """Without a word from the process the dialect is torch."""
    with broken("nothing") as subject:
        assert subject.dialect == "torch"


def test_the_loader_makes_process_subjects() -> None:
    """A name that begins with process: is loaded without starting anything, and keeps its name."""
    name = command("no-such-command-anywhere", "--flag")
    subject = load(name)
    assert isinstance(subject, ProcessSubject)
    assert (subject.name, subject.framework, subject.baselines, subject.pid) == (name, "process", (), None)


def test_what_a_process_lacks_is_said() -> None:
    """An option that is not announced takes its feature away, with a reason."""
    with broken("nothing") as subject:
        capabilities = subject.capabilities()
    assert capabilities.features == {"closure"}
    assert capabilities.missing["momentum"] == "its constructor takes no momentum"
    assert capabilities.roles == frozenset()


# -- subjects without rmspec


@needs_node
def test_the_example_in_javascript_conforms() -> None:
    """A correct optimizer in JavaScript passes every program that it can be asked."""
    with ProcessSubject(example("rmsprop.mjs")) as subject:
        found, asked = deviations(subject)
    assert found == []
    assert asked > 40


@needs_node
def test_the_fault_in_javascript_is_caught() -> None:
    """The same optimizer with eps inside the root deviates."""
    with ProcessSubject(example("rmsprop.mjs", "--eps-inside")) as subject:
        found, _ = deviations(subject)
    assert {"update", "momentum-buffer"} & {finding.clause for finding in found}


def test_the_smallest_example_conforms() -> None:
    """Seventy lines of Python that know nothing of rmspec, and hide their state, pass what they can be asked."""
    with ProcessSubject(example("smallest.py")) as subject:
        found, asked = deviations(subject)
    assert found == []
    assert asked > 40


# -- processes that misbehave


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("exits-at-start", CannotStart, "ended with status 1 before it said hello. its standard error ends: no such"),
        ("refuses-at-start", CannotStart, "no licence. buy one"),
        ("closes-at-start", ProtocolBroken, "closed its standard output"),
        ("banner", ProtocolBroken, "not JSON. it wrote 'Welcome to the optimizer!'"),
        ("other-version", ProtocolBroken, "at protocol: 'rmspec.wire/1' was expected"),
        ("unknown-dialect", ProtocolBroken, "did you mean torch?"),
        ("unknown-feature", ProtocolBroken, "'telepathy' is not one of"),
    ],
)
def test_a_process_that_cannot_say_hello(fault: str, error: type[RmspecError], says: str) -> None:
    """A process that does not get as far as its hello is refused by name, with what it wrote."""
    subject = broken(fault)
    with pytest.raises(error) as caught:
        subject.capabilities()
    assert says in str(caught.value)
    assert subject.pid is None


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("garbage", r"not JSON. it wrote 'step 1: loss=\x1b[31m0.5\x1b[0m'"),
        ("list", "not an object. it wrote '[1, 2]'"),
        ("deep", "not JSON"),
        ("bytes", r"it wrote '\\xff\\xfe'"),
        ("json-nan", "not JSON"),
        ("exits", "status 3 when 'performed' was due. its standard error ends: Traceback | ValueError: boom"),
        ("aborts", "signal SIGABRT"),
        ("closes-stdout", "closed its standard output when 'performed' was due"),
        ("wrong-id", "replied to request 4, not to request 3"),
        ("started-again", "at reply: 'performed' was expected"),
        ("decimal", "at observation/params/p/values/0: '1.0' does not match"),
        ("not-float32", "the parameter p has the value 0x1.0000000000001p+0, which is no float32 number"),
        ("beyond-float64", "beyond float64"),
        ("too-many-values", "the parameter p has 2 values, not the 1 of its shape"),
        ("other-shape", "the parameter p is float32 [2], not float32 [1] as declared"),
        ("no-param", "its params are none, not p"),
        ("stranger", "its grads are p, q, not p"),
    ],
)
def test_a_process_that_breaks_the_protocol(fault: str, says: str) -> None:
    """A reply that the protocol does not allow names what is wrong with it and ends the process, once."""
    subject = broken(fault)
    session = subject.session((Param("p"),))
    first = subject.pid
    with pytest.raises(ProtocolBroken) as caught:
        session.perform(CREATE)
    assert says in str(caught.value)
    assert first is not None
    assert not alive(first)
    session.close()
    with pytest.raises(SubjectFailed, match="is over"):
        session.perform(STEP)


def test_a_reply_too_many_is_found_at_the_next_request() -> None:
    """A process that replies twice is caught by the id of the second reply."""
    session = broken("speaks-twice").session((Param("p"),))
    session.perform(CREATE)
    with pytest.raises(ProtocolBroken, match="replied to request 3, not to request 4"):
        session.perform(STEP)


def test_the_report_of_a_closure_is_due() -> None:
    """A step with a closure whose outcome says nothing of it could hide a closure that never ran."""
    session = broken("nothing").session((Param("p"),))
    session.perform(CREATE)
    with pytest.raises(ProtocolBroken, match="no report of the closure"):
        session.perform(Step("A", "returns", {}, 0.5))


@pytest.mark.parametrize("fault", ["hangs", "half-a-line"])
def test_a_process_that_hangs_is_killed(fault: str) -> None:
    """A reply that does not come in time, or comes without its end, costs the timeout and no more."""
    subject = broken(fault, timeout=2)
    session = subject.session((Param("p"),))
    pid = subject.pid
    with pytest.raises(SubjectHung, match="did not reply to 'perform' within 2 s and was killed"):
        session.perform(CREATE)
    assert pid is not None
    assert not alive(pid)


def test_a_process_that_does_not_read_cannot_block_the_suite() -> None:
    """A request that is larger than any pipe, to a process that reads nothing, ends as a hang does."""
    subject = broken("deaf", timeout=2)
    with pytest.raises(SubjectHung, match="did not reply to 'start'"):
        subject.session((Param("p", "float32", (100_000,), tuple(float(each) for each in range(100_000))),))


def test_a_flood_on_standard_error_blocks_nobody() -> None:
    """Two million bytes on standard error are drained, and the reply after them is read."""
    with broken("floods-stderr") as subject:
        session = subject.session((Param("p"),))
        assert session.perform(CREATE).raised is None
        assert session.perform(STEP).raised is None


def test_a_failure_that_the_process_admits_leaves_it_running() -> None:
    """The reply failed is an error with its message, and the session can be closed in good order."""
    with broken("cannot") as subject:
        session = subject.session((Param("p"),))
        with pytest.raises(SubjectFailed, match="failed: out of memory"):
            session.perform(CREATE)
        session.close()
        assert subject.pid is not None


def test_a_process_that_failed_is_started_afresh() -> None:
    """After a crash the next session has a new process."""
    with broken("exits") as subject:
        session = subject.session((Param("p"),))
        first = subject.pid
        with pytest.raises(ProtocolBroken):
            session.perform(CREATE)
        assert subject.session((Param("p"),)).observe().grads == {"p": None}
        assert subject.pid not in (None, first)


def test_a_session_ends_the_one_before_it() -> None:
    """One process serves one session at a time, and the older one says so."""
    with broken("nothing") as subject:
        old, new = subject.session((Param("p"),)), subject.session((Param("p"),))
        with pytest.raises(SubjectFailed, match="one at a time"):
            old.perform(CREATE)
        old.close()
        assert new.perform(CREATE).raised is None


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("no-such-command-anywhere --flag", "no-such-command-anywhere: No such file or directory"),
        (str(EXAMPLES), "Permission denied"),
        ("'' x", "cannot be started"),
    ],
)
def test_a_command_that_cannot_run(words: str, says: str) -> None:
    """A command that is not there, or is no program, cannot start; the error names it."""
    with pytest.raises(CannotStart) as caught:
        ProcessSubject(f"process:{words}").capabilities()
    assert says in str(caught.value)


@pytest.mark.parametrize("words", ["", "  ", "python 'mine.py"])
def test_a_command_that_cannot_be_read(words: str) -> None:
    """A name without a command, or with an open quote, is the user's slip."""
    with pytest.raises(UnknownSubject):
        ProcessSubject(f"process:{words}")


def test_a_program_that_the_schema_refuses_is_not_sent() -> None:
    """What is no program in JSON is refused before the process sees it, and the process runs on."""
    with broken("nothing") as subject:
        with pytest.raises(MalformedProgram, match="params/0/name"):
            subject.session((Param("layer.0"),))
        assert subject.session((Param("p"),)).observe().grads == {"p": None}


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    """What would be a redirection in a shell is an argument here."""
    marker = tmp_path / "marker"
    with pytest.raises(CannotStart):
        ProcessSubject(f"process:{sys.executable} -c 'raise SystemExit(1)' > {marker}").capabilities()
    assert not marker.exists()


def test_a_process_ends_when_it_is_told_to() -> None:
    """Closing the subject ends its process, even one that takes no bye."""
    subject = broken("nothing")
    subject.capabilities()
    pid = subject.pid
    assert pid is not None
    subject.close()
    assert not alive(pid)
    assert subject.pid is None


def test_a_process_ends_with_its_subject() -> None:
    """A subject that nobody holds any more takes its process with it."""
    subject = broken("nothing")
    subject.capabilities()
    pid = subject.pid
    assert pid is not None
    del subject
    gc.collect()
    assert not alive(pid)


def test_a_process_ends_with_the_interpreter() -> None:
    """An interpreter that ends in the middle of a session leaves no process behind."""
    code = (
        "from rmspec.oracles.wire.subject import ProcessSubject\n"
        "from rmspec.oracles.program.program import Param\n"
        f"subject = ProcessSubject({example('broken.py', 'nothing')!r})\n"
        "session = subject.session((Param('p'),))\n"
        "print(subject.pid)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not alive(int(done.stdout))
    assert done.stderr == ""


def test_what_a_command_starts_ends_with_it() -> None:
    """A shell that runs the subject is killed together with the subject: nobody holds the pipes any more."""
    before = set(threading.enumerate())
    inner = shlex.join([sys.executable, str(EXAMPLES / "broken.py"), "nothing"])
    subject = ProcessSubject(command("sh", "-c", f"{inner}; :"))
    subject.session((Param("p"),))
    ours = set(threading.enumerate()) - before
    assert len(ours) == 3
    subject.close()
    for thread in ours:
        thread.join(10)
    assert [thread.name for thread in ours if thread.is_alive()] == []


# -- the server


def answers(*lines: bytes) -> list[dict[str, Any]]:
    replies = io.BytesIO()
    serve(Server(ReferenceSubject), lines, replies)
    return [json.loads(line) for line in replies.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"nonsense\n", "not JSON"),
        (b"[]\n", "not a request"),
        (b'{"id": 1, "request": "dance"}\n', "not a request"),
        (b'{"id": 0, "request": "close"}\n', "at id: 0 is less than the minimum"),
        (b'{"id": 1, "request": "hello", "protocol": "rmspec.wire/2"}\n', "at protocol"),
        (b'{"id": 1, "request": "perform", "call": {"op": "step", "optimizer": "A"}}\n', "no session was started"),
        (b'{"id": 1, "request": "start", "params": [{"name": "p", "values": []}]}\n', "at params/0/values"),
    ],
)
def test_the_server_refuses_what_is_no_request(line: bytes, says: str) -> None:
    """A line that the schema does not allow gets the reply failed, and the server goes on."""
    refused, bye = answers(line, b'{"id": 2, "request": "bye"}\n')
    assert refused["reply"] == "failed"
    assert says in refused["message"]
    assert bye == {"id": 2, "reply": "bye"}


def test_the_server_says_why_a_subject_does_not_load() -> None:
    """A name that leads nowhere is a process that cannot start, with the loader's reason and hint."""
    with pytest.raises(CannotStart, match=r"did you mean reference\?.*rmspec subjects lists"):
        ProcessSubject(served("referense")).capabilities()


def test_what_a_subject_prints_stays_off_the_wire(tmp_path: Path) -> None:
    """A subject may print, from Python or below it: the wire is not its standard output."""
    source = (
        "import os\n"
        "from rmspec.oracles.numpy.subject import ReferenceSubject\n"
        "class Loud(ReferenceSubject):\n"
        "    def session(self, params):\n"
        "        print('hello', flush=True)\n"
        "        os.system('echo hello')\n"
        "        return super().session(params)\n"
        "subject = Loud()\n"
    )
    (tmp_path / "loud.py").write_text(source)
    with ProcessSubject(served(f"{tmp_path / 'loud.py'}:subject")) as subject:
        session = subject.session((Param("p"),))
        assert session.perform(CREATE).raised is None


def test_an_exception_of_the_optimizer_is_an_outcome() -> None:
    """What the optimizer raises comes back with its type and message, and the session goes on."""
    with ProcessSubject(served("reference")) as subject:
        session = subject.session((Param("p"),))
        raised = session.perform(Create("A", (Group(("p",)),), {"lr": -1.0})).raised
        assert raised is not None
        assert (raised.type, raised.message) == ("ValueError", "invalid lr: -1.0: it must be 0 or larger")
        assert session.perform(CREATE).raised is None


def test_derivatives_come_over_the_wire_and_are_asked_of_whom_announces_them() -> None:
    """They are those of the subject itself; any other process is asked for none."""
    pytest.importorskip("torch")
    name = "rmspec.oracles.faults.base:DifferentiableRMSprop:differentiable"
    asked = next(each for each in corpus() if any(isinstance(call, Differentiate) for call in each.calls))
    with ProcessSubject(served(name)) as subject:
        assert admit(asked, subject.capabilities()) == asked
        there, here = perform(asked, subject), perform(asked, load(name))
        assert there.answers[-1].outcome.derivatives == here.answers[-1].outcome.derivatives != {}
        assert judge(there, SPECIFICATION).findings == ()
    with ProcessSubject(served("reference")) as subject:
        assert admit(asked, subject.capabilities()) is None


# -- the schema


def schema(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((files("rmspec.oracles") / "schemas" / f"{name}-1.json").read_text("utf-8"))
    return loaded


def published() -> Any:
    """The schema as anyone can use it: references looked up in a registry of the two documents."""
    resources = [referencing.Resource.from_contents(schema(name)) for name in ("wire", "program")]
    registry: Any = referencing.Registry().with_resources((str(each.id()), each) for each in resources)
    return jsonschema.Draft202012Validator({"$ref": "urn:rmspec:wire:1"}, registry=registry)


REAL = "0x1.8000000000000p-3"
ARRAY = {"dtype": "complex64", "shape": [1, 1], "values": [REAL, "-inf"]}
MESSAGES: dict[str, dict[str, Any]] = {
    "request_hello": {"id": 1, "request": "hello", "protocol": "rmspec.wire/1"},
    "request_start": {"id": 2, "request": "start", "params": [{"name": "p", "shape": [], "values": [REAL]}]},
    "request_perform": {"id": 3, "request": "perform", "call": {"op": "step", "optimizer": "A"}},
    "request_close": {"id": 4, "request": "close"},
    "request_bye": {"id": 5, "request": "bye"},
    "reply_hello": {
        "id": 1,
        "reply": "hello",
        "protocol": "rmspec.wire/1",
        "formats": ["float32"],
        "options": ["lr"],
        "features": ["groups"],
        "missing": {"hooks": "it has none"},
        "roles": ["square_avg"],
        "state_names": {"square_avg": "rms"},
        "dialect": "keras3",
        "versions": {"node": "20"},
    },
    "reply_started": {"id": 2, "reply": "started", "observation": {"params": {"p": ARRAY}, "grads": {"p": None}}},
    "reply_performed": {
        "id": 3,
        "reply": "performed",
        "outcome": {
            "raised": {"type": "E", "message": "m"},
            "closure": {"calls": 1, "grad_enabled": True, "moved_before": False, "returned": REAL},
            "hooks": [1, 1],
            "hook_runs": [{"kind": "pre", "number": 0, "optimizer": True, "misplaced": False}],
            "mode_left": "disabled",
            "held_changed": "p",
            "caller_dict_changed": False,
            "derivatives": {"start": [REAL, "-inf"], "grad-1": [REAL]},
        },
        "observation": {
            "params": {"p": ARRAY},
            "grads": {"p": ARRAY},
            "groups": {"A": [{"params": ["p", "?"], "options": {"lr": REAL, "centered": True}}], "B": None},
            "state": {"A": {"p": {"square_avg": ARRAY}}},
            "slots": {"s": {"0": {"momentum_buffer": ARRAY}}},
        },
    },
    "reply_closed": {"id": 4, "reply": "closed"},
    "reply_bye": {"id": 5, "reply": "bye"},
    "reply_failed": {"id": 6, "reply": "failed", "message": "why", "hint": "instead"},
}
OPTIONAL = {
    "missing",
    "roles",
    "state_names",
    "dialect",
    "versions",
    "hint",
    "groups",
    "state",
    "slots",
    "shape",
    "values",
} | {
    "raised",
    "closure",
    "hooks",
    "hook_runs",
    "mode_left",
    "held_changed",
    "caller_dict_changed",
    "derivatives",
}
FREE = {
    "derivatives",
    "params",
    "grads",
    "groups",
    "state",
    "slots",
    "missing",
    "versions",
    "state_names",
    "A",
    "p",
    "s",
    "0",
}
"""Keys of objects whose keys are names of the user's, or may be missing."""


def mutations(message: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Versions of a message with one thing wrong: a key less, a key more, a number where there is none, and so on."""
    where = "/".join(map(str, path))
    if isinstance(message, dict):
        owned = not path or path[-1] not in FREE or isinstance(message.get("params"), dict)
        for key, value in message.items():
            if owned and key not in OPTIONAL and key not in ("lr", "centered", "square_avg", "momentum_buffer"):
                yield f"without {where}/{key}", {name: each for name, each in message.items() if name != key}
            for what, changed in mutations(value, (*path, key)):
                yield what, {**message, key: changed}
        if owned:
            yield f"more in {where}", {**message, "extra": 1}
        yield f"a list at {where}", [message]
    elif isinstance(message, list):
        for index, value in enumerate(message):
            for what, changed in mutations(value, (*path, index)):
                yield what, [*message[:index], changed, *message[index + 1 :]]
        yield f"an object at {where}", {"0": message}
    elif isinstance(message, str):
        yield f"a number at {where}", 0.5
        if message in (REAL, "-inf"):
            for text in ("0.5", "0X1P+0", "Infinity", "1p+0", "", f"{REAL}\n{REAL}"):
                yield f"{text!r} at {where}", text
    elif isinstance(message, bool) or message is None:
        yield f"a word at {where}", "yes"
    else:
        yield f"a negative number at {where}", -1
        yield f"a word at {where}", "1"
        yield f"true at {where}", True


@pytest.mark.parametrize("name", ["wire", "program"])
def test_a_schema_is_a_schema(name: str) -> None:
    """The published documents are themselves valid."""
    jsonschema.Draft202012Validator.check_schema(schema(name))


def test_every_message_has_an_example_here() -> None:
    """The examples of this file cover the definitions of the schema, each direction."""
    assert MESSAGES.keys() == {name for name in schema("wire")["$defs"] if name.startswith(("request_", "reply_"))}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_valid(name: str) -> None:
    """The examples follow the published schema, and the suite's own way of reading it."""
    assert published().is_valid(MESSAGES[name])
    assert violation(MESSAGES[name], name) == ""


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_with_one_thing_wrong_is_invalid(name: str) -> None:
    """Both ways of reading the schema refuse every mutation of an example."""
    validator, count = published(), 0
    for what, changed in mutations(copy.deepcopy(MESSAGES[name])):
        assert not validator.is_valid(changed), what
        assert violation(changed, name) != "", what
        count += 1
    assert count > 5


@pytest.mark.parametrize("name", MESSAGES)
def test_a_message_is_no_other_message(name: str) -> None:
    """No example passes for another kind of message."""
    assert [other for other in MESSAGES if violation(MESSAGES[name], other) == ""] == [name]


@pytest.mark.parametrize("values", [[REAL, 1], [1], [REAL, "0x1p+0 "], [f"{REAL}\n{REAL}"], [None], ["", ""], [[REAL]]])
def test_the_fast_way_through_numbers_lets_nothing_pass(values: list[Any]) -> None:
    """A list of numbers with one that is none is refused, wherever it stands."""
    message = copy.deepcopy(MESSAGES["reply_started"])
    message["observation"]["params"]["p"]["values"] = values
    assert violation(message, "reply_started").startswith("at observation/params/p/values")
    assert not published().is_valid(message)


def test_the_schema_knows_the_vocabulary() -> None:
    """Features, options, roles and formats are those of the code, in its order."""
    wire, program = schema("wire")["$defs"], schema("program")["$defs"]
    assert wire["feature"]["enum"] == [*FEATURES, *ANNOUNCED]
    assert wire["option_name"]["enum"] == list(OPTIONS)
    assert wire["role"]["enum"] == list(STATE_ROLES)
    assert set(program["dtype"]["enum"]) == set(FORMATS)


def test_a_gradient_set_by_a_program_is_shown() -> None:
    """The observation of a reply is the state after its call, not before."""
    with ProcessSubject(served("reference")) as subject:
        session = subject.session((Param("p", "float32", (3,), (1.0,)),))
        session.perform(SetGrad("p", (0.5, 2.0)))
        shown = session.observe().grads["p"]
        assert shown is not None
        assert shown.tolist() == [0.5, 2.0, 0.5]
