"""torch.optim.SGD moves the parameters: it is handed g / (sqrt(v) + eps) for a gradient, and keeps the momentum."""

import torch


class SGDRMSprop(torch.optim.Optimizer):
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
            members = [p for p in group["params"] if p.grad is not None]
            if not members:
                continue
            stand_ins = [p.detach() for p in members]  # the same memory, with gradients of their own
            for p, stand_in in zip(members, stand_ins, strict=True):
                stand_in.grad = self._direction(p, group)
            sgd = torch.optim.SGD(stand_ins, lr=float(group["lr"]), momentum=group["momentum"], foreach=False)
            for p, stand_in in zip(members, stand_ins, strict=True):
                if "momentum_buffer" in self.state[p]:
                    sgd.state[stand_in]["momentum_buffer"] = self.state[p]["momentum_buffer"]
            sgd.step()
            for p, stand_in in zip(members, stand_ins, strict=True):
                if group["momentum"] > 0:
                    self.state[p]["momentum_buffer"] = sgd.state[stand_in]["momentum_buffer"]
        return loss

    def _slot(self, p, name):
        if name not in self.state[p]:
            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        return torch.view_as_real(self.state[p][name]) if p.is_complex() else self.state[p][name]

    def _direction(self, p, group):
        theta, g = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, p.grad))
        if group["weight_decay"] != 0:
            g = g + theta * group["weight_decay"]
        v, share = self._slot(p, "square_avg"), 1 - group["alpha"]
        v.mul_(group["alpha"]).addcmul_(g, g, value=share)
        variance = v
        if group["centered"]:
            mean = self._slot(p, "grad_avg")
            mean.mul_(group["alpha"]).add_(g, alpha=share)
            variance = v - mean * mean
        n = g / (variance.sqrt() + group["eps"])
        return torch.view_as_complex(n.contiguous()) if p.is_complex() else n
