"""The form of an observation to be judged: the declared parameters, numbers in their sizes, known roles.

A subject in a process of its own, or on the wire, sends data. Its judge relies on the form of it, and on nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from numpy.typing import NDArray

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import Param
from rmspec.oracles.subject import OPTIONS, GroupView, Observation

__all__ = ["check_observation", "check_options"]

_KNOWN = frozenset(fmt.dtype for fmt in FORMATS.values())


def check_observation(observation: Observation, params: Iterable[Param], checked: Observation | None = None) -> None:
    """Raise ``ValueError`` for an observation of other parameters than these.

    What it has in common with one ``checked`` before is right.
    """
    declared = {param.name: param for param in params}
    if checked is None or observation.params is not checked.params:
        _check_names(observation.params, declared, "params")
        for name, array in observation.params.items():
            if array.dtype not in _KNOWN:
                raise ValueError(f"the parameter {name} is {array.dtype.name}, not {declared[name].dtype} as declared")
            _check_size(array, declared[name], f"the parameter {name}")
    if checked is None or observation.grads is not checked.grads:
        _check_names(observation.grads, declared, "grads")
        for name, gradient in observation.grads.items():
            if gradient is not None:
                _check_size(gradient, declared[name], f"the gradient of {name}")
    if checked is None or observation.groups is not checked.groups:
        for optimizer, groups in observation.groups.items():
            for group in groups or ():
                _check_group(group, f"a group of {optimizer}")
    if checked is None or observation.state is not checked.state:
        for optimizer, entries in observation.state.items():
            _check_state(entries, declared, f"in {optimizer}")
    if checked is None or observation.slots is not checked.slots:
        for slot, positions in observation.slots.items():
            _check_slot(positions, slot)


def check_options(names: Iterable[str], place: str) -> None:
    """Raise ``ValueError`` for the name of no option."""
    unknown = sorted(set(names) - set(OPTIONS))
    if unknown:
        raise ValueError(f"{place} has the option {unknown[0][:60]!r}")


def _check_names(arrays: Mapping[str, object], declared: Mapping[str, Param], kind: str) -> None:
    if arrays.keys() != declared.keys():
        names = ", ".join(sorted(map(str, arrays))) or "none"
        raise ValueError(f"its {kind} are {names}, not {', '.join(sorted(declared))}")


def _check_state(entries: Mapping[str, Mapping[str, NDArray[Any]]], declared: Mapping[str, Param], where: str) -> None:
    for name, roles in entries.items():
        if name not in declared:
            raise ValueError(f"the state {where} is of {name!r}, which is no parameter")
        # Of any size: a checkpoint of another optimizer may have been loaded.
        _check_roles(roles, where)


def _check_slot(positions: Mapping[int, Mapping[str, NDArray[Any]]], slot: str) -> None:
    for position, roles in positions.items():
        if not isinstance(position, int) or isinstance(position, bool) or position < 0:
            raise ValueError(f"the slot {slot} has a position {position!r}")
        _check_roles(roles, f"in the slot {slot}")


def _check_group(group: GroupView, place: str) -> None:
    if not all(isinstance(name, str) for name in group.params):
        raise ValueError(f"{place} holds what are no names of parameters")
    if not isinstance(group.options, Mapping):
        raise ValueError(f"{place} has no table of options")
    check_options(group.options, place)
    for name, value in group.options.items():
        if not isinstance(value, bool | int | float):
            raise ValueError(f"{name} in {place} is no number")


def _check_roles(roles: Iterable[str], where: str) -> None:
    for role in roles:
        if role not in STATE_ROLES:
            raise ValueError(f"the state {where} has the role {role[:60]!r}")


def _check_size(array: NDArray[Any], param: Param, place: str) -> None:
    parts = 2 if array.dtype.kind == "c" else 1
    if array.size * parts != math.prod(param.shape) * FORMATS[param.dtype].parts:
        shape = ", ".join(map(str, array.shape))
        raise ValueError(f"{place} is {array.dtype.name} of shape ({shape}), which are not the numbers of {param.name}")
