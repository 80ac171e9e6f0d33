"""One fault, one clause: what follows from a fault, and what torch does as well, is not told as faults of its own."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import P, create, program, step

from rmspec.oracles.loader import load
from rmspec.oracles.program.program import (
    AddParamGroup,
    Create,
    Group,
    Load,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
)
from rmspec.oracles.scripting.standalone import standalone_script
from rmspec.properties.check import replay
from rmspec.properties.events import Deviation
from rmspec.properties.settings import Settings

torch = pytest.importorskip("torch")

CORRECT = Path(__file__).parent / "correct"
Q = Param("q")

PLAIN = '''"""RMSprop for torch, with room for one fault."""

import torch


class RMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        options = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure=None):
        loss, grads = None, {}
        if EARLY:
            grads = {p: p.grad for group in self.param_groups for p in group["params"]}
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if not EARLY:
            grads = {p: p.grad for group in self.param_groups for p in group["params"]}
        for group in self.param_groups:
            for p in group["params"]:
                if grads[p] is not None:
                    self._step(p, grads[p], group)
        return loss

    def _step(self, p, grad, group):
        state = self.state[p]
        on = {"square_avg": True, "momentum_buffer": group["momentum"] > 0, "grad_avg": group["centered"]}
        for name in on:
            if on[name] and name not in state:
                state[name] = torch.zeros_like(p)
        if group["weight_decay"] != 0:
            grad = grad + p * group["weight_decay"]
        v = state["square_avg"].mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        if group["centered"]:
            m = state["grad_avg"].mul_(group["alpha"]).add_(grad, alpha=1 - group["alpha"])
            v = v - m * m
        n = grad / (v.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = state["momentum_buffer"].mul_(group["momentum"]).add_(n)
        p.sub_(n, alpha=group["lr"])

    def load_state_dict(self, state_dict):
        kept = {p: {k: v.clone() for k, v in state.items()} for p, state in self.state.items()}
        super().load_state_dict(state_dict)
        if KEEPS:
            for p, state in kept.items():
                self.state.setdefault(p, state)

    def add_param_group(self, group):
        if FIRST and self.param_groups:
            group = {**{k: v for k, v in self.param_groups[0].items() if k != "params"}, **group}
        super().add_param_group(group)
'''


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def written(folder: Path, fault: str = "") -> str:
    """The name of a class in a file of its own, with one of its faults on."""
    switches = "".join(f"\n{name} = {name == fault}" for name in ("EARLY", "KEEPS", "FIRST"))
    file = folder / f"{fault.lower() or 'plain'}.py"
    file.write_text(PLAIN.replace("\n\nimport torch\n", f"\n\nimport torch\n{switches}\n", 1))
    return f"{file}:RMSprop"


def shown(name: str, given: Program, **settings: str) -> list[Deviation]:
    """What a program shows on a subject, hazards left out."""
    return [each for each in replay(load(name), given, Settings(**settings)) if not each.hazard]  # type: ignore[arg-type]


def executed(script: str) -> str:
    """The message of the assertion that a script ends in; nothing where it passes."""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(compile(script, "script.py", "exec"), {"__name__": "__main__"})
        except AssertionError as error:
            return str(error)
    return ""


def test_the_script_of_a_parameter_that_does_not_start_anew_fails_and_passes_once_it_does(tmp_path: Path) -> None:
    """What a load leaves of an old state is read after the load, and compared with the initial value."""
    given = program(
        create("p", "q", momentum=0.5),
        Save("A", "s"),
        step(p=2.0, q=2.0),
        Load("A", "s"),
        params=(P, Q),
    )
    assert shown(written(tmp_path), given) == []
    (found,) = shown(written(tmp_path, "KEEPS"), given)
    assert found.clause == "load-partial"
    script = standalone_script(found)
    assert script is not None
    assert "although nothing was saved for it" in executed(script)
    assert executed(script.replace("keeps.py", "plain.py")) == ""


def test_gradients_that_are_read_before_the_closure_are_a_fault_of_the_closure_alone(tmp_path: Path) -> None:
    """Neither what another optimizer's options explain by chance, nor what a step is without the gradient."""
    closure = Step("B", "returns", {"q": (2.5,)}, 3.25)
    programs = (
        program(create(alpha=0.999), create("q", name="B", momentum=0.5), closure, step("B", q=-2.0), params=(P, Q)),
        program(create("q", name="B", momentum=0.5), SetGrad("q", (-2.5,)), closure, params=(Q,)),
        program(create("q", name="B", centered=True), closure, Step("B"), params=(Q,)),
        program(create("q", name="B", alpha=1.0, momentum=0.5), closure, Step("B"), params=(Q,)),
    )
    for given in programs:
        assert {each.clause for each in shown(written(tmp_path, "EARLY"), given)} == {"closure"}
        assert shown(written(tmp_path), given) == []


def test_options_of_the_first_group_are_one_fault(tmp_path: Path) -> None:
    """What the later calls do with the wrong options follows from it."""
    given = program(
        Create("A", (Group(("p",), {"lr": 0.25}), Group(("q",)))),
        step(p=1.0, q=1.0),
        Save("A", "s"),
        Load("A", "s"),
        step(p=1.0, q=1.0),
        AddParamGroup("A", Group(("r",), {"lr": 0.5})),
        SetOption("A", 0, {"lr": 0.125}),
        step(p=1.0, q=1.0, r=1.0),
        params=(P, Q, Param("r")),
    )
    assert [each.clause for each in shown(written(tmp_path, "FIRST"), given)] == ["group-defaults"]


def test_a_habit_of_torch_is_inherited_where_the_state_is_hidden() -> None:
    """It shows in the parameters alone then, and does so on torch under the same veil."""
    packed = f"{CORRECT / 'packed_state.py'}:RMSprop"
    live = program(
        create(momentum=0.5),
        step(p=2.0),
        create("q", name="B"),
        Save("A", "s", "state_dict"),
        Load("B", "s"),
        step("B", q=2.0),
        Step("A"),
        params=(P, Q),
    )
    twice = program(Create("A", (Group(("p", "p")),), {}, "list"), step(p=2.0))
    for given in (live, twice):
        assert {each.known for each in shown(packed, given)} == {"inherited:torch"}
        assert {each.known for each in shown(packed, given, baseline="none")} == {None}


LOST = """
import runpy
packed = runpy.run_path({path!r})["RMSprop"]


class Lost(packed):
    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state["packed"].zero_()
"""


def test_a_live_state_dict_is_inherited_where_torch_stops_earlier(tmp_path: Path) -> None:
    """With momentum switched on torch raises before it loads; hidden state that moved on is told from one that is lost."""
    switched = SetOption("A", 0, {"momentum": 0.5})
    other = (create("q", name="B"), Load("B", "s"), step("B", q=2.0), Step("A"), step("B", q=1.0))
    path = CORRECT / "packed_state.py"
    (tmp_path / "lost.py").write_text(LOST.format(path=str(path)), encoding="utf-8")
    for rest in ((Load("A", "s"), Step("A")), other, (Load("A", "s"), Step("A"), Load("A", "s"), Step("A"))):
        given = program(create(), step(p=2.0), switched, Save("A", "s", "state_dict"), Step("A"), *rest, params=(P, Q))
        assert {each.known for each in shown(f"{path}:RMSprop", given)} == {"inherited:torch"}
        assert None in {each.known for each in shown(f"{path}:RMSprop", given, baseline="none")}
        assert None in {each.known for each in shown(f"{tmp_path / 'lost.py'}:Lost", given)}


def test_a_live_state_dict_is_inherited_whatever_the_numbers_leave_to_change() -> None:
    """With ``alpha=1`` torch's own writes the same number; another legal form has NaN where an infinity was."""
    fused = f"{CORRECT / 'fused_halves.py'}:RMSprop"
    given = program(
        create(),
        step(p=-4e37),
        SetOption("A", 0, {"alpha": 1.0}),
        Save("A", "s", "state_dict"),
        Step("A"),
    )
    assert shown("torch", given, baseline="none") == []
    assert [each.known for each in shown(fused, given)] == ["inherited:torch"]
    assert [each.known for each in shown(fused, given, baseline="none")] == [None]


SUPER = '''"""An optimizer whose step calls the step of its base class; with a fault it runs the hooks of torch itself."""

import torch


class Plain(torch.optim.RMSprop):
    def step(self, closure=None):
        return super().step(closure)


class Twice(torch.optim.RMSprop):
    @torch.optim.Optimizer.profile_hook_step
    def step(self, closure=None):
        return super().step(closure)
'''


def test_hooks_of_a_base_class_that_was_constructed_are_torchs_habit(tmp_path: Path) -> None:
    """torch puts hooks around the step of each class; whoever runs them twice without that does so on its own."""
    (tmp_path / "calls.py").write_text(SUPER)
    given = program(create(), SetGrad("p", (2.0,)), Step("A", hooks=True, bases=True))
    for baseline, known in ((None, "inherited:torch"), ("none", None)):
        settings = {} if baseline is None else {"baseline": baseline}
        (found,) = shown(f"{tmp_path / 'calls.py'}:Plain", given, **settings)
        assert (found.clause, found.known) == ("hooks", known)
        script = standalone_script(found)
        assert script is not None
        assert "pre-hook 2 times" in executed(script)
    (found,) = shown(f"{tmp_path / 'calls.py'}:Twice", given)
    assert (found.clause, found.known) == ("hooks", None)
    assert found.program.calls[-1] == Step("A", hooks=True)
