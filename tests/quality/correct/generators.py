"""Every parameter has a generator that is sent the options of its group; the averages are its local variables."""

import torch


def life(p, start):
    """The life of one parameter; each step sends it a group, and takes the averages as they are afterwards."""
    real = torch.view_as_real if p.is_complex() else torch.Tensor.detach
    v, m, b = start
    group = yield v, m, b
    while True:
        g = real(p.grad.resolve_conj())
        if group["weight_decay"] != 0:
            g = g.add(real(p) * group["weight_decay"])
        alpha = group["alpha"]
        v = g.square().mul(1 - alpha).add(v * alpha)
        variance = v
        if group["centered"]:
            m = g.mul(1 - alpha).add(m * alpha)
            variance = v - m.square()
        n = g / variance.sqrt().add(group["eps"])
        if group["momentum"] > 0:
            n = b = n + b * group["momentum"]
        real(p).sub_(n * group["lr"])
        group = yield v, m, b


class GeneratorRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        self._lives, self._now = {}, {}
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            self._begin(p)

    def _begin(self, p, *start):
        real = torch.view_as_real(p) if p.is_complex() else p
        self._lives[p] = life(p, start or [torch.zeros_like(real, requires_grad=False) for _ in range(3)])
        self._now[p] = next(self._lives[p])

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if p.grad.is_sparse:
                        raise RuntimeError("no sparse gradients")  # in the generator, it would be the end of its life
                    self._now[p] = self._lives[p].send(group)
        return loss

    def state_dict(self):
        members = [p for group in self.param_groups for p in group["params"]]
        return {**super().state_dict(), "state": {i: [x.clone() for x in self._now[p]] for i, p in enumerate(members)}}

    def load_state_dict(self, state_dict):
        super().load_state_dict({**state_dict, "state": {}})
        members = [p for group in self.param_groups for p in group["params"]]
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        for i, p in zip(keys, members, strict=True):
            self._begin(p, *(x.to(p.real.dtype).clone() for x in state_dict["state"].get(i, ())))
