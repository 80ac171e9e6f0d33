"""Faults of state_dict, of copies of the optimizer, and of checkpoints of another version."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, StateDict, round_state
from rmspec.oracles.faults.listing import fault


@fault("state-dict", bug_class=18)
class StateDictEmpties(LoopRMSprop):
    """state_dict hands the state over and leaves the optimizer without it."""

    def state_dict(self) -> StateDict:
        saved = super().state_dict()
        self.state.clear()
        return saved


@fault("state-dict", bug_class=18)
class StateDictRounds(ForeachRMSprop):
    """state_dict rounds the live state to bfloat16."""

    def state_dict(self) -> StateDict:
        round_state(self, torch.bfloat16)
        return super().state_dict()


@fault("state-dict", bug_class=18)
class StateDictClearsGradients(LoopRMSprop):
    """state_dict sets the gradients to None."""

    def state_dict(self) -> StateDict:
        self.zero_grad()
        return super().state_dict()


@fault("state-dict-copy", bug_class=18)
class StateDictHoldsGenerator(LoopRMSprop):
    """state_dict returns a generator besides: nothing can copy or write one."""

    def state_dict(self) -> StateDict:
        return {**super().state_dict(), "history": (group for group in self.param_groups)}

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict({name: part for name, part in state_dict.items() if name != "history"})


@fault("state-dict-snapshot", bug_class=3, inherited=True)
class StateDictLive(ForeachRMSprop):
    """state_dict returns the live tensors of the state; later steps change them."""

    def _snapshot(self, state: dict[str, Any]) -> dict[str, Any]:
        return dict(state)


@fault("load-state-dict", "state-dict", bug_class=17)
class StateDictLacksBuffer(LoopRMSprop):
    """state_dict leaves the momentum buffers out."""

    def _snapshot(self, state: dict[str, Any]) -> dict[str, Any]:
        return {name: x for name, x in super()._snapshot(state).items() if name != "momentum_buffer"}


@fault("load-options", "state-dict", bug_class=17)
class StateDictLacksAlpha(ForeachRMSprop):
    """state_dict leaves alpha out of the groups."""

    def state_dict(self) -> StateDict:
        saved = super().state_dict()
        for group in saved["param_groups"]:
            del group["alpha"]
        return saved


@fault("load-state-dict", "state-dict", bug_class=11, elementwise=False)
class StateDictInOrderOfFirstSteps(LoopRMSprop):
    """state_dict numbers the parameters in the order of their first steps."""

    def state_dict(self) -> StateDict:
        saved = super().state_dict()
        saved["state"] = dict(enumerate(x for x in saved["state"].values() if x))
        return saved


@fault("state-dict", "load-options", "load-mismatch", bug_class=17)
class StateDictGroupsDropped(ForeachRMSprop):
    """state_dict has no entry param_groups; load_state_dict supplies it."""

    def state_dict(self) -> StateDict:
        saved = super().state_dict()
        del saved["param_groups"]
        return saved

    def load_state_dict(self, state_dict: StateDict) -> None:
        groups = super().state_dict()["param_groups"]
        super().load_state_dict({"param_groups": groups, **state_dict})


@fault("optimizer-copy", bug_class=17, elementwise=False)
class CopyLosesBuffers(LoopRMSprop):
    """A copy of the optimizer has no momentum buffers."""

    def __getstate__(self) -> dict[str, Any]:
        attributes: dict[str, Any] = super().__getstate__()
        state = {
            p: {name: x for name, x in entry.items() if name != "momentum_buffer"} for p, entry in self.state.items()
        }
        return {**attributes, "state": type(self.state)(self.state.default_factory, state)}


@fault("optimizer-copy", bug_class=3, elementwise=False)
class CopySharesState(ForeachRMSprop):
    """A deep copy of the optimizer has the tensors of its state, not copies."""

    def __deepcopy__(self, memo: dict[int, Any]) -> CopySharesState:
        twin: CopySharesState = type(self).__new__(type(self))
        attributes: dict[str, Any] = super().__getstate__()
        twin.__setstate__({name: deepcopy(attributes[name], memo) for name in ("defaults", "param_groups")})
        twin.state = type(self.state)(self.state.default_factory)
        for p, entry in self.state.items():
            twin.state[deepcopy(p, memo)] = dict(entry)
        return twin


@fault("optimizer-copy", bug_class=18, elementwise=False)
class CopyNotPickled(LoopRMSprop):
    """The optimizer holds a function without a name, and cannot be pickled."""

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": lambda: self.defaults["lr"]}


@fault("optimizer-copy", bug_class=8, elementwise=False)
class CopyResetsOptions(ForeachRMSprop):
    """A copy of the optimizer has the options of the constructor in every group."""

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        super().__setstate__(attributes)
        # A load sets the state and the groups alone.
        for group in self.param_groups if "defaults" in attributes else ():
            group.update(self.defaults)


@fault("load-version", bug_class=12)
class LoadNeedsNewOption(LoopRMSprop):
    """An option of a newer version is read at each step; a checkpoint of before lacks it."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1].setdefault("corrected", False)

    def _hyper(self, group: Group) -> Hyper:
        assert group["corrected"] is False
        return super()._hyper(group)


@fault("load-version", bug_class=8)
class LoadOlderForgetsEps(ForeachRMSprop):
    """The eps of a checkpoint from an older version is squared."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1].setdefault("eps_form", "plain")

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            group.setdefault("eps_form", "squared")

    def _hyper(self, group: Group) -> Hyper:
        hyper = super()._hyper(group)
        return hyper if group["eps_form"] == "plain" else Hyper(**{**_numbers(hyper), "eps": hyper.eps**2})


def _numbers(hyper: Hyper) -> dict[str, Any]:
    return {name: getattr(hyper, name) for name in Hyper.__dataclass_fields__}


@fault("load-version", bug_class=12)
class LoadRefusesUnknown(ForeachRMSprop):
    """A checkpoint with an option of a newer version is refused."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        for group in state_dict["param_groups"]:
            if set(group) - set(self.defaults) - {"params"}:
                raise ValueError("the checkpoint has unknown options")
        super().load_state_dict(state_dict)


@fault("load-version", bug_class=17)
class LoadNeedsUnusedBuffer(LoopRMSprop):
    """A group with momentum at some time needs a buffer for each of its parameters ever after, without momentum as well."""

    def _hyper(self, group: Group) -> Hyper:
        hyper = super()._hyper(group)
        if hyper.momentum > 0 and not group.get("had_momentum"):
            group["had_momentum"] = True
            for p in group["params"]:
                if p in self.state:
                    self.state[p].setdefault("momentum_buffer", self._initial(p, "momentum_buffer"))
        self._had = bool(group.get("had_momentum"))
        return hyper

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        if self._had and not self.state[p]:
            self.state[p]["momentum_buffer"] = self._initial(p, "momentum_buffer")
        state = super()._state(p, hyper)
        if self._had:
            state["momentum_buffer"].view_as(p)
        return state


@fault("load-version", bug_class=12, inherited=True)
class LoadUncountedHalf(ForeachRMSprop):
    """A checkpoint without step counters is refused once its state has been taken over."""

    def _state(self, p: Tensor, hyper: Hyper) -> dict[str, Any]:
        state = super()._state(p, hyper)
        state["step"] = state.get("step", 0) + 1
        return state

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        if any(entry and "step" not in entry for entry in self.state.values()):
            raise KeyError("step")
