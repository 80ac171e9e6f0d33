"""Factories of optimizers with gradients and variables as arguments: their signatures, and the errors for unusable ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.oracles.errors import CannotStart, NotAnOptimizer, Unsupported
from rmspec.oracles.subject import FEATURES, Capabilities, Outcome

_LACKS = {
    "zero_grad": "gradients are handed to it, and are not its own to clear",
    "closure": "gradients are handed to it",
    "hooks": "it has no hooks",
    "tensor_lr": "its options are checked as numbers",
    "copy": "its variables stay where they are, and the optimizer with them",
    "circumstances": "the calls that have them are not its own",
}


def applied_capabilities(lacks: Mapping[str, str], **entries: Any) -> Capabilities:
    """Capabilities without the features in ``lacks``, by feature the reason, and without those of gradients held by torch."""
    usual: dict[str, Any] = {
        "formats": ("float32", "float64", "float16", "bfloat16"),
        "roles": frozenset(STATE_ROLES),
        "carried": frozenset(),
        "edits": frozenset(),
    }
    missing = {**_LACKS, **lacks}
    return Capabilities(features=frozenset(FEATURES) - set(missing), missing=missing, **{**usual, **entries})


def takes_anything(factory: Callable[..., Any]) -> bool:
    """Whether a factory takes keyword arguments of any name."""
    return any(entry.kind is inspect.Parameter.VAR_KEYWORD for entry in inspect.signature(factory).parameters.values())


def named_options(factory: Callable[..., Any], names: Mapping[str, str]) -> frozenset[str]:
    """The options in a factory's signature, or all of them for one with ``**options``; ``names`` maps options to its parameters."""
    parameters, anything = inspect.signature(factory).parameters, takes_anything(factory)
    return frozenset(option for option, name in names.items() if anything or name in parameters)


def required_options(factory: Callable[..., Any], names: Mapping[str, str]) -> frozenset[str]:
    """The options without a default in a factory's signature; ``names`` maps options to its parameters."""
    parameters = inspect.signature(factory).parameters
    bare = {name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty}
    return frozenset(option for option, name in names.items() if name in bare)


def check_device(name: str, device: str) -> None:
    """Raise ``Unsupported`` for any device but the CPU."""
    if device != "cpu":
        raise Unsupported(f"{name} is checked on the CPU alone, not on {device!r}", hint="leave out --device")


def check_method(name: str, factory: Callable[..., Any], model: str) -> None:
    """Raise ``NotAnOptimizer`` for a class without ``apply_gradients``; ``model`` is the optimizer to resemble."""
    if inspect.isclass(factory) and not callable(getattr(factory, "apply_gradients", None)):
        raise NotAnOptimizer(
            f"{name} is not an optimizer: the class {factory.__name__} has no method apply_gradients",
            hint=f"name a class or a factory that is called like {model}",
        )


def check_created(name: str, outcome: Outcome, arguments: Mapping[str, float | bool], model: str) -> None:
    """Raise ``CannotStart`` for a failed call of a factory with these ``arguments``; ``model`` is the call to resemble."""
    if outcome.raised:
        raise CannotStart(
            f"{name} cannot be created: {outcome.raised.type}: {outcome.raised.message}",
            f"it was called with {', '.join(f'{key}={value}' for key, value in arguments.items()) or 'nothing'}",
            f"it must be callable like {model}",
        )
