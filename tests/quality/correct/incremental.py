"""The averages move by a fraction of the distance."""

import torch
from torch.optim import Optimizer


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
    ):
        if not lr >= 0 or not eps >= 0 or not momentum >= 0 or not weight_decay >= 0 or not alpha >= 0:
            raise ValueError("hyperparameters must not be negative")
        super().__init__(
            params,
            dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered),
        )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._one(p, p.grad, group)
        return loss

    def _slot(self, p, name):
        state = self.state[p]
        if name not in state:
            state[name] = torch.zeros_like(p, requires_grad=False)
        return torch.view_as_real(state[name]) if p.is_complex() else state[name]

    def _one(self, p, grad, group):
        lr, alpha, eps = float(group["lr"]), group["alpha"], group["eps"]
        wd, mu = group["weight_decay"], group["momentum"]
        v = self._slot(p, "square_avg")
        m = self._slot(p, "grad_avg") if group["centered"] else None
        buf = self._slot(p, "momentum_buffer") if mu > 0 else None
        if p.is_complex():
            p, grad = torch.view_as_real(p), torch.view_as_real(grad.resolve_conj())
        g = grad + wd * p if wd != 0 else grad
        v.add_((1 - alpha) * (g * g - v))
        var = v
        if m is not None:
            m.add_((1 - alpha) * (g - m))
            var = v - m * m
        n = g / (var.sqrt() + eps)
        if buf is not None:
            buf.copy_(mu * buf + n)
            n = buf
        p.sub_(lr * n)
