"""State hidden in a dict by identity; a complex parameter moves by a complex product, which mixes parts that overflow."""

import copy

import torch


class RMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        self._options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        self.param_groups = []
        self._memory = {}
        params = list(params)
        if not params:
            raise ValueError("no parameters")
        if not isinstance(params[0], dict):
            params = [{"params": params}]
        for g in params:
            self.add_param_group(g)

    def add_param_group(self, param_group):
        group = dict(param_group)
        ps = group["params"]
        group["params"] = [ps] if isinstance(ps, torch.Tensor) else list(ps)
        seen = {id(p) for g in self.param_groups for p in g["params"]}
        if len({id(p) for p in group["params"]}) != len(group["params"]) or seen & {id(p) for p in group["params"]}:
            raise ValueError("a parameter appears twice")
        for k, v in self._options.items():
            group.setdefault(k, v)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none=True):
        for g in self.param_groups:
            for p in g["params"]:
                if p.grad is not None:
                    if set_to_none:
                        p.grad = None
                    else:
                        p.grad = torch.zeros_like(p.grad)

    def state_dict(self):
        n, groups, state = 0, [], {}
        for g in self.param_groups:
            ids = []
            for p in g["params"]:
                if id(p) in self._memory:
                    state[n] = {k: t.clone() for k, t in self._memory[id(p)].items()}
                ids.append(n)
                n += 1
            groups.append({**{k: v for k, v in g.items() if k != "params"}, "params": ids})
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict):
        d = copy.deepcopy(state_dict)
        if [len(g["params"]) for g in d["param_groups"]] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError("other groups")
        memory = {}
        for saved, g in zip(d["param_groups"], self.param_groups, strict=True):
            for k, p in zip(saved["params"], g["params"], strict=True):
                if k in d["state"]:
                    for t in d["state"][k].values():
                        if t.shape != p.shape:
                            raise ValueError("another shape")
                    memory[id(p)] = {n: t.to(p.dtype) for n, t in d["state"][k].items()}
        for saved, g in zip(d["param_groups"], self.param_groups, strict=True):
            g.update({k: v for k, v in saved.items() if k != "params"})
        self._memory = memory

    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        with torch.no_grad():
            for g in self.param_groups:
                for p in g["params"]:
                    if p.grad is not None:
                        self._one(p, g)
        return loss

    def _one(self, p, o):
        if p.grad.is_sparse:
            raise RuntimeError("no sparse gradients")
        real = torch.view_as_real if p.is_complex() else (lambda t: t)
        mem = self._memory.setdefault(id(p), {})
        zero = torch.zeros_like(p)
        g = real(p.grad.resolve_conj())
        if o["weight_decay"] != 0:
            g = o["weight_decay"] * real(p) + g
        a = o["alpha"]
        mem["v"] = v = (
            (1 - a) * g.square() + a * mem.get("v", zero)
            if not p.is_complex()
            else torch.view_as_complex((1 - a) * g.square() + a * real(mem.get("v", zero)))
        )
        w = real(v)
        if o["centered"]:
            m = real(mem.get("m", zero)) * a + g * (1 - a)
            mem["m"] = torch.view_as_complex(m) if p.is_complex() else m
            w = w - m.square()
        u = g / (w.sqrt() + o["eps"])
        if o["momentum"] > 0:
            u = real(mem.get("b", zero)) * o["momentum"] + u
            mem["b"] = torch.view_as_complex(u) if p.is_complex() else u
        p.copy_(p - o["lr"] * (torch.view_as_complex(u) if p.is_complex() else u))
