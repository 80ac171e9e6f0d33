"""No base class: an object with the methods of an optimizer, and nothing else."""

import copy

import torch

DEFAULTS = dict(lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False)


class PlainRMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        self.defaults = dict(
            lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )
        self.param_groups = []
        self.state = {}
        params = list(params)
        if not params:
            raise ValueError("no parameters")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        members = param_group["params"]
        members = [members] if isinstance(members, torch.Tensor) else list(members)
        known = [id(p) for group in self.param_groups for p in group["params"]]
        ids = [id(p) for p in members]
        if len(set(ids)) != len(ids) or set(ids) & set(known):
            raise ValueError("a parameter appears twice")
        self.param_groups.append({**self.defaults, **param_group, "params": members})

    def zero_grad(self, set_to_none=True):
        for p in self._all():
            if p.grad is not None:
                p.grad = None if set_to_none else torch.zeros_like(p.grad)

    def _all(self):
        return [p for group in self.param_groups for p in group["params"]]

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step(p, group)
        return loss

    def _slot(self, p, name):
        slot = self.state.setdefault(p, {}).setdefault(name, torch.zeros_like(p, requires_grad=False))
        return torch.view_as_real(slot) if p.is_complex() else slot

    def _step(self, p, group):
        a, mu = group["alpha"], group["momentum"]
        theta = torch.view_as_real(p) if p.is_complex() else p
        g = torch.view_as_real(p.grad.resolve_conj()) if p.is_complex() else p.grad
        if group["weight_decay"] != 0:
            g = g + group["weight_decay"] * theta
        v = self._slot(p, "square_avg")
        v.copy_(a * v + (1 - a) * g**2)
        variance = v
        if group["centered"]:
            m = self._slot(p, "grad_avg")
            m.copy_(a * m + (1 - a) * g)
            variance = v - m**2
        n = g / (variance.sqrt() + group["eps"])
        if mu > 0:
            b = self._slot(p, "momentum_buffer")
            b.copy_(mu * b + n)
            n = b
        theta.sub_(float(group["lr"]) * n)

    def state_dict(self):
        index = {p: i for i, p in enumerate(self._all())}
        groups = [{**group, "params": [index[p] for p in group["params"]]} for group in self.param_groups]
        state = {index[p]: {k: x.clone() for k, x in slots.items()} for p, slots in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        saved = copy.deepcopy(state_dict)
        theirs = [len(group["params"]) for group in saved["param_groups"]]
        if theirs != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("the checkpoint has other groups")
        keys = [i for group in saved["param_groups"] for i in group["params"]]
        state = {p: saved["state"][i] for i, p in zip(keys, self._all(), strict=True) if i in saved["state"]}
        if any(x.shape != p.shape for p, slots in state.items() for x in slots.values()):
            raise ValueError("the checkpoint has other shapes")
        self.state = state
        for ours, group in zip(self.param_groups, saved["param_groups"], strict=True):
            ours.update({name: value for name, value in group.items() if name != "params"})
