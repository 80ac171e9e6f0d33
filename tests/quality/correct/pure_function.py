"""A pure function from (parameter, gradient, moments) to new ones; the moments are a frozen dataclass under one name."""

from dataclasses import astuple, dataclass, fields

import torch

OPTIONS = ("lr", "alpha", "eps", "weight_decay", "momentum", "centered")


@dataclass(frozen=True)
class Moments:
    square: torch.Tensor
    mean: torch.Tensor
    trace: torch.Tensor


def stepped(theta, g, old, *, lr, alpha, eps, weight_decay, momentum, centered):
    """The parameter and its moments after the step; nothing is written into."""
    g = g + weight_decay * theta if weight_decay != 0 else g
    square = alpha * old.square + (1 - alpha) * (g * g)
    mean = alpha * old.mean + (1 - alpha) * g if centered else old.mean
    n = g / (torch.sqrt(square - mean * mean if centered else square) + eps)
    trace = momentum * old.trace + n if momentum > 0 else old.trace
    return theta - float(lr) * (trace if momentum > 0 else n), Moments(square, mean, trace)


class PureRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )
        self._moments = {}

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            options = {name: group[name] for name in OPTIONS}
            for p in group["params"]:
                if p.grad is not None:
                    theta, g = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, p.grad))
                    old = self._moments.get(p) or Moments(*(torch.zeros_like(theta) for _ in range(3)))
                    new, self._moments[p] = stepped(theta, g, old, **options)
                    theta.copy_(new)
        return loss

    def state_dict(self):
        members = [p for group in self.param_groups for p in group["params"]]
        moments = {i: self._moments[p] for i, p in enumerate(members) if p in self._moments}
        state = {i: {field.name: getattr(x, field.name).clone() for field in fields(x)} for i, x in moments.items()}
        return {**super().state_dict(), "state": state}

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "state": {}})
        members = [p for group in self.param_groups for p in group["params"]]
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        state = {p: state_dict["state"][i] for i, p in zip(keys, members, strict=True) if i in state_dict["state"]}
        self._moments = {
            p: Moments(*(x.to(p.real.dtype).clone() for x in astuple(Moments(**slots)))) for p, slots in state.items()
        }
