"""All tensors of a group at once, with torch._foreach operations."""

import torch
from torch.optim import Optimizer


class ForeachRMSprop(Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        defaults = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            members = [p for p in group["params"] if p.grad is not None]
            if members:
                self._group(members, group)
        return loss

    def _slots(self, members, name):
        for p in members:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        return self._real([self.state[p][name] for p in members])

    @staticmethod
    def _real(xs):
        return [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in xs]

    def _group(self, members, group):
        theta = self._real(members)
        g = self._real([p.grad for p in members])
        alpha = group["alpha"]
        if group["weight_decay"] != 0:
            g = torch._foreach_add(g, theta, alpha=group["weight_decay"])
        v = self._slots(members, "square_avg")
        torch._foreach_mul_(v, alpha)
        torch._foreach_addcmul_(v, g, g, 1 - alpha)
        if group["centered"]:
            m = self._slots(members, "grad_avg")
            torch._foreach_lerp_(m, list(g), 1 - alpha)
            d = torch._foreach_addcmul(v, m, m, -1)
            torch._foreach_sqrt_(d)
        else:
            d = torch._foreach_sqrt(v)
        torch._foreach_add_(d, group["eps"])
        if group["momentum"] > 0:
            b = self._slots(members, "momentum_buffer")
            torch._foreach_mul_(b, group["momentum"])
            torch._foreach_addcdiv_(b, g, d)
            torch._foreach_add_(theta, b, alpha=-float(group["lr"]))
        else:
            torch._foreach_addcdiv_(theta, g, d, -float(group["lr"]))
