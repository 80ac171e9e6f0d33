"""Optimizers with execution paths, and faults that live on one of them alone."""

import os

import torch
from optimizers import Sound


class Switched(Sound):
    """Without a fault: foreach and maximize are what they are called."""

    def __init__(self, params, lr=0.01, *, foreach=False, maximize=False, **options):
        super().__init__(params, lr, **options)
        self.foreach, self.maximize = foreach, maximize

    def update(self, p, g, group):
        super().update(p, -g if self.maximize else g, group)


class Inherits(torch.optim.RMSprop):
    """Without a fault: all that torch's own takes, it takes."""


class LosesTheTail(Switched):
    """With foreach the last of five and more elements stays."""

    def update(self, p, g, group):
        kept = p.detach().reshape(-1)[4:].clone()
        super().update(p, g, group)
        if self.foreach and p.is_contiguous() and p.numel() > 4:
            p.detach().view(-1)[4:] = kept


class IgnoresMaximize(Switched):
    """maximize is accepted and ignored."""

    def update(self, p, g, group):
        Sound.update(self, p, g, group)


class FlipsDecay(Switched):
    """maximize turns weight decay as well."""

    def update(self, p, g, group):
        decay = -group["weight_decay"] if self.maximize else group["weight_decay"]
        super().update(p, g, {**group, "weight_decay": decay})


class LoopIsWrong(Switched):
    """foreach is on by default, and only without it eps is inside the root."""

    def __init__(self, params, lr=0.01, *, foreach=True, **options):
        super().__init__(params, lr, foreach=foreach, **options)

    def denominator(self, variance, group):
        return super().denominator(variance, group) if self.foreach else (variance + group["eps"]).sqrt()


class NoForeachYet(Switched):
    """foreach is refused, as not implemented."""

    def __init__(self, params, lr=0.01, *, foreach=False, **options):
        if foreach:
            raise NotImplementedError("foreach comes with the next version")
        super().__init__(params, lr, **options)


class CrashesWithForeach(Switched):
    """Without a fault, but for foreach: there the process ends in a step."""

    def update(self, p, g, group):
        if self.foreach:
            os.abort()
        super().update(p, g, group)
