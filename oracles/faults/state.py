"""Faults of the state: how it starts, how it lasts between steps, and how optimizers share it."""

from __future__ import annotations

import weakref
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from rmspec.oracles.faults.base import (
    Closure,
    ForeachRMSprop,
    Group,
    Hyper,
    LoopRMSprop,
    StateDict,
    Tensors,
    count_step,
)
from rmspec.oracles.faults.listing import fault


@fault("init-square-avg", "square-avg", bug_class=6)
class SquareAvgStartsAtOne(LoopRMSprop):
    """The square average starts at 1, as in TensorFlow 1."""

    def _initial(self, p: Tensor, name: str) -> Tensor:
        initial = super()._initial(p, name)
        if name == "square_avg":
            self._real(initial).fill_(1)
        return initial


@fault("init-square-avg", "square-avg", bug_class=6)
class SquareAvgStartsAtEps(ForeachRMSprop):
    """The square average starts at eps."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        is_new = "square_avg" not in self.state[p]
        state = super()._state(p, hyper)
        if is_new:
            self._real(state["square_avg"]).fill_(hyper.eps)
        return state


@fault("init-square-avg", "square-avg", bug_class=6)
class SquareAvgStartsAtFirstSquare(LoopRMSprop):
    """The square average starts at the square of the first gradient."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        is_new = "square_avg" not in self.state[p]
        state = super()._state(p, hyper)
        if is_new:
            self._real(state["square_avg"]).copy_(self._real(self._gradient(p)).square())
        return state


@fault("init-grad-avg", "grad-avg", bug_class=6)
class GradAvgStartsAtFirstGradient(ForeachRMSprop):
    """The gradient average starts at the first gradient."""

    def _initial(self, p: Tensor, name: str) -> Tensor:
        return self._gradient(p).clone() if name == "grad_avg" else super()._initial(p, name)


@fault("init-momentum-buffer", "momentum-buffer", bug_class=6)
class BufferStartsAtGradient(LoopRMSprop):
    """The momentum buffer starts at the first gradient, as in SGD."""

    def _initial(self, p: Tensor, name: str) -> Tensor:
        return self._gradient(p).clone() if name == "momentum_buffer" else super()._initial(p, name)


@fault("init-momentum-buffer", "momentum-buffer", bug_class=6)
class BufferStartsAtParameter(ForeachRMSprop):
    """The momentum buffer starts at the parameter, as by a copy instead of zeros."""

    def _initial(self, p: Tensor, name: str) -> Tensor:
        return p.detach().clone() if name == "momentum_buffer" else super()._initial(p, name)


@fault("init-square-avg", "square-avg", bug_class=6, elementwise=False)
class LateParameterStartsAtOne(LoopRMSprop):
    """The square average of a parameter with its first gradient in a later step starts at 1."""

    def _initial(self, p: Tensor, name: str) -> Tensor:
        initial = super()._initial(p, name)
        if name == "square_avg" and self.__dict__.get("_started", False):
            self._real(initial).fill_(1)
        return initial

    def _update(self) -> None:
        super()._update()
        self._started = bool(self.state)


@fault("init-params", bug_class=18)
class ConstructorRoundsParameters(LoopRMSprop):
    """Creating the optimizer rounds its parameters to bfloat16."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        with torch.no_grad():
            for p in self.param_groups[-1]["params"]:
                real = self._real(p)
                real.copy_(real.to(torch.bfloat16))


@fault("init-params", bug_class=18)
class ConstructorClearsGradients(ForeachRMSprop):
    """Adding parameters sets their gradients to None."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            p.grad = None


@fault("isolation", bug_class=3, elementwise=False)
class StatePooledByPosition(LoopRMSprop):
    """Optimizers share the square average of parameters of the same position and shape."""

    _pool: ClassVar[dict[Any, Tensor]] = {}

    def _initial(self, p: Tensor, name: str) -> Tensor:
        if name != "square_avg":
            return super()._initial(p, name)
        members = [id(q) for group in self.param_groups for q in group["params"]]
        key = (members.index(id(p)), p.shape, p.dtype, p.device)
        return self._pool.setdefault(key, super()._initial(p, name)).zero_()


@fault("isolation", "square-avg", bug_class=3, elementwise=False)
class OptionsOfLatest(ForeachRMSprop):
    """alpha of the latest optimizer holds for every optimizer with its constructor's alpha."""

    _alpha: float

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        type(self)._alpha = self.defaults["alpha"]

    def _hyper(self, group: Group) -> Hyper:
        h = super()._hyper(group)
        return replace(h, alpha=self._alpha) if group["alpha"] == self.defaults["alpha"] else h


@fault("isolation", bug_class=3, elementwise=False)
class NewOptimizerClearsOlder(LoopRMSprop):
    """Creating an optimizer clears the state of the one created before it."""

    _previous: weakref.ref[LoopRMSprop] | None = None

    def __init__(self, params: Any, **options: Any) -> None:
        super().__init__(params, **options)
        previous = self._previous() if self._previous is not None else None
        if previous is not None:
            previous.state.clear()
        type(self)._previous = weakref.ref(self)


@fault("momentum-buffer")
class BufferRestartsAtFifthStep(ForeachRMSprop):
    """The momentum buffer restarts at zero in every fifth step."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        if self._count % 5 == 0:
            torch._foreach_zero_(b)
        super()._accumulate(b, n, h)

    def _update(self) -> None:
        self._count: int = self.__dict__.get("_count", 0) + 1
        super()._update()


@fault("square-avg", "frame")
class SquareAvgForgottenAfterThird(LoopRMSprop):
    """The square average is reset once, at the fourth step of a parameter."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        if count_step(self, p) == 4:
            self.state[p]["square_avg"].zero_()
        super()._step_one(p, h)


@fault("step", "square-avg", "update")
class FirstStepOnlyInitializes(ForeachRMSprop):
    """The first step of a parameter makes its state and does not move it."""

    def _stepped(self, group: Group) -> list[Tensor]:
        stepped = super()._stepped(group)
        ready = [p for p in stepped if self.state[p]]
        for p in stepped:
            self._state(p, self._hyper(group))
        return ready


@fault("square-avg")
class SquareAvgStoredAsRoot(LoopRMSprop):
    """The square average is stored as its root."""

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        if "square_avg" in self.state[p]:
            self._real(self.state[p]["square_avg"]).square_()
        super()._step_one(p, h)
        self._real(self.state[p]["square_avg"]).sqrt_()


@fault("grad-none", "frame", bug_class=10)
class BuffersHalvedByEmptyStep(ForeachRMSprop):
    """A step without any gradient halves the momentum buffers."""

    def _evaluate(self, closure: Closure | None) -> Any:
        loss = super()._evaluate(closure)
        params = [p for group in self.param_groups for p in group["params"]]
        if all(p.grad is None for p in params):
            for p in params:
                if "momentum_buffer" in self.state[p]:
                    self.state[p]["momentum_buffer"].mul_(0.5)
        return loss


@fault("step-counter", bug_class=17)
class CounterOfCalls(LoopRMSprop):
    """The counter of steps counts all calls of step, with and without a gradient."""

    def _update(self) -> None:
        super()._update()
        for state in self.state.values():
            if state:
                state["step"] = state.get("step", 0) + 1


@fault("step-counter", bug_class=17)
class CounterRestarts(ForeachRMSprop):
    """load_state_dict sets the counters of steps to 0."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state = super()._state(p, hyper)
        state["step"] = state.get("step", 0) + 1
        return state

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if "step" in state:
                state["step"] = 0


@fault("step-counter", bug_class=17, elementwise=False)
class CounterOfTheGroup(LoopRMSprop):
    """The counters of a group go on from the greatest of them."""

    def _step_params(self, params: list[Tensor], hyper: Hyper) -> None:
        super()._step_params(params, hyper)
        most = max(self.state[p].get("step", 0) for p in params)
        for p in params:
            self.state[p]["step"] = most + 1
