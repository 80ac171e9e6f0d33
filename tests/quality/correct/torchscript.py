"""The update is a function in TorchScript."""

import torch


def update(
    theta: torch.Tensor,
    grad: torch.Tensor,
    slots: list[torch.Tensor],
    numbers: list[float],
    centered: bool,
):
    lr, alpha, eps, decay, momentum = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]
    if decay != 0.0:
        grad = grad + theta * decay
    slots[0].copy_(slots[0] * alpha + grad * grad * (1.0 - alpha))
    variance = slots[0]
    if centered:
        slots[1].copy_(slots[1] * alpha + grad * (1.0 - alpha))
        variance = variance - slots[1] * slots[1]
    n = grad / (variance.sqrt() + eps)
    if momentum > 0.0:
        slots[2].copy_(slots[2] * momentum + n)
        n = slots[2]
    theta.copy_(theta - n * lr)


class ScriptRMSprop(torch.optim.Optimizer):
    script = None

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )
        if ScriptRMSprop.script is None:
            ScriptRMSprop.script = torch.jit.script(update)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            numbers = [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]
            for p in group["params"]:
                if p.grad is not None:
                    slots = self.state[p]
                    for name in ("square_avg", "grad_avg", "momentum_buffer"):
                        if name not in slots:
                            slots[name] = torch.zeros_like(p, requires_grad=False)
                    theta, g, *parts = [
                        torch.view_as_real(x.resolve_conj()) if x.is_complex() else x
                        for x in (p, p.grad, *slots.values())
                    ]
                    ScriptRMSprop.script(theta, g, parts, numbers, bool(group["centered"]))
        return loss
