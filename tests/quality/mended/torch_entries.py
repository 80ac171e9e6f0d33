"""torch.optim.RMSprop with known deviations mended: ``only`` one of them, or all ``but`` one.

``MENDS`` has a class for each entry of torch's list; ``Only_ID`` and ``But_ID`` are the optimizers, the dashes of an id written as
underscores.
"""

import copy

import torch

HALVES = (torch.float16, torch.bfloat16)


class CopiesOnSave:
    """state_dict returns copies."""

    def state_dict(self):
        return _copied(super().state_dict())


class CopiesOnLoad:
    """load_state_dict copies what it is given."""

    def load_state_dict(self, state_dict):
        copied = _copied(state_dict)
        copied["state"] = {
            key: {name: _like(value, entry[name]) for name, value in copied["state"][key].items()}
            for key, entry in state_dict["state"].items()
        }
        super().load_state_dict(copied)


class MakesMissingState:
    """The buffer and the gradient average are made when a step needs them."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                for key, needed in (("momentum_buffer", group["momentum"] > 0), ("grad_avg", group["centered"])):
                    if needed and self.state.get(p) and key not in self.state[p]:
                        self.state[p][key] = torch.zeros_like(p)
        return super().step(closure)


class ComparesShapes:
    """load_state_dict raises where a tensor has another shape than its parameter."""

    def load_state_dict(self, state_dict):
        order = [p for group in self.param_groups for p in group["params"]]
        saved = [position for group in state_dict["param_groups"] for position in group["params"]]
        for p, position in zip(order, saved, strict=False):
            for key, value in state_dict["state"].get(position, {}).items():
                if key != "step" and torch.is_tensor(value) and value.shape != p.shape:
                    raise ValueError(f"{key} of parameter {position} has the shape {tuple(value.shape)}")
        super().load_state_dict(state_dict)


class CountsFirst:
    """load_state_dict refuses state without the counter of steps before it takes anything over."""

    def load_state_dict(self, state_dict):
        if any("step" not in entry for entry in state_dict["state"].values()):
            raise KeyError("step")
        super().load_state_dict(state_dict)


class CopiesGroups:
    """A group is a copy of the caller's dict."""

    def add_param_group(self, param_group):
        super().add_param_group(dict(param_group))


class RefusesDuplicates:
    """A parameter listed twice in a group raises."""

    def add_param_group(self, param_group):
        params = param_group["params"]
        params = [params] if torch.is_tensor(params) else list(params)
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in params]
        if len({id(tensor) for tensor in tensors}) != len(tensors):
            raise ValueError("a parameter is listed twice")
        param_group["params"] = params
        super().add_param_group(param_group)


class LoopsOverHalves:
    """Groups with a half format are stepped by the loop, not by foreach."""

    def step(self, closure=None):
        chosen = [group.get("foreach") for group in self.param_groups]
        for group in self.param_groups:
            if any(p.dtype in HALVES for p in group["params"]):
                group["foreach"] = False
        try:
            return super().step(closure)
        finally:
            for group, value in zip(self.param_groups, chosen, strict=True):
                group["foreach"] = value


class DecaysHalvesInFloat:
    """The weight decay of a half format is added in float32."""

    def step(self, closure=None):
        kept = [
            (group, group["weight_decay"], [(p, p.grad) for p in group["params"] if p.grad is not None])
            for group in self.param_groups
            if group["weight_decay"] and any(p.dtype in HALVES for p in group["params"])
        ]
        for group, decay, grads in kept:
            group["weight_decay"] = 0.0
            for p, grad in grads:
                p.grad = (grad.float() + decay * p.detach().float()).to(p.dtype)
        try:
            return super().step(closure)
        finally:
            for group, decay, grads in kept:
                group["weight_decay"] = decay
                for p, grad in grads:
                    p.grad = grad


class AppliesLrInFloat:
    """With momentum, parameters of a half format are moved in float32."""

    def step(self, closure=None):
        kept = [
            (group, group["lr"])
            for group in self.param_groups
            if group["momentum"] > 0 and any(p.dtype in HALVES for p in group["params"])
        ]
        for group, _ in kept:
            group["lr"] = 0.0
        try:
            return super().step(closure)
        finally:
            for group, lr in kept:
                group["lr"] = lr
                for p in (p for p in group["params"] if p.grad is not None):
                    p.data = (p.detach().float() - lr * self.state[p]["momentum_buffer"].float()).to(p.dtype)


class SavesLeaves:
    """state_dict returns tensors without a history, which need gradients if those of the state do."""

    def state_dict(self):
        saved = super().state_dict()
        return {
            **saved,
            "state": {
                key: {name: _like(value, value) for name, value in entry.items()}
                for key, entry in saved["state"].items()
            },
        }


class LoadsWithoutGradients:
    """After load_state_dict no tensor of the state needs gradients."""

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for state in self.state.values():
            for key, value in state.items():
                if torch.is_tensor(value):
                    state[key] = value.detach()


class ClonesTheAverage:
    """A step leaves the average of the gradients of the step before alone."""

    def step(self, closure=None):
        for state in self.state.values():
            if "grad_avg" in state:
                state["grad_avg"] = state["grad_avg"].clone()
        return super().step(closure)


class MovesByTensor:
    """Without weight decay, a parameter is moved by a tensor lr that requires gradients."""

    def step(self, closure=None):
        kept = [
            (group, group["lr"], [(p, p.clone()) for p in group["params"] if p.grad is not None])
            for group in self.param_groups
            if torch.is_tensor(group["lr"]) and group["lr"].requires_grad and not group["weight_decay"]
        ]
        for group, _, params in kept:
            group["lr"] = -1.0
            for p, _ in params:
                p.mul_(0.0)
        try:
            return super().step(closure)
        finally:
            for group, lr, params in kept:
                group["lr"] = lr
                for p, before in params:
                    p.copy_(before - lr * p)


def _like(value, original):
    """A tensor without a history, which needs gradients if the original does; anything else as it is."""
    return value.detach().requires_grad_(original.requires_grad) if torch.is_tensor(value) else value


def _copied(state_dict):
    def copied(value):
        return value.clone() if torch.is_tensor(value) else copy.deepcopy(value)

    state = {key: {name: copied(value) for name, value in entry.items()} for key, entry in state_dict["state"].items()}
    return {"state": state, "param_groups": copy.deepcopy(state_dict["param_groups"])}


MENDS = {
    "torch-load-shares-state": CopiesOnLoad,
    "torch-state-dict-is-live": CopiesOnSave,
    "torch-switched-on-later": MakesMissingState,
    "torch-load-shape-unchecked": ComparesShapes,
    "torch-load-without-counters-half": CountsFirst,
    "torch-group-dict-kept": CopiesGroups,
    "torch-duplicate-stepped-twice": RefusesDuplicates,
    "torch-foreach-halves-on-cpu": LoopsOverHalves,
    "torch-differentiable-state-not-copyable": SavesLeaves,
    "torch-decay-halves-on-cpu": DecaysHalvesInFloat,
    "torch-differentiable-loaded-state-needs-gradients": LoadsWithoutGradients,
    "torch-lr-halves-on-cpu": AppliesLrInFloat,
    "torch-differentiable-centered": ClonesTheAverage,
    "torch-differentiable-lr": MovesByTensor,
}

for _id, _mend in MENDS.items():
    _name, _others = _id.replace("-", "_"), tuple(mend for mend in MENDS.values() if mend is not _mend)
    globals()[f"Only_{_name}"] = type(f"Only_{_name}", (_mend, torch.optim.RMSprop), {})
    globals()[f"But_{_name}"] = type(f"But_{_name}", (*_others, torch.optim.RMSprop), {})
