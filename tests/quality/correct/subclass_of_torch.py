"""torch.optim.RMSprop with another step."""

import torch


class RMSprop(torch.optim.RMSprop):
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
        self.state[p].setdefault("step", torch.tensor(0.0)).add_(1)  # the base class wants it in a checkpoint
        theta = torch.view_as_real(p) if p.is_complex() else p
        g = torch.view_as_real(p.grad.resolve_conj()) if p.is_complex() else p.grad
        g = -g if group["maximize"] else g
        if group["weight_decay"] != 0:
            g = g + group["weight_decay"] * theta
        v = self._slot(p, "square_avg")
        v.mul_(group["alpha"]).addcmul_(g, g, value=1 - group["alpha"])
        variance = v
        if group["centered"]:
            mean = self._slot(p, "grad_avg")
            mean.lerp_(g, 1 - group["alpha"])
            variance = v - mean.square()
        n = g / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = self._slot(p, "momentum_buffer").mul_(group["momentum"]).add_(n)
        theta.sub_(n, alpha=float(group["lr"]))
