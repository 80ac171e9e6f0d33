"""Identification on torch: its own RMSprop in every path, users' classes, and optimizers that are no RMSprop."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmspec.oracles import load
from rmspec.properties import identify
from rmspec.properties.identify.answer import Identification

pytest.importorskip("torch")

CLASSES = '''
import torch


class RMSprop(torch.optim.Optimizer):
    """eps inside, v from 0.1, lr inside the buffer, Nesterov: no named dialect mixes these."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, {"lr": lr, "alpha": alpha, "eps": eps, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.one(p, p.grad, self.state[p], **{k: v for k, v in group.items() if k != "params"})

    def one(self, p, g, state, lr, alpha, eps, momentum):
        v = state["v"] = alpha * state.get("v", torch.full_like(p, 0.1)) + (1 - alpha) * g * g
        move = lr * g / (v + eps).sqrt()
        b = state["b"] = momentum * state.get("b", torch.zeros_like(p)) + move
        p.sub_(momentum * b + move)


class IgnoresMomentum(RMSprop):
    def one(self, p, g, state, lr, alpha, eps, momentum):
        v = state["v"] = alpha * state.get("v", torch.zeros_like(p)) + (1 - alpha) * g * g
        p.sub_(lr * g / (v.sqrt() + eps))


class FixedAlpha(IgnoresMomentum):
    ALPHA, EPS = 0.95, 1e-6

    def __init__(self, params, lr=0.01):
        super().__init__(params, lr, self.ALPHA, self.EPS)


class OddAlpha(FixedAlpha):
    ALPHA, EPS = 0.937, 3e-6


class FixedNesterov(RMSprop):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, lr, alpha, eps, 0.9)


class FixedMomentum(FixedNesterov):
    def one(self, p, g, state, lr, alpha, eps, momentum):
        v = state["v"] = alpha * state.get("v", torch.zeros_like(p)) + (1 - alpha) * g * g
        b = state["b"] = momentum * state.get("b", torch.zeros_like(p)) + g / (v + eps).sqrt()
        p.sub_(lr * b)


class IgnoresAlpha(IgnoresMomentum):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, lr, 0.9, eps)


class IgnoresEps(IgnoresMomentum):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8):
        super().__init__(params, lr, alpha, 1e-5)


class Still(IgnoresMomentum):
    def one(self, p, g, state, lr, alpha, eps, momentum):
        pass


class FixedStill(torch.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {})

    def step(self, closure=None):
        pass


def heavy_ball(params, lr=0.1):
    return torch.optim.SGD(params, lr=lr, momentum=0.9)
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(CLASSES)
    return str(path)


def told(found: Identification) -> dict[str, object]:
    """The switches that were decided."""
    return {each.name: each.value for each in found.switches if each.value is not None}


@pytest.mark.parametrize("path", ["", ":foreach", ":differentiable", ":tensor-lr"])
def test_every_path_of_torch_speaks_the_specification(path: str) -> None:
    """All switches are decided, and each is where the page has it."""
    found = identify(load(f"torch{path}"))
    assert (found.standing, found.named) == ("dialect", ("torch",))
    assert len(told(found)) == len(found.switches)


def test_torch_with_maximize_speaks_its_own_dialect() -> None:
    """The one switch is told from the direction, and the other ones are not disturbed by it."""
    assert identify(load("torch:maximize")).named == ("torch-maximize",)


FILES = sorted((Path(__file__).parents[2] / "quality" / "correct").glob("*.py"))


@pytest.mark.parametrize("path", [path for path in FILES if path.stem != "compiled"], ids=lambda path: path.stem)
def test_a_correct_optimizer_speaks_the_specification_however_it_is_written(path: Path) -> None:
    """Another order of operations, hidden state, or other names of it change no answer."""
    names = re.findall(r"^(?:class|def) (\w*rmsprop)\b", path.read_text("utf-8"), re.MULTILINE | re.IGNORECASE)
    found = identify(load(f"{path}:{names[-1]}"))
    assert (found.standing, found.named) == ("dialect", ("torch",))


def test_a_class_that_mixes_switches_is_told(file: str) -> None:
    """Its initial average is found as a number, and no named dialect agrees."""
    found = identify(load(f"{file}:RMSprop"))
    assert (found.standing, found.named) == ("dialect", ())
    assert told(found) == {
        "eps_place": "inside",
        "initial_square_avg": 0.1,
        "maximize": False,
        "bias_correction": False,
        "momentum_form": "option",
        "nesterov": True,
        "lr_place": "inside",
        "scalars": "double",
    }


def test_a_class_that_ignores_momentum_is_told(file: str) -> None:
    """Its switch is never, and the reason says that the option is taken."""
    found = identify(load(f"{file}:IgnoresMomentum"))
    assert told(found)["momentum_form"] == "never"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("FixedAlpha", {"alpha": 0.95, "eps": 1e-6}),
        ("OddAlpha", {"alpha": 0.937, "eps": 3e-6}),
        ("FixedMomentum", {"momentum": 0.9}),
        ("FixedNesterov", {"momentum": 0.9}),
    ],
)
def test_what_cannot_be_chosen_is_found(file: str, name: str, options: dict[str, float]) -> None:
    """Usual values are tried, others are solved for; the switches are told all the same."""
    found = identify(load(f"{file}:{name}"))
    assert found.standing == "dialect"
    assert found.options == options
    assert told(found)["eps_place"] == ("outside" if "Alpha" in name else "inside")
    assert told(found).get("nesterov") == {"FixedMomentum": False, "FixedNesterov": True}.get(name)
    assert told(found).get("lr_place") == {"FixedMomentum": "outside", "FixedNesterov": "inside"}.get(name)


@pytest.mark.parametrize(("name", "option", "value"), [("IgnoresAlpha", "alpha", 0.9), ("IgnoresEps", "eps", 1e-5)])
def test_an_option_that_is_passed_over_is_a_contradiction(file: str, name: str, option: str, value: float) -> None:
    """No dialect ignores alpha or eps: what it does instead is found, and its switches are told."""
    found = identify(load(f"{file}:{name}"))
    assert found.standing == "unexplained"
    assert [each.summary.partition(",")[2] for each in found.contradictions] == [
        f" and does as with {option}={value!r}"
    ]
    assert told(found)["eps_place"] == "outside"


@pytest.mark.parametrize(
    ("name", "family", "clause"),
    [
        ("torch.optim:SGD", "SGD with momentum", "update"),
        ("torch.optim:Adagrad", "Adagrad", "square-avg"),
        ("torch.optim:Adam", "Adam", "update"),
        ("torch.optim:AdamW", "AdamW", "update"),
        ("torch.optim:Adamax", "Adamax", "update"),
        ("torch.optim:Adadelta", "Adadelta", "update"),
        ("torch.optim:Rprop", "Rprop", "square-avg"),
        ("torch.optim:NAdam", "", "update"),
        ("torch.optim:RAdam", "", "update"),
        ("heavy_ball", "SGD with momentum", "update"),
    ],
)
def test_another_optimizer_is_told_apart(file: str, name: str, family: str, clause: str) -> None:
    """The clause rules RMSprop out, by a program whose result no RMSprop has; the name is a courtesy."""
    found = identify(load(f"{file}:{name}" if ":" not in name else name))
    assert (found.standing, found.family) == ("other", family)
    one = found.contradictions[0]
    assert one.clause == clause
    assert not one.allowed[0] <= one.observed <= one.allowed[1]


def test_what_does_not_move_is_no_rmsprop(file: str) -> None:
    """It is said in words, with the clause that rules RMSprop out and one step that shows it."""
    found = identify(load(f"{file}:Still"))
    assert (found.standing, found.message) == ("other", "its steps change nothing")
    (one,) = found.contradictions
    assert one.clause == "step"
    assert [type(call).__name__ for call in one.program.calls] == ["Create", "SetGrad", "Step"]
    assert one.observed == 1.0
    assert one.allowed[1] < 1.0


def test_what_does_not_move_with_its_own_learning_rate_may_have_none(file: str) -> None:
    """Then it is not called no RMSprop: 0 is a learning rate."""
    found = identify(load(f"{file}:FixedStill"))
    assert (found.standing, found.contradictions[0].clause) == ("unexplained", "step")
    assert found.message.endswith("its learning rate cannot be chosen, and may be 0")


@pytest.mark.parametrize(
    "fault", ["denominator:RootOfPrevious", "updates:UpdateClipped", "state:FirstStepOnlyInitializes"]
)
def test_a_faulty_rmsprop_is_not_taken_for_another_optimizer(fault: str) -> None:
    """Its first step may grow with the gradient, or be clipped, or be missing: that does not make it another family."""
    found = identify(load(f"rmspec.oracles.faults.{fault}"))
    assert (found.standing, found.family) == ("unexplained", "")


def test_a_sum_of_squares_is_adagrad_whatever_it_is_called() -> None:
    """What a class says of itself plays no part."""
    found = identify(load("rmspec.oracles.faults.averages:SquareAvgSum"))
    assert (found.standing, found.family) == ("other", "Adagrad")
