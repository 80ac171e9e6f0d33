"""The averages live in flat private tensors, one per parameter, and nothing of them shows but in a checkpoint."""

import torch


class FlatRMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        self.defaults = dict(
            lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )
        self.param_groups = []
        self._flat = []
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
        for p in members:
            size, dtype = p.numel() * (2 if p.is_complex() else 1), p.detach().abs().dtype
            self._flat.append(torch.zeros(3, size, dtype=dtype, device=p.device))

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else torch.zeros_like(p.grad)

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            index = 0
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._step(p, self._flat[index], group)
                    index += 1
        return loss

    def _step(self, p, flat, group):
        a = group["alpha"]
        real = torch.view_as_real if p.is_complex() else (lambda x: x)
        theta = real(p).reshape(-1).clone()
        g = real(p.grad.resolve_conj()).reshape(-1)
        if group["weight_decay"] != 0:
            g = g + theta * group["weight_decay"]
        v, m, b = flat
        v.mul_(a).addcmul_(g, g, value=1 - a)
        variance = v
        if group["centered"]:
            m.mul_(a).add_(g, alpha=1 - a)
            variance = v - m * m
        n = g / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = b.mul_(group["momentum"]).add_(n)
        theta.sub_(n, alpha=float(group["lr"]))
        real(p).copy_(theta.view(real(p).shape))

    def state_dict(self):
        groups, index = [], 0
        for group in self.param_groups:
            count = len(group["params"])
            groups.append({**group, "params": list(range(index, index + count))})
            index += count
        shapes = [tuple(p.shape) for group in self.param_groups for p in group["params"]]
        state = {i: {"flat": x.clone(), "shape": s} for i, (x, s) in enumerate(zip(self._flat, shapes, strict=True))}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError("the checkpoint has other groups")
        params = [p for group in self.param_groups for p in group["params"]]
        keys = [i for group in groups for i in group["params"]]
        loaded = []
        for key, p, flat in zip(keys, params, self._flat, strict=True):
            saved = state_dict["state"].get(key)
            if saved is not None and saved["shape"] != tuple(p.shape):
                raise ValueError("the checkpoint has other shapes")
            loaded.append(torch.zeros_like(flat) if saved is None else saved["flat"].to(flat.dtype).clone())
        self._flat = loaded
        for ours, group in zip(self.param_groups, groups, strict=True):
            ours.update({name: value for name, value in group.items() if name != "params"})
