"""Faults of the call itself: closures, hooks, the parameters of a step, and maximize."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

from rmspec.oracles.faults.base import Closure, ForeachRMSprop, Group, Hyper, LoopRMSprop, Params, StateDict, Tensors
from rmspec.oracles.faults.listing import fault


@fault("closure-call", bug_class=19)
class ClosureTwice(LoopRMSprop):
    """The closure is called twice."""

    def _evaluate(self, closure: Closure | None) -> Any:
        super()._evaluate(closure)
        return super()._evaluate(closure)


@fault("closure", bug_class=19)
class ClosureNever(ForeachRMSprop):
    """The closure is not called."""

    def _evaluate(self, closure: Closure | None) -> Any:
        return None


@fault("closure-call", bug_class=19)
class ClosureWithoutGrad(LoopRMSprop):
    """The closure is called with gradients disabled."""

    def _evaluate(self, closure: Closure | None) -> Any:
        with torch.no_grad():
            return None if closure is None else closure()


@fault("closure-call", bug_class=19)
class ClosureInCallersMode(LoopRMSprop):
    """The closure is called in the caller's gradient mode: with gradients disabled, if the caller has disabled them."""

    def _evaluate(self, closure: Closure | None) -> Any:
        return None if closure is None else closure()


@fault("step", bug_class=19)
class StepIdleWithoutGrad(ForeachRMSprop):
    """With gradients disabled by the caller step does nothing, as if it were evaluating."""

    def _iterate(self, closure: Closure | None) -> Any:
        idle = not torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
        return self._evaluate(closure) if idle else super()._iterate(closure)


@fault("step", bug_class=19)
class StepIdleInInference(LoopRMSprop):
    """In the caller's inference mode step does nothing."""

    def _update(self) -> None:
        if not torch.is_inference_mode_enabled():
            super()._update()


@fault("frame", bug_class=19)
class GradModeLeft(ForeachRMSprop):
    """step disables gradients, and leaves them disabled."""

    def _iterate(self, closure: Closure | None) -> Any:
        loss = self._evaluate(closure)
        torch.set_grad_enabled(False)
        self._update()
        return loss


@fault("closure-failure", bug_class=19)
class GradModeLeftByFailure(LoopRMSprop):
    """step enables gradients for the closure, and after an exception of the closure leaves them enabled."""

    def _evaluate(self, closure: Closure | None) -> Any:
        enabled = torch.is_grad_enabled()
        torch.set_grad_enabled(True)
        loss = None if closure is None else closure()
        torch.set_grad_enabled(enabled)
        return loss


@fault("closure-call", bug_class=19)
class ClosureLossDropped(ForeachRMSprop):
    """step(closure) returns None."""

    def _iterate(self, closure: Closure | None) -> Any:
        super()._iterate(closure)


@fault("closure", "closure-failure", "step", bug_class=19)
class ClosureAfterUpdate(LoopRMSprop):
    """The closure is called after the update."""

    def _iterate(self, closure: Closure | None) -> Any:
        with torch.no_grad():
            self._update()
        return self._evaluate(closure)


@fault("closure", "step", bug_class=19)
class ClosureWithoutUpdate(ForeachRMSprop):
    """step(closure) evaluates the closure and updates nothing."""

    def _iterate(self, closure: Closure | None) -> Any:
        return super()._iterate(None) if closure is None else self._evaluate(closure)


@fault("closure-failure", bug_class=19)
class ClosureExceptionSwallowed(LoopRMSprop):
    """An exception of the closure does not reach the caller."""

    def _evaluate(self, closure: Closure | None) -> Any:
        try:
            return super()._evaluate(closure)
        except Exception:  # the fault: whatever the closure raises is lost
            return None


@fault("closure-failure", bug_class=12)
class ClosureExceptionSteps(ForeachRMSprop):
    """When the closure raises, the update is done before the exception reaches the caller."""

    def _iterate(self, closure: Closure | None) -> Any:
        try:
            return self._evaluate(closure)
        finally:
            with torch.no_grad():
                self._update()


@fault("closure-failure", bug_class=12)
class ClosureExceptionForgets(LoopRMSprop):
    """When the closure raises, the state is cleared."""

    def _evaluate(self, closure: Closure | None) -> Any:
        try:
            return super()._evaluate(closure)
        except Exception:
            self.state.clear()
            raise


@fault("step", "square-avg")
class StepTwice(ForeachRMSprop):
    """One call of step does two iterations."""

    def _update(self) -> None:
        super()._update()
        super()._update()


@fault("step", "square-avg")
class StepEverySecond(LoopRMSprop):
    """Every second call of step does nothing."""

    def _update(self) -> None:
        self._skip: bool = not self.__dict__.get("_skip", True)
        if not self._skip:
            super()._update()


@fault("step", "square-avg", bug_class=16, elementwise=False)
class StepFirstGroupOnly(ForeachRMSprop):
    """step reaches the first group alone."""

    def _stepped(self, group: Group) -> list[Tensor]:
        return super()._stepped(group) if group is self.param_groups[0] else []


@fault("step", "square-avg", bug_class=20, elementwise=False)
class StepLastLost(LoopRMSprop):
    """The last parameter of a group of several is not stepped."""

    def _stepped(self, group: Group) -> list[Tensor]:
        return super()._stepped(group)[: max(1, len(group["params"]) - 1)]


@fault("hooks", bug_class=19)
class PreHookDropped(LoopRMSprop):
    """A pre-hook of step is registered and never called."""

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return RemovableHandle(OrderedDict())


@fault("hooks", bug_class=19)
class PostHookTwice(ForeachRMSprop):
    """A post-hook of step is called twice."""

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        def twice(*args: Any) -> None:
            hook(*args)
            hook(*args)

        return super().register_step_post_hook(twice)


@fault("hooks", bug_class=19, inherited=True)
class HooksOfBaseStep(LoopRMSprop):
    """step calls the step of its base class: once an optimizer of the base class was constructed, its hooks run as well."""

    def step(self, closure: Closure | None = None) -> Any:
        return super().step(closure)


@fault("hooks", bug_class=19)
class HooksOfOwnWrapper(ForeachRMSprop):
    """step is put between its hooks once more, by the class itself."""

    @Optimizer.profile_hook_step
    def step(self, closure: Closure | None = None) -> Any:
        return self._iterate(closure)


@fault("hooks", bug_class=19)
class HookWithoutOptimizer(LoopRMSprop):
    """A pre-hook is called with the state in place of the optimizer."""

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return super().register_step_pre_hook(lambda _, args, kwargs: hook(self.state, args, kwargs))


@fault("hooks", bug_class=19)
class HooksBackwards(ForeachRMSprop):
    """The pre-hook registered last runs first."""

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        handle = super().register_step_pre_hook(hook)
        self._optimizer_step_pre_hooks.move_to_end(handle.id, last=False)  # type: ignore[attr-defined]  # ordered
        return handle


@fault("hooks", bug_class=19)
class PostHookBeforeUpdate(LoopRMSprop):
    """A post-hook is called before the update."""

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return super().register_step_pre_hook(hook)


@fault("hooks", bug_class=19)
class HooksLostByLoad(ForeachRMSprop):
    """load_state_dict forgets the hooks."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        self._optimizer_step_pre_hooks.clear()
        self._optimizer_step_post_hooks.clear()


@fault("maximize", bug_class=8, dialect="torch-maximize")
class MaximizeIgnored(LoopRMSprop):
    """maximize is accepted and ignored."""

    def __init__(self, params: Params, maximize: bool = True, **options: Any) -> None:
        self._maximize = maximize
        super().__init__(params, **options)

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group({"maximize": self._maximize, **param_group})


@fault("maximize", bug_class=7, dialect="torch-maximize")
class MaximizeAfterDecay(ForeachRMSprop):
    """With maximize the gradient is negated after weight decay was added."""

    def __init__(self, params: Params, maximize: bool = True, **options: Any) -> None:
        self._maximize = maximize
        super().__init__(params, **options)

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group({"maximize": self._maximize, **param_group})

    def _hyper(self, group: Group) -> Hyper:
        self._negate = bool(group["maximize"])
        return super()._hyper(group)

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        decayed = super()._decayed(g, theta, h)
        return list(torch._foreach_neg(decayed)) if self._negate else decayed
