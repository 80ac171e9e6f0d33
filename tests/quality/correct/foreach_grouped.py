"""torch._foreach operations over tensors of one format and device at a time; the direction is made of reciprocals."""

from collections import defaultdict

import torch


class GroupedRMSprop(torch.optim.Optimizer):
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
            kinds = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    kinds[p.dtype, p.device].append(p)
            for members in kinds.values():
                self._move(members, group)
        return loss

    def _slots(self, members, name):
        for p in members:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        return self._real([self.state[p][name] for p in members])

    @staticmethod
    def _real(tensors):
        return [torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in tensors]

    def _move(self, members, group):
        theta, g = self._real(members), self._real([p.grad for p in members])
        if group["weight_decay"] != 0:
            decay = torch._foreach_mul(theta, group["weight_decay"])
            torch._foreach_add_(decay, g)
            g = decay
        v, alpha = self._slots(members, "square_avg"), group["alpha"]
        square = torch._foreach_mul(g, g)
        torch._foreach_sub_(square, v)
        torch._foreach_add_(v, square, alpha=1 - alpha)
        variance = torch._foreach_mul(v, 1.0)
        if group["centered"]:
            m = self._slots(members, "grad_avg")
            torch._foreach_mul_(m, alpha)
            torch._foreach_add_(m, g, alpha=1 - alpha)
            torch._foreach_sub_(variance, torch._foreach_mul(m, m))
        torch._foreach_sqrt_(variance)
        torch._foreach_add_(variance, group["eps"])
        torch._foreach_reciprocal_(variance)
        torch._foreach_mul_(variance, g)
        if group["momentum"] > 0:
            b = self._slots(members, "momentum_buffer")
            torch._foreach_mul_(b, group["momentum"])
            torch._foreach_add_(b, variance)
            torch._foreach_copy_(variance, b)
        torch._foreach_mul_(variance, float(group["lr"]))
        torch._foreach_sub_(theta, variance)
