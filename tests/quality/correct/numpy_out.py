"""NumPy with ``out=`` into scratch arrays, on the memory of the parameters themselves; halves are computed in float32."""

import numpy as np
import torch

HALVES = (torch.float16, torch.bfloat16)


class ScratchRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def step(self, closure=None):
        with torch.enable_grad():
            loss = closure() if closure is not None else None
        with torch.no_grad(), np.errstate(all="ignore"):
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._move(p, group)
        return loss

    def _array(self, x):
        x = torch.view_as_real(x.detach().resolve_conj()) if x.is_complex() else x.detach()
        return (x.float() if x.dtype in HALVES else x).numpy()

    def _move(self, p, group):
        names = ["square_avg"] + ["grad_avg"] * bool(group["centered"]) + ["momentum_buffer"] * (group["momentum"] > 0)
        for name in names:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        own = {name: self._array(self.state[p][name]) for name in names}
        theta, v, alpha = self._array(p), own["square_avg"], group["alpha"]
        g, a, b = np.array(self._array(p.grad)), np.empty_like(theta), np.empty_like(theta)
        if group["weight_decay"] != 0:
            np.multiply(theta, group["weight_decay"], out=a)
            np.add(g, a, out=g)
        np.multiply(v, alpha, out=v)
        np.multiply(g, g, out=a)
        np.multiply(a, 1 - alpha, out=a)
        np.add(v, a, out=v)
        np.copyto(a, v)
        if group["centered"]:
            m = own["grad_avg"]
            np.subtract(g, m, out=b)
            np.multiply(b, 1 - alpha, out=b)
            np.add(m, b, out=m)
            np.multiply(m, m, out=b)
            np.subtract(a, b, out=a)
        np.sqrt(a, out=a)
        np.add(a, group["eps"], out=a)
        np.divide(g, a, out=a)
        if group["momentum"] > 0:
            trace = own["momentum_buffer"]
            np.multiply(trace, group["momentum"], out=trace)
            np.add(trace, a, out=trace)
            np.copyto(a, trace)
        np.multiply(a, float(group["lr"]), out=a)
        np.subtract(theta, a, out=theta)
        if (p.real.dtype if p.is_complex() else p.dtype) in HALVES:  # of the others, the memory is shared
            for x, values in ((p, theta), *((self.state[p][name], own[name]) for name in names)):
                x.copy_(torch.from_numpy(values))
