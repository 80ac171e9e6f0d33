"""Two correct RMSprop optimizers, cut into small methods for faults to override one at a time.

Both are written from the pseudocode of ``torch.optim.RMSprop``. ``LoopRMSprop`` steps one parameter after another,
``ForeachRMSprop`` all parameters of a group together; the methods of the update have the same names in both and take
one tensor in the one, a list of tensors in the other. Unlike PyTorch's own class they let ``momentum`` and ``centered``
be switched on between steps, share no tensor with a state dict, and refuse a checkpoint or a duplicate before anything
has changed; so a subclass with one override has one fault, and nothing inherited beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

Group = dict[str, Any]
Params = Iterable[Any]
Closure = Callable[[], Any]
StateDict = dict[str, Any]

STATE = ("square_avg", "grad_avg", "momentum_buffer")
OPTIONS = ("lr", "alpha", "eps", "weight_decay", "momentum")


@dataclass(frozen=True, slots=True)
class Hyper:
    """The options of a group as one step reads them, in double precision."""

    lr: float
    alpha: float
    eps: float
    weight_decay: float
    momentum: float
    centered: bool


def check_options(options: Group) -> None:
    """Raise ``ValueError`` for a negative option and for NaN."""
    for name in OPTIONS:
        if not float(options[name]) >= 0.0:
            raise ValueError(f"{name} must be at least 0, not {options[name]}")


class RMSpropBase(Optimizer):
    """Everything of RMSprop but the arithmetic: options, groups, state, gradients, closures, checkpoints."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
    ) -> None:
        defaults: Group = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        check_options(defaults)
        super().__init__(params, defaults)

    # --- groups

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; refuse a duplicate parameter, or an option outside its domain."""
        group = dict(param_group)
        group["params"] = self._members(group["params"])
        check_options({**self.defaults, **group})
        self._refuse_duplicates(group["params"])
        super().add_param_group(group)

    def _members(self, params: Any) -> Any:
        if isinstance(params, Tensor):
            return [params]
        return params if isinstance(params, set) else list(params)

    def _refuse_duplicates(self, members: Iterable[Any]) -> None:
        known = {id(p) for group in self.param_groups for p in group["params"]}
        for member in members:
            p = member[1] if isinstance(member, tuple) else member
            if id(p) in known:
                raise ValueError("a parameter may appear once in one group")
            known.add(id(p))

    def _hyper(self, group: Group) -> Hyper:
        numbers: dict[str, Any] = {name: float(group[name]) for name in OPTIONS}
        return Hyper(**numbers, centered=bool(group["centered"]))

    # --- one step

    def step(self, closure: Closure | None = None) -> Any:
        """Evaluate the closure, if there is one, then update every parameter with a gradient; return the loss."""
        return self._iterate(closure)

    def _iterate(self, closure: Closure | None) -> Any:
        loss = self._evaluate(closure)
        with torch.no_grad():
            self._update()
        return loss

    def _evaluate(self, closure: Closure | None) -> Any:
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()

    def _update(self) -> None:
        self._refuse_sparse()
        for group in self.param_groups:
            params = self._stepped(group)
            if params:
                self._step_params(params, self._hyper(group))

    def _refuse_sparse(self) -> None:
        for p in chain.from_iterable(group["params"] for group in self.param_groups):
            if p.grad is not None and p.grad.is_sparse:
                raise RuntimeError("RMSprop does not support sparse gradients")

    def _stepped(self, group: Group) -> list[Tensor]:
        return [p for p in group["params"] if p.grad is not None]

    def _step_params(self, params: list[Tensor], hyper: Hyper) -> None:
        raise NotImplementedError

    def _gradient(self, p: Tensor) -> Tensor:
        assert p.grad is not None
        return p.grad.detach().resolve_conj()

    def _real(self, tensor: Tensor) -> Tensor:
        return torch.view_as_real(tensor) if tensor.is_complex() else tensor

    # --- state

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state: dict[str, Any] = self.state[p]
        for name in self._roles(hyper):
            if name not in state:
                state[name] = self._initial(p, name)
        return state

    def _roles(self, hyper: Hyper) -> list[str]:
        used = (True, hyper.centered, hyper.momentum > 0)
        return [name for name, is_used in zip(STATE, used, strict=True) if is_used]

    def _initial(self, p: Tensor, name: str) -> Tensor:
        return torch.zeros_like(p, requires_grad=False)

    # --- gradients

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Set every gradient to None, or fill every existing gradient with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                self._clear(p, set_to_none)

    def _clear(self, p: Tensor, set_to_none: bool) -> None:
        if p.grad is not None:
            p.grad = None if set_to_none else torch.zeros_like(p.grad, requires_grad=False)

    # --- checkpoints

    def state_dict(self) -> StateDict:
        """The state and the groups, with tensors of their own."""
        saved = super().state_dict()
        saved["state"] = {key: self._snapshot(state) for key, state in saved["state"].items()}
        return saved

    def _snapshot(self, state: dict[str, Any]) -> dict[str, Any]:
        return {name: x.detach().clone() if isinstance(x, Tensor) else x for name, x in state.items()}

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Restore a saved state; refuse one of other groups or shapes, and keep none of its tensors."""
        self._refuse_mismatch(state_dict)
        super().load_state_dict(self._own(state_dict))
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def _own(self, state_dict: StateDict) -> StateDict:
        return deepcopy(state_dict)

    def _refuse_mismatch(self, state_dict: StateDict) -> None:
        saved = state_dict["param_groups"]
        if [len(group["params"]) for group in saved] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("the saved state has other parameter groups")
        self._refuse_shapes(state_dict)

    def _refuse_shapes(self, state_dict: StateDict) -> None:
        for key, p in self._pairs(state_dict):
            for name in STATE:
                value = state_dict["state"].get(key, {}).get(name)
                if isinstance(value, Tensor) and value.shape != p.shape:
                    raise ValueError(f"{name} was saved with shape {tuple(value.shape)}, not {tuple(p.shape)}")

    def _pairs(self, state_dict: StateDict) -> Iterable[tuple[Any, Tensor]]:
        keys = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
        return zip(keys, chain.from_iterable(group["params"] for group in self.param_groups), strict=False)


def count_step(optimizer: RMSpropBase, p: Tensor) -> int:
    """Count one more step of a parameter, and return the count."""
    counts: dict[int, int] = optimizer.__dict__.setdefault("_counts", {})
    counts[id(p)] = counts.get(id(p), 0) + 1
    return counts[id(p)]


def round_state(optimizer: RMSpropBase, dtype: torch.dtype) -> None:
    """Round the state in place to a number format."""
    for value in chain.from_iterable(state.values() for state in optimizer.state.values()):
        if isinstance(value, Tensor):
            real = optimizer._real(value)
            real.copy_(real.to(dtype))


class LoopRMSprop(RMSpropBase):
    """RMSprop, one parameter after another."""

    def _step_params(self, params: list[Tensor], hyper: Hyper) -> None:
        for p in params:
            self._step_one(p, hyper)

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        stored = self._state(p, h)
        state = {name: self._real(stored[name]) for name in self._roles(h)}
        theta = self._real(p)
        g = self._decayed(self._real(self._gradient(p)), theta, h)
        v = state["square_avg"]
        self._square_average(v, g, h)
        if h.centered:
            self._grad_average(state["grad_avg"], g, h)
            v = self._variance(v, state["grad_avg"], h)
        n = self._normalized(g, self._denominator(v, h), h)
        if h.momentum > 0:
            b = state["momentum_buffer"]
            self._accumulate(b, n, h)
            self._apply_buffer(theta, b, n, h)
        else:
            self._apply(theta, n, h)

    def _decayed(self, g: Tensor, theta: Tensor, h: Hyper) -> Tensor:
        return g.add(theta, alpha=h.weight_decay) if h.weight_decay != 0 else g

    def _square_average(self, v: Tensor, g: Tensor, h: Hyper) -> None:
        v.mul_(h.alpha).addcmul_(g, g, value=1 - h.alpha)

    def _grad_average(self, g_ave: Tensor, g: Tensor, h: Hyper) -> None:
        g_ave.lerp_(g, 1 - h.alpha)

    def _variance(self, v: Tensor, g_ave: Tensor, h: Hyper) -> Tensor:
        return v.addcmul(g_ave, g_ave, value=-1)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v.sqrt().add_(h.eps)

    def _normalized(self, g: Tensor, d: Tensor, h: Hyper) -> Tensor:
        return g / d

    def _accumulate(self, b: Tensor, n: Tensor, h: Hyper) -> None:
        b.mul_(h.momentum).add_(n)

    def _apply_buffer(self, theta: Tensor, b: Tensor, n: Tensor, h: Hyper) -> None:
        self._apply(theta, b, h)

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        theta.add_(direction, alpha=-h.lr)


Tensors = list[Tensor]


class ForeachRMSprop(RMSpropBase):
    """RMSprop, all parameters of a group together."""

    def _step_params(self, params: list[Tensor], h: Hyper) -> None:
        states = [self._state(p, h) for p in params]
        theta = [self._real(p) for p in params]
        g = self._decayed([self._real(self._gradient(p)) for p in params], theta, h)
        v = self._column(states, "square_avg")
        self._square_average(v, g, h)
        if h.centered:
            g_ave = self._column(states, "grad_avg")
            self._grad_average(g_ave, g, h)
            v = self._variance(v, g_ave, h)
        n = self._normalized(g, self._denominator(v, h), h)
        if h.momentum > 0:
            b = self._column(states, "momentum_buffer")
            self._accumulate(b, n, h)
            self._apply_buffer(theta, b, n, h)
        else:
            self._apply(theta, n, h)

    def _column(self, states: list[dict[str, Any]], name: str) -> Tensors:
        return [self._real(state[name]) for state in states]

    def _decayed(self, g: Tensors, theta: Tensors, h: Hyper) -> Tensors:
        return list(torch._foreach_add(g, theta, alpha=h.weight_decay)) if h.weight_decay != 0 else g

    def _square_average(self, v: Tensors, g: Tensors, h: Hyper) -> None:
        torch._foreach_mul_(v, h.alpha)
        torch._foreach_addcmul_(v, g, g, 1 - h.alpha)

    def _grad_average(self, g_ave: Tensors, g: Tensors, h: Hyper) -> None:
        torch._foreach_lerp_(g_ave, g, 1 - h.alpha)

    def _variance(self, v: Tensors, g_ave: Tensors, h: Hyper) -> Tensors:
        return list(torch._foreach_addcmul(v, g_ave, g_ave, -1))

    def _denominator(self, v: Tensors, h: Hyper) -> Tensors:
        d = torch._foreach_sqrt(v)
        torch._foreach_add_(d, h.eps)
        return list(d)

    def _normalized(self, g: Tensors, d: Tensors, h: Hyper) -> Tensors:
        return list(torch._foreach_div(g, d))

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        torch._foreach_mul_(b, h.momentum)
        torch._foreach_add_(b, n)

    def _apply_buffer(self, theta: Tensors, b: Tensors, n: Tensors, h: Hyper) -> None:
        self._apply(theta, b, h)

    def _apply(self, theta: Tensors, direction: Tensors, h: Hyper) -> None:
        torch._foreach_add_(theta, direction, alpha=-h.lr)


class SwitchedRMSprop(ForeachRMSprop):
    """RMSprop with switches: a loop over the parameters unless ``foreach``, and a step up the gradient with ``maximize``."""

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 0.01,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        **options: Any,
    ) -> None:
        self.together, self.upward = bool(foreach), maximize
        super().__init__(params, lr, **options)

    def _step_params(self, params: list[Tensor], h: Hyper) -> None:
        if self.together:
            super()._step_params(params, h)
        else:
            for p in params:
                super()._step_params([p], h)

    def _gradient(self, p: Tensor) -> Tensor:
        return -super()._gradient(p) if self.upward else super()._gradient(p)


class DifferentiableRMSprop(LoopRMSprop):
    """RMSprop with differentiable steps on request: a step leaves the tensors of the steps before alone."""

    def __init__(
        self, params: Params, lr: float | Tensor = 0.01, *, differentiable: bool = False, **options: Any
    ) -> None:
        self.recorded = differentiable
        super().__init__(params, lr, **options)

    def _update(self) -> None:
        with torch.set_grad_enabled(self.recorded):
            super()._update()

    def _hyper(self, group: Group) -> Hyper:
        lr: Any = group["lr"]
        recorded = self.recorded and isinstance(lr, Tensor) and lr.requires_grad
        return replace(super()._hyper({**group, "lr": lr.detach()}), lr=lr) if recorded else super()._hyper(group)

    def _gradient(self, p: Tensor) -> Tensor:
        return p.grad.resolve_conj() if self.recorded and p.grad is not None else super()._gradient(p)

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state = super()._state(p, hyper)
        state.update({name: state[name].clone() for name in self._roles(hyper) if self.recorded})
        return state

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return v.sqrt() + h.eps

    def _apply(self, theta: Tensor, direction: Tensor, h: Hyper) -> None:
        theta.sub_(direction * h.lr)
