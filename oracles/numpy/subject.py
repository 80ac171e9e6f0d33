"""The reference optimizer as a subject: ``reference``, and ``reference:DIALECT`` for every named dialect."""

from __future__ import annotations

import pickle
import platform
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.errors import ClosureFailed, SubjectFailed, Unsupported
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.session import edits
from rmspec.oracles.session.calling import performed
from rmspec.oracles.session.gradients import hold
from rmspec.oracles.subject import (
    EDITS,
    FEATURES,
    OPTIONS,
    Capabilities,
    ClosureReport,
    GroupView,
    Observation,
    Outcome,
)


class ReferenceSubject:
    """``rmspec.impl.RMSprop`` of one dialect as a subject."""

    framework = "numpy"
    baselines: tuple[str, ...] = ()

    def __init__(self, dialect: Dialect = SPECIFICATION) -> None:
        self.name = "reference" if dialect == SPECIFICATION else f"reference:{dialect.name}"
        self.dialect = dialect.name
        self._dialect = dialect

    def versions(self) -> Mapping[str, str]:
        """The version of NumPy."""
        return {"numpy": np.__version__, "python": platform.python_version()}

    def capabilities(self) -> Capabilities:
        """Everything but torch's hooks and tensors."""
        return Capabilities(
            features=frozenset(FEATURES) - {"hooks", "tensor_lr", "file"},
            roles=frozenset(STATE_ROLES),
            edits=frozenset(EDITS) - {"elsewhere"},
        )

    def state_names(self) -> Mapping[str, str]:
        """The field's names."""
        return {role: role for role in STATE_ROLES}

    def session(self, params: tuple[vocabulary.Param, ...]) -> ReferenceSession:
        """Make the parameters of a program."""
        return ReferenceSession(params, self._dialect)


class ReferenceSession:
    """A program's parameters as ``Parameter`` objects, and the reference optimizers over them."""

    def __init__(self, params: tuple[vocabulary.Param, ...], dialect: Dialect) -> None:
        self._dialect = dialect
        self._params = {
            param.name: Parameter(vocabulary.elements(param.values, param.dtype, param.shape)) for param in params
        }
        self._declared = {param.name: param for param in params}
        self._names = {id(parameter): name for name, parameter in self._params.items()}
        self._optimizers: dict[str, RMSprop] = {}
        self._dicts: dict[str, list[dict[str, Any]]] = {}
        self._slots: dict[str, tuple[str, Any]] = {}
        self._roles = {role: role for role in STATE_ROLES}

    def perform(self, call: vocabulary.Call) -> Outcome:
        """Perform one call; see ``Session``."""
        if isinstance(call, vocabulary.Step) and call.closure:
            return self._step_closure(call)
        if isinstance(call, vocabulary.AddParamGroup):
            group = self._group(call.group, call.form)
            entry = dict(group)
            outcome = performed(lambda: self._optimizers[call.optimizer].add_param_group(group))
            return Outcome(outcome.raised, caller_dict_changed=group != entry)
        if isinstance(call, vocabulary.Create) and call.form == "groups":
            groups = self._dicts.get(call.dicts) or [self._group(group) for group in call.groups]
            entries = [dict(group) for group in groups]
            self._dicts[call.optimizer] = groups
            outcome = performed(lambda: self._perform(call))
            return Outcome(outcome.raised, caller_dict_changed=groups != entries)
        if isinstance(call, vocabulary.ZeroGrad):
            compare = hold(lambda: {name: param.grad for name, param in self._params.items()}, np.array)
            return replace(performed(lambda: self._perform(call)), held_changed=compare())
        return performed(lambda: self._perform(call))

    def _perform(self, call: vocabulary.Call) -> None:
        match call:
            case vocabulary.Create():
                self._optimizers[call.optimizer] = self._create(call)
            case vocabulary.SetGrad():
                self._set_grad(call)
            case vocabulary.Step():
                self._optimizers[call.optimizer].step()
            case vocabulary.ZeroGrad():
                self._optimizers[call.optimizer].zero_grad(call.set_to_none is not False)
            case vocabulary.SetOption():
                group = self._optimizers[call.optimizer].param_groups[call.group]
                group.update({name: _option(value) for name, value in call.options.items()})
            case vocabulary.Save():
                state = self._optimizers[call.optimizer].state_dict()
                self._slots[call.slot] = (call.via, edits.copied(state, call.via))
            case vocabulary.EditState():
                self._slots[call.slot] = (
                    "deepcopy",
                    edits.edited(self._opened(call.slot), call, edits.lengthened, self._roles),
                )
            case vocabulary.Load():
                self._optimizers[call.optimizer].load_state_dict(self._opened(call.slot))
            case vocabulary.Copy():
                params = [self._params[name] for name in call.params]
                self._optimizers[call.optimizer], twins = edits.copied_together(
                    self._optimizers[call.source], params, call.via
                )
                for name, twin in zip(call.params.values(), twins, strict=True):
                    twin.grad = twin.rows = None
                    self._params[name] = twin
                self._names = {id(parameter): name for name, parameter in self._params.items()}
            case vocabulary.Freeze():
                self._params[call.param].grad = None
                self._params[call.param].requires_grad = not call.frozen
            case vocabulary.Record():
                pass  # it has no derivatives to be asked for
            case _:
                raise SubjectFailed(f"the reference cannot perform {call!r}")

    def _opened(self, slot: str) -> dict[str, Any]:
        via, saved = self._slots[slot]
        opened: dict[str, Any] = pickle.loads(saved) if via == "pickle" else saved
        return opened

    def _create(self, call: vocabulary.Create) -> RMSprop:
        documented = {name: getattr(self._dialect.defaults, name) for name in OPTIONS}
        options: dict[str, Any] = {name: value for name, value in documented.items() if value is not None}
        options.update({name: _option(value) for name, value in call.options.items()})
        if call.form == "groups":
            return RMSprop(self._dicts[call.optimizer], **options, dialect=self._dialect)
        params = [self._params[name] for group in call.groups for name in group.params]
        return RMSprop(iter(params) if call.form == "generator" else params, **options, dialect=self._dialect)

    def _group(self, group: vocabulary.Group, form: str = "list") -> dict[str, Any]:
        params: Any = [self._params[name] for name in group.params]
        params = iter(params) if form == "generator" else params[0] if form == "tensor" and len(params) == 1 else params
        return {"params": params, **{name: _option(value) for name, value in group.options.items()}}

    def _set_grad(self, call: vocabulary.SetGrad) -> None:
        declared = self._declared[call.param]
        # A gradient of a kind that is refused: object arrays do not take part in arithmetic here.
        grad = np.array("sparse") if call.bad else vocabulary.gradient(call, declared.dtype, declared.shape)
        self._params[call.param].grad = grad
        self._params[call.param].rows = vocabulary.named_rows(call, declared.shape)

    def _step_closure(self, call: vocabulary.Step) -> Outcome:
        calls: list[int] = []

        def closure() -> float:
            calls.append(1)
            if call.closure == "raises":
                raise ClosureFailed
            for name, values in call.grads.items():
                self._set_grad(vocabulary.SetGrad(name, values))
            return call.loss

        returned: list[float | None] = []
        outcome = performed(lambda: returned.append(self._optimizers[call.optimizer].step(closure)))
        report = ClosureReport(len(calls), True, False, returned[0] if returned else None)
        return Outcome(outcome.raised, closure=report)

    def observe(self) -> Observation:
        """The observation of this moment; see ``Session``."""

        def entry(state: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
            return {role: np.array(state[role]) for role in STATE_ROLES if role in state}

        slots = {}
        for slot, (via, saved) in self._slots.items():
            if via == "state_dict":
                order = edits.ids(saved)
                slots[slot] = {order.index(key): entry(state) for key, state in saved["state"].items()}
        return Observation(
            params={name: parameter.data.copy() for name, parameter in self._params.items()},
            grads={
                name: None if parameter.grad is None or parameter.grad.dtype.kind == "U" else parameter.grad.copy()
                for name, parameter in self._params.items()
            },
            groups={
                name: tuple(
                    GroupView(
                        tuple(self._names[id(parameter)] for parameter in group["params"]),
                        {option: group[option] for option in OPTIONS},
                    )
                    for group in optimizer.param_groups
                )
                for name, optimizer in self._optimizers.items()
            },
            state={
                name: {self._names[key]: entry(state) for key, state in optimizer.state.items()}
                for name, optimizer in self._optimizers.items()
            },
            slots=slots,
            steps={
                name: {self._names[key]: float(state["step"]) for key, state in optimizer.state.items()}
                for name, optimizer in self._optimizers.items()
            },
        )

    def close(self) -> None:
        """Forget the optimizers."""
        self._optimizers.clear()
        self._dicts.clear()
        self._slots.clear()


def _option(value: vocabulary.OptionValue) -> float | bool:
    return float(np.float32(value.tensor)) if isinstance(value, vocabulary.TensorNumber) else value


def registered(name: str, device: str) -> ReferenceSubject:
    """The reference of a registered name. Raises ``Unsupported`` for any device but the CPU."""
    if device != "cpu":
        raise Unsupported(f"{name} runs on NumPy, which has no device {device!r}", hint="leave out --device")
    _, _, dialect = name.partition(":")
    return ReferenceSubject(dialect_named(dialect) if dialect else SPECIFICATION)
