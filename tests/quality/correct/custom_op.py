"""The step of a tensor is an operation of torch's library, which writes into its arguments."""

import torch


@torch.library.custom_op("rmspec_correct::rmsprop_", mutates_args=("theta", "square", "mean", "trace"))
def rmsprop_op(
    theta: torch.Tensor,
    grad: torch.Tensor,
    square: torch.Tensor,
    mean: torch.Tensor | None,
    trace: torch.Tensor | None,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> None:
    g = grad if weight_decay == 0 else weight_decay * theta + grad
    square.mul_(alpha).add_(g * g, alpha=1 - alpha)
    variance = square
    if mean is not None:
        mean.mul_(alpha).add_(g, alpha=1 - alpha)
        variance = torch.sub(square, mean * mean)
    n = torch.div(g, torch.add(torch.sqrt(variance), eps))
    if trace is not None:
        n = trace.mul_(momentum).add_(n)
    theta.sub_(n, alpha=lr)


class LibraryRMSprop(torch.optim.Optimizer):
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
            asked = {"square": True, "mean": bool(group["centered"]), "trace": group["momentum"] > 0}
            options = [float(group[name]) for name in ("lr", "alpha", "eps", "weight_decay", "momentum")]
            for p in group["params"]:
                if p.grad is None:
                    continue
                for name, wanted in asked.items():
                    if wanted and name not in self.state[p]:
                        self.state[p][name] = torch.zeros_like(p, requires_grad=False)
                slots = [self.state[p][name] if wanted else None for name, wanted in asked.items()]
                parts = [p.detach(), p.grad.detach(), *slots]
                if p.is_complex():
                    parts = [x if x is None else torch.view_as_real(x.resolve_conj()) for x in parts]
                torch.ops.rmspec_correct.rmsprop_(*parts, *options)
        return loss
