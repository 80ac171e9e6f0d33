"""A wrapper that holds torch's optimizer and forwards to it, and keeps what the page promises where torch does not."""

import copy

import torch


class WrappedRMSprop:
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        params = list(params)
        for group in params if params and isinstance(params[0], dict) else [{"params": params}]:
            self._refuse_duplicates(group)
        self._inner = torch.optim.RMSprop(
            params, lr, alpha, eps, weight_decay, momentum, centered, foreach=False, capturable=False
        )

    def __getattr__(self, name):
        if name == "_inner":
            raise AttributeError(name)
        return getattr(self._inner, name)

    @staticmethod
    def _refuse_duplicates(group):
        members = group["params"]
        if not isinstance(members, torch.Tensor):
            group["params"] = members = list(members)
            if len({id(p) for p in members}) != len(members):
                raise ValueError("a parameter appears twice")

    def add_param_group(self, param_group):
        self._refuse_duplicates(param_group)
        self._inner.add_param_group(param_group)

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self._inner.param_groups:
            wanted = ["momentum_buffer"] * (group["momentum"] > 0) + ["grad_avg"] * bool(group["centered"])
            for p in group["params"]:
                for name in wanted if p in self._inner.state else ():
                    if name not in self._inner.state[p]:  # the option was switched on after the first step
                        self._inner.state[p][name] = torch.zeros_like(p, requires_grad=False)
        self._inner.step()
        return loss

    def state_dict(self):
        return copy.deepcopy(self._inner.state_dict())

    def load_state_dict(self, state_dict):
        ours = [p for group in self._inner.param_groups for p in group["params"]]
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        for i, p in zip(keys, ours, strict=True):
            slots = state_dict["state"].get(i, {})
            if any(x.shape != p.shape for name, x in slots.items() if name != "step"):
                raise ValueError("the checkpoint has other shapes")
        self._inner.load_state_dict(copy.deepcopy(state_dict))
