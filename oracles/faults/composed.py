"""One optimizer with several faults, made by ``compose`` of faults in different methods.

Its class can be imported by a name of its own, so that ``load``, a process of its own and a standalone script find it:
``from rmspec.oracles.faults.composed import SquareAvgSum_LoadIgnoresLr``.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator
from itertools import combinations
from types import CodeType, FunctionType

from rmspec.oracles.faults.base import ForeachRMSprop, LoopRMSprop, RMSpropBase
from rmspec.oracles.faults.listing import FAULTS, Fault, Path

_BASES: dict[Path, type[RMSpropBase]] = {"for-loop": LoopRMSprop, "foreach": ForeachRMSprop}


class Clash(ValueError):
    """Two faults in one optimizer would change or hide each other."""


def compose(*faults: Fault) -> type[RMSpropBase]:
    """Make one optimizer class with all these faults.

    Raises ``Clash`` where one fault would change or hide another.
    A fault that changes only what both paths share (options, groups, gradients, closures, checkpoints) goes with either
    path; one that changes the arithmetic goes with its own.
    """
    if len({fault.dialect for fault in faults}) != 1:
        raise Clash("faults of different dialects, or none, make no one optimizer; choose faults of one dialect")
    if any(fault.switch for fault in faults):
        raise Clash("a fault of one execution path makes no optimizer with another; choose faults without a switch")
    classes = {fault: fault.optimizer() for fault in faults}
    path = next((fault.path for fault in faults if _is_bound(fault, classes[fault])), faults[0].path)
    for fault in faults:
        if fault.path != path and _is_bound(fault, classes[fault]):
            raise Clash(
                f"{fault.id} changes the arithmetic of the {fault.path} path, another fault that of the {path} path"
            )
    for first, second in combinations(faults, 2):
        _refuse_clash(first, second, classes)
    # Faults of the path stand first, so that its arithmetic comes before that of the other path's class.
    ordered = sorted(faults, key=lambda fault: fault.path != path)
    summary = " ".join(fault.summary for fault in faults)
    names = "_".join(fault.attr for fault in faults)
    return type(names, tuple(classes[fault] for fault in ordered), {"__doc__": summary, "__module__": __name__})


def __getattr__(name: str) -> type[RMSpropBase]:
    listed = {fault.attr: fault for fault in FAULTS}
    parts = name.split("_")
    if len(parts) < 2 or not set(parts) <= set(listed):
        raise AttributeError(f"{__name__} has no attribute {name!r}; write the classes of faults with _ between them")
    try:
        optimizer = globals()[name] = compose(*(listed[part] for part in parts))
    except Clash as clash:
        raise AttributeError(str(clash)) from clash
    return optimizer


def _refuse_clash(first: Fault, second: Fault, classes: dict[Fault, type]) -> None:
    shared = sorted(_overrides(classes[first]).keys() & _overrides(classes[second]).keys())
    if shared:
        raise Clash(f"{first.id} and {second.id} both change {', '.join(shared)}")
    private = sorted(_attributes(classes[first]) & _attributes(classes[second]))
    if private:
        raise Clash(f"{first.id} and {second.id} both keep {', '.join(private)} on the optimizer")
    for outer, inner in ((first, second), (second, first)):
        skipped = sorted(_skipped(classes[outer], _BASES[outer.path]) & _overrides(classes[inner]).keys())
        if skipped:
            raise Clash(f"{outer.id} no longer calls {', '.join(skipped)}, which {inner.id} changes")


def _is_bound(fault: Fault, optimizer: type) -> bool:
    """Tell whether the fault changes or calls a method of its path, not only of the base class of both."""
    used = set(_overrides(optimizer)).union(*(_names(method.__code__) for method in _overrides(optimizer).values()))
    return not used.isdisjoint(name for base in _BASES.values() for name in vars(base) if not name.startswith("__"))


def _overrides(optimizer: type) -> dict[str, FunctionType]:
    """Map names to the methods in the class statement; torch adds a wrapped ``step`` to a class at its first instance."""
    methods = {name: value for name, value in vars(optimizer).items() if isinstance(value, FunctionType)}
    return {name: method for name, method in methods.items() if method.__qualname__.startswith(optimizer.__qualname__)}


def _skipped(optimizer: type, base: type) -> set[str]:
    """List the methods of the base class left uncalled by the fault's versions of its methods."""
    skipped: set[str] = set()
    for name, method in _overrides(optimizer).items():
        skipped |= _calls(getattr(base, name, None), base) - _calls(method, base)
    return skipped


def _calls(method: object, base: type) -> set[str]:
    """List the methods of the base class called by a method, directly or through others."""
    reached: set[str] = set()
    waiting = [method]
    while waiting:
        called = waiting.pop()
        if isinstance(called, FunctionType):
            new = {
                name for name in _names(called.__code__) if hasattr(RMSpropBase, name) or name in vars(base)
            } - reached
            reached |= new
            waiting += [getattr(base, name) for name in new]
    return reached


def _attributes(optimizer: type) -> set[str]:
    """List the private attributes kept by the fault between its methods or calls."""
    stored = {name for name in vars(optimizer) if name.startswith("_") and not name.startswith("__")}
    for method in _overrides(optimizer).values():
        for code in _codes(method.__code__):
            stored |= {str(line.argval) for line in dis.get_instructions(code) if line.opname == "STORE_ATTR"}
            stored |= {constant for constant in code.co_consts if isinstance(constant, str)}
    return {name for name in stored if name.startswith("_") and name not in dir(_BASES["for-loop"])}


def _names(code: CodeType) -> set[str]:
    return {name for part in _codes(code) for name in part.co_names}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
