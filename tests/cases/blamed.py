"""Optimizers with one fault each, where another clause was blamed, and others without a fault, which were blamed or refused."""

from typing import NamedTuple

import torch
from optimizers import Hidden, Sound


class NoneRaises(Sound):
    """A gradient of None raises."""

    @torch.no_grad()
    def step(self, closure=None):
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            for p in group["params"]:
                self.update(p, p.grad, group)
        return loss


class NoneRaisesLater(Sound):
    """A gradient of None raises, if the parameter has been stepped before."""

    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None and p in self.state:
                    raise RuntimeError("the gradient is gone")
        return super().step(closure)


class NoneFirstRaises(Sound):
    """State is made at the first step of the optimizer alone, for the parameters with a gradient."""

    def step(self, closure=None):
        self.stepped = getattr(self, "stepped", 0) + 1
        return super().step(closure)

    def buffer(self, state, name, like):
        return super().buffer(state, name, like) if self.stepped == 1 else state[name]


class NoneInGroupRaises(Sound):
    """A group where no parameter has a gradient raises."""

    def step(self, closure=None):
        for group in self.param_groups:
            max(p.grad.numel() for p in group["params"] if p.grad is not None)
        return super().step(closure)


class LoadNeedsCounter(Sound):
    """load_state_dict reads a counter that step never writes."""

    def load_state_dict(self, state_dict):
        for state in state_dict["state"].values():
            state["step"]
        super().load_state_dict(state_dict)


class LoadNeedsEntries(Sound):
    """load_state_dict raises where a parameter has no saved state."""

    def load_state_dict(self, state_dict):
        for group in state_dict["param_groups"]:
            for key in group["params"]:
                state_dict["state"][key]
        super().load_state_dict(state_dict)


class SaveNeedsEntries(Sound):
    """state_dict raises where a parameter has no state."""

    def state_dict(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p not in self.state:
                    raise KeyError("no state")
        return super().state_dict()


class ZeroNeedsGradients(Sound):
    """zero_grad raises where a parameter has no gradient."""

    def zero_grad(self, set_to_none=True):
        for group in self.param_groups:
            for p in group["params"]:
                p.grad.zero_()
        super().zero_grad(set_to_none)


class Outside(Sound):
    """Some buffers are kept on the optimizer; no checkpoint has them."""

    names = ("momentum_buffer",)

    def __init__(self, *args, **options):
        self.kept = {}
        super().__init__(*args, **options)

    def update(self, p, g, group):
        self.key = id(p)
        super().update(p, g, group)

    def buffer(self, state, name, like):
        if name in self.names:
            return super().buffer(self.kept.setdefault(self.key, {}), name, like)
        return super().buffer(state, name, like)


class SquareOutside(Outside):
    names = ("square_avg",)


class AverageOutside(Outside):
    names = ("grad_avg",)


class AllOutside(Outside):
    names = ("square_avg", "grad_avg", "momentum_buffer")


class WritesLr(Sound):
    """A learning rate that is a tensor is halved in place, before the step."""

    def step(self, closure=None):
        for group in self.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].mul_(0.5)
        return super().step(closure)


class WritesLrAfterwards(Sound):
    """A learning rate that is a tensor is halved in place, after the step."""

    def step(self, closure=None):
        loss = super().step(closure)
        for group in self.param_groups:
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].div_(2)
        return loss


class DecaysLr(Sound):
    """Every step multiplies the learning rate by 0.75."""

    def step(self, closure=None):
        for group in self.param_groups:
            group["lr"] = group["lr"] * 0.75
        return super().step(closure)


class WritesLrWithMomentum(Sound):
    """lr is multiplied by the momentum, in the group itself."""

    def move(self, real, g, d, state, group):
        if group["momentum"] > 0:
            group["lr"] = group["lr"] * group["momentum"]
        super().move(real, g, d, state, group)


class WritesLrTwice(WritesLrWithMomentum):
    """Besides, the buffer is applied twice."""

    def move(self, real, g, d, state, group):
        super().move(real, g, d, state, group)
        if group["momentum"] > 0:
            real.add_(state["momentum_buffer"], alpha=-group["lr"])


class ComplexSquare(Sound):
    """Complex numbers are squared as such."""

    def update(self, p, g, group):
        if not p.is_complex():
            super().update(p, g, group)
            return
        v = self.buffer(self.state[p], "square_avg", p)
        v.mul_(group["alpha"]).addcmul_(g, g, value=1 - group["alpha"])
        p.sub_(group["lr"] * g / (v.sqrt() + group["eps"]))


class ComplexConjugate(ComplexSquare):
    """Complex numbers are multiplied by their conjugate: the imaginary part of the average stays 0."""

    def update(self, p, g, group):
        if not p.is_complex():
            super().update(p, g, group)
            return
        v = self.buffer(self.state[p], "square_avg", p)
        v.mul_(group["alpha"]).add_(g * g.conj(), alpha=1 - group["alpha"])
        p.sub_(group["lr"] * g / (v.sqrt() + group["eps"]))


class RowMajor(Sound):
    """The memory of the gradient is read row by row."""

    def update(self, p, g, group):
        if not g.is_contiguous() and g.numel():
            fits = g.untyped_storage().nbytes() // g.element_size() >= g.storage_offset() + g.numel()
            g = g.as_strided(g.shape, torch.empty(g.shape).stride(), g.storage_offset()) if fits else g.contiguous()
        super().update(p, g, group)


class LostCopy(Sound):
    """A parameter that is not contiguous is stepped in a copy, and its state is lost with it."""

    def update(self, p, g, group):
        if p.is_contiguous():
            super().update(p, g, group)
            return
        copied = p.detach().contiguous()
        super().update(copied, g, group)
        self.state.pop(copied)


class Backwards(Sound):
    """Without a fault; the state is stored in another order."""

    def update(self, p, g, group):
        super().update(p, g, group)
        own = dict(reversed(self.state[p].items()))
        self.state[p].clear()
        self.state[p].update(own)


class TupleGroups(Hidden):
    """A group is a tuple."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)
        self.param_groups = [tuple(self._params)]


class Named(NamedTuple):
    params: list
    lr: float


class NamedGroups(Hidden):
    """A group is a named tuple."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)
        self.param_groups = [Named(self._params, lr)]


class GroupsByName(Hidden):
    """The groups are a dict, by name."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)
        self.param_groups = {"all": {"params": self._params, "lr": lr}}


class TensorsAsGroups(Hidden):
    """The groups are the parameters."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, momentum=0.0):
        super().__init__(params, lr, alpha, eps, momentum)
        self.param_groups = self._params


class Refusing(Sound):
    """Some options raise."""

    refuses = ()
    error = NotImplementedError

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
        given = {"weight_decay": weight_decay, "momentum": momentum, "centered": centered}
        for name in self.refuses:
            if given[name]:
                raise self.error(f"{name} is not supported")
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


class NoCentered(Refusing):
    refuses = ("centered",)


class NoDecay(Refusing):
    refuses = ("weight_decay",)


class NeitherCenteredNorMomentum(Refusing):
    refuses = ("centered", "momentum")


class CenteredRaises(NoCentered):
    error = ValueError


class AlwaysMomentum(Sound):
    """A momentum of 0 is refused, although the page has it as the default."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0.0, centered=False):
        if not momentum:
            raise ValueError("momentum must be positive")
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


class Forwarding:
    """Without a fault: everything is forwarded to one of torch's own."""

    def __init__(self, params, **options):
        self.wrapped = torch.optim.RMSprop(params, **options)

    def __getattr__(self, name):
        if name == "wrapped":
            raise AttributeError(name)
        return getattr(self.wrapped, name)


class OnInstance:
    """Without a fault: the methods are set on the instance."""

    def __init__(self, params, **options):
        optimizer = torch.optim.RMSprop(params, **options)
        for name in ("step", "zero_grad", "state_dict", "load_state_dict", "add_param_group"):
            setattr(self, name, getattr(optimizer, name))


class Dispatching:
    """Without a fault: step is found by its name."""

    __slots__ = ("_optimizer",)

    def __init__(self, params, **options):
        self._optimizer = Sound(params, **options)

    def __getattribute__(self, name):
        optimizer = object.__getattribute__(self, "_optimizer")
        return getattr(optimizer, name)


class NoOptimizer:
    """It has no step."""

    def __init__(self, params, **options):
        self.params = params


class CenteredIsNone(Sound):
    """The default of centered is None, which is no number."""

    def __init__(self, params, lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=None):
        super().__init__(params, lr, alpha, eps, weight_decay, momentum, centered)


class MomentumInHalf(Sound):
    """Beside a half momentum is a half."""

    def move(self, real, g, d, state, group):
        super().move(real, g, d, state, {**group, "momentum": float(torch.tensor(group["momentum"], dtype=real.dtype))})
