"""Real TensorFlow, Keras and optax: what they compute, what is known of them, and faults that are put into them."""

from __future__ import annotations

import functools
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from scripts import executed

from rmspec.impl.spec.dialect import DIALECTS, dialect_named
from rmspec.oracles.dialects import check_dialect
from rmspec.oracles.errors import RmspecError, Unsupported
from rmspec.oracles.host.perform import perform
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Create, Group, Load, Param, Program, Save, SetGrad, SetOption, Step
from rmspec.oracles.registry import registered_names
from rmspec.oracles.scripting.lines import MAX_LINES
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import check, examine, generated, replay
from rmspec.properties.events import Deviation, DeviationFound, SubjectFinished, SubjectResult
from rmspec.properties.judge.runner import run
from rmspec.properties.known import applies, shipped
from rmspec.properties.settings import Settings

pytest.importorskip("tensorflow")
pytest.importorskip("keras")

pytestmark = pytest.mark.frameworks

SUBJECTS = Path(__file__).parent / "subjects"
NAMES = [name for name, framework in registered_names().items() if framework.name in ("tensorflow", "keras", "optax")]
QUICK = [name for name in NAMES if "function" not in name]


@functools.cache
def programs() -> tuple[Program, ...]:
    """The programs of the search, generated once in a worker."""
    return generated(Settings(profile="smoke"))


@functools.cache
def subject(name: str) -> Any:
    """A registered subject; skipped where what it needs is missing."""
    try:
        return load(name)
    except Unsupported as error:
        pytest.skip(f"{error.what}; {error.hint}")


def checked(name: str, **changes: Any) -> tuple[SubjectResult, list[Deviation]]:
    """The result of a check, and the deviations in the order in which they were found."""
    settings = replace(Settings(profile="smoke", programs=programs()), **changes)
    found: list[Deviation] = []
    for event in examine(subject(name) if name in NAMES else load(name), settings):
        if isinstance(event, DeviationFound):
            found.append(event.deviation)
        elif isinstance(event, SubjectFinished):
            return event.result, found
    raise AssertionError("examine ends with SubjectFinished")


def how_it_ends(script: str, *, alone: bool = False) -> str:
    """The exception that a script ends with, empty without one; ``alone`` in a process of its own.

    Importing a framework takes seconds, so other scripts run here, but for those on a backend that Keras does not have here.
    """
    backend = re.search(r'^os.environ\["KERAS_BACKEND"\] = "(\w+)"', script, re.M)
    if alone or (backend and backend[1] != "tensorflow"):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode in (0, 1), done.stderr
        return done.stderr if done.returncode else ""
    failure = executed(script).failure
    return "" if failure is None else repr(failure)


@pytest.mark.parametrize("name", QUICK)
def test_what_a_registered_subject_does_is_known(name: str) -> None:
    """Nothing new deviates in the formats of daily use, no entry is stale, and every element check but a few decides."""
    result, found = checked(name, formats=("float32", "bfloat16", "float64"))
    assert [(each.clause, each.summary, each.program) for each in found if each.known is None and not each.hazard] == []
    assert result.stale == ()
    assert result.verdict == "known"
    assert result.element_checks > 10_000
    assert result.inconclusive_checks < result.element_checks / 10


@pytest.mark.parametrize("name", ["tensorflow:function", "tensorflow:v1-function", "keras:function"])
def test_the_same_holds_inside_a_function(name: str) -> None:
    """Traced, with numbers that change after the trace: the steps of a few programs lie in their envelopes."""
    tried = subject(name)
    dialect = dialect_named(tried.dialect)
    given = {"lr": 0.125, "alpha": 0.75, "eps": 0.0625, "momentum": 0.5}
    for extra in ({}, {"centered": True}):
        calls = (
            Create("A", (Group(("p",)),), {**given, **extra}, "list"),
            SetGrad("p", (0.5, -2.0, 3.0)),
            Step("A"),
            SetOption("A", 0, {"lr": 0.5}),
            Step("A"),
            SetGrad("p", (1.0,)),
            Step("A"),
        )
        program = Program((Param("p", "float32", (17,), (2.0, -1.0, 0.25)),), calls)
        assert [each.summary for each in run(program, tried, dialect).findings] == []


ENTRIES = [each for each in shipped() if not each.id.startswith("torch")]


@pytest.mark.parametrize("name", QUICK)
def test_each_entry_holds_on_every_subject_that_it_names(name: str) -> None:
    """Where a witness no longer deviates, the entry is stale, in whatever format the witness is."""
    tried = subject(name)
    entries = [each for each in ENTRIES if applies(each, tried.name, tried.versions())]
    assert entries or name == "optax"
    for entry in entries:
        assert entry.witness is not None
        if {param.dtype for param in entry.witness.params} <= set(tried.capabilities().formats):
            found = replay(tried, entry.witness, Settings())
            assert entry.id in {each.known for each in found}, entry.id


FIRST = {each.witness.subject: each.id for each in reversed(ENTRIES) if each.witness is not None}
"""By subject, the entry whose script runs in a process of its own: that it is complete shows once."""


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda each: each.id)
def test_every_entry_has_a_witness_and_a_script_that_shows_it(entry: Any) -> None:
    """The witness deviates by the entry's clause on the subject that it was found on, and so does its script, alone."""
    assert entry.witness is not None
    tried = subject(entry.witness.subject)
    assert applies(entry, tried.name, tried.versions())
    deviation = next(each for each in replay(tried, entry.witness, Settings()) if each.known == entry.id)
    script = standalone_script(deviation)
    assert script is not None
    assert len(script.splitlines()) <= MAX_LINES
    assert "rmspec" not in script
    ended = how_it_ends(script, alone=FIRST[tried.name] == entry.id)
    assert ended
    assert "NameError" not in ended


# -- the page's statement about TensorFlow


@pytest.mark.parametrize("name", ["tensorflow", "keras"])
def test_tensorflow_orders_the_root_and_eps_as_the_page_states(name: str) -> None:
    """Element by element against reference:tensorflow, whose only switch is the place of eps; torch's order is refused."""
    tried = subject(name)
    given = {"lr": 0.125, "alpha": 0.75, "eps": 0.0625, "momentum": 0.0, "weight_decay": 0.0, "centered": False}
    options = {key: value for key, value in given.items() if key in tried.capabilities().options}
    values = tuple(sign * 2.0**power for power in range(-12, 5) for sign in (1.0, -1.0))
    calls = (Create("A", (Group(("p",)),), options, "list"), SetGrad("p", values), Step("A"), Step("A"))
    program = Program((Param("p", "float64", (len(values),), (2.0, -0.5)),), calls)
    inside = replace(
        DIALECTS["tensorflow"], momentum_form=dialect_named(tried.dialect).momentum_form, lr_place="inside"
    )
    assert [each.summary for each in run(program, tried, inside).findings] == []
    assert run(program, tried, replace(inside, eps_place="outside")).findings


def test_the_documentation_of_keras_and_what_it_computes_differ_about_epsilon() -> None:
    """It calls epsilon the epsilon hat of Kingma and Ba, which stands outside the root; it computes it inside."""
    import keras

    assert '"epsilon hat" in the Kingma and Ba paper' in " ".join(str(keras.optimizers.RMSprop.__doc__).split())
    calls = (Create("A", (Group(("p",)),), {"eps": 0.0625}, "list"), SetGrad("p", (0.25,)), Step("A"))
    program = Program((Param("p"),), calls)
    assert run(program, subject("keras"), DIALECTS["keras3"]).findings == ()
    assert run(program, subject("keras"), replace(DIALECTS["keras3"], eps_place="outside")).findings


def test_the_documentation_of_keras_and_what_it_computes_differ_about_momentum() -> None:
    """It says that momentum decays at the rate 1 - momentum; it decays by the factor momentum."""
    import keras

    assert "decay rate equals to `1 - momentum`" in " ".join(str(keras.optimizers.RMSprop.__doc__).split())
    calls = (Create("A", (Group(("p",)),), {"momentum": 0.75}, "list"), SetGrad("p", (0.25,)), Step("A"), Step("A"))
    program = Program((Param("p"),), calls)
    assert run(program, subject("keras"), DIALECTS["keras3"]).findings == ()


# -- faults


FAULTS = [
    ("keras_faults.py:EpsOutside", "eps-placement"),
    ("keras_faults.py:LrOutside", "momentum-lr"),
    ("keras_faults.py:DecayInGradient", "weight-decay"),
    ("keras_faults.py:SparseTouchesOtherRows", "sparse-rows"),
    ("keras_faults.py:LoadsNothing", "load-state-dict"),
    ("v1_faults.py:TouchesOtherRows", "sparse-rows"),
    ("v1_faults.py:StartsAtZero", "init-square-avg"),
    ("v1_faults.py:IgnoresMomentum", "momentum-buffer"),
    ("optax_faults.py:eps_outside", "eps-placement"),
    ("optax_faults.py:starts_at_one", "init-square-avg"),
    ("optax_faults.py:climbs", "descent"),
    ("optax_faults.py:weak_momentum", "momentum-buffer"),
]


@pytest.mark.parametrize(("name", "clause"), FAULTS, ids=[name.split(":")[1] for name, _ in FAULTS])
def test_a_fault_is_caught_by_its_clause_and_shown_in_a_script(name: str, clause: str) -> None:
    """Its shortest program is one parameter of one element, or the rows that it takes, or one that saves and one that
    loads; the script fails by assertion."""
    if "optax" in name and importlib.util.find_spec("optax") is None:
        pytest.skip("optax is not installed; pip install 'rmspec[jax]'")
    _, found = checked(f"{SUBJECTS / name}", formats=("float32",), fail_fast=True)
    new = [each for each in found if each.known is None and not each.hazard]
    assert [each.clause for each in new] == [clause]
    assert len(new[0].program.params) == (2 if clause == "load-state-dict" else 1)
    script = standalone_script(new[0])
    assert script is not None
    assert len(script.splitlines()) <= MAX_LINES
    assert "AssertionError" in how_it_ends(script)


def _without_eps(op: Any) -> Any:
    return lambda **given: op(**{**given, "epsilon": given["epsilon"] * 0})


def _decaying_every_row(op: Any) -> Any:
    def apply(**given: Any) -> Any:
        tf = sys.modules["tensorflow"]
        held = tf.raw_ops.ReadVariableOp(resource=given["ms"], dtype=given["lr"].dtype)
        tf.raw_ops.AssignVariableOp(resource=given["ms"], value=held * given["rho"])
        return op(**given)

    return apply


@pytest.mark.parametrize(
    ("op", "fault", "clause"),
    [
        ("ResourceApplyRMSProp", _without_eps, "eps-placement"),
        ("ResourceSparseApplyRMSProp", _decaying_every_row, "sparse-rows"),
    ],
)
def test_a_fault_in_the_raw_operation_is_caught(
    op: str, fault: Any, clause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The operation itself is replaced by one that leaves eps out, or that decays the rows that are not named."""
    tried = subject("tensorflow")
    raw_ops = sys.modules["tensorflow"].raw_ops
    monkeypatch.setattr(raw_ops, op, fault(getattr(raw_ops, op)))
    settings = replace(Settings(profile="smoke", programs=programs()), formats=("float32",), fail_fast=True)
    found = [each.deviation for each in examine(tried, settings) if isinstance(each, DeviationFound)]
    assert [each.clause for each in found if each.known is None and not each.hazard] == [clause]


def test_the_script_of_a_state_that_is_not_loaded_passes_on_a_right_optimizer() -> None:
    """It compares with what was saved, when it was saved, and not with what the optimizer has later."""
    calls = (
        Create("A", (Group(("p",)),), {}, "list"),
        SetGrad("p", (2.0,)),
        Step("A"),
        Save("A", "s"),
        Step("A"),
        Load("A", "s"),
    )
    tried = load(f"{SUBJECTS / 'keras_faults.py'}:LoadsNothing")
    found = replay(tried, Program((Param("p"),), calls), replace(Settings(), baseline="none"))
    script = standalone_script(next(each for each in found if each.kind == "load"))
    assert script is not None
    assert how_it_ends(script)
    assert how_it_ends(script.replace("LoadsNothing(", "keras.optimizers.RMSprop(")) == ""


@pytest.mark.parametrize("name", ["keras_faults.py:Base", "keras_faults.py:OwnNames", "optax_faults.py:correct"])
def test_a_class_that_is_written_differently_passes(name: str) -> None:
    """What it inherits is inherited, and nothing else is found."""
    if "optax" in name and importlib.util.find_spec("optax") is None:
        pytest.skip("optax is not installed; pip install 'rmspec[jax]'")
    _, found = checked(f"{SUBJECTS / name}", formats=("float32", "bfloat16"), without=frozenset({"sparse"}))
    own = [each for each in found if each.known is None and not each.hazard and each.clause != "subnormals"]
    assert [(each.clause, each.summary, each.program) for each in own] == []


@pytest.mark.skipif(
    importlib.util.find_spec("optax") is None, reason="optax is not installed; pip install 'rmspec[jax]'"
)
def test_each_switch_of_a_factory_is_a_path_of_its_own() -> None:
    """It is judged by the dialect with the switch set; the factory that takes it and ignores it deviates there alone."""
    sound, faulty = (f"{SUBJECTS / 'optax_faults.py'}:{name}" for name in ("switched", "switched_wrongly"))
    assert dict(load(sound).capabilities().switches) == {"no_eps_in_sqrt": "", "nesterov": "", "bias_correction": ""}
    broken: dict[str, set[str]] = {}
    for name in (
        sound,
        *(f"{sound}:{path}" for path in ("no_eps_in_sqrt", "nesterov", "bias_correction")),
        faulty,
        f"{faulty}:no_eps_in_sqrt",
        f"{faulty}:nesterov",
    ):
        result = check(name, profile="smoke", formats=("float32",))
        assert result.element_checks > 10_000
        broken[name.rpartition(".py:")[2]] = {each.clause for each in result.deviations if each.known is None}
        for each in result.deviations:
            # What is stored names the dialect of the path.
            assert check_dialect(each.program.dialect) == result.dialect
    assert {name: clauses for name, clauses in broken.items() if clauses} == {
        "switched_wrongly:no_eps_in_sqrt": {"eps-placement"},
        "switched_wrongly:nesterov": {"momentum-update"},
    }


# -- the subjects themselves


def test_the_framework_of_a_users_class_is_detected() -> None:
    """By what it derives from, or by what it makes."""
    expected = {"keras_faults.py:Base": "keras", "v1_faults.py:StartsAtZero": "tensorflow"}
    if importlib.util.find_spec("optax") is not None:
        expected["optax_faults.py:correct"] = "optax"
    assert {name: load(f"{SUBJECTS / name}").framework for name in expected} == expected


@pytest.mark.parametrize("name", QUICK)
def test_capabilities_name_a_reason_for_each_feature_that_is_missing(name: str) -> None:
    """The report prints it behind each clause that was not checked."""
    capabilities = subject(name).capabilities()
    assert set(capabilities.missing).isdisjoint(capabilities.features)
    assert capabilities.required <= capabilities.options
    assert capabilities.changeable <= capabilities.options
    assert capabilities.carried <= capabilities.options


@pytest.mark.parametrize("name", ["tensorflow", "tensorflow:v1", "keras"])
def test_other_devices_are_refused(name: str) -> None:
    """What cannot be checked is said, not silently checked on the CPU."""
    with pytest.raises(Unsupported, match="CPU"):
        load(name, device="cuda")


@pytest.mark.parametrize("name", ["optax", "tensorflow", "tensorflow:v1", "keras"])
def test_the_arrays_tell_that_they_are_on_the_cpu(name: str) -> None:
    """It is read from them, and goes into the report."""
    short = Program(
        (Param("p"),), (Create("A", (Group(("p",)),), {"lr": 0.125}, "list"), SetGrad("p", (0.5,)), Step("A"))
    )
    assert perform(short, subject(name)).devices == ("cpu",)


def test_jax_is_kept_on_the_cpu_during_a_session_alone() -> None:
    """Whatever device it takes by itself, which stays as it was for everybody else."""
    jax = pytest.importorskip("jax")
    met = []
    before = jax.config.jax_default_device

    def factory(learning_rate: float, decay: float = 0.9, eps: float = 1e-8) -> Any:
        met.append(jax.config.jax_default_device)
        return jax_optimizer(learning_rate, decay, eps)

    jax_optimizer = pytest.importorskip("optax").rmsprop
    driven = import_module("rmspec.oracles.optax.subject").user_subject("Mine", factory, "cpu")
    driven.session((Param("p"),)).perform(Create("A", (Group(("p",)),), {"lr": 0.125}, "list"))
    assert {device.platform for device in met} == {"cpu"}
    assert jax.config.jax_default_device == before


def test_the_state_of_a_checkpoint_comes_back_in_every_form() -> None:
    """Through Keras's own store, a copy, a pickle and its file; through TensorFlow's checkpoint."""
    for name in ("keras", "tensorflow:v1"):
        tried = subject(name)
        for via in ("state_dict", "deepcopy", "pickle", "file"):
            calls = (
                Create("A", (Group(("p",)),), {"lr": 0.125, "momentum": 0.5}, "list"),
                SetGrad("p", (0.5, -2.0)),
                Step("A"),
                Save("A", "s", via),
                Step("A"),
            )
            session = tried.session((Param("p", "bfloat16", (3,), (1.0, 2.0)),))
            assert [outcome.raised for outcome in map(session.perform, calls[:4])] == [None] * 4
            saved = session.observe().state["A"]["p"]
            session.perform(calls[4])
            from rmspec.oracles.program.program import Load

            assert session.perform(Load("A", "s")).raised is None
            for role, values in session.observe().state["A"]["p"].items():
                assert values.tobytes() == saved[role].tobytes(), (name, via, role)


@pytest.fixture(autouse=True, scope="module")
def closed() -> Iterator[None]:
    """End the processes that hold the other backends of Keras."""
    yield
    for name in ("keras:torch", "keras:jax"):
        try:
            each = subject(name)
        except (pytest.skip.Exception, RmspecError):
            continue
        if hasattr(each, "close"):
            each.close()
