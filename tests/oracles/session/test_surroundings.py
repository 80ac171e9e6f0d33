"""Nothing global is left behind by loading a subject, by checking it, or by an interrupt of either."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from importlib import import_module
from pathlib import Path

import pytest

from rmspec.oracles.errors import CannotImport
from rmspec.oracles.loader import load
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.oracles.session.surroundings import PlacedSubject, search_path, surrounded
from rmspec.oracles.subject import Subject
from rmspec.properties import check, identify

PROGRAM = Program(
    (Param("p", dtype="float64"),),
    (Create("A", (Group(("p",)),), {"lr": 0.5}), SetGrad("p", (2.0,)), Step("A")),
    clause="step",
)

LAZY = """
import torch

class Lazy(torch.optim.RMSprop):
    def step(self, closure=None):
        from helper_beside import answer
        assert answer == 42
        return super().step(closure)
"""

INTERRUPTED = """
import torch

class Interrupted(torch.optim.RMSprop):
    asked = 0

    def step(self, closure=None):
        Interrupted.asked += 1
        if Interrupted.asked > 20:
            raise KeyboardInterrupt
        return super().step(closure)
"""


def torch_state():
    """The settings of torch that a program may depend on, where torch is imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
        torch.get_rng_state().tolist(),
    )


def process_state():
    """What is global to a process, and not rmspec's to change."""
    jax = sys.modules.get("jax")
    return {
        "environment": {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
        "search path": list(sys.path),
        "current directory": Path.cwd(),
        "warning filters": list(warnings.filters),
        "signal handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)],
        "torch": torch_state(),
        "jax": None if jax is None else jax.config.jax_enable_x64,
        "streams": (sys.stdin, sys.stdout, sys.stderr),
    }


@pytest.fixture
def unchanged():
    """The state of the process before and after; what importing a framework changes is the framework's own."""
    before = process_state()
    yield
    assert process_state() == before


def write(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def a_step_of(subject):
    """One program on a subject, to its end."""
    session = subject.session(PROGRAM.params)
    for call in PROGRAM.calls:
        outcome = session.perform(call)
        assert not outcome.raised, outcome.raised
        session.observe()
    return session


@pytest.fixture
def torch():
    """torch, once it has made an optimizer: for the first it imports its compiler, which sets a variable of its own."""
    module = pytest.importorskip("torch")
    module.optim.RMSprop([module.zeros(1)])
    return module


@pytest.mark.parametrize("name", ["torch", "torch:foreach", "torch:differentiable", "torch:tensor-lr", "reference"])
def test_a_step_of_a_subject_that_is_never_closed_leaves_the_process_as_it_was(name, torch, unchanged):
    """Each call restores: nothing depends on a session's being closed."""
    a_step_of(load(name))


def test_settings_that_the_user_has_made_are_restored(torch):
    """The state before, not the default, is what comes back."""
    memory = torch.utils.deterministic
    before = memory.fill_uninitialized_memory
    try:
        for algorithms, filled in ((True, False), (False, True)):
            torch.use_deterministic_algorithms(algorithms)
            memory.fill_uninitialized_memory = filled
            a_step_of(load("torch"))
            assert torch.are_deterministic_algorithms_enabled() is algorithms
            assert not torch.is_deterministic_algorithms_warn_only_enabled()
            assert memory.fill_uninitialized_memory is filled
    finally:
        torch.use_deterministic_algorithms(False)
        memory.fill_uninitialized_memory = before


def test_memory_that_is_not_written_is_filled_while_a_subject_is_called(torch, tmp_path):
    """That is what the settings are for: a subject that reads what it never wrote shows NaN, always."""
    path = write(
        tmp_path,
        "empty.py",
        "import torch\n\nclass Empty(torch.optim.RMSprop):\n    def step(self, closure=None):\n"
        "        for p in self.param_groups[0]['params']:\n            p.data.copy_(torch.empty_like(p))\n",
    )
    session = a_step_of(load(f"{path}:Empty"))
    assert str(session.observe().params["p"][0]) == "nan"


def test_a_check_in_this_process_leaves_it_as_it_was(torch, unchanged):
    """A subject that is handed over as an object is called where it is."""
    check(load("torch"), profile="smoke", programs=(), formats=("float32",), time_budget=1.0)


def test_an_identification_in_this_process_leaves_it_as_it_was(torch, unchanged):
    """The same for identify."""
    identify(load("torch"), formats=("float32",))


def test_an_interrupt_within_a_step_leaves_the_process_as_it_was(torch, tmp_path, unchanged):
    """Ctrl-C in a notebook comes in the middle of a call."""
    path = write(tmp_path, "interrupted.py", INTERRUPTED)
    with pytest.raises(KeyboardInterrupt):
        check(load(f"{path}:Interrupted"), profile="smoke", programs=(), formats=("float32",), baseline="none")


def test_loading_a_file_leaves_the_search_path_as_it_was(torch, tmp_path, unchanged):
    """The folder of the file is searched while the file runs, and afterwards no longer."""
    write(tmp_path, "beside_it.py", "answer = 42\n")
    path = write(
        tmp_path,
        "needs_it.py",
        "import torch\nfrom beside_it import answer\n\nclass Mine(torch.optim.RMSprop):\n    value = answer\n",
    )
    load(f"{path}:Mine")
    assert str(tmp_path) not in sys.path


def test_loading_a_module_leaves_the_search_path_as_it_was(torch, tmp_path, monkeypatch, unchanged):
    """The current directory likewise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [each for each in sys.path if each])
    write(tmp_path, "module_of_mine.py", "import torch\n\nclass Mine(torch.optim.RMSprop):\n    pass\n")
    before = list(sys.path)
    load("module_of_mine:Mine")
    assert sys.path == before
    monkeypatch.undo()


def test_a_file_that_does_not_import_leaves_the_search_path_as_it_was(tmp_path, unchanged):
    """An error on the way restores as well."""
    path = write(tmp_path, "broken_file.py", "raise RuntimeError('no')\n")
    with pytest.raises(CannotImport):
        load(f"{path}:Mine")


def test_a_subject_may_import_from_beside_its_file_whenever_it_is_called(torch, tmp_path, unchanged):
    """An import within step finds the module, though the folder is on no search path between the calls."""
    write(tmp_path, "helper_beside.py", "answer = 42\n")
    path = write(tmp_path, "lazy.py", LAZY)
    a_step_of(load(f"{path}:Lazy"))


def test_a_placed_subject_is_the_subject_that_it_holds(torch, tmp_path):
    """It has the protocol, and whatever else the subject has."""
    path = write(tmp_path, "placed.py", "import torch\n\nclass Mine(torch.optim.RMSprop):\n    pass\n")
    placed = load(f"{path}:Mine", device="cpu")
    assert isinstance(placed, PlacedSubject)
    assert isinstance(placed, Subject)
    assert placed.name == f"{path}:Mine"
    assert placed.device == "cpu"
    placed.dialect = "keras3"
    assert placed.whole.dialect == placed.dialect == "keras3"
    assert placed.state_names()["square_avg"] == "square_avg"
    assert "torch" in placed.versions()


def test_the_search_path_keeps_what_was_on_it_and_loses_what_was_added():
    """A folder that was searched already is not taken off."""
    here = sys.path[-1]
    before = list(sys.path)
    with search_path((here, "/added/for/this")):
        assert sys.path == [*before, "/added/for/this"]
    assert sys.path == before
    with search_path(("/added/for/this",)):
        sys.path.remove("/added/for/this")
    assert sys.path == before


def test_a_surrounded_method_runs_in_the_context_of_its_object():
    """The context is made anew for each call, and hears of an exception."""
    from contextlib import contextmanager

    class Counted:
        inside = 0

        @contextmanager
        def surroundings(self):
            self.inside += 1
            try:
                yield
            finally:
                self.inside -= 1

        @surrounded
        def add(self, one, *, two):
            """Add."""
            assert self.inside == 1
            if one is None:
                raise TypeError
            return one + two

    counted = Counted()
    assert counted.add(1, two=2) == 3
    with pytest.raises(TypeError):
        counted.add(None, two=2)
    assert counted.inside == 0
    assert counted.add.__doc__ == "Add."


@pytest.mark.frameworks
def test_optax_leaves_jax_as_it_was():
    """float64 is JAX's own only within a call, and there it is."""
    pytest.importorskip("optax")
    jax = import_module("jax")
    before = process_state()
    for enabled in (False, True):
        jax.config.update("jax_enable_x64", enabled)
        session = a_step_of(load("optax"))
        assert session.observe().params["p"].dtype == "float64"
        assert jax.config.jax_enable_x64 is enabled
    jax.config.update("jax_enable_x64", False)
    assert process_state() == before


@pytest.mark.frameworks
@pytest.mark.parametrize("name", ["keras", "keras:function", "tensorflow", "tensorflow:v1"])
def test_keras_and_tensorflow_leave_the_process_as_it_was(name):
    """No environment variable stays, and Keras counts its names on as if nothing had been there."""
    pytest.importorskip("tensorflow")
    environment = dict(os.environ)
    subject = load(name)
    assert dict(os.environ) == environment
    keras = import_module("keras")
    before = process_state()
    counted = keras.Variable([1.0]).name
    session = subject.session(PROGRAM.params)
    options = {"lr": 0.5, "alpha": 0.9, "eps": 0.125, "momentum": 0.0}
    for call in (Create("A", (Group(("p",)),), options), SetGrad("p", (2.0,)), Step("A")):
        assert not session.perform(call).raised
        session.observe()
    prefix, _, number = counted.rpartition("_")
    following = f"{prefix}_{int(number) + 1}" if number.isdigit() else f"{counted}_1"
    assert keras.Variable([1.0]).name == following
    assert process_state() == before
