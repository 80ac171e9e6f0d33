"""Faults of load_state_dict, and of calls after a load."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from rmspec.oracles.faults.base import ForeachRMSprop, Group, Hyper, LoopRMSprop, StateDict, round_state
from rmspec.oracles.faults.listing import fault


@fault("load-state-dict", bug_class=17)
class LoadZeroesBuffer(LoopRMSprop):
    """load_state_dict fills the momentum buffers with zeros."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if "momentum_buffer" in state:
                state["momentum_buffer"].zero_()


@fault("load-state-dict", bug_class=17)
class LoadDropsGradAvg(ForeachRMSprop):
    """load_state_dict drops the gradient averages, so that they start anew."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            state.pop("grad_avg", None)


@fault("load-state-dict", bug_class=17)
class LoadExchangesAverages(LoopRMSprop):
    """load_state_dict exchanges the gradient average and the momentum buffer, given both."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for state in self.state.values():
            if "grad_avg" in state and "momentum_buffer" in state:
                state["grad_avg"], state["momentum_buffer"] = state["momentum_buffer"], state["grad_avg"]


@fault("load-options", bug_class=8)
class LoadIgnoresOptions(ForeachRMSprop):
    """load_state_dict keeps the present options of the groups."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        options = [dict(group) for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, before in zip(self.param_groups, options, strict=True):
            group.update(before)


@fault("load-options", bug_class=8)
class LoadIgnoresLr(LoopRMSprop):
    """load_state_dict restores every option of a group but lr."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        rates = [group["lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, lr in zip(self.param_groups, rates, strict=True):
            group["lr"] = lr


@fault("load-options", bug_class=16, elementwise=False)
class LoadOptionsOfFirstGroup(ForeachRMSprop):
    """load_state_dict gives every group the saved options of the first."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        first = {name: value for name, value in self.param_groups[0].items() if name in self.defaults}
        for group in self.param_groups:
            group.update(first)


@fault("load-state-dict", bug_class=11, elementwise=False)
class LoadReversesParameters(LoopRMSprop):
    """load_state_dict reverses the states of a group's parameters, if the shapes allow it."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups:
            params = group["params"]
            if len({(p.shape, p.dtype) for p in params}) == 1:
                states = [self.state[p] for p in params]
                self.state.update(zip(params, reversed(states), strict=True))


@fault("load-state-dict", bug_class=11)
class LoadThroughFloat16(ForeachRMSprop):
    """load_state_dict casts the state to float16 on its way."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        round_state(self, torch.float16)


@fault("load-state-dict", bug_class=11)
class LoadThroughFloat32(LoopRMSprop):
    """load_state_dict casts the state to float32 on its way, for float64 parameters too."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        round_state(self, torch.float32)


@fault("load-state-dict", bug_class=11, elementwise=False)
class LoadFirstGroupOnly(ForeachRMSprop):
    """load_state_dict restores the state of the first group's parameters alone."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for group in self.param_groups[1:]:
            for p in group["params"]:
                self.state.pop(p, None)


@fault("load-state-dict", "frame", bug_class=18)
class LoadClearsGradients(LoopRMSprop):
    """load_state_dict sets the gradients to None."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        self.zero_grad()


@fault("load-state-dict", "frame", bug_class=18)
class LoadMovesParameters(ForeachRMSprop):
    """load_state_dict moves the parameters by their momentum buffers, to look ahead."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        with torch.no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if "momentum_buffer" in self.state[p]:
                        p.sub_(self.state[p]["momentum_buffer"] * float(group["lr"]))


@fault("load-state-dict", bug_class=8)
class LoadIgnored(LoopRMSprop):
    """load_state_dict restores the options and no state."""

    def _own(self, state_dict: StateDict) -> StateDict:
        return {**super()._own(state_dict), "state": {}}


@fault("load-mismatch", bug_class=11, elementwise=False)
class LoadAcceptsOtherGroups(ForeachRMSprop):
    """A checkpoint with another number of groups is accepted; missing state starts anew."""

    def _refuse_mismatch(self, state_dict: StateDict) -> None:
        for saved, group in zip(state_dict["param_groups"], self.param_groups, strict=False):
            if len(saved["params"]) != len(group["params"]):
                raise ValueError("the saved state has other parameter groups")

    def _own(self, state_dict: StateDict) -> StateDict:
        own = super()._own(state_dict)
        groups = own["param_groups"][: len(self.param_groups)]
        for group in self.param_groups[len(groups) :]:
            groups.append({**group, "params": [("absent", id(p)) for p in group["params"]]})
        keys = [key for group in groups for key in group["params"]]
        state = {key: own["state"][key] for key in keys if key in own["state"]}
        return {"state": state, "param_groups": groups}


@fault("load-mismatch", bug_class=11, elementwise=False)
class LoadAcceptsOtherMembers(LoopRMSprop):
    """A checkpoint with another number of parameters in a group is accepted; missing state starts anew."""

    def _refuse_mismatch(self, state_dict: StateDict) -> None:
        if len(state_dict["param_groups"]) != len(self.param_groups):
            raise ValueError("the saved state has other parameter groups")

    def _own(self, state_dict: StateDict) -> StateDict:
        own = super()._own(state_dict)
        keys: list[Any] = []
        for saved, group in zip(own["param_groups"], self.param_groups, strict=True):
            absent = [("absent", id(p)) for p in group["params"]]
            known = saved["params"][: len(absent)]
            saved["params"] = known + absent[len(known) :]
            keys += known
        own["state"] = {key: own["state"][key] for key in keys if key in own["state"]}
        return own


@fault("load-mismatch", bug_class=12, elementwise=False)
class LoadMismatchKeepsOptions(ForeachRMSprop):
    """A checkpoint of other groups is refused after its options have been taken over."""

    def _refuse_mismatch(self, state_dict: StateDict) -> None:
        try:
            super()._refuse_mismatch(state_dict)
        except ValueError:
            for saved, group in zip(state_dict["param_groups"], self.param_groups, strict=False):
                group.update({name: saved[name] for name in self.defaults if name in saved})
            raise


@fault("load-mismatch", bug_class=12, elementwise=False)
class LoadMismatchForgets(LoopRMSprop):
    """A checkpoint of other groups is refused after the state has been cleared."""

    def _refuse_mismatch(self, state_dict: StateDict) -> None:
        try:
            super()._refuse_mismatch(state_dict)
        except ValueError:
            self.state.clear()
            raise


@fault("load-shape", bug_class=11, elementwise=False, inherited=True)
class LoadAcceptsOtherShapes(LoopRMSprop):
    """A checkpoint of other shapes is accepted."""

    def _refuse_shapes(self, state_dict: StateDict) -> None:
        pass


@fault("load-shape", bug_class=12, elementwise=False)
class LoadShapesHalf(ForeachRMSprop):
    """A checkpoint of other shapes is refused after the parameters before the offending one were loaded."""

    def _refuse_shapes(self, state_dict: StateDict) -> None:
        try:
            super()._refuse_shapes(state_dict)
        except ValueError:
            for key, p in self._pairs(state_dict):
                state = state_dict["state"].get(key, {})
                if any(x.shape != p.shape for x in state.values() if isinstance(x, Tensor)):
                    break
                self.state[p] = deepcopy(state)
            raise


@fault("load-partial", "load-state-dict", bug_class=17)
class LoadPartialCrashes(LoopRMSprop):
    """A checkpoint without an entry for a parameter raises KeyError."""

    def _own(self, state_dict: StateDict) -> StateDict:
        own = super()._own(state_dict)
        keys = [key for group in own["param_groups"] for key in group["params"]]
        return {**own, "state": {key: own["state"][key] for key in keys}}


@fault("load-partial", "load-state-dict", bug_class=17)
class LoadPartialKeeps(ForeachRMSprop):
    """A parameter without an entry in the checkpoint keeps its state."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        before = dict(self.state)
        super().load_state_dict(state_dict)
        for p, state in before.items():
            if not self.state[p]:
                self.state[p] = state


@fault("load-isolation", bug_class=3, inherited=True)
class LoadSharesTensors(LoopRMSprop):
    """load_state_dict keeps the given tensors, and later steps write into them."""

    def _own(self, state_dict: StateDict) -> StateDict:
        return state_dict


@fault("load-isolation", bug_class=3, elementwise=False, inherited=True)
class LoadSharesWithSource(LoopRMSprop):
    """A loaded state stays one with the state of its source."""

    def _own(self, state_dict: StateDict) -> StateDict:
        return state_dict

    def _snapshot(self, state: dict[str, Any]) -> dict[str, Any]:
        return dict(state)


class Linked(dict[str, Any]):
    """A group with linked groups: writing its options writes theirs."""

    def __init__(self, group: Group, peers: list[Linked]) -> None:
        super().__init__(group)
        self.peers = peers
        peers.append(self)

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        for peer in self.peers if name != "params" else ():
            dict.__setitem__(peer, name, value)


@fault("load-isolation", "state-dict-snapshot", "load-state-dict", bug_class=3)
class LoadSharesOptions(ForeachRMSprop):
    """After load_state_dict a change of an option reaches the source of the state."""

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        self.param_groups[-1] = Linked(self.param_groups[-1], [])

    def state_dict(self) -> StateDict:
        saved = super().state_dict()
        pairs = zip(saved["param_groups"], self.param_groups, strict=True)
        saved["param_groups"] = [
            Linked(packed, group.peers if isinstance(group, Linked) else []) for packed, group in pairs
        ]
        return saved

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for i, saved in enumerate(state_dict["param_groups"]):
            peers = saved.peers if isinstance(saved, Linked) else []
            self.param_groups[i] = Linked(self.param_groups[i], peers)

    def _own(self, state_dict: StateDict) -> StateDict:
        plain = [dict(group) for group in state_dict["param_groups"]]
        return super()._own({**state_dict, "param_groups": plain})


@fault("load-device", bug_class=11)
class LoadKeepsDevice(ForeachRMSprop):
    """load_state_dict leaves the state on its old device."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        for key, p in self._pairs(state_dict):
            self.state[p].update(self._snapshot(state_dict["state"].get(key, {})))


@fault("square-avg", "load-state-dict", bug_class=17)
class LoadedAverageRestarts(LoopRMSprop):
    """The first step after load_state_dict starts from a square average of zero."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        self._restart = {id(p) for group in self.param_groups for p in group["params"]}

    def _step_one(self, p: Tensor, h: Hyper) -> None:
        restart: set[int] = self.__dict__.get("_restart", set())
        if id(p) in restart and "square_avg" in self.state[p]:
            self.state[p]["square_avg"].zero_()
        restart.discard(id(p))
        super()._step_one(p, h)


@fault("frame", "add-param-group", bug_class=17, elementwise=False)
class AddedAfterLoadForgets(ForeachRMSprop):
    """add_param_group clears the state of the other parameters when a state was loaded before."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        self._loaded = True

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        if self.__dict__.get("_loaded", False):
            self.state.clear()


@fault("init-square-avg", "square-avg", bug_class=6, elementwise=False)
class AddedAfterLoadStartsAtOne(LoopRMSprop):
    """The square average of a parameter added after load_state_dict starts at 1."""

    def load_state_dict(self, state_dict: StateDict) -> None:
        super().load_state_dict(state_dict)
        self._loaded = True

    def add_param_group(self, param_group: Group) -> None:
        super().add_param_group(param_group)
        if self.__dict__.get("_loaded", False):
            late: set[int] = self.__dict__.setdefault("_late", set())
            late.update(id(p) for p in self.param_groups[-1]["params"])

    def _initial(self, p: Tensor, name: str) -> Tensor:
        initial = super()._initial(p, name)
        if name == "square_avg" and id(p) in self.__dict__.get("_late", set()):
            self._real(initial).fill_(1)
        return initial
