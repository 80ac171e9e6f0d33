"""Faults of parameter groups: their options, their members, and changed options."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, Params, RMSpropBase, Tensors
from rmspec.oracles.faults.listing import fault

CLASS_DEFAULTS: Group = {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False}


def first_read(optimizer: RMSpropBase, group: Group, h: Hyper, option: str) -> Hyper:
    """h, with the option as it was in the first step of the group."""
    first: dict[int, float] = optimizer.__dict__.setdefault("_first", {})
    changed: dict[str, Any] = {option: first.setdefault(id(group["params"][0]), getattr(h, option))}
    return replace(h, **changed)


@fault("scheduled-lr", bug_class=8)
class LrBaked(LoopRMSprop):
    """The learning rate of a group is read when the group is added, and never again."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self._baked: list[float] = [*self.__dict__.get("_baked", []), float(self.param_groups[-1]["lr"])]

    def _hyper(self, group: Group) -> Hyper:
        index = next(i for i, own in enumerate(self.param_groups) if own is group)
        return replace(super()._hyper(group), lr=self._baked[index])


@fault("scheduled-lr", bug_class=8)
class LrLate(ForeachRMSprop):
    """A changed learning rate holds from the step after the next."""

    def _hyper(self, group: Group) -> Hyper:
        rates: dict[int, float] = self.__dict__.setdefault("_rates", {})
        h = super()._hyper(group)
        key = id(group["params"][0])
        last, rates[key] = rates.get(key, h.lr), h.lr
        return replace(h, lr=last)


@fault("option-change", "square-avg", bug_class=8)
class AlphaBaked(ForeachRMSprop):
    """alpha is read in the first step of a group, and never again."""

    def _hyper(self, group: Group) -> Hyper:
        return first_read(self, group, super()._hyper(group), "alpha")


@fault("option-change", "update", "momentum-buffer", bug_class=8)
class EpsBaked(LoopRMSprop):
    """eps is read in the first step of a group, and never again."""

    def _hyper(self, group: Group) -> Hyper:
        return first_read(self, group, super()._hyper(group), "eps")


@fault("option-change", "weight-decay", bug_class=8)
class DecayBaked(LoopRMSprop):
    """weight_decay is read in the first step of a group, and never again."""

    def _hyper(self, group: Group) -> Hyper:
        return first_read(self, group, super()._hyper(group), "weight_decay")


@fault("option-change", "momentum-buffer", bug_class=8)
class MomentumBaked(ForeachRMSprop):
    """momentum is read in the first step of a group, and never again."""

    def _hyper(self, group: Group) -> Hyper:
        return first_read(self, group, super()._hyper(group), "momentum")


@fault("group-options", bug_class=16, elementwise=False)
class LrOfFirstGroup(LoopRMSprop):
    """Every group is moved with the learning rate of the first."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), lr=float(self.param_groups[0]["lr"]))


@fault("group-options", bug_class=16, elementwise=False)
class OptionsOfFirstGroup(ForeachRMSprop):
    """Every group is stepped with the alpha and eps of the first."""

    def _hyper(self, group: Group) -> Hyper:
        first = super()._hyper(self.param_groups[0])
        return replace(super()._hyper(group), alpha=first.alpha, eps=first.eps)


@fault("group-options", bug_class=16, elementwise=False)
class DecayOfLastGroup(ForeachRMSprop):
    """Every group is stepped with the weight decay of the last."""

    def _hyper(self, group: Group) -> Hyper:
        last = super()._hyper(self.param_groups[-1])
        return replace(super()._hyper(group), weight_decay=last.weight_decay)


@fault("group-options", "group-defaults", bug_class=16, elementwise=False)
class CenteredOfFirstGroup(LoopRMSprop):
    """Every group is centered when the first one is."""

    def _hyper(self, group: Group) -> Hyper:
        return replace(super()._hyper(group), centered=bool(self.param_groups[0]["centered"]))


@fault("eps-placement", bug_class=16, elementwise=False)
class SecondGroupEpsInside(LoopRMSprop):
    """In the second group, and there alone, eps is added inside the root."""

    def _hyper(self, group: Group) -> Hyper:
        self._is_second = len(self.param_groups) > 1 and group is self.param_groups[1]
        return super()._hyper(group)

    def _denominator(self, v: Tensor, h: Hyper) -> Tensor:
        return (v + h.eps).sqrt_() if self._is_second else super()._denominator(v, h)


@fault("momentum-buffer", "group-options", "add-param-group", bug_class=16, elementwise=False)
class TwoGroupsDampened(ForeachRMSprop):
    """With more than one group the normalized gradient enters the buffers with weight 1 - mu."""

    def _accumulate(self, b: Tensors, n: Tensors, h: Hyper) -> None:
        many = len(self.param_groups) > 1
        super()._accumulate(b, [x * (1 - h.momentum) for x in n] if many else n, h)


@fault("group-defaults", bug_class=16, elementwise=False)
class DefaultsFollowLastGroup(LoopRMSprop):
    """The options of an added group become the defaults of the groups after it."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self.defaults.update({name: self.param_groups[-1][name] for name in CLASS_DEFAULTS})


@fault("group-options", "add-param-group", bug_class=16, elementwise=False)
class AddedOptionsIgnored(LoopRMSprop):
    """add_param_group ignores the options of the group."""

    def add_param_group(self, param_group: Group) -> None:
        started = "_complete" in self.__dict__
        super().add_param_group({"params": param_group["params"]} if started else param_group)

    def __init__(self, params: Params, **options: Any) -> None:
        super().__init__(params, **options)
        self._complete = True


@fault("group-options", bug_class=16)
class ConstructorOptionsIgnored(ForeachRMSprop):
    """The constructor ignores the options of group dicts."""

    def add_param_group(self, param_group: Group) -> None:
        started = "_complete" in self.__dict__
        super().add_param_group(param_group if started else {"params": param_group["params"]})

    def __init__(self, params: Params, **options: Any) -> None:
        super().__init__(params, **options)
        self._complete = True


@fault("group-defaults", bug_class=16, elementwise=False)
class AddedClassDefaults(ForeachRMSprop):
    """Options left out of an added group take the class's default, not the constructor's."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group({**CLASS_DEFAULTS, **param_group} if self.param_groups else param_group)


@fault("group-options", bug_class=16)
class FalsyOptionsOverwritten(LoopRMSprop):
    """A group's option of 0 or False takes the constructor's value."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group({k: v for k, v in param_group.items() if k == "params" or v})


@fault("group-options", bug_class=16)
class OptionsAsIntegers(ForeachRMSprop):
    """An option of an added group takes the type of the default, so 0.5 becomes 0 for a default of 0."""

    def add_param_group(self, param_group: Group) -> None:
        types = {name: type(value) for name, value in self.defaults.items() if type(value) in (int, bool)}
        super().add_param_group({k: types[k](v) if k in types else v for k, v in param_group.items()})


@fault("add-param-group", "params", bug_class=16, elementwise=False)
class AddedFirstMemberOnly(LoopRMSprop):
    """Of the parameters of a group after the first one, only the first is kept."""

    def add_param_group(self, param_group: Group) -> None:
        first = self.param_groups == []
        members = self._members(param_group["params"])
        super().add_param_group({**param_group, "params": members if first else members[:1]})


@fault("frame", "add-param-group", bug_class=16, elementwise=False)
class AddedForgetsState(LoopRMSprop):
    """add_param_group clears the state of all earlier parameters."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self.state.clear()


@fault("frame", "add-param-group", bug_class=16, elementwise=False)
class AddedClearsBuffers(ForeachRMSprop):
    """add_param_group fills all earlier momentum buffers with zeros."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        for state in self.state.values():
            if "momentum_buffer" in state:
                state["momentum_buffer"].zero_()


@fault("frame", "add-param-group", bug_class=16, elementwise=False)
class AddedResetsLr(LoopRMSprop):
    """add_param_group sets the learning rate of the other groups back to the constructor's."""

    def add_param_group(self, param_group: Group) -> None:
        complete = "_complete" in self.__dict__
        super().add_param_group(param_group)
        for group in self.param_groups[:-1] if complete else ():
            group["lr"] = self.defaults["lr"]

    def _update(self) -> None:
        self._complete = True
        super()._update()


@fault("add-param-group", "step", "square-avg", bug_class=16, elementwise=False)
class AddedNotStepped(ForeachRMSprop):
    """A group added after the first step is never stepped."""

    def _update(self) -> None:
        self._known: int = self.__dict__.get("_known", len(self.param_groups))
        groups = self.param_groups
        self.param_groups = groups[: self._known]
        super()._update()
        self.param_groups = groups


@fault("duplicate-across-groups", bug_class=15)
class DuplicateAcrossAccepted(LoopRMSprop):
    """A parameter of two groups is accepted, and stepped once in each."""

    def _refuse_duplicates(self, members: Any) -> None:
        pass

    def add_param_group(self, param_group: Group) -> None:
        groups, self.param_groups = self.param_groups, []
        super().add_param_group(param_group)
        self.param_groups = groups + self.param_groups


@fault("duplicate-in-group", bug_class=15, inherited=True)
class DuplicateInGroupAccepted(LoopRMSprop):
    """A parameter listed twice in a group is stepped twice."""

    def _refuse_duplicates(self, members: Any) -> None:
        super()._refuse_duplicates({id(p): p for p in members}.values())

    def add_param_group(self, param_group: Group) -> None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*duplicate parameters")
            super().add_param_group(param_group)


@fault("duplicate-across-groups", bug_class=12)
class DuplicateRefusedLate(LoopRMSprop):
    """A parameter of another group is refused after the group was added."""

    def add_param_group(self, param_group: Group) -> None:
        members = self._members(param_group["params"])
        try:
            super().add_param_group({**param_group, "params": members})
        except ValueError:
            known = {id(p) for group in self.param_groups for p in group["params"]}
            if not any(id(p) in known for p in members):
                raise
            self.param_groups.append({**self.defaults, **param_group, "params": members})
            raise


@fault("step", bug_class=16, elementwise=False)
class EmptyGroupEnds(LoopRMSprop):
    """A group without parameters ends the step."""

    def _update(self) -> None:
        for group in self.param_groups:
            if not group["params"]:
                return
            self._step_params(self._stepped(group), self._hyper(group))


@fault("step", bug_class=16, elementwise=False)
class EmptyGroupRaises(ForeachRMSprop):
    """step looks at the device of each group's first parameter, so that a group without any raises IndexError."""

    def _stepped(self, group: Group) -> list[Tensor]:
        device = group["params"][0].device
        return [p for p in super()._stepped(group) if p.device == device]


@fault("params", bug_class=16, elementwise=False)
class CallerDictEmptied(LoopRMSprop):
    """The parameters are taken out of the caller's dict, so that it cannot be given to a second optimizer."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group({"params": param_group.pop("params"), **param_group})


@fault("group-defaults", bug_class=16, elementwise=False, inherited=True)
class CallerDictFilled(ForeachRMSprop):
    """The defaults are filled in in the caller's dict, so that a second optimizer has those of the first."""

    def add_param_group(self, param_group: Group) -> None:
        for name, value in self.defaults.items():
            param_group.setdefault(name, value)
        super().add_param_group(param_group)


@fault("add-param-group", bug_class=12, elementwise=False)
class InvalidRefusedLate(LoopRMSprop):
    """A negative option of an added group is refused after the group was added."""

    def add_param_group(self, param_group: Group) -> None:
        invalid = any(name in param_group and not float(param_group[name]) >= 0 for name in CLASS_DEFAULTS)
        if not invalid:
            return super().add_param_group(param_group)
        self.param_groups.append({**self.defaults, **param_group, "params": self._members(param_group["params"])})
        raise ValueError("an option is negative")


@fault("params", bug_class=16, elementwise=False)
class GeneratorPeeked(LoopRMSprop):
    """The constructor peeks at the first item of params and takes it from a generator."""

    def __init__(self, params: Params, **options: Any) -> None:
        if not isinstance(params, Tensor):
            first = next(iter(params), None)
            rest = list(params)
            params = rest or [first]
        super().__init__(params, **options)


@fault("params", bug_class=16)
class GeneratorEmptied(ForeachRMSprop):
    """A check consumes a generator of parameters, so that the constructor finds none and raises."""

    def __init__(self, params: Params, **options: Any) -> None:
        if not all(isinstance(p, Tensor | dict) for p in params):
            raise TypeError("params must be tensors or dicts")
        super().__init__(params, **options)


@fault("params", bug_class=16, elementwise=False)
class LastDictDropped(LoopRMSprop):
    """The constructor drops the last of several group dicts."""

    def __init__(self, params: Params, **options: Any) -> None:
        dicts = params if isinstance(params, Tensor) else list(params)
        if len(dicts) > 1 and isinstance(dicts[-1], dict):
            dicts = dicts[:-1]
        super().__init__(dicts, **options)


@fault("lr-untouched", bug_class=22)
class TensorLrHalved(LoopRMSprop):
    """Each step halves a learning rate in place, if it is a tensor."""

    def _update(self) -> None:
        for group in self.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].mul_(0.5)
        super()._update()
