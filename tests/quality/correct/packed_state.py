"""All averages are one stacked tensor under one name, which nobody can take apart: torch's habits show in the parameters."""

import torch


class RMSprop(torch.optim.Optimizer):
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
                g = p.grad
                if g is None:
                    continue
                if g.is_sparse:
                    raise RuntimeError("no sparse gradients")
                s = self.state[p]
                if "packed" not in s:
                    s["packed"] = torch.zeros((3, *p.shape), dtype=p.dtype)
                pk, th = s["packed"], p
                if p.is_complex():
                    pk, th, g = torch.view_as_real(pk), torch.view_as_real(p), torch.view_as_real(g.resolve_conj())
                if group["weight_decay"] != 0:
                    g = g + th * group["weight_decay"]
                a = group["alpha"]
                pk[0] = pk[0] * a + (g * (1 - a)) * g
                var = pk[0]
                if group["centered"]:
                    pk[1] = pk[1] * a + g * (1 - a)
                    var = var - pk[1] ** 2
                if group["momentum"] > 0:
                    pk[2] = g / (group["eps"] + torch.sqrt(var)) + group["momentum"] * pk[2]
                    th.sub_(pk[2] * group["lr"])
                else:
                    th.sub_(g * group["lr"] / (group["eps"] + torch.sqrt(var)))
        return loss
