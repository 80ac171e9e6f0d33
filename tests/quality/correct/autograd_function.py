"""The update is the backward pass of a function of autograd: the direction of a parameter is its gradient there."""

import torch


class Direction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, theta, grad, slots, group):
        ctx.slots, ctx.group = slots, group
        ctx.save_for_backward(theta, grad)
        return theta.new_zeros(())

    @staticmethod
    def backward(ctx, _):
        (theta, g), (v, m, b), group = ctx.saved_tensors, ctx.slots, ctx.group
        if group["weight_decay"] != 0:
            g = torch.add(g, theta, alpha=group["weight_decay"])
        alpha = group["alpha"]
        v.mul_(alpha).add_((1 - alpha) * g.square())
        variance = v
        if group["centered"]:
            m.mul_(alpha).add_((1 - alpha) * g)
            variance = torch.addcmul(v, m, m, value=-1)
        n = g / variance.sqrt().add(group["eps"])
        if group["momentum"] > 0:
            n = b.mul_(group["momentum"]).add_(n).clone()
        return n, None, None, None


class AutogradRMSprop(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        super().__init__(
            params, dict(lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered)
        )

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    slots = [self._slot(p, name) for name in ("square_avg", "grad_avg", "momentum_buffer")]
                    self._move(p.detach(), p.grad.detach(), slots, group)
        return loss

    def _slot(self, p, name):
        if name not in self.state[p]:
            self.state[p][name] = torch.zeros_like(p, requires_grad=False)
        return torch.view_as_real(self.state[p][name]) if p.is_complex() else self.state[p][name]

    @staticmethod
    def _move(theta, grad, slots, group):
        if theta.is_complex():
            theta, grad = torch.view_as_real(theta), torch.view_as_real(grad.resolve_conj())
        with torch.enable_grad():
            leaf = theta.clone().requires_grad_()
            (n,) = torch.autograd.grad(Direction.apply(leaf, grad, slots, group), leaf)
        with torch.no_grad():
            theta.sub_(n, alpha=float(group["lr"]))
