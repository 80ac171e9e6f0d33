"""The rule is written for one element, and ``torch.func.vmap`` makes a tensor's of it.

Mapped, torch rounds a number of Python to a half format before it multiplies: halves are computed in float32 here.
"""

import torch


def one_element(theta, g, v, m, b, numbers, centered):
    lr, alpha, eps, decay, momentum = numbers
    g = g + decay * theta if decay != 0 else g
    v = v * alpha + (g * g) * (1 - alpha)
    m = m * alpha + g * (1 - alpha) if centered else m
    n = g / (torch.sqrt(v - m * m if centered else v) + eps)
    b = b * momentum + n if momentum > 0 else b
    return theta - lr * (b if momentum > 0 else n), v, m, b


class MappedRMSprop(torch.optim.Optimizer):
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
            numbers = [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]
            for p in group["params"]:
                if p.grad is not None:
                    for name in ("square_avg", "grad_avg", "momentum_buffer"):
                        if name not in self.state[p]:
                            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
                    if p.numel():
                        self._move([p, p.grad, *self.state[p].values()], numbers, bool(group["centered"]))
        return loss

    @staticmethod
    def _move(tensors, numbers, centered):
        parts = [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in tensors]
        mapped = torch.func.vmap(lambda *xs: one_element(*xs, numbers, centered))
        theta, _, *slots = parts
        wide = torch.float32 if theta.dtype in (torch.float16, torch.bfloat16) else theta.dtype
        for x, new in zip(
            (theta, *slots), mapped(*(x.detach().flatten().to(wide, copy=True) for x in parts)), strict=True
        ):
            x.copy_(new.view(x.shape))
