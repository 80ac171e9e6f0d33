"""Every option of a group takes part as a tensor without dimensions; the branches are selections by ``torch.where``."""

import torch


class TensorOptionsRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            numbers = {
                name: torch.as_tensor(x, dtype=torch.float64) for name, x in group.items() if name in self.defaults
            }
            numbers["rest"] = 1 - numbers["alpha"]
            for p in group["params"]:
                if p.grad is not None:
                    for name in ("square_avg", "grad_avg", "momentum_buffer"):
                        if name not in self.state[p]:
                            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
                    self._move([p, p.grad, *self.state[p].values()], numbers)
        return loss

    @staticmethod
    def _move(tensors, numbers):
        parts = [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in tensors]
        wide = torch.float64 if parts[0].dtype == torch.float64 else torch.float32
        x, g, v, m, b = (part.to(wide) for part in parts)
        o = {name: number.to(x) for name, number in numbers.items()}
        g = torch.where(o["weight_decay"] != 0, g + o["weight_decay"] * x, g)
        v = o["alpha"] * v + o["rest"] * (g * g)
        m = torch.where(o["centered"] != 0, o["alpha"] * m + o["rest"] * g, m)
        n = g / (torch.where(o["centered"] != 0, v - m * m, v).sqrt() + o["eps"])
        b = torch.where(o["momentum"] > 0, o["momentum"] * b + n, b)
        x = x - o["lr"] * torch.where(o["momentum"] > 0, b, n)
        for part, value in zip((parts[0], *parts[2:]), (x, v, m, b), strict=True):
            part.copy_(value)
