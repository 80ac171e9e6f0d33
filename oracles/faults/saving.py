"""Faults of state_dict."""

from __future__ import annotations

from typing import Any

import torch

from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop, StateDict, round_state
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
