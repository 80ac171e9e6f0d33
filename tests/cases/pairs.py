"""Optimizers with two faults each, as people write them, to be checked from their file; and some that hide their state."""

import torch
from optimizers import LrInside, Sound


class Kept(Sound):
    """Without a fault; the state is kept elsewhere, and seen in a checkpoint alone."""

    def __init__(self, params, **options):
        self._kept = {}
        super().__init__(params, **options)

    def update(self, p, g, group):
        self._now = self._kept.setdefault(p, {})
        super().update(p, g, group)
        self.state.pop(p, None)

    def buffer(self, state, name, like):
        return super().buffer(self._now, name, like)

    def state_dict(self):
        self.state.update({p: {name: each.clone() for name, each in own.items()} for p, own in self._kept.items()})
        saved = super().state_dict()
        self.state.clear()
        return saved

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self._kept = {p: {name: each.clone() for name, each in own.items()} for p, own in self.state.items()}
        self.state.clear()


class KeptStartsAtOne(Kept):
    """The hidden square average starts at one."""

    def buffer(self, state, name, like):
        first = name not in self._now
        values = super().buffer(state, name, like)
        return values.fill_(1) if first and name == "square_avg" else values


class KeptEpsTwice(Kept):
    """eps is added inside the root and outside of it."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt() + group["eps"]


class KeptClampedNesterov(Kept):
    """The variance is clamped at 1e-6, and momentum takes Nesterov's form."""

    def denominator(self, variance, group):
        return super().denominator(variance.clamp(min=1e-6), group)

    def move(self, real, g, d, state, group):
        if group["momentum"] > 0:
            b = self.buffer(state, "momentum_buffer", real)
            b.mul_(group["momentum"]).addcdiv_(g, d)
            real.sub_(group["lr"] * (g / d + group["momentum"] * b))
        else:
            super().move(real, g, d, state, group)


class FixedWeightOldAverage(Sound):
    """The squared gradient weighs 0.01, whatever alpha is, and the average before the step is subtracted."""

    def update(self, p, g, group):
        self._old = self.state[p]["grad_avg"].clone() if "grad_avg" in self.state[p] else 0.0
        self._before = self.state[p]["square_avg"].clone() if "square_avg" in self.state[p] else 0.0
        self._group, self._p = group, p
        super().update(p, g, group)

    def denominator(self, variance, group):
        v, alpha = self.state[self._p]["square_avg"], group["alpha"]
        if alpha < 1:
            v.copy_(alpha * self._before + (v - alpha * self._before) * (0.01 / (1 - alpha)))
        return (v - self._old * self._old if group["centered"] else v).sqrt() + group["eps"]


class OldDialectKeptLr(Sound):
    """As TensorFlow 1 throughout (eps inside, v starts at one, lr in the buffer); and a changed lr is ignored."""

    def __init__(self, params, **options):
        self._first = {}
        super().__init__(params, **options)

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        self._first.clear()

    def update(self, p, g, group):
        index = next(index for index, each in enumerate(self.param_groups) if each is group)
        super().update(p, g, {**group, "lr": self._first.setdefault(index, group["lr"])})

    def buffer(self, state, name, like):
        name = {"square_avg": "rms", "momentum_buffer": "mom", "grad_avg": "mg"}[name]
        first = name not in state
        values = super().buffer(state, name, like)
        return values.fill_(1) if first and name == "rms" else values

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt()

    def move(self, real, g, d, state, group):
        moved = group["lr"] * g / d
        if group["momentum"] > 0:
            moved = self.buffer(state, "momentum_buffer", real).mul_(group["momentum"]).add_(moved)
        real.sub_(moved)


class UncenteredWithMomentum(Sound):
    """With momentum, centered is ignored; and a load resets the buffer."""

    def load_state_dict(self, state_dict):
        super().load_state_dict(state_dict)
        for own in self.state.values():
            if "momentum_buffer" in own:
                own["momentum_buffer"] = torch.zeros_like(own["momentum_buffer"])

    def update(self, p, g, group):
        super().update(p, g, {**group, "centered": group["centered"] and not group["momentum"]})


class RawAverages(Sound):
    """The averages are made of the gradient without weight decay, which has the other sign besides."""

    def update(self, p, g, group):
        self._decay = group["weight_decay"] * (torch.view_as_real(p) if p.is_complex() else p)
        super().update(p, g, {**group, "weight_decay": 0})

    def move(self, real, g, d, state, group):
        super().move(real, g - self._decay, d, state, group)


class DecayTimesLrEpsInside(Sound):
    """Weight decay is multiplied by lr in every line, and eps is added inside the root."""

    def update(self, p, g, group):
        super().update(p, g, {**group, "weight_decay": group["lr"] * group["weight_decay"]})

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt()


class UnweightedLrInside(LrInside):
    """The squared gradient is added without 1 - alpha, and lr is inside the buffer."""

    def update(self, p, g, group):
        self._group = group
        super().update(p, g, group)

    def buffer(self, state, name, like):
        values = super().buffer(state, name, like)
        return _Adding(values, self._group["alpha"]) if name == "square_avg" else values

    def denominator(self, variance, group):
        return Sound.denominator(self, variance, group)


class ClampedDecayNotAveraged(Sound):
    """The variance is clamped at 1e-6, and g_ave is made of the gradient without weight decay."""

    def update(self, p, g, group):
        self._raw = torch.view_as_real(g) if g.is_complex() else g
        super().update(p, g, group)

    def buffer(self, state, name, like):
        values = super().buffer(state, name, like)
        return _Averaging(values, self._raw) if name == "grad_avg" else values

    def denominator(self, variance, group):
        return super().denominator(variance.clamp(min=1e-6), group)


class _Wrapped:
    """A tensor of the state, with what its update is given besides."""

    def __init__(self, values, given):
        self._values, self._given = values, given

    def mul_(self, alpha):
        self._values.mul_(alpha)
        return self


class _Adding(_Wrapped):
    """A square average that weighs the square with 1, but where alpha, which is given, is 1; used as a tensor afterwards."""

    def addcmul_(self, one, two, *, value):
        self._values.addcmul_(one, two, value=1 if self._given < 1 else value)

    def sqrt(self):
        return self._values.sqrt()

    def addcmul(self, one, two, *, value):
        return self._values.addcmul(one, two, value=value)


class _Averaging(_Wrapped):
    """A gradient average that adds the given gradient, whatever one it is asked to add; used as a tensor afterwards."""

    def add_(self, gradient, *, alpha):
        self._values.add_(self._given, alpha=alpha)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        plain = [each._values if isinstance(each, _Averaging) else each for each in args]
        return function(*plain, **(kwargs or {}))


class MasterCopy(Sound):
    """A half is stepped from a copy in float32, whatever its value is."""

    def update(self, p, g, group):
        if p.dtype not in (torch.float16, torch.bfloat16):
            return super().update(p, g, group)
        own = {name: values.float() for name, values in self.state[p].items()}
        exact = own.pop("master", p.detach().float())
        self.state[exact] = own
        super().update(exact, g.float(), group)
        own = {name: values.to(p.dtype) for name, values in self.state.pop(exact).items()}
        self.state[p] = {**own, "master": exact}
        p.detach().copy_(exact)


class MasterCopyRoundedDoubles(MasterCopy):
    """And beside a double every number among the options is one of float32."""

    def update(self, p, g, group):
        if p.dtype == torch.float64:
            names = ("lr", "alpha", "eps", "momentum", "weight_decay")
            group = {**group, **{name: float(torch.tensor(float(group[name]))) for name in names}}
        super().update(p, g, group)


class EpsInside(Sound):
    """eps is added inside the root."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt()


class EpsTwice(Sound):
    """eps is added inside the root and outside of it."""

    def denominator(self, variance, group):
        return (variance + group["eps"]).sqrt() + group["eps"]


class EpsInsideButLast(Sound):
    """eps is added inside the root, and not at all for the last element of more than 64."""

    def denominator(self, variance, group):
        inside = (variance + group["eps"]).sqrt()
        if inside.numel() > 64:
            inside.view(-1)[-1] = variance.view(-1)[-1].sqrt()
        return inside
