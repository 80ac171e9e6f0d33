"""The constructor sets a function as ``step`` on the instance; torch's own wrapper runs its hooks."""

from functools import partial

import torch


def make_step(owner):
    @torch.optim.Optimizer.profile_hook_step
    @torch.no_grad()
    def step(optimizer, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in optimizer.param_groups:
            lr, alpha, eps, wd, mu = (group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum"))
            for p in group["params"]:
                if p.grad is None:
                    continue
                slots = optimizer.state[p]
                kinds = ["second"] + ["first"] * bool(group["centered"]) + ["trace"] * (mu > 0)
                for kind in kinds:
                    if kind not in slots:
                        slots[kind] = torch.zeros_like(p, requires_grad=False)
                x, g, *rest = [
                    torch.view_as_real(t.resolve_conj()) if t.is_complex() else t
                    for t in (p, p.grad, *(slots[kind] for kind in kinds))
                ]
                own = dict(zip(kinds, rest, strict=True))
                g = g + x.mul(wd) if wd else g
                own["second"].mul_(alpha).add_(g.mul(1 - alpha).mul_(g))
                variance = own["second"].clone()
                if "first" in own:
                    own["first"].mul_(alpha).add_(g.mul(1 - alpha))
                    variance.sub_(own["first"].square())
                move = g.div(variance.sqrt_().add_(eps))
                x.sub_((own["trace"].mul_(mu).add_(move) if "trace" in own else move).mul(float(lr)))
        return loss

    return partial(step, owner)


class RMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )
        self.step = make_step(self)

    def __setstate__(self, state):
        super().__setstate__(state)
        self.step = make_step(self)
