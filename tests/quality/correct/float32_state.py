"""Halves keep their state in float32."""

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
            state[name] = torch.zeros_like(p, dtype=self._format(p), requires_grad=False)
        return torch.view_as_real(state[name]) if p.is_complex() else state[name]

    def _one(self, p, grad, group):
        lr, alpha, eps = float(group["lr"]), group["alpha"], group["eps"]
        wd, mu = group["weight_decay"], group["momentum"]
        v = self._slot(p, "square_avg")
        m = self._slot(p, "grad_avg") if group["centered"] else None
        buf = self._slot(p, "momentum_buffer") if mu > 0 else None
        if p.is_complex():
            p, grad = torch.view_as_real(p), torch.view_as_real(grad.resolve_conj())
        g = grad.to(v.dtype)
        if wd != 0:
            g = g + wd * p.to(v.dtype)
        v.mul_(alpha).addcmul_(g, g, value=1 - alpha)
        var = v
        if m is not None:
            m.mul_(alpha).add_(g, alpha=1 - alpha)
            var = v - m * m
        n = g / (var.sqrt() + eps)
        if buf is not None:
            n = buf.mul_(mu).add_(n)
        p.copy_(p.to(v.dtype) - lr * n)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)  # casts the state to the parameter's format
        saved = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(saved, params, strict=True):
            for name, value in state_dict["state"].get(i, {}).items():
                self.state[p][name] = value.to(p.device, self._format(p), copy=True)

    def _format(self, p):
        return torch.float32 if p.dtype in (torch.float16, torch.bfloat16) else p.dtype
