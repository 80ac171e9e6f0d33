"""One flat tensor a group and format holds all averages; the state of a parameter is views of it."""

import torch

NAMES = ("square_avg", "grad_avg", "momentum_buffer")


class BucketRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def add_param_group(self, param_group):
        super().add_param_group(param_group)
        for p in self.param_groups[-1]["params"]:
            self.state[p] = {}
        self._fill(self.param_groups[-1]["params"])

    def _fill(self, members):
        for dtype, device in {(p.dtype, p.device) for p in members}:
            own = [p for p in members if (p.dtype, p.device) == (dtype, device)]
            bucket = torch.zeros(3, sum(p.numel() for p in own), dtype=dtype, device=device)
            for p, *pieces in zip(own, *(row.split([p.numel() for p in own]) for row in bucket), strict=True):
                for name, piece in zip(NAMES, pieces, strict=True):
                    view = piece.view(p.shape)
                    if name in self.state[p]:
                        view.copy_(self.state[p][name])
                    self.state[p][name] = view

    def load_state_dict(self, state_dict):
        keys = [i for group in state_dict["param_groups"] for i in group["params"]]
        members = [p for group in self.param_groups for p in group["params"]]
        for i, p in zip(keys, members, strict=True):
            if any(x.shape != p.shape for x in state_dict["state"].get(i, {}).values()):
                raise ValueError("the checkpoint has other shapes")
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            self._fill(group["params"])

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    tensors = (p, p.grad, *(self.state[p][name] for name in NAMES))
                    self._move(*(torch.view_as_real(x.resolve_conj()) if p.is_complex() else x for x in tensors), group)
        return loss

    @staticmethod
    def _move(theta, g, v, m, b, group):
        a = group["alpha"]
        if group["weight_decay"] != 0:
            g = torch.add(g, theta, alpha=group["weight_decay"])
        v.copy_(torch.add(v * a, g.square(), alpha=1 - a))
        if group["centered"]:
            m.copy_(torch.add(m * a, g, alpha=1 - a))
        n = g / ((v - m.square() if group["centered"] else v).sqrt() + group["eps"])
        if group["momentum"] > 0:
            # Not torch.add(n, b, alpha=...): in bfloat16 that rounds alpha to bfloat16 on a CPU, and so breaks scalar-precision.
            b.copy_(b * group["momentum"] + n)
            n = b
        theta.copy_(torch.sub(theta, n, alpha=float(group["lr"])))
