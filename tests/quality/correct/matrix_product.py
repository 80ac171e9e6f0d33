"""The weighted means and the momentum are products of a row of weights and a matrix of two rows; halves in float32."""

import torch


class MatrixRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self._move(p, p.grad, group)
        return loss

    def _mixed(self, p, name, row, weights):
        """Mix a row into the average of that name, store it, and return it as it was before it was stored."""
        if name not in self.state[p]:
            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        average = torch.view_as_real(self.state[p][name]) if p.is_complex() else self.state[p][name]
        rows = torch.stack([average.to(row.dtype).reshape(-1), row])
        (new,) = torch.tensor([weights], dtype=row.dtype, device=row.device) @ rows
        average.copy_(new.view(average.shape))
        return new

    def _move(self, p, grad, group):
        theta, g = (torch.view_as_real(x.resolve_conj()) if x.is_complex() else x for x in (p, grad))
        wide = torch.float64 if theta.dtype == torch.float64 else torch.float32
        x, g = (y.to(wide).reshape(-1) for y in (theta, g))
        if group["weight_decay"] != 0:
            (g,) = torch.tensor([[1.0, group["weight_decay"]]], dtype=wide, device=x.device) @ torch.stack([g, x])
        weights = (group["alpha"], 1 - group["alpha"])
        variance = self._mixed(p, "square_avg", g * g, weights)
        if group["centered"]:
            variance = variance - self._mixed(p, "grad_avg", g, weights) ** 2
        n = g / (variance.sqrt() + group["eps"])
        if group["momentum"] > 0:
            n = self._mixed(p, "momentum_buffer", n, (group["momentum"], 1.0))
        theta.copy_((x - float(group["lr"]) * n).view(theta.shape))
