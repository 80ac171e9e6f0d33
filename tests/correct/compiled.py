"""The arithmetic of a step is one compiled function."""

import torch
from torch.optim import Optimizer


@torch.compile(dynamic=True)
def update(p, g, v, m, b, lr, alpha, one_minus_alpha, eps, wd, mu, decays, centered, has_momentum):
    dtype = p.dtype
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    p, g, v, m, b = p.to(wide), g.to(wide), v.to(wide), m.to(wide), b.to(wide)
    lr, alpha, one_minus_alpha = lr.to(wide), alpha.to(wide), one_minus_alpha.to(wide)
    eps, wd, mu = eps.to(wide), wd.to(wide), mu.to(wide)
    if decays:
        g = g + wd * p
    v = alpha * v + one_minus_alpha * g * g
    var = v
    if centered:
        m = alpha * m + one_minus_alpha * g
        var = v - m * m
    n = g / (torch.sqrt(var) + eps)
    if has_momentum:
        b = mu * b + n
        n = b
    return (p - lr * n).to(dtype), v.to(dtype), m.to(dtype), b.to(dtype)


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
        args = [x.contiguous() for x in (p, grad, v, v if m is None else m, v if buf is None else buf)]
        if p.numel():
            scalars = [torch.tensor(x, dtype=torch.float64) for x in (lr, alpha, 1 - alpha, eps, wd, mu)]
            results = update(*args, *scalars, wd != 0, m is not None, buf is not None)
            for target, value in zip((p, v, m, buf), results, strict=True):
                if target is not None:
                    target.copy_(value)
