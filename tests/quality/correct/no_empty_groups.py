"""A group without parameters is left out, the caller's dict is copied, and everything runs in inference mode."""

import torch


class RMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def add_param_group(self, param_group):
        members = param_group["params"]
        members = [members] if isinstance(members, torch.Tensor) else list(members)
        if members:
            super().add_param_group({**param_group, "params": members})

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.grad = None if set_to_none else torch.zeros_like(p.grad)

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.inference_mode(False), torch.enable_grad():
                loss = closure()
        # State is made before: inference tensors could not be written to by a later step of another mode.
        with torch.inference_mode(False):
            slots = [
                self._slots(p, group) for group in self.param_groups for p in group["params"] if p.grad is not None
            ]
        with torch.inference_mode():
            own = iter(slots)
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(p, next(own), group)
        return loss

    def _slots(self, p, group):
        state = self.state[p]
        for name, used in (("v", True), ("m", group["centered"]), ("b", group["momentum"] > 0)):
            if used and name not in state:
                state[name] = torch.zeros_like(p, requires_grad=False)
        return state

    @staticmethod
    def _move(p, state, group):
        def real(x):
            return torch.view_as_real(x.resolve_conj()) if x.is_complex() else x

        theta, g, alpha = real(p), real(p.grad), group["alpha"]
        if group["weight_decay"] != 0:
            g = g + theta * group["weight_decay"]
        v = real(state["v"]).mul_(alpha).addcmul_(g, g, value=1 - alpha)
        if group["centered"]:
            m = real(state["m"]).mul_(alpha).add_(g, alpha=1 - alpha)
            v = v - m * m
        n = g / (v.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = real(state["b"]).mul_(group["momentum"]).add_(n)
        theta.sub_(n * float(group["lr"]))
