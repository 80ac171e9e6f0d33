"""Saved optimizers as torch writes them: ``torch.save(optimizer.state_dict())``, read with ``weights_only`` and never otherwise."""

from __future__ import annotations

import contextlib
import io
import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.dialect import OPTIONS, SPECIFICATION, Dialect
from rmspec.impl.translation.saved import Array, Saved, SavedGroup, SavedParam
from rmspec.oracles.checkpoints.arrays import DAMAGE, reason
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given, options_in, resolve_options
from rmspec.oracles.reading import MAX_DEPTH, check_members
from rmspec.oracles.torch.arrays import to_numpy, to_tensor

_BESIDE = ("params", "param_names", "initial_lr")
_PATHS = ("foreach", "capturable", "differentiable")  # which code runs, not what it computes
_STATE = {"step", *STATE_ROLES}
_SAVE = "save it with torch.save(optimizer.state_dict(), path)"


def torch_file(path: Path, dialect: Dialect, given: Given) -> Saved:
    """The saved optimizer in a ``.pt`` file. Raises ``BadCheckpoint``, and runs no code from the file."""
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a protocol that torch.save does not use: what follows says more
            data = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not _written_by_torch(path):
            raise _foreign(path) from None
        raise BadCheckpoint(
            f"{path} is a pickle that needs more than tensors and plain data: {_named_in(error)}",
            "to read it would run code from the file",
            "save the state alone: torch.save(optimizer.state_dict(), path)",
        ) from None
    except Exception as error:
        if not _written_by_torch(path):
            raise _foreign(path) from None
        raise BadCheckpoint(f"{path} cannot be read by torch.load: {reason(error)}", hint=_SAVE) from None
    try:
        check_members({"the tensors": _unpacked(data)}, path.stat().st_size)
        return _saved(_state_dict(data, path, given), dialect, given, str(path))
    except (ArithmeticError, AttributeError, LookupError, RecursionError, RuntimeError, TypeError, ValueError) as error:
        # What torch.save wrote, and is no state dict: a key that is none, a tensor without numbers, a list in place of a dict.
        raise BadCheckpoint(
            f"{path} holds no state_dict of an optimizer: {reason(error)}",
            "something in it is not what torch writes there",
            _SAVE,
        ) from None


def torch_bytes(saved: Saved, ending: str = ".pt") -> bytes:
    """The content of a file for ``load_state_dict(torch.load(...))``."""
    state: dict[int, dict[str, Any]] = {}
    groups = []
    index = 0
    for group in saved.groups:
        keys = []
        for param in group.params:
            if param.arrays:
                order = ("square_avg", "momentum_buffer", "grad_avg")
                tensors = {
                    role: to_tensor(param.arrays[role], "contiguous", "cpu") for role in order if role in param.arrays
                }
                state[index] = {"step": torch.tensor(float(param.steps or 0), dtype=torch.float32), **tensors}
            keys.append(index)
            index += 1
        options: dict[str, Any] = {name: group.hyper.option(name) for name in OPTIONS}
        options |= {"maximize": group.dialect.maximize, "foreach": None, "capturable": False, "differentiable": False}
        groups.append({**options, "params": keys})
    out = io.BytesIO()
    torch.save({"state": state, "param_groups": groups}, out)
    return out.getvalue()


def _check_archive(path: Path) -> None:
    """Raise ``ValueError`` for an archive of far more memory than its file."""
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        check_members({entry.filename: entry.file_size for entry in entries}, path.stat().st_size)


def _unpacked(data: object, depth: int = 0) -> int:
    """The bytes of all tensors in a structure as arrays of their own; a tensor may show one number many times."""
    if isinstance(data, torch.Tensor):
        return data.numel() * data.element_size()
    if depth > MAX_DEPTH:
        raise ValueError("it is nested too deep")
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, list | tuple) else ()
    return sum(_unpacked(part, depth + 1) for part in parts)


def _written_by_torch(path: Path) -> bool:
    """Whether a file looks like one of ``torch.save``: a zip with a ``data.pkl``, or before torch 1.6 a binary pickle.

    Raises ``BadCheckpoint`` for a zip that has lost its end, where the list of what is in it stands.
    """
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError:
        return True  # what torch.load says of it is the reason
    if start != b"PK":
        return start[:1] == b"\x80"
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    except DAMAGE:
        raise BadCheckpoint(f"{path} is cut off or damaged", "the list of its contents is missing", _SAVE) from None


def _foreign(path: Path) -> BadCheckpoint:
    problem = "is no file that torch.save wrote" if path.stat().st_size else "is empty"
    return BadCheckpoint(f"{path} {problem}", hint=_SAVE)


def _named_in(error: Exception) -> str:
    words = str(error).replace("\n", " ").split("Unsupported global: GLOBAL ")
    return words[1].split()[0] if len(words) > 1 else "it is cut off, or it holds other objects"


def _state_dict(data: object, path: Path, given: Given) -> Mapping[str, Any]:
    where = str(path)
    if given.key is not None:
        if not isinstance(data, Mapping) or given.key not in data:
            names = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
            raise BadCheckpoint(f"{where} has no key {given.key!r}", f"it has {names}", "name one of those with --key")
        data = data[given.key]
    if isinstance(data, Mapping) and {"state", "param_groups"} <= set(data):
        return data
    inside = [
        str(key)
        for key, value in (data.items() if isinstance(data, Mapping) else ())
        if isinstance(value, Mapping) and {"state", "param_groups"} <= set(value)
    ]
    raise BadCheckpoint(
        f"{where} holds no state_dict of an optimizer",
        "that is a dict with state and param_groups",
        f"say --key {inside[0]}" if inside else _SAVE,
    )


def _saved(table: Mapping[str, Any], dialect: Dialect, given: Given, where: str) -> Saved:
    state, param_groups = table["state"], table["param_groups"]
    if not isinstance(state, Mapping) or not isinstance(param_groups, list) or not param_groups:
        raise BadCheckpoint(
            f"{where} has no parameter groups", hint="save the state of an optimizer that has parameters"
        )
    _check_kind(state, param_groups, dialect, where)
    groups, keys = [], []
    for index, entry in enumerate(param_groups):
        place = f"{where}, group {index},"
        if not isinstance(entry, Mapping) or not isinstance(entry.get("params"), list):
            raise BadCheckpoint(f"{place} has no list of params", hint="save the whole state_dict again")
        new, hyper, changed = _options(entry, dialect, given, place)
        keys += entry["params"]
        params = tuple(_param(key, state.get(key, {}), where) for key in entry["params"])
        groups.append(SavedGroup(new, hyper, params, changed))
    strange = [key for key in state if key not in keys]
    if strange or len(set(keys)) != len(keys):
        raise BadCheckpoint(
            f"{where} has state of parameter {strange[0]!r}, which is in no group"
            if strange
            else f"{where} repeats a parameter",
            "each parameter belongs to one group",
            "save the whole state_dict again",
        )
    for key in keys:
        # One that is not there is a parameter that was never stepped.
        if key in state and not state[key]:
            raise BadCheckpoint(
                f"{where} has an empty state of parameter {key}", hint="save the whole state_dict again"
            )
    return Saved(tuple(groups))


def _check_kind(state: Mapping[Any, Any], param_groups: list[Any], dialect: Dialect, where: str) -> None:
    """Refuse the state of another optimizer than RMSprop, by its entries or its options. Raises ``BadCheckpoint``."""
    constructor = dialect.constructor
    known = {
        *constructor.names.values(),
        *constructor.switches,
        *OPTIONS,
        *SPECIFICATION.constructor.switches,
        *_PATHS,
        *_BESIDE,
    }
    state_keys = list(
        dict.fromkeys(str(name) for table in state.values() if isinstance(table, Mapping) for name in table)
    )
    called = list(dict.fromkeys(str(name) for table in param_groups if isinstance(table, Mapping) for name in table))
    entries = [name for name in state_keys if name not in _STATE]
    options = [name for name in called if name not in known]
    # One strange name alone may be an addition to RMSprop, and is told by the parameter or the group that has it.
    if not (entries or options) or ("square_avg" in state_keys and not (entries and options)):
        return
    signs = ", ".join(entries) if entries else f"the options {', '.join(options)}"
    raise BadCheckpoint(
        f"{where} is the state of another optimizer: it has {signs}",
        f"RMSprop keeps {', '.join(sorted(_STATE))}",
        "there is nothing to translate; take the state of an RMSprop",
    )


def _options(entry: Mapping[str, Any], dialect: Dialect, given: Given, place: str) -> tuple[Dialect, Any, str]:
    values = {
        name: value.item() if isinstance(value, torch.Tensor) and value.numel() == 1 else value
        for name, value in entry.items()
    }
    initial = values.pop("initial_lr", None)
    table = {name: value for name, value in values.items() if name not in (*_BESIDE, *_PATHS)}
    if "maximize" not in dialect.constructor.switches and not table.get("maximize"):
        table.pop("maximize", None)
    stored = options_in(dialect, table, where=place)
    new, hyper = resolve_options(dialect, stored, given, where=place)
    changed = isinstance(initial, int | float) and initial != hyper.lr
    return new, hyper, f"initial_lr is {initial!r}, lr is {hyper.lr!r}" if changed else ""


def _param(key: object, entry: object, where: str) -> SavedParam:
    if not isinstance(entry, Mapping):
        raise BadCheckpoint(
            f"{where} has no dict of state for parameter {key!r}", hint="save the whole state_dict again"
        )
    strange = set(entry) - _STATE
    if strange:
        raise BadCheckpoint(
            f"{where} has {sorted(map(str, strange))[0]!r} in the state of parameter {key!r}",
            f"RMSprop has {', '.join(sorted(_STATE))}",
            "translate the state of torch.optim.RMSprop",
        )
    arrays: dict[str, Array] = {}
    for role in STATE_ROLES:
        value = entry.get(role)
        if value is None:
            continue
        if not isinstance(value, torch.Tensor) or value.layout != torch.strided or value.is_quantized:
            raise BadCheckpoint(
                f"{role} of parameter {key!r} in {where} is no dense tensor", hint="save the whole state"
            )
        if not (value.is_floating_point() or value.is_complex()):
            raise BadCheckpoint(f"{role} of parameter {key!r} in {where} is {value.dtype}", hint="save the whole state")
        try:
            arrays[role] = to_numpy(value)
        except (TypeError, RuntimeError, NotImplementedError):
            raise BadCheckpoint(
                f"{role} of parameter {key!r} in {where} is {value.dtype}", hint="use a wider format"
            ) from None
    if entry and not arrays:
        raise BadCheckpoint(f"{where} has no square_avg of parameter {key!r}", hint="save the whole state_dict again")
    return SavedParam(str(key), arrays, _steps(key, entry, where) if entry else None)


def _steps(key: object, entry: Mapping[str, Any], where: str) -> int:
    step = entry.get("step")
    value = step.item() if isinstance(step, torch.Tensor) and step.numel() == 1 else step
    if not isinstance(value, int | float) or value != int(value):
        raise BadCheckpoint(
            f"{where} has the step {value!r} of parameter {key!r}",
            "torch counts steps in it, and cannot load a state without",
            "save the whole state_dict again",
        )
    return int(value)
