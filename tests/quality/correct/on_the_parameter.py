"""The averages are attributes of the parameters, one set for each optimizer that owns them."""

from weakref import WeakKeyDictionary

import torch


class AttributeRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def _own(self, p):
        if not hasattr(p, "rms_averages"):
            p.rms_averages = WeakKeyDictionary()
        return p.rms_averages.setdefault(self, {})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, self._own(p), group)
        return loss

    @staticmethod
    def _move(p, own, group):
        for name in ("v", "m", "b"):
            if name not in own:
                own[name] = torch.zeros_like(torch.view_as_real(p) if p.is_complex() else p, requires_grad=False)
        theta, g = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, p.grad))
        if group["weight_decay"] != 0:
            g = g + theta * group["weight_decay"]
        own["v"].mul_(group["alpha"]).add_(g.square().mul_(1 - group["alpha"]))
        variance = own["v"]
        if group["centered"]:
            own["m"].mul_(group["alpha"]).add_(g.mul(1 - group["alpha"]))
            variance = variance.sub(own["m"].square())
        n = g.div(variance.sqrt().add_(group["eps"]))
        if group["momentum"] > 0:
            n = own["b"].mul_(group["momentum"]).add_(n)
        theta.sub_(n.mul(float(group["lr"])))

    def state_dict(self):
        members = [p for group in self.param_groups for p in group["params"]]
        return {
            **super().state_dict(),
            "state": {
                i: {k: x.clone() for k, x in self._own(p).items()} for i, p in enumerate(members) if self._own(p)
            },
        }

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "state": {}})
        members = [p for group in self.param_groups for p in group["params"]]
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        for i, p in zip(keys, members, strict=True):
            self._own(p).clear()
            self._own(p).update({k: x.to(p.real.dtype).clone() for k, x in state_dict["state"].get(i, {}).items()})
