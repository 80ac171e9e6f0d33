"""One program on a torch optimizer: parameters, gradients and calls, and their observation."""

from __future__ import annotations

import copy
import io
import math
import pickle
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
from rmspec.oracles.session.surroundings import surrounded
from rmspec.oracles.subject import OPTIONS, ClosureReport, GroupView, Observation, Outcome
from rmspec.oracles.torch.arrays import to_numpy, to_tensor


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
        self._slots: dict[str, tuple[str, Any]] = {}
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
        if isinstance(call, vocabulary.Step):
            return self._step(call)
        if isinstance(call, vocabulary.AddParamGroup):
            return self._add_param_group(call)
        return performed(lambda: self._perform(call))

    def _perform(self, call: vocabulary.Call) -> None:
        match call:
            case vocabulary.Create():
                self._optimizers[call.optimizer] = self._create(call)
                self._steps.pop(call.optimizer, None)
            case vocabulary.SetGrad():
                self._set_grad(call.param, call.values, call.layout, call.bad)
            case vocabulary.ZeroGrad():
                optimizer = self._optimizers[call.optimizer]
                optimizer.zero_grad() if call.set_to_none is None else optimizer.zero_grad(set_to_none=call.set_to_none)
            case vocabulary.SetOption():
                group = self._optimizers[call.optimizer].param_groups[call.group]
                for name, value in call.options.items():
                    if isinstance(value, vocabulary.TensorNumber) and isinstance(group.get(name), torch.Tensor):
                        group[name].fill_(value.tensor)
                    else:
                        group[name] = self._option(name, value)
            case vocabulary.Save():
                self._slots[call.slot] = (call.via, _saved(self._optimizers[call.optimizer].state_dict(), call.via))
            case vocabulary.EditState():
                via, saved = self._slots[call.slot]
                self._slots[call.slot] = ("deepcopy", edits.edited(_opened(saved, via), call, _reshaped))
            case vocabulary.Load():
                via, saved = self._slots[call.slot]
                self._optimizers[call.optimizer].load_state_dict(_opened(saved, via))
            case vocabulary.Freeze():
                tensor = self._params[call.param]
                tensor.grad = None
                if tensor.is_leaf:
                    tensor.requires_grad_(not call.frozen)
            case _:
                raise SubjectFailed(f"a torch session cannot perform {call!r}")

    def _create(self, call: vocabulary.Create) -> Any:
        options = {name: self._option(name, value) for name, value in call.options.items()}
        if call.form == "groups":
            return self._with_tensor_lr(self._factory([self._group(group) for group in call.groups], **options))
        tensors = [self._params[name] for group in call.groups for name in group.params]
        params = (tensor for tensor in tensors) if call.form == "generator" else tensors
        return self._with_tensor_lr(self._factory(params, **options))

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
            return torch.tensor(value.tensor, dtype=torch.float32, device=self._device)
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
        tensor.grad = grad

    def _step(self, call: vocabulary.Step) -> Outcome:
        optimizer = self._optimizers[call.optimizer]
        step = self._compiled_step(call.optimizer) if self._compiled else optimizer.step
        hooks = [0, 0]
        handles = []
        if call.hooks and hasattr(optimizer, "register_step_pre_hook"):
            handles.append(optimizer.register_step_pre_hook(lambda *_: _count(hooks, 0)))
            handles.append(optimizer.register_step_post_hook(lambda *_: _count(hooks, 1)))
        try:
            if not call.closure:
                outcome = performed(step)
                return Outcome(outcome.raised, hooks=(hooks[0], hooks[1]) if handles else None)
            outcome = self._step_closure(call, step)
            return replace(outcome, hooks=(hooks[0], hooks[1]) if handles else None)
        finally:
            for handle in handles:
                handle.remove()

    def _step_closure(self, call: vocabulary.Step, step: Callable[..., Any]) -> Outcome:
        before = {name: to_numpy(tensor) for name, tensor in self._params.items()}
        states: list[tuple[bool, bool]] = []
        loss = torch.tensor(call.loss, dtype=torch.float64)

        def closure() -> torch.Tensor:
            moved = any(not _same(before[name], to_numpy(tensor)) for name, tensor in self._params.items())
            states.append((torch.is_grad_enabled(), moved))
            if call.closure == "raises":
                raise ClosureFailed
            with torch.no_grad():
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
        changed = set(group) != set(entry) or any(group[key] is not entry[key] for key in entry)
        return Outcome(outcome.raised, caller_dict_changed=changed)

    # -- what there is to see

    @surrounded
    def observe(self) -> Observation:
        """The observation of this moment; see ``Session``."""
        state: dict[str, dict[str, dict[str, NDArray[Any]]]] = {}
        groups: dict[str, tuple[GroupView, ...] | None] = {}
        for name, optimizer in self._optimizers.items():
            groups[name] = self._groups(optimizer)
            state[name] = {}
            entries = getattr(optimizer, "state", None)
            if self._roles and isinstance(entries, Mapping):
                for param, tensor in self._params.items():
                    if tensor in entries:
                        state[name][param] = self._entry(entries[tensor], self._shapes[param])
        slots: dict[str, dict[int, dict[str, NDArray[Any]]]] = {}
        for slot, (via, saved) in self._slots.items():
            if via == "state_dict" and isinstance(saved, dict) and self._roles and "param_groups" in saved:
                slots[slot] = {
                    position: self._entry(saved["state"][key], None)
                    for position, key in enumerate(edits.ids(saved))
                    if key in saved["state"]
                }
        return Observation(
            params={name: to_numpy(tensor) for name, tensor in self._params.items()},
            grads={name: self._grad(tensor) for name, tensor in self._params.items()},
            groups=groups,
            state=state,
            slots=slots,
        )

    def close(self) -> None:
        """Forget the optimizers and the compiled steps."""
        self._optimizers.clear()
        self._steps.clear()
        self._slots.clear()

    def _grad(self, tensor: torch.Tensor) -> NDArray[Any] | None:
        grad = tensor.grad
        if grad is None:
            return None
        return to_numpy(grad.to_dense() if grad.is_sparse else grad)

    def _entry(self, entry: object, shape: tuple[int, ...] | None) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {}
        if isinstance(entry, Mapping):
            for key, value in entry.items():
                role = self._roles.get(str(key))
                if role is not None and value is not None:
                    array = to_numpy(value) if isinstance(value, torch.Tensor) else np.array(value)
                    arrays[role] = _shaped(array, shape)
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
        return float(value)
    except (TypeError, ValueError, RuntimeError):
        return math.nan


def _listed(value: Any) -> Iterator[Any]:
    return iter(value) if isinstance(value, list | tuple) else iter(())


def _count(hooks: list[int], index: int) -> None:
    hooks[index] += 1


def _number(value: Any) -> float | None:
    return None if value is None else float(option_value(value))


def _same(x: NDArray[Any], y: NDArray[Any]) -> bool:
    return x.tobytes() == y.tobytes()


def _dtype_name(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shaped(array: NDArray[Any], shape: tuple[int, ...] | None) -> NDArray[Any]:
    if shape is None or array.shape == shape:
        return array
    size = math.prod(shape)
    if array.size == size:
        return array.reshape(shape)
    if array.dtype.kind == "f" and array.size == 2 * size and array.dtype.itemsize in (4, 8):
        pairs = np.ascontiguousarray(array).reshape(-1)
        return pairs.view(np.complex64 if array.dtype.itemsize == 4 else np.complex128).reshape(shape)
    return array


def _reshaped(value: Any) -> Any:
    flat = torch.as_tensor(value).reshape(-1)
    return torch.cat([flat, flat[:1] if flat.numel() else torch.zeros(1, dtype=flat.dtype, device=flat.device)])


def _saved(state: Any, via: vocabulary.Via) -> Any:
    if via != "file":
        return edits.copied(state, via)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _opened(saved: Any, via: str) -> Any:
    match via:
        case "pickle":
            return pickle.loads(saved)
        case "file":
            return torch.load(io.BytesIO(saved), weights_only=True)
        case "deepcopy":
            # Again at each load: what is loaded may be changed by later steps, the slot must not.
            return copy.deepcopy(saved)
        case _:
            return saved
