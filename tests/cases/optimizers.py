"""Optimizers to be checked from their file, as a user's are: each with few faults, or with none."""

import torch

NUMBERS = ("lr", "alpha", "eps", "weight_decay", "momentum")


class Sound(torch.optim.Optimizer):
    """Without a fault; each buffer is created when it is needed first."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        options = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        for name in NUMBERS:
            if not options[name] >= 0:
                raise ValueError(f"invalid {name}: {options[name]}")
        super().__init__(params, options)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.update(p, p.grad, group)
        return loss

    def update(self, p, g, group):
        if g.is_sparse:
            raise RuntimeError("sparse gradients are not supported")
        state, real = self.state[p], p
        if p.is_complex():
            real, g = torch.view_as_real(p), torch.view_as_real(g)
        if group["weight_decay"]:
            g = g.add(real, alpha=group["weight_decay"])
        v = self.buffer(state, "square_avg", real)
        v.mul_(group["alpha"]).addcmul_(g, g, value=1 - group["alpha"])
        variance = v
        if group["centered"]:
            m = self.buffer(state, "grad_avg", real)
            m.mul_(group["alpha"]).add_(g, alpha=1 - group["alpha"])
            variance = v.addcmul(m, m, value=-1)
        d = self.denominator(variance, group)
        self.move(real, g, d, state, group)

    def move(self, real, g, d, state, group):
        if group["momentum"] > 0:
            b = self.buffer(state, "momentum_buffer", real)
            b.mul_(group["momentum"]).addcdiv_(g, d)
            real.add_(b, alpha=-group["lr"])
        else:
            real.addcdiv_(g, d, value=-group["lr"])

    def buffer(self, state, name, like):
        if name not in state:
            state[name] = torch.zeros_like(like)
        return state[name]

    def denominator(self, variance, group):
        return variance.sqrt().add_(group["eps"])


class ThreeFaults(torch.optim.RMSprop):
    """eps is inside the root; momentum and centered are accepted and ignored."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["step"] = torch.zeros(())
                    state["square_avg"] = torch.zeros_like(p)
                state["step"] += 1
                g = p.grad.add(p, alpha=group["weight_decay"]) if group["weight_decay"] else p.grad
                state["square_avg"].mul_(group["alpha"]).addcmul_(g, g, value=1 - group["alpha"])
                p.addcdiv_(g, (state["square_avg"] + group["eps"]).sqrt(), value=-group["lr"])
        return loss


class Doubled(Sound):
    """Against the dialect tensorflow: twice the denominator."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt() * 2


class SubtractsEps(Sound):
    """Against the dialect tensorflow: where centered, eps is subtracted."""

    def denominator(self, variance, group):
        return (variance - group["eps"] if group["centered"] else variance + group["eps"]).sqrt()


class AsTensorFlow(Sound):
    """Throughout as the dialect tensorflow: eps is inside the root."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt()


class LrInside(AsTensorFlow):
    """Throughout another dialect, which has no name: eps is inside the root, and lr inside the buffer."""

    def move(self, real, g, d, state, group):
        if group["momentum"] > 0:
            b = self.buffer(state, "momentum_buffer", real)
            b.mul_(group["momentum"]).addcdiv_(g, d, value=group["lr"])
            real.sub_(b)
        else:
            super().move(real, g, d, state, group)


class EpsInsideCentered(Sound):
    """eps is inside the root in one branch alone."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt() if group["centered"] else super().denominator(variance, group)


class HalfDecay(Sound):
    """Half of the weight decay is applied."""

    def update(self, p, g, group):
        super().update(p, g, {**group, "weight_decay": group["weight_decay"] / 2})


class DoubleInBfloat16(Sound):
    """In one format alone the learning rate is doubled."""

    def update(self, p, g, group):
        super().update(p, g, {**group, "lr": 2 * group["lr"]} if p.dtype == torch.bfloat16 else group)


class InFloat32(Sound):
    """Whatever the format, it calculates in float32."""

    def denominator(self, variance, group):
        return super().denominator(variance.float(), group).to(variance.dtype)


class OtherDefault(Sound):
    """Its default momentum is 0.9, and its groups take that over."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0.9, centered=False):
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


class Hidden:
    """Without a fault; neither groups nor state can be seen."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        self._params = list(params)
        self._options = lr, alpha, eps, momentum
        self._v = [torch.zeros_like(p) for p in self._params]
        self._b = [torch.zeros_like(p) for p in self._params]

    @torch.no_grad()
    def step(self):
        lr, alpha, eps, mu = self._options
        for p, v, b in zip(self._params, self._v, self._b, strict=True):
            if p.grad is None:
                continue
            if p.grad.is_sparse:
                raise RuntimeError("sparse gradients are not supported")
            v.mul_(alpha).addcmul_(p.grad, p.grad, value=1 - alpha)
            d = v.sqrt().add_(eps)
            if mu > 0:
                b.mul_(mu).addcdiv_(p.grad, d)
                p.add_(b, alpha=-lr)
            else:
                p.addcdiv_(p.grad, d, value=-lr)


class HiddenDefaultEps(Hidden):
    """Its default eps is another one, which only its steps can tell."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-5, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)


class HiddenDefaultAlpha(Hidden):
    """Its default alpha is another one, which only its steps can tell."""

    def __init__(self, params, lr=0.01, alpha=0.9, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)


class HiddenDefaultLr(Hidden):
    """Its default lr is another one, which only its steps can tell."""

    def __init__(self, params, lr=0.001, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)
