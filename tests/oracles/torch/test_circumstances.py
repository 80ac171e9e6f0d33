"""The circumstances of a call on a torch optimizer: gradient modes, hooks, held gradients, and dicts given twice."""

from __future__ import annotations

from typing import Any

import pytest
from programs import create, grouped

from rmspec.oracles.program.program import Create, Group, Load, Param, Save, SetGrad, Step, ZeroGrad
from rmspec.oracles.subject import HookRun

torch = pytest.importorskip("torch")

from rmspec.oracles.torch.circumstances import steps_wrapped  # noqa: E402 - needs torch
from rmspec.oracles.torch.session import TorchSession  # noqa: E402 - needs torch
from rmspec.oracles.torch.subject import user_subject  # noqa: E402 - needs torch

ONCE = tuple(HookRun(kind, number) for kind in ("pre", "post") for number in (0, 1))  # type: ignore[arg-type]


class Plain(torch.optim.RMSprop):
    """torch's optimizer by another name."""


class Calls(torch.optim.RMSprop):
    """An optimizer whose step calls that of its base class."""

    def step(self, closure=None):
        return super().step(closure)


def session(factory: Any = Plain, *params: str) -> TorchSession:
    return TorchSession(tuple(Param(name) for name in params or ("p",)), factory, {"square_avg": "square_avg"})


def started(factory: Any = Plain, **entries: Any) -> TorchSession:
    driven = session(factory)
    assert driven.perform(Create("A", (Group(("p",)),), {}, "list", **entries)).raised is None
    driven.perform(SetGrad("p", (2.0,)))
    return driven


# -- the gradient mode


@pytest.mark.parametrize("mode", ["", "enable_grad", "no_grad", "inference_mode"])
def test_a_step_is_the_same_in_every_mode(mode: Any) -> None:
    """The closure has gradients enabled, the mode is restored, and the numbers are the same."""
    driven = started()
    outcome = driven.perform(Step("A", "returns", {"p": (0.5,)}, 3.25, mode=mode))
    assert outcome.closure is not None
    assert (outcome.raised, outcome.mode_left, outcome.closure.grad_enabled) == (None, "", True)
    plain = started()
    plain.perform(Step("A", "returns", {"p": (0.5,)}, 3.25))
    assert driven.observe().params == plain.observe().params
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_the_mode_is_that_of_the_caller() -> None:
    """A step runs in the mode of its call, and its closure's gradients can be written to outside of inference mode."""
    modes = []

    class Notes(Plain):
        def step(self, closure=None):
            modes.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            return super().step(closure)

    driven = started(Notes)
    for mode in ("", "enable_grad", "no_grad", "inference_mode"):
        driven.perform(Step("A", "returns", {"p": (0.5,)}, mode=mode))  # type: ignore[arg-type]
    assert modes == [(True, False), (True, False), (False, False), (False, True)]
    assert driven.perform(ZeroGrad("A", False)).raised is None


@pytest.mark.parametrize(("mode", "left"), [("", "disabled"), ("no_grad", ""), ("inference_mode", "")])
def test_a_mode_that_is_left_is_reported_and_restored(mode: Any, left: str) -> None:
    """Whatever a call leaves, the next one starts in the caller's."""

    class Leaves(Plain):
        def step(self, closure=None):
            torch.set_grad_enabled(False)
            return super().step(closure)

    assert started(Leaves).perform(Step("A", mode=mode)).mode_left == left
    assert torch.is_grad_enabled()


def test_a_mode_left_by_the_constructor_is_reported() -> None:
    """Every call is watched, not steps alone."""

    def disabling(params: Any, **options: Any) -> Any:
        torch.set_grad_enabled(False)
        return Plain(params, **options)

    assert session(disabling).perform(create()).mode_left == "disabled"
    assert torch.is_grad_enabled()


# -- hooks


def test_hooks_from_the_start_run_at_every_counted_step() -> None:
    """Those of the optimizer first, then those of the step, before the update and after it, each with the optimizer."""
    driven = started(hooks=True)
    outcome = driven.perform(Step("A", hooks=True))
    assert (outcome.hooks, outcome.hook_runs) == ((1, 1), ONCE)
    assert driven.perform(Step("A")).hook_runs is None
    driven.perform(Save("A", "s"))
    driven.perform(Load("A", "s"))
    assert driven.perform(Step("A", hooks=True)).hook_runs == ONCE


def test_a_hook_on_the_wrong_side_of_the_update_is_noted() -> None:
    """So is one that is given something else than the optimizer."""

    class Late(Plain):
        def register_step_pre_hook(self, hook):
            return super().register_step_post_hook(hook)

        def register_step_post_hook(self, hook):
            return super().register_step_post_hook(lambda *_: hook(None))

    assert started(Late).perform(Step("A", hooks=True)).hook_runs == (
        HookRun("pre", 1, True, True),
        HookRun("post", 1, False, False),
    )


@pytest.mark.parametrize("before", [False, True])
def test_what_was_constructed_before_makes_no_difference(before: bool) -> None:
    """With ``bases`` and without, a step has the hooks that torch puts around it in a process of its own."""
    own = torch.optim.RMSprop.step
    if before:
        torch.optim.RMSprop([torch.zeros(1)])
    driven = started(Calls)
    counts = [driven.perform(Step("A", hooks=True, bases=bases)).hooks for bases in (False, True, False)]
    assert counts == [(1, 1), (2, 2), (1, 1)]
    plain = started()
    assert [plain.perform(Step("A", hooks=True, bases=bases)).hooks for bases in (False, True)] == [(1, 1)] * 2
    assert torch.optim.RMSprop.step is own or before


def test_the_steps_of_classes_are_restored() -> None:
    """What the class has of its own, and what it inherits, is as it was."""

    class Inherits(Calls):
        """No step of its own."""

    steps = {kind: kind.__dict__.get("step") for kind in Inherits.__mro__}
    with steps_wrapped(Inherits, bases=True):
        assert Calls.step.hooked
    assert {kind: kind.__dict__.get("step") for kind in Inherits.__mro__} == steps


def test_a_step_that_says_that_it_is_hooked_keeps_its_decorators() -> None:
    """Only what torch has put around a step is taken off."""

    class Says(Plain):
        @torch.no_grad()
        def step(self, closure=None):
            return None

        step.hooked = True  # type: ignore[attr-defined]

    own = Says.step
    with steps_wrapped(Says, bases=False):
        assert Says.step is own


def test_a_subclass_of_torchs_own_is_asked_about_hooks() -> None:
    """Whether its step calls that of its base class or not."""
    assert {"hooks", "circumstances"} <= user_subject("m:Calls", Calls, "cpu").capabilities().features


# -- what the caller holds


@pytest.mark.parametrize(("form", "changed"), [(None, ""), (True, ""), (False, "p")])
def test_a_gradient_that_somebody_holds_is_watched(form: bool | None, changed: str) -> None:
    """torch leaves it alone where it is set to None, and fills it with zeros in place."""
    assert started().perform(ZeroGrad("A", form)).held_changed == changed


def test_a_gradient_of_zeros_does_not_tell() -> None:
    """Nor does one that is None."""
    driven = started()
    for values in ((0.0,), None):
        driven.perform(SetGrad("p", values))
        assert driven.perform(ZeroGrad("A", False)).held_changed is None


def test_dicts_are_given_again() -> None:
    """The second optimizer is handed the very objects: torch keeps them, so that both have one group."""
    driven = session()
    assert driven.perform(grouped(Group(("p",)), lr=0.5)).caller_dict_changed
    outcome = driven.perform(Create("B", (Group(("p",)),), {"lr": 0.25}, dicts="A"))
    assert outcome.raised is None
    assert driven._optimizers["A"].param_groups[0] is driven._optimizers["B"].param_groups[0]
    assert driven.observe().groups["B"][0].options["lr"] == 0.5  # type: ignore[index]
