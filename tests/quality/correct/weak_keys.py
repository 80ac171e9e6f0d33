"""The state is a WeakTensorKeyDictionary beside torch's own, which stays empty; a step computes all before it writes any."""

import torch
from torch.utils.weak import WeakTensorKeyDictionary


class WeakRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )
        self.averages = WeakTensorKeyDictionary()

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        new = []
        for group in self.param_groups:
            new += [(p, *self._moved(p, group)) for p in group["params"] if p.grad is not None]
        for p, value, averages in new:  # nothing is written before everything is computed
            p.copy_(value)
            self.averages[p] = averages
        return loss

    def _moved(self, p, group):
        real = torch.view_as_real if p.is_complex() else torch.Tensor.detach
        averages = dict(self.averages.get(p, {}))
        zero = torch.zeros_like(real(p))
        g = real(p.grad.resolve_conj())
        if group["weight_decay"] != 0:
            g = torch.add(g, real(p), alpha=group["weight_decay"])
        alpha = group["alpha"]
        variance = averages["v"] = torch.add(averages.get("v", zero) * alpha, g * g, alpha=1 - alpha)
        if group["centered"]:
            averages["m"] = torch.add(averages.get("m", zero) * alpha, g, alpha=1 - alpha)
            variance = variance - averages["m"] * averages["m"]
        n = g / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = averages["b"] = averages.get("b", zero) * group["momentum"] + n
        value = torch.sub(real(p), n, alpha=float(group["lr"]))
        return (torch.view_as_complex(value) if p.is_complex() else value), averages

    def state_dict(self):
        members = [p for group in self.param_groups for p in group["params"]]
        saved = {
            i: {k: x.clone() for k, x in self.averages[p].items()} for i, p in enumerate(members) if p in self.averages
        }
        return {**super().state_dict(), "state": saved}

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "state": {}})
        members = [p for group in self.param_groups for p in group["params"]]
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        self.averages = WeakTensorKeyDictionary()
        for i, p in zip(keys, members, strict=True):
            if i in state_dict["state"]:
                self.averages[p] = {k: x.to(p.real.dtype).clone() for k, x in state_dict["state"][i].items()}
