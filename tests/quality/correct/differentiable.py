"""Steps that can be differentiated: pure functions of tensors, with incremental means, reciprocals, and lr over the denominator."""

import torch
from torch.optim import Optimizer

STATE = ("square_avg", "grad_avg", "momentum_buffer")


def step_of(theta, g, v, m, b, lr, group):
    """One step out of place: the parameter and its state after it."""
    if group["weight_decay"] != 0:
        g = group["weight_decay"] * theta + g
    v = v + (1 - group["alpha"]) * (g.square() - v)
    variance = v
    if group["centered"]:
        m = m + (1 - group["alpha"]) * (g - m)
        variance = v - m * m
    reciprocal = (variance.sqrt() + group["eps"]).reciprocal()
    if group["momentum"] > 0:
        b = g * reciprocal + group["momentum"] * b
        return theta - b * lr, v, m, b
    return theta - (lr * reciprocal) * g, v, m, b


class RMSprop(Optimizer):
    def __init__(
        self,
        params,
        lr=0.01,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        *,
        differentiable=False,
    ):
        if not lr >= 0 or not eps >= 0 or not momentum >= 0 or not weight_decay >= 0 or not alpha >= 0:
            raise ValueError("hyperparameters must not be negative")
        self.differentiable = differentiable
        super().__init__(
            params,
            dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered),
        )

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.set_grad_enabled(self.differentiable):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._one(p, group)
        return loss

    def _one(self, p, group):
        lr = group["lr"]
        if not (torch.is_tensor(lr) and lr.requires_grad and self.differentiable):
            lr = float(lr)
        used = (True, group["centered"], group["momentum"] > 0)
        state = self.state[p]
        for name, is_used in zip(STATE, used, strict=True):
            if is_used and name not in state:
                state[name] = torch.zeros_like(p, requires_grad=False)
        grad = p.grad if self.differentiable else p.grad.detach()
        numbers = [p, grad, *(state.get(name) for name in STATE)]
        if p.is_complex():
            numbers = [None if x is None else torch.view_as_real(x.resolve_conj()) for x in numbers]
        theta, *after = step_of(*numbers, lr, group)
        for name, value, is_used in zip(STATE, after, used, strict=True):
            if is_used:
                state[name] = torch.view_as_complex(value) if p.is_complex() else value
        p.copy_(torch.view_as_complex(theta.contiguous()) if p.is_complex() else theta)
