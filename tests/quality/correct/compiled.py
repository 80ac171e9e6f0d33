"""The arithmetic of a step is one compiled function."""

import torch
from torch.optim import Optimizer


@torch.compile(dynamic=True)
def update(p, g, v, m, b, lr, alpha, one_minus_alpha, eps, wd, mu, decays, centered, has_momentum):
    g = torch.where(decays, g + wd * p, g)
    v = alpha * v + one_minus_alpha * g * g
    m = torch.where(centered, alpha * m + one_minus_alpha * g, m)
    n = g / (torch.sqrt(torch.where(centered, v - m * m, v)) + eps)
    b = torch.where(has_momentum, mu * b + n, b)
    return p - lr * torch.where(has_momentum, b, n), v, m, b


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
        if p.numel() == 0:
            return
        wide = torch.float64 if p.dtype == torch.float64 else torch.float32
        flat = [torch.zeros(p.numel(), dtype=wide) if x is None else self._flat(x, wide) for x in (p, grad, v, m, buf)]
        scalars = [torch.tensor(x, dtype=wide) for x in (lr, alpha, 1 - alpha, eps, wd, mu)]
        flags = [torch.tensor(x) for x in (wd != 0, m is not None, buf is not None)]
        for target, value in zip((p, v, m, buf), update(*flat, *scalars, *flags), strict=True):
            if target is not None:
                target.copy_(value.view(target.shape))

    @staticmethod
    def _flat(x, wide):
        return x.detach().to(wide).reshape(-1).clone()
