"""One program on a torch optimizer: parameters, gradients and calls, and their observation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.utils.deterministic
from numpy.typing import NDArray

from rmspec.oracles.errors import ClosureFailed, SubjectFailed
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.session import edits
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.devices import device_name
from rmspec.oracles.session.gradients import hold
from rmspec.oracles.session.surroundings import surrounded
from rmspec.oracles.subject import OPTIONS, ClosureReport, GroupView, Observation, Outcome
from rmspec.oracles.torch.arrays import shaped, to_numpy, to_tensor
from rmspec.oracles.torch.circumstances import StepHooks, in_mode, steps_wrapped
from rmspec.oracles.torch.derivatives import History
from rmspec.oracles.torch.saved_states import counted_steps, move_elsewhere, opened_state, reshaped, saved_state


@contextmanager
def deterministic() -> Iterator[None]:
    """Fill uninitialized memory lest it pass for state, and make equal calls give equal bits."""
    mode = torch.get_deterministic_debug_mode()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    try:
        memory.fill_uninitialized_memory = True
        # What torch.use_deterministic_algorithms sets, without the compiler, which that imports.
        torch.set_deterministic_debug_mode("warn")
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        memory.fill_uninitialized_memory = filled


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Run operations on so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class TorchSession:
    """A program's parameters as torch tensors, and the optimizers over them.

    ``factory(params, **options)`` makes an optimizer; ``roles`` maps the names of its state to the field's roles.
    With ``differentiable`` the parameters are not leaves; with ``compiled`` a step runs under ``torch.compile``.
    """

    def __init__(
        self,
        params: tuple[vocabulary.Param, ...],
        factory: Callable[..., Any],
        roles: Mapping[str, str],
        *,
        device: str = "cpu",
        differentiable: bool = False,
        compiled: bool = False,
        tensor_lr: bool = False,
    ) -> None:
        self._factory = factory
        self._roles = roles
        self._device = device
        self._compiled = compiled
        self._tensor_lr = tensor_lr
        self._optimizers: dict[str, Any] = {}
        self._steps: dict[str, Callable[..., Any]] = {}
        self._hooks: dict[str, StepHooks] = {}
        self._dicts: dict[str, list[dict[str, Any]]] = {}
        self._slots: dict[str, tuple[str, Any]] = {}
        self._history = History()
        self._params: dict[str, torch.Tensor] = {}
        self._shapes = {param.name: param.shape for param in params}
        with self.surroundings():
            self._declare(params, differentiable)
        self._names = {id(tensor): name for name, tensor in self._params.items()}

    def surroundings(self) -> AbstractContextManager[None]:
        """The context of every call. A compiled step has none: the compiler would look for deterministic kernels."""
        return nullcontext() if self._compiled else deterministic()

    def _declare(self, params: tuple[vocabulary.Param, ...], differentiable: bool) -> None:
        for param in params:
            values = vocabulary.elements(param.values, param.dtype, param.shape)
            tensor = to_tensor(values, param.layout, self._device).requires_grad_()
            self._history.starts[param.name] = tensor
            if differentiable:
                # Whatever the subject's module has set for its process.
                with torch.enable_grad():
                    tensor = tensor.clone()
                tensor.retain_grad()
            self._params[param.name] = tensor

    # -- calls

    def devices(self) -> set[str]:
        """The devices of the parameters."""
        return {device_name(tensor) for tensor in self._params.values()}

    @surrounded
    def perform(self, call: vocabulary.Call) -> Outcome:
        """Perform one call; see ``Session``."""
        return in_mode(getattr(call, "mode", ""), lambda: self._outcome(call))

    def _outcome(self, call: vocabulary.Call) -> Outcome:
        match call:
            case vocabulary.Create():
                return self._create(call)
            case vocabulary.Step():
                return self._step(call)
            case vocabulary.AddParamGroup():
                return self._add_param_group(call)
            case vocabulary.Differentiate():
                return self._history.differentiate(call, self._params[call.param])
            case vocabulary.ZeroGrad():
                compare = hold(lambda: {name: tensor.grad for name, tensor in self._params.items()}, _dense)
                return replace(performed(lambda: self._perform(call)), held_changed=compare())
            case _:
                return performed(lambda: self._perform(call))

    def _perform(self, call: vocabulary.Call) -> None:
        match call:
            case vocabulary.SetGrad():
                self._set_grad(call.param, call.values, call.layout, call.bad)
            case vocabulary.ZeroGrad():
                optimizer = self._optimizers[call.optimizer]
                optimizer.zero_grad() if call.set_to_none is None else optimizer.zero_grad(set_to_none=call.set_to_none)
            case vocabulary.SetOption():
                group = self._optimizers[call.optimizer].param_groups[call.group]
                for name, value in call.options.items():
                    filled = isinstance(group.get(name), torch.Tensor) and not self._history.recording
                    if isinstance(value, vocabulary.TensorNumber) and filled:
                        group[name].fill_(value.tensor)
                    else:
                        group[name] = self._option(name, value)
            case vocabulary.Save():
                self._slots[call.slot] = (
                    call.via,
                    saved_state(self._optimizers[call.optimizer].state_dict(), call.via),
                )
            case vocabulary.EditState():
                via, saved = self._slots[call.slot]
                self._slots[call.slot] = (
                    "state_dict" if via == "state_dict" else "deepcopy",
                    edits.edited(opened_state(saved, via), call, reshaped, self._roles, move_elsewhere),
                )
            case vocabulary.Load():
                via, saved = self._slots[call.slot]
                self._optimizers[call.optimizer].load_state_dict(opened_state(saved, via))
            case vocabulary.Copy():
                self._copy(call)
            case vocabulary.Record():
                self._history.recording = True
            case vocabulary.Freeze():
                tensor = self._params[call.param]
                tensor.grad = None
                if tensor.is_leaf:
                    tensor.requires_grad_(not call.frozen)
            case _:
                raise SubjectFailed(f"a torch session cannot perform {call!r}")

    def _copy(self, call: vocabulary.Copy) -> None:
        params = [self._params[name] for name in call.params]
        optimizer, twins = edits.copied_together(self._optimizers[call.source], params, call.via)
        self._optimizers[call.optimizer] = optimizer
        for name, twin in zip(call.params.values(), twins, strict=True):
            twin.grad = None
            self._params[name] = twin
        self._names = {id(tensor): name for name, tensor in self._params.items()}
        if hasattr(optimizer, "register_step_pre_hook"):
            self._hooks[call.optimizer] = StepHooks(optimizer, self._arrays)

    def _create(self, call: vocabulary.Create) -> Outcome:
        groups: list[dict[str, Any]] = []
        if call.form == "groups":
            groups = self._dicts.get(call.dicts) or [self._group(group) for group in call.groups]
        entries = [dict(group) for group in groups]
        self._dicts[call.optimizer] = groups
        outcome = performed(lambda: self._make(call, groups))
        changed = any(_changed(group, entry) for group, entry in zip(groups, entries, strict=True))
        return Outcome(outcome.raised, caller_dict_changed=changed if groups else None)

    def _make(self, call: vocabulary.Create, groups: list[dict[str, Any]]) -> None:
        options = {name: self._option(name, value) for name, value in call.options.items()}
        params: Any = [*groups]
        if call.form != "groups":
            tensors = [self._params[name] for group in call.groups for name in group.params]
            params = (tensor for tensor in tensors) if call.form == "generator" else tensors
        optimizer = self._with_tensor_lr(self._factory(params, **options))
        self._optimizers[call.optimizer] = optimizer
        self._steps.pop(call.optimizer, None)
        self._hooks.pop(call.optimizer, None)
        if hasattr(optimizer, "register_step_pre_hook"):
            self._hooks[call.optimizer] = hooks = StepHooks(optimizer, self._arrays)
            if call.hooks:
                hooks.register(0)

    def _with_tensor_lr(self, optimizer: Any) -> Any:
        """Make a tensor of every default lr as well, on the path of tensors."""
        for group in optimizer.param_groups if self._tensor_lr else ():
            group["lr"] = self._option("lr", group["lr"]) if isinstance(group["lr"], float) else group["lr"]
        return optimizer

    def _group(self, group: Any, form: str = "list") -> dict[str, Any]:
        tensors: Any = [self._params[name] for name in group.params]
        if form == "generator":
            tensors = (tensor for tensor in [*tensors])
        elif form == "tensor" and len(tensors) == 1:
            tensors = tensors[0]
        return {"params": tensors, **{name: self._option(name, value) for name, value in group.options.items()}}

    def _option(self, name: str, value: vocabulary.OptionValue) -> Any:
        if isinstance(value, vocabulary.TensorNumber):
            tensor = torch.tensor(value.tensor, dtype=torch.float32, device=self._device)
            return self._history.rate(tensor) if name == "lr" else tensor
        if name == "lr" and self._tensor_lr and not isinstance(value, bool) and value >= 0:
            return torch.tensor(value, dtype=torch.float64, device=self._device)
        return value

    def _set_grad(self, name: str, values: tuple[float, ...] | None, layout: str = "contiguous", bad: str = "") -> None:
        tensor = self._params[name]
        if values is None:
            tensor.grad = None
            return
        array = vocabulary.elements(values, _dtype_name(tensor), self._shapes[name])
        grad = to_tensor(array, layout, self._device)
        tensor.grad = None
        if bad == "sparse":
            grad = grad.contiguous().to_sparse()
        tensor.grad = self._history.gradient(name, grad)

    def _step(self, call: vocabulary.Step) -> Outcome:
        if not call.hooks or call.optimizer not in self._hooks:
            return self._plain_step(call)
        # What is compiled is not to be changed.
        kind = type(self._optimizers[call.optimizer])
        with nullcontext() if self._compiled else steps_wrapped(kind, call.bases):
            return self._hooks[call.optimizer].around(lambda: self._plain_step(call))

    def _plain_step(self, call: vocabulary.Step) -> Outcome:
        step = self._compiled_step(call.optimizer) if self._compiled else self._optimizers[call.optimizer].step
        return self._step_closure(call, step) if call.closure else performed(step)

    def _step_closure(self, call: vocabulary.Step, step: Callable[..., Any]) -> Outcome:
        before = self._arrays()
        states: list[tuple[bool, bool]] = []
        loss = torch.tensor(call.loss, dtype=torch.float64)

        def closure() -> torch.Tensor:
            moved = any(before[name].tobytes() != array.tobytes() for name, array in self._arrays().items())
            states.append((torch.is_grad_enabled(), moved))
            if call.closure == "raises":
                raise ClosureFailed
            # As a user's would: gradients made in inference mode could never be written to outside of it.
            with torch.inference_mode(False), torch.no_grad():
                for name, values in call.grads.items():
                    self._set_grad(name, values)
            return loss

        returned: list[Any] = []
        # What the closure does besides is the harness's, and nothing to compile.
        apart: Any = torch.compiler.disable(closure) if self._compiled else closure  # type: ignore[no-untyped-call]
        outcome = performed(lambda: returned.append(step(lambda: apart())))
        result = _number(returned[0]) if returned else None
        report = ClosureReport(len(states), all(e for e, _ in states), any(m for _, m in states), result)
        return Outcome(outcome.raised, closure=report)

    def _compiled_step(self, name: str) -> Callable[..., Any]:
        if name not in self._steps:
            self._steps[name] = torch.compile(self._optimizers[name].step)
        return self._steps[name]

    def _add_param_group(self, call: vocabulary.AddParamGroup) -> Outcome:
        group = self._group(call.group, call.form)
        entry = dict(group)
        optimizer = self._optimizers[call.optimizer]
        outcome = performed(lambda: optimizer.add_param_group(group))
        self._with_tensor_lr(optimizer)
        return Outcome(outcome.raised, caller_dict_changed=_changed(group, entry))

    # -- what there is to see

    @surrounded
    def observe(self) -> Observation:
        """The observation of this moment; see ``Session``."""
        state: dict[str, dict[str, dict[str, NDArray[Any]]]] = {}
        steps: dict[str, dict[str, float]] = {}
        groups: dict[str, tuple[GroupView, ...] | None] = {}
        for name, optimizer in self._optimizers.items():
            groups[name] = self._groups(optimizer)
            state[name] = {}
            entries = getattr(optimizer, "state", None)
            if self._roles and isinstance(entries, Mapping):
                for param, tensor in self._params.items():
                    if tensor in entries:
                        state[name][param] = self._entry(entries[tensor], self._shapes[param])
                        steps.setdefault(name, {}).update(counted_steps(param, entries[tensor]))
        slots: dict[str, dict[int, dict[str, NDArray[Any]]]] = {}
        for slot, (via, saved) in self._slots.items():
            if via == "state_dict" and isinstance(saved, dict) and self._roles and "param_groups" in saved:
                slots[slot] = {
                    position: self._entry(saved["state"][key], None)
                    for position, key in enumerate(edits.ids(saved))
                    if key in saved["state"]
                }
        return Observation(
            params=self._arrays(),
            grads={name: self._grad(tensor) for name, tensor in self._params.items()},
            groups=groups,
            state=state,
            slots=slots,
            steps=steps,
        )

    def close(self) -> None:
        """Forget the optimizers and the compiled steps."""
        self._optimizers.clear()
        self._steps.clear()
        self._hooks.clear()
        self._dicts.clear()
        self._slots.clear()

    def _arrays(self) -> dict[str, NDArray[Any]]:
        return {name: to_numpy(tensor) for name, tensor in self._params.items()}

    def _grad(self, tensor: torch.Tensor) -> NDArray[Any] | None:
        return None if tensor.grad is None else _dense(tensor.grad)

    def _entry(self, entry: object, shape: tuple[int, ...] | None) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        if isinstance(entry, Mapping):
            for key, value in entry.items():
                role = self._roles.get(str(key))
                if role is not None and value is not None:
                    array = to_numpy(value) if isinstance(value, torch.Tensor) else np.array(value)
                    arrays[role] = shaped(array, shape)
        return arrays

    def _groups(self, optimizer: Any) -> tuple[GroupView, ...] | None:
        groups = getattr(optimizer, "param_groups", None)
        if groups is None or not are_groups(groups):
            return None
        return tuple(
            GroupView(
                tuple(self._names.get(id(tensor), "?") for tensor in _listed(group.get("params", ()))),
                {name: option_value(group[name]) for name in OPTIONS if name in group},
            )
            for group in groups
        )


def are_groups(value: Any) -> bool:
    """Whether ``param_groups`` can be read: a list of dicts."""
    return isinstance(value, list) and all(isinstance(group, Mapping) for group in value)


def option_value(value: Any) -> float | bool:
    """An option as a plain number; NaN for anything else."""
    if isinstance(value, bool):
        return value
    try:
        return float(value.detach() if isinstance(value, torch.Tensor) else value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _listed(value: Any) -> Iterator[Any]:
    return iter(value) if isinstance(value, list | tuple) else iter(())


def _dense(grad: torch.Tensor) -> NDArray[Any]:
    return to_numpy(grad.to_dense() if grad.is_sparse else grad)


def _changed(group: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return set(group) != set(entry) or any(group[key] is not entry[key] for key in entry)


def _number(value: Any) -> float | None:
    return None if value is None else float(option_value(value))


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
