"""A function that returns a namespace of functions; the state is their common variables."""

import copy
from types import SimpleNamespace

import torch


def closure_rmsprop(params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):  # noqa: C901 - the functions make one object
    defaults = dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
    groups, averages = [], []

    def members():
        return [p for group in groups for p in group["params"]]

    def add_param_group(param_group):
        own = param_group["params"]
        own = [own] if isinstance(own, torch.Tensor) else list(own)
        if len({id(p) for p in [*members(), *own]}) != len(members()) + len(own):
            raise ValueError("a parameter appears twice")
        groups.append({**defaults, **param_group, "params": own})
        averages.extend({} for _ in own)

    def zero_grad(set_to_none=True):
        for p in members():
            if p.grad is not None:
                p.grad = None if set_to_none else torch.zeros_like(p.grad)

    def move(p, own, group):
        def mean(name, value, keep, share):
            own[name] = own.get(name, torch.zeros_like(value)) * keep + value * share
            return own[name]

        x, g = (torch.view_as_real(y.resolve_conj()) if y.is_complex() else y for y in (p, p.grad))
        if group["weight_decay"] != 0:
            g = g + x * group["weight_decay"]
        share = 1 - group["alpha"]
        variance = mean("v", g * g, group["alpha"], share)
        if group["centered"]:
            variance = variance - mean("m", g, group["alpha"], share) ** 2
        n = g / (variance**0.5 + group["eps"])
        x.sub_(group["lr"] * (mean("b", n, group["momentum"], 1) if group["momentum"] > 0 else n))

    def step(closure=None):
        with torch.enable_grad():
            loss = None if closure is None else closure()
        with torch.no_grad():
            at = iter(averages)
            for group in groups:
                for p in group["params"]:
                    own = next(at)
                    if p.grad is not None:
                        move(p, own, group)
        return loss

    def state_dict():
        numbers = iter(range(len(averages)))
        saved = [{**group, "params": [next(numbers) for _ in group["params"]]} for group in groups]
        return {"state": copy.deepcopy(dict(enumerate(averages))), "param_groups": saved}

    def load_state_dict(state_dict):
        saved = copy.deepcopy(state_dict)
        if [len(group["params"]) for group in saved["param_groups"]] != [len(group["params"]) for group in groups]:
            raise ValueError("the checkpoint has other groups")
        keys = [i for group in saved["param_groups"] for i in group["params"]]
        loaded = [saved["state"].get(i, {}) for i in keys]
        for p, own in zip(members(), loaded, strict=True):
            if any(x.shape != (torch.view_as_real(p) if p.is_complex() else p).shape for x in own.values()):
                raise ValueError("the checkpoint has other shapes")
        averages[:] = [
            {name: x.to(p.real.dtype) for name, x in own.items()} for p, own in zip(members(), loaded, strict=True)
        ]
        for group, theirs in zip(groups, saved["param_groups"], strict=True):
            group.update({name: x for name, x in theirs.items() if name != "params"})

    params = list(params)
    if not params:
        raise ValueError("no parameters")
    for group in params if isinstance(params[0], dict) else [{"params": params}]:
        add_param_group(group)
    return SimpleNamespace(
        param_groups=groups,
        defaults=defaults,
        add_param_group=add_param_group,
        zero_grad=zero_grad,
        step=step,
        state_dict=state_dict,
        load_state_dict=load_state_dict,
    )
