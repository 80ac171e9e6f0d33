"""Fused operations in a wider format for halves; an update in place that overflows leaves NaN where torch leaves infinity."""

import torch


class RMSprop(torch.optim.Optimizer):
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
            a = group["alpha"]
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    raise RuntimeError("no sparse gradients")
                s = self.state[p]
                t, g = p, p.grad
                if p.is_complex():
                    t, g = torch.view_as_real(p), torch.view_as_real(g.resolve_conj())
                wide = torch.float64 if t.dtype == torch.float64 else torch.float32
                s.setdefault("ms", torch.zeros_like(p))
                x = torch.view_as_real(s["ms"]) if p.is_complex() else s["ms"]
                g = g.to(wide)
                tw = t.to(wide)
                if group["weight_decay"] != 0:
                    g = torch.add(g, tw, alpha=group["weight_decay"])
                nv = torch.lerp(x.to(wide), g * g, 1 - a)
                x.copy_(nv)
                var = nv
                if group["centered"]:
                    s.setdefault("mg", torch.zeros_like(p))
                    m = torch.view_as_real(s["mg"]) if p.is_complex() else s["mg"]
                    nm = torch.lerp(m.to(wide), g, 1 - a)
                    m.copy_(nm)
                    var = torch.addcmul(nv, nm, nm, value=-1)
                den = var.sqrt().add_(group["eps"])
                if group["momentum"] > 0:
                    s.setdefault("mom", torch.zeros_like(p))
                    b = torch.view_as_real(s["mom"]) if p.is_complex() else s["mom"]
                    nb = torch.addcdiv(b.to(wide) * group["momentum"], g, den)
                    b.copy_(nb)
                    t.copy_(torch.add(tw, nb, alpha=-group["lr"]))
                else:
                    t.copy_(torch.addcdiv(tw, g, den, value=-group["lr"]))
        return loss
