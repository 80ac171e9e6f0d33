"""One step of one element on a torch optimizer, from a state put in its place."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.loader import _attribute
from rmspec.oracles.recordings.chunks import Scalar
from rmspec.oracles.recordings.onestep import OneStep, Stepped
from rmspec.oracles.registry import registered_names
from rmspec.oracles.torch.arrays import DTYPES, to_numpy
from rmspec.oracles.torch.subject import registered

Factory = Callable[..., Any]


def factory(name: str, device: str) -> Factory:
    """The factory of the optimizer of this name. Raises the errors of ``load``."""
    return registered(name, device)._factory if name in registered_names() else _attribute(name)


def fitted(make: Factory, step: OneStep) -> OneStep:
    """The step with the constructor's options, and the extras and attributes lacking in a fresh optimizer.

    What a parameter of the constructor is named like is given to it. Raises ``SubjectFailed`` where it cannot be made.
    """
    known = {**step.attributes, **step.extras, **step.options}
    try:
        parameters = list(inspect.signature(make).parameters.values())[1:]
        if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            options = dict(step.options)
        else:
            options = {
                parameter.name: known[parameter.name]
                for parameter in parameters
                if parameter.name in known and parameter.default != known[parameter.name]
            }
    except (TypeError, ValueError):
        options = dict(step.options)
    optimizer = _make(make, replace(step, options=options))[1]
    group = optimizer.param_groups[0]
    extras = {name: value for name, value in {**step.extras, **step.options}.items() if _differs(group, name, value)}
    own = {name: value for name, value in step.attributes.items() if _lacks(optimizer, name, value)}
    return replace(step, options=options, extras=extras, attributes=own)


def _differs(group: Mapping[str, Any], name: str, value: Scalar) -> bool:
    current = group.get(name)
    return current is None or (isinstance(current, bool | int | float | str) and current != value)


def _lacks(optimizer: Any, name: str, value: Scalar) -> bool:
    current = getattr(optimizer, name, None)
    return current is None or type(current) is not type(value) or bool(current != value)


def perform(make: Factory, step: OneStep) -> Stepped:
    """Make the optimizer, put state and values in their places, and step. Raises ``SubjectFailed`` on failure."""
    tensor, optimizer = _make(make, step)
    try:
        for name, value in step.extras.items():
            optimizer.param_groups[0][name] = value
        for name, value in step.attributes.items():
            setattr(optimizer, name, value)
        if step.state:
            optimizer.state[tensor] = {key: tensor_of(values, dtype) for key, (dtype, values) in step.state.items()}
        tensor.grad = tensor_of(step.grad, step.dtype, step.device)
        for _ in range(step.earlier):
            optimizer.step()
        before = _observe(optimizer, tensor)
        optimizer.step()
    except Exception as error:
        raise SubjectFailed(f"the step raised {type(error).__name__}: {error}") from None
    return Stepped(before, _observe(optimizer, tensor))


def _make(make: Factory, step: OneStep) -> tuple[torch.Tensor, Any]:
    tensor = tensor_of(step.param, step.dtype, step.device).requires_grad_()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optimizer = make([tensor], **step.options)
            member = optimizer.param_groups[0]["params"][0]
    except Exception as error:
        raise SubjectFailed(f"it cannot be made: {type(error).__name__}: {error}") from None
    if member is not tensor or not isinstance(optimizer, torch.optim.Optimizer):
        raise SubjectFailed("what it makes is no torch.optim.Optimizer of the parameter")
    return tensor, optimizer


def tensor_of(values: tuple[float, ...], dtype: str, device: str = "cpu") -> torch.Tensor:
    """A tensor of one element; one without dimensions for a state entry of a single number."""
    if dtype == "number":
        return torch.tensor(values[0])
    numbers = [complex(*values)] if FORMATS[dtype].parts == 2 else list(values)
    return torch.tensor(numbers, dtype=DTYPES[dtype], device=device)


def _observe(optimizer: Any, tensor: torch.Tensor) -> dict[str, NDArray[Any]]:
    entries: dict[str, Any] = {"param": tensor, "grad": tensor.grad}
    state = optimizer.state.get(tensor)
    if isinstance(state, Mapping):
        entries.update({f"state/{key}": value for key, value in state.items()})
    arrays: dict[str, NDArray[Any]] = {}
    for key, value in entries.items():
        if isinstance(value, torch.Tensor) and value.numel() == 1:
            array = np.ascontiguousarray(to_numpy(value)).reshape(-1)
            arrays[key] = array.view(array.real.dtype) if array.dtype.kind == "c" else array
    return arrays
