"""The reference optimizer as a subject: ``reference``, and ``reference:DIALECT`` for every named dialect."""

from __future__ import annotations

import copy
import pickle
import platform
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.reference import Parameter, RMSprop
from rmspec.impl.spec.dialect import SPECIFICATION, Dialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.errors import ClosureFailed, SubjectFailed, Unsupported
from rmspec.oracles.program.program import (
    AddParamGroup,
    Call,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    OptionValue,
    Param,
    Save,
    SetGrad,
    SetOption,
    Step,
    TensorNumber,
    ZeroGrad,
    elements,
    gradient,
    named_rows,
)
from rmspec.oracles.session import edits
from rmspec.oracles.subject import (
    FEATURES,
    OPTIONS,
    Capabilities,
    ClosureReport,
    GroupView,
    Observation,
    Outcome,
    Raised,
)

__all__ = ["ReferenceSubject", "registered"]


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
        return Capabilities(features=frozenset(FEATURES) - {"hooks", "tensor_lr", "file"}, roles=frozenset(STATE_ROLES))

    def state_names(self) -> Mapping[str, str]:
        """The field's names."""
        return {role: role for role in STATE_ROLES}

    def session(self, params: tuple[Param, ...]) -> ReferenceSession:
        """Make the parameters of a program."""
        return ReferenceSession(params, self._dialect)


class ReferenceSession:
    """A program's parameters as ``Parameter`` objects, and the reference optimizers over them."""

    def __init__(self, params: tuple[Param, ...], dialect: Dialect) -> None:
        self._dialect = dialect
        self._params = {param.name: Parameter(elements(param.values, param.dtype, param.shape)) for param in params}
        self._declared = {param.name: param for param in params}
        self._names = {id(parameter): name for name, parameter in self._params.items()}
        self._optimizers: dict[str, RMSprop] = {}
        self._slots: dict[str, tuple[str, Any]] = {}

    def perform(self, call: Call) -> Outcome:
        """Perform one call; see ``Session``."""
        if isinstance(call, Step) and call.closure:
            return self._step_closure(call)
        if isinstance(call, AddParamGroup):
            group = self._group(call.group, call.form)
            entry = dict(group)
            outcome = _outcome(lambda: self._optimizers[call.optimizer].add_param_group(group))
            return Outcome(outcome.raised, caller_dict_changed=group != entry)
        return _outcome(lambda: self._perform(call))

    def _perform(self, call: Call) -> None:
        match call:
            case Create():
                self._optimizers[call.optimizer] = self._create(call)
            case SetGrad():
                self._set_grad(call)
            case Step():
                self._optimizers[call.optimizer].step()
            case ZeroGrad():
                self._optimizers[call.optimizer].zero_grad(call.set_to_none is not False)
            case SetOption():
                group = self._optimizers[call.optimizer].param_groups[call.group]
                group.update({name: _option(value) for name, value in call.options.items()})
            case Save():
                state = self._optimizers[call.optimizer].state_dict()
                self._slots[call.slot] = (
                    call.via,
                    pickle.dumps(state)
                    if call.via == "pickle"
                    else copy.deepcopy(state)
                    if call.via == "deepcopy"
                    else state,
                )
            case EditState():
                self._slots[call.slot] = ("deepcopy", edits.edited(self._opened(call.slot), call, _reshaped))
            case Load():
                self._optimizers[call.optimizer].load_state_dict(self._opened(call.slot))
            case Freeze():
                self._params[call.param].grad = None
                self._params[call.param].requires_grad = not call.frozen
            case _:
                raise SubjectFailed(f"the reference cannot perform {call!r}")

    def _opened(self, slot: str) -> dict[str, Any]:
        via, saved = self._slots[slot]
        opened: dict[str, Any] = pickle.loads(saved) if via == "pickle" else saved
        return opened

    def _create(self, call: Create) -> RMSprop:
        documented = {name: getattr(self._dialect.defaults, name) for name in OPTIONS}
        options: dict[str, Any] = {name: value for name, value in documented.items() if value is not None}
        options.update({name: _option(value) for name, value in call.options.items()})
        if call.form == "groups":
            return RMSprop([self._group(group) for group in call.groups], **options, dialect=self._dialect)
        params = [self._params[name] for group in call.groups for name in group.params]
        return RMSprop(iter(params) if call.form == "generator" else params, **options, dialect=self._dialect)

    def _group(self, group: Group, form: str = "list") -> dict[str, Any]:
        params: Any = [self._params[name] for name in group.params]
        params = iter(params) if form == "generator" else params[0] if form == "tensor" and len(params) == 1 else params
        return {"params": params, **{name: _option(value) for name, value in group.options.items()}}

    def _set_grad(self, call: SetGrad) -> None:
        declared = self._declared[call.param]
        # A gradient of a kind that is refused: object arrays do not take part in arithmetic here.
        grad = np.array("sparse") if call.bad else gradient(call, declared.dtype, declared.shape)
        self._params[call.param].grad = grad
        self._params[call.param].rows = named_rows(call, declared.shape)

    def _step_closure(self, call: Step) -> Outcome:
        calls: list[int] = []

        def closure() -> float:
            calls.append(1)
            if call.closure == "raises":
                raise ClosureFailed
            for name, values in call.grads.items():
                self._set_grad(SetGrad(name, values))
            return call.loss

        returned: list[float | None] = []
        outcome = _outcome(lambda: returned.append(self._optimizers[call.optimizer].step(closure)))
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
        )

    def close(self) -> None:
        """Forget the optimizers."""
        self._optimizers.clear()
        self._slots.clear()


def _option(value: OptionValue) -> float | bool:
    return float(np.float32(value.tensor)) if isinstance(value, TensorNumber) else value


def _outcome(call: Callable[[], Any]) -> Outcome:
    try:
        call()
    except SubjectFailed:
        raise
    except Exception as error:
        return Outcome(raised=Raised(type(error).__name__, str(error)[:300]))
    return Outcome()


def _reshaped(value: Any) -> Any:
    flat = np.asarray(value).reshape(-1)
    return np.concatenate([flat, flat[:1] if flat.size else np.zeros(1, flat.dtype)])


def registered(name: str, device: str) -> ReferenceSubject:
    """The reference of a registered name. Raises ``Unsupported`` for any device but the CPU."""
    if device != "cpu":
        raise Unsupported(f"{name} runs on NumPy, which has no device {device!r}", hint="leave out --device")
    _, _, dialect = name.partition(":")
    return ReferenceSubject(dialect_named(dialect) if dialect else SPECIFICATION)
