"""One optimizer of several faults: it has each of them, and what would change or hide another is refused."""

import pickle
import random
from itertools import combinations
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from directed import PROGRAMS, Factory, Observations, first_difference  # noqa: E402 - needs torch, as the rest

from rmspec.oracles.faults import FAULTS  # noqa: E402
from rmspec.oracles.faults import composed as composed_module  # noqa: E402
from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop  # noqa: E402
from rmspec.oracles.faults.composed import Clash, compose  # noqa: E402
from rmspec.oracles.loader import load  # noqa: E402
from rmspec.properties.check import Settings, examine  # noqa: E402
from rmspec.properties.events import DeviationFound  # noqa: E402

LISTED = {fault.id: fault for fault in FAULTS}


def made(*ids: str) -> Any:
    return compose(*(LISTED[id] for id in ids))


def observed(program: Any, factory: Factory) -> Observations:
    try:
        return program(factory)
    except Exception as error:
        return [("raised", repr(error))]


def stepped(factory: Any) -> list[float]:
    p = torch.ones(3, requires_grad=True)
    optimizer = factory([p], lr=0.1, alpha=0.9, eps=1e-8, weight_decay=0.1, momentum=0.9, centered=True)
    for _ in range(4):
        p.grad = torch.tensor([1.0, -2.0, 0.5])
        optimizer.step()
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    return p.tolist()


def test_each_fault_of_a_composed_optimizer_is_caught() -> None:
    """A check names the clause of both, though one is of the other path than the arithmetic."""
    composed = made("square-avg-sum", "load-ignores-lr")
    settings = Settings(profile="smoke", formats=("float32",), programs=())
    events = examine(load(f"{composed.__module__}:{composed.__name__}"), settings)
    assert {event.deviation.clause for event in events if isinstance(event, DeviationFound)} >= {
        "square-avg",
        "load-options",
    }


@pytest.mark.parametrize(
    "ids",
    [
        ("eps-inside", "closure-twice", "zero-grad-creates"),
        ("load-ignores-lr", "square-avg-sum", "grad-avg-alpha-fixed"),
        ("step-twice", "state-dict-lacks-alpha"),
        ("default-lr", "lr-squared", "load-ignored"),
    ],
)
def test_a_composed_optimizer_has_every_fault(ids: tuple[str, ...]) -> None:
    """Without any one of them it behaves otherwise."""
    composed = made(*ids)
    for left_out in ids:
        rest = made(*(id for id in ids if id != left_out))
        assert any(first_difference(observed(each, rest), observed(each, composed)) for each in PROGRAMS), left_out


def test_the_arithmetic_is_that_of_the_bound_fault_in_any_order() -> None:
    """What both paths share goes with either; the path that a fault's arithmetic needs comes before the other."""
    for ids in (("square-avg-sum", "load-ignores-lr"), ("load-ignores-lr", "square-avg-sum")):
        order = made(*ids).__mro__
        assert order.index(ForeachRMSprop) < order.index(LoopRMSprop)
    order = made("load-ignores-options", "eps-inside", "closure-never").__mro__
    assert order.index(LoopRMSprop) < order.index(ForeachRMSprop)


def test_a_composed_optimizer_can_be_imported_and_pickled() -> None:
    """Its name says what it is made of."""
    composed = made("ascent", "load-ignores-options")
    assert composed.__name__ == "Ascent_LoadIgnoresOptions"
    imported = composed_module.Ascent_LoadIgnoresOptions
    assert imported.__mro__[1:] == composed.__mro__[1:]
    assert pickle.loads(pickle.dumps(imported)) is imported
    for name in ("Ascent", "Ascent_Nothing", "Ascent_LrSquared"):
        with pytest.raises(AttributeError):
            getattr(composed_module, name)


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        (("ascent", "lr-squared"), "both change _apply"),
        (("ascent", "ascent"), "both change _apply"),
        (("default-lr", "default-eps"), "both change __init__"),
        (("ascent", "square-avg-sum"), "changes the arithmetic of the foreach path"),
        (("root-of-previous", "buffer-old"), "both keep _last"),
        (("load-accepts-other-members", "load-accepts-other-shapes"), "no longer calls _refuse_shapes"),
        (("ascent", "maximize-ignored"), "different dialects"),
        ((), "or none"),
    ],
)
def test_faults_that_touch_are_refused(ids: tuple[str, ...], reason: str) -> None:
    """One of them would change or hide the other."""
    with pytest.raises(Clash, match=reason):
        made(*ids)


def test_a_fault_in_use_composes_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch gives a class a method ``step`` of its own with its first instance, unless its base class has that already."""
    for id in ("ascent", "load-ignores-options"):
        optimizer = LISTED[id].optimizer()
        stepped(optimizer)
        if "step" not in vars(optimizer):
            monkeypatch.setattr(optimizer, "step", torch.optim.Optimizer.profile_hook_step(optimizer.step))
    assert "step" in vars(LISTED["ascent"].optimizer())
    stepped(made("ascent", "load-ignores-options"))


def test_any_pair_is_refused_or_steps() -> None:
    """Of 300 pairs most compose, and what is made can be used as its parts can."""
    composed = []
    for pair in random.Random(0).sample(list(combinations(FAULTS, 2)), 300):
        try:
            composed.append(compose(*pair))
        except Clash:
            continue
    assert len(composed) > 200
    for optimizer in composed:
        stepped(optimizer)
