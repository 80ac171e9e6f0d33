"""The execution paths of a class or a factory: the known switches in its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rmspec.oracles.errors import UnknownSubject
from rmspec.oracles.framework import Framework
from rmspec.oracles.names import parse_name, path_keywords, path_setting
from rmspec.oracles.subject import Raised

__all__ = ["fixed_by", "offered_paths"]


def offered_paths(
    factory: Callable[..., Any],
    framework: Framework,
    device: str,
    attempt: Callable[[Mapping[str, bool], bool], Raised | None],
) -> dict[str, str]:
    """The paths besides the default one, each with the reason against it on this device.

    A path sets a switch of the signature to what it is not by default. ``attempt`` creates an optimizer with these keyword
    arguments, on request takes a step, and returns the exception. A step is asked for only where the device may have no such path:
    what a step does otherwise, a crash included, is the business of a check of the path.
    """
    kind = device.partition(":")[0]
    offered: dict[str, str] = {}
    for keyword, default in _flags(factory).items():
        switch = framework.switches.get(keyword)
        if switch is None and path_keywords()[keyword] is None:
            continue  # a switch of another framework
        on = kind in switch.automatic if switch is not None and default is None else bool(default)
        path = f"no_{keyword}" if on else keyword
        if switch is not None and switch.devices and kind not in switch.devices:
            offered[path] = f"it exists on {' and '.join(switch.devices)} alone"
            continue
        refusable = switch is not None and switch.refusable
        raised = attempt({keyword: not on}, refusable)
        offered[path] = "" if raised is None else _refusal(raised, keyword, refusable=refusable)
    return offered


def _refusal(raised: Raised, keyword: str, *, refusable: bool) -> str:
    """The reason against a raising path; empty for an exception to be found, as a deviation, by a program."""
    by_device = refusable and raised.type in ("RuntimeError", "AssertionError")
    if raised.type != "NotImplementedError" and not by_device:
        return ""
    message = (raised.message.splitlines() or [""])[0]
    return f"{keyword} is refused{' here' if by_device else ''}: {message or raised.type}"


def fixed_by(path: str, factory: Callable[..., Any], name: str) -> dict[str, bool]:
    """The keyword arguments of a path. Raises ``UnknownSubject`` for a factory without them."""
    setting = path_setting(path)
    assert setting is not None, path
    keyword, value = setting
    flags = _flags(factory)
    if keyword not in flags:
        base = parse_name(name).base
        raise UnknownSubject(
            f"{base} takes no argument {keyword}, so that it has no execution path {path}",
            f"its switches are {', '.join(flags)}" if flags else "there is no switch in its signature",
            f"write {base}",
        )
    return {keyword: value}


def _flags(factory: Callable[..., Any]) -> dict[str, bool | None]:
    """The known switches of a signature, with their defaults.

    A class that takes keyword arguments of any name has those of its base.
    """
    flags: dict[str, bool | None] = {}
    for parameter in _parameters(factory):
        known = parameter.name in path_keywords() and parameter.kind is not inspect.Parameter.POSITIONAL_ONLY
        if known and (parameter.default is None or isinstance(parameter.default, bool)):
            flags.setdefault(parameter.name, parameter.default)
    return flags


def _parameters(factory: Callable[..., Any]) -> Iterator[inspect.Parameter]:
    kinds = factory.__mro__ if inspect.isclass(factory) else (factory,)
    for kind in kinds:
        call = kind.__dict__.get("__init__") if inspect.isclass(kind) else kind
        if call is None:
            continue
        try:
            parameters = inspect.signature(call).parameters.values()
        except (TypeError, ValueError):
            return
        yield from parameters
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters):
            return
