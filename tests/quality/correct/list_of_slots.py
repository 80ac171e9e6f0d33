"""No base class; the state is a list of objects with slots, one a parameter, in the order of the parameters."""

import torch


class Slot:
    __slots__ = ("buf", "mean", "square")

    def __init__(self):
        self.square = self.mean = self.buf = None

    def saved(self):
        return {name: getattr(self, name).clone() for name in self.__slots__ if getattr(self, name) is not None}


class ListRMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        self.defaults = dict(
            lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )
        self.param_groups, self.slots = [], []
        params = list(params)
        if not params:
            raise ValueError("no parameters")
        for group in params if isinstance(params[0], dict) else [{"params": params}]:
            self.add_param_group(group)

    def add_param_group(self, param_group):
        members = param_group["params"]
        members = [members] if isinstance(members, torch.Tensor) else list(members)
        everyone = [id(p) for p in [*self._members(), *members]]
        if len(set(everyone)) != len(everyone):
            raise ValueError("a parameter appears twice")
        self.param_groups.append({**self.defaults, **param_group, "params": members})
        self.slots.extend(Slot() for _ in members)

    def zero_grad(self, set_to_none=True):
        for p in self._members():
            if p.grad is not None:
                p.grad = None if set_to_none else torch.zeros_like(p.grad)

    def _members(self):
        return [p for group in self.param_groups for p in group["params"]]

    def step(self, closure=None):
        with torch.enable_grad():
            loss = None if closure is None else closure()
        slots = iter(self.slots)
        with torch.no_grad():
            for group in self.param_groups:
                for p, slot in zip(group["params"], slots, strict=False):
                    if p.grad is not None:
                        self._move(p, slot, **{name: x for name, x in group.items() if name in self.defaults})
        return loss

    def _move(self, p, slot, lr, alpha, eps, weight_decay, momentum, centered):
        def part(name):
            if getattr(slot, name) is None:
                setattr(slot, name, torch.zeros_like(theta))
            return getattr(slot, name)

        theta = torch.view_as_real(p) if p.is_complex() else p
        g = torch.view_as_real(p.grad.resolve_conj()) if p.is_complex() else p.grad
        if weight_decay != 0:
            g = g + weight_decay * theta
        variance = slot.square = alpha * part("square") + g * ((1 - alpha) * g)
        if centered:
            slot.mean = part("mean") * alpha + (1 - alpha) * g
            variance = variance - slot.mean.square()
        n = g / (eps + variance.sqrt())
        if momentum > 0:
            n = slot.buf = n + part("buf") * momentum
        theta.sub_(n * lr)

    def state_dict(self):
        groups, first = [], 0
        for group in self.param_groups:
            groups.append({**group, "params": list(range(first, first := first + len(group["params"])))})
        return {"state": {i: slot.saved() for i, slot in enumerate(self.slots)}, "param_groups": groups}

    def load_state_dict(self, state_dict):
        groups = state_dict["param_groups"]
        if [len(group["params"]) for group in groups] != [len(group["params"]) for group in self.param_groups]:
            raise ValueError("the checkpoint has other groups")
        keys, slots = [i for group in groups for i in group["params"]], []
        for i, p in zip(keys, self._members(), strict=True):
            slots.append(Slot())
            for name, x in state_dict["state"].get(i, {}).items():
                if (torch.view_as_complex(x) if p.is_complex() else x).shape != p.shape:
                    raise ValueError("the checkpoint has other shapes")
                setattr(slots[-1], name, x.to(p.real.dtype).clone())
        self.slots = slots
        for ours, group in zip(self.param_groups, groups, strict=True):
            ours.update({name: x for name, x in group.items() if name != "params"})
