"""A weighted mean starts from whichever of its two values has more weight, and goes a part of the way to the other."""

import torch


def moved(average, value, alpha):
    """The mean of an average of weight alpha and a new value of weight 1 - alpha."""
    if alpha <= 0.5:
        return value - alpha * (value - average)
    return average + (1 - alpha) * (value - average)


class NearerRMSprop(torch.optim.Optimizer):
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
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, group)
        return loss

    def _slot(self, p, name):
        if name not in self.state[p]:
            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        return torch.view_as_real(self.state[p][name]) if p.is_complex() else self.state[p][name]

    def _move(self, p, group):
        theta, g = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, p.grad))
        if group["weight_decay"] != 0:
            g = torch.addcmul(g, theta, torch.full_like(theta, 1.0), value=group["weight_decay"])
        v = self._slot(p, "square_avg")
        v.copy_(moved(v, g * g, group["alpha"]))
        variance = v
        if group["centered"]:
            mean = self._slot(p, "grad_avg")
            mean.copy_(moved(mean, g, group["alpha"]))
            variance = v - mean * mean
        n = g / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            b = self._slot(p, "momentum_buffer")
            b.copy_(torch.addcmul(n, b, torch.full_like(b, 1.0), value=group["momentum"]))
            n = b
        theta.copy_(torch.addcmul(theta, n, torch.full_like(n, 1.0), value=-float(group["lr"])))
