"""Recording the steps of a live torch optimizer, in somebody's training script.

Hooks before and after ``step`` take the sampled elements of parameters, gradients and state. Where ``step`` is given a
closure, what is before the update is taken after the closure, whose gradients the update uses. Nothing of the run is changed:
no random number is drawn, no global setting touched, and an error of the recorder ends the recording, never the training.
"""

from __future__ import annotations

import inspect
import math
import os
import platform
import sys
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.errors import BadOption
from rmspec.oracles.recordings.chunks import RecordedGroup, RecordedStep, Scalar
from rmspec.oracles.recordings.reader import Fill, RecordedParam, Source
from rmspec.oracles.recordings.writer import Writer
from rmspec.oracles.torch.arrays import to_numpy

_Arrays = dict[int, dict[str, NDArray[Any]]]


class CannotRecord(BadOption):
    """The object to be recorded is no optimizer of torch, or an argument of ``record`` is out of its range."""


class Recorder:
    """Records ``optimizer`` into ``folder``; a context manager. Its arguments are those of ``rmspec.properties.recordings.record``."""

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        folder: str | os.PathLike[str],
        *,
        every: int,
        elements: int | None,
        named_parameters: Iterable[tuple[str, torch.Tensor]] | None,
        max_bytes: int,
        when_full: Fill,
    ) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise CannotRecord(
                f"cannot record a {type(optimizer).__name__}: it is no torch.optim.Optimizer",
                "steps are recorded through the hooks that torch's Optimizer has",
                "give the optimizer of a training loop in torch",
            )
        self._optimizer = optimizer
        self._every = every
        self._elements = elements
        self._given = {id(tensor): name for name, tensor in named_parameters or ()}
        self._writer = Writer(
            Path(folder), _source(optimizer), every=every, elements=elements, max_bytes=max_bytes, when_full=when_full
        )
        self._own = frozenset(vars(torch.optim.Optimizer([torch.zeros(1)], {})))
        self._class_values = _class_values(type(optimizer))
        self._indices: dict[int, int | None] = {}
        self._tensors: list[torch.Tensor] = []
        self._places: list[torch.Tensor | None] = []
        self._count = 0
        self._events: list[str] = []
        self._frame: FrameType | None = None
        self._before: tuple[tuple[RecordedGroup, ...], dict[str, Scalar], _Arrays, frozenset[int]] | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Recorder:
        optimizer = self._optimizer
        self._handles = [
            optimizer.register_step_pre_hook(self._pre),
            optimizer.register_step_post_hook(self._post),
            optimizer.register_load_state_dict_post_hook(self._loaded),
        ]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._release()
        ended = "closed" if kind is None else kind.__name__
        try:
            self._writer.close(self._count, ended)
        except OSError as failure:
            self._failed(failure)

    def _release(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._frame = self._before = None

    # -- hooks

    def _loaded(self, _: object) -> None:
        self._events.append("load_state_dict")

    def _pre(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        caller = sys._getframe(1)
        if self._frame is not None and _within(self._frame, caller):
            return None  # the step of a base class, inside the step
        # A step before this one that raised has left its traces; it made no step.
        self._frame, self._before = caller, None
        self._count += 1
        if (self._count - 1) % self._every or self._writer.full:
            return None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._take_before()
            return None

        def watched() -> Any:
            loss = closure()
            if self._frame is not None:
                self._take_before()
            return loss

        if len(args) > 1:
            return (args[0], watched, *args[2:]), kwargs
        return args, {**kwargs, "closure": watched}

    def _post(self, optimizer: Any, args: object, kwargs: object) -> None:
        if sys._getframe(1) is not self._frame:
            return
        before, self._before, self._frame = self._before, None, None
        if before is None:
            return
        try:
            groups, attributes, arrays, skipped = before
            after = self._values(groups, skipped)
            events, self._events = tuple(self._events), []
            self._writer.add(RecordedStep(self._count, groups, arrays, after, attributes, events, skipped))
        except Exception as error:
            self._failed(error)

    def _take_before(self) -> None:
        try:
            groups = tuple(self._group(number, group) for number, group in enumerate(self._optimizer.param_groups))
            indices = [index for group in groups for index in group.params]
            skipped = frozenset(index for index in indices if self._tensors[index].grad is None)
            self._before = groups, self._attributes(), self._values(groups, skipped), skipped
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._release()
        self._writer.full = True
        self._writer.note(f"recording stopped at step {self._count}: {type(error).__name__}: {error}")
        warnings.warn(f"rmspec stopped recording at step {self._count}: {type(error).__name__}: {error}", stacklevel=2)

    # -- what is taken

    def _group(self, number: int, group: Mapping[str, Any]) -> RecordedGroup:
        options = {name: plain for name, value in group.items() if (plain := _plain(value)) is not None}
        indices = [self._index(tensor, number, place) for place, tensor in enumerate(group["params"])]
        return RecordedGroup(tuple(index for index in indices if index is not None), options)

    def _index(self, tensor: torch.Tensor, group: int, place: int) -> int | None:
        if id(tensor) not in self._indices:
            names: Any = self._optimizer.param_groups[group].get("param_names")
            name = self._given.get(id(tensor)) or (names[place] if names else f"group {group}, parameter {place}")
            dtype = str(tensor.dtype).removeprefix("torch.")
            if dtype not in FORMATS or tensor.layout != torch.strided:
                self._writer.note(f"{name} is not recorded: rmspec does not know its format, {dtype}")
                self._indices[id(tensor)] = None
            else:
                chosen = positions(tensor, self._elements)
                self._writer.params.append(RecordedParam(name, dtype, tuple(tensor.shape), chosen))
                self._indices[id(tensor)] = len(self._tensors)
                self._tensors.append(tensor)
                self._places.append(None if chosen is None else torch.tensor(chosen, device=tensor.device))
        return self._indices[id(tensor)]

    def _attributes(self) -> dict[str, Scalar]:
        attributes = {
            name: getattr(type(self._optimizer), name)
            for name in self._class_values
            if _plain(getattr(type(self._optimizer), name, None)) is not None
        }
        for name, value in vars(self._optimizer).items():
            if name not in self._own and isinstance(value, bool | int | float | str):
                attributes[name] = value
        return attributes

    def _values(self, groups: tuple[RecordedGroup, ...], skipped: frozenset[int]) -> _Arrays:
        streams: dict[tuple[torch.device, torch.dtype], list[tuple[int, str, torch.Tensor]]] = {}
        for index in (index for group in groups for index in group.params):
            tensor, places = self._tensors[index], self._places[index]
            entries: list[tuple[str, Any]] = [("param", tensor)]
            if tensor.grad is not None:
                if tensor.grad.layout != torch.strided:
                    self._writer.note(f"{self._writer.params[index].name} has sparse gradients, which are not recorded")
                    continue
                entries.append(("grad", tensor.grad))
            state = self._optimizer.state.get(tensor)
            if isinstance(state, Mapping):
                entries += [(f"state/{key}", value) for key, value in state.items()]
            for key, value in entries:
                flat = _sampled(value, tensor, places)
                if flat is not None:
                    streams.setdefault((flat.device, flat.dtype), []).append((index, key, flat))
        arrays: _Arrays = {}
        for parts in streams.values():
            joined = to_numpy(torch.cat([flat for _, _, flat in parts]))
            at = 0
            for index, key, flat in parts:
                arrays.setdefault(index, {})[key] = joined[at : at + flat.numel()]
                at += flat.numel()
        return arrays


def positions(tensor: torch.Tensor, elements: int | None) -> tuple[int, ...] | None:
    """The flat indices of at most ``elements`` elements of a parameter, always the same for the same values.

    The first and the last; those of least and greatest size in the parameter and its gradient; the tail that a vectorized
    loop treats apart; the rest evenly spread. ``None`` where all are taken.
    """
    count = tensor.numel()
    if elements is None or count <= elements:
        return None
    chosen = dict.fromkeys([0, count - 1])
    with torch.no_grad():
        for source in (tensor, tensor.grad):
            if source is not None and source.layout == torch.strided:
                size = source.detach().abs().reshape(-1)
                chosen.update(dict.fromkeys([int(size.argmax()), int(size.argmin())]))
    # One element in the last block of each width that vectorized kernels have.
    chosen.update(dict.fromkeys(max(count // width * width - 1, 0) for width in (4, 8, 16, 32, 64)))
    chosen.update(dict.fromkeys(min(count // width * width, count - 1) for width in (4, 8, 16, 32, 64)))
    picked = list(chosen)[:elements]
    rest = elements - len(picked)
    if rest:
        # A golden-section sequence: even, and in step with no stride of the tensor.
        golden, turn = (math.sqrt(5) - 1) / 2, 0
        used = set(picked)
        while len(picked) < elements:
            turn += 1
            place = int(turn * golden % 1.0 * count)
            while place in used:
                place = (place + 1) % count
            used.add(place)
            picked.append(place)
    return tuple(sorted(picked))


def _sampled(value: Any, param: torch.Tensor, places: torch.Tensor | None) -> torch.Tensor | None:
    """The sampled elements as flat reals; a single number as it is; ``None`` for a value without elements."""
    if isinstance(value, bool | int | float):
        return torch.tensor([float(value)], dtype=torch.float64)
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return None
    value = value.detach()
    if param.is_complex() and not value.is_complex() and value.numel() == 2 * param.numel() > 0:
        value = torch.view_as_complex(value.reshape(*param.shape, 2).contiguous())
    if value.numel() == param.numel():
        flat = value.reshape(-1) if places is None else torch.take(value, places.to(value.device))
    elif value.numel() == 1:
        flat = value.reshape(-1)
    else:
        return None
    if flat.is_complex():
        flat = torch.view_as_real(flat.resolve_conj()).reshape(-1)
    return flat if str(flat.dtype).removeprefix("torch.") in FORMATS else flat.to(torch.float64)


def _plain(value: Any) -> Scalar | None:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor | np.number) and np.prod(value.shape) == 1:
        return float(value)
    return None


def _class_values(kind: type) -> tuple[str, ...]:
    """The plain values among the attributes of an optimizer's class: a switch may be one."""
    own = [base for base in kind.__mro__ if issubclass(base, torch.optim.Optimizer) and not _is_torch(base)]
    return tuple(
        name
        for base in own
        for name, value in vars(base).items()
        if not name.startswith("__") and isinstance(value, bool | int | float | str)
    )


def _is_torch(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == "torch"


def _within(frame: FrameType, caller: FrameType | None) -> bool:
    while caller is not None:
        if caller is frame:
            return True
        caller = caller.f_back
    return False


def _source(optimizer: torch.optim.Optimizer) -> Source:
    kind = type(optimizer)
    tensor = next((tensor for group in optimizer.param_groups for tensor in group["params"]), None)
    device = "cpu" if tensor is None else tensor.device.type
    versions = {"torch": torch.__version__, "python": platform.python_version()}
    return Source(_subject(kind, optimizer, device), f"{kind.__module__}.{kind.__qualname__}", versions, device)


def _subject(kind: type, optimizer: torch.optim.Optimizer, device: str) -> str:
    """The class's name for rmspec to load it; empty for a class inside a function, or of a notebook."""
    if kind is torch.optim.RMSprop:
        group = optimizer.param_groups[0]
        for path in ("capturable", "differentiable", "maximize"):
            if group.get(path):
                return f"torch:{path}"
        foreach = group.get("foreach")
        return "torch:foreach" if foreach or (foreach is None and device == "cuda") else "torch"
    if "<" in kind.__qualname__:
        return ""
    try:
        file = Path(inspect.getfile(kind))
    except (TypeError, OSError):
        return ""
    package = sys.modules.get(kind.__module__)
    if kind.__module__ != "__main__" and (package is None or "." in kind.__module__ or "site-packages" in file.parts):
        return f"{kind.__module__}:{kind.__qualname__}"
    if not file.is_file():
        return ""
    try:
        place = file.resolve().relative_to(Path.cwd().resolve())
    except ValueError:
        place = file.resolve()
    return f"{place.as_posix()}:{kind.__qualname__}"
