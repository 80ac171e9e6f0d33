"""Plain Python floats, element by element; what is stored is rounded once."""

import math

import torch


def divide(x, y):
    if y == 0:
        return math.nan if x == 0 or math.isnan(x) else math.copysign(math.inf, x) * math.copysign(1.0, y)
    return x / y


def root(x):
    return math.sqrt(x) if x >= 0 else math.nan


class FloatRMSprop(torch.optim.Optimizer):
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
            options = [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]
            for p in group["params"]:
                if p.grad is not None:
                    state = self.state[p]
                    for name in ("square_avg", "grad_avg", "momentum_buffer"):
                        state.setdefault(name, torch.zeros_like(p, requires_grad=False))
                    self._move(p, p.grad, *state.values(), *options, bool(group["centered"]))
        return loss

    @staticmethod
    def _move(p, grad, square, mean, trace, lr, alpha, eps, decay, momentum, centered):
        tensors = [p, square, mean, trace, grad]
        parts = [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in tensors]
        rows = []
        for theta, v, m, b, g in zip(*(x.flatten().tolist() for x in parts), strict=True):
            g += decay * theta if decay else 0.0
            v = alpha * v + (1.0 - alpha) * g * g
            m = alpha * m + (1.0 - alpha) * g if centered else m
            n = divide(g, root(v - m * m if centered else v) + eps)
            b = momentum * b + n if momentum > 0 else b
            rows.append((theta - lr * (b if momentum > 0 else n), v, m, b))
        for x, values in zip(parts, zip(*rows, strict=True), strict=False):
            x.copy_(torch.tensor(values, dtype=torch.float64).view(x.shape))
