"""Saved optimizers as named arrays: ``.npz`` and ``.safetensors``, for every dialect.

An array is called ``PARAMETER.ROLE``, as in ``0.square_avg``, with the dialect's own word for the role: those of its
constructor's ``state_names``. A role that the constructor's ``negated`` names has the other sign in the file. Hyperparameters
ride along as JSON (``schemas/checkpoint-1.json``) under the name ``rmspec``: in the metadata of a safetensors file, as a string
among the arrays of an ``.npz``. A file without them needs them from the user.
"""

from __future__ import annotations

import importlib
import io
import json
import lzma
import math
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES
from rmspec.impl.translation.saved import Array, Saved, SavedGroup, SavedParam
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given, options_in, resolve_options
from rmspec.oracles.errors import Unsupported
from rmspec.oracles.reading import check_members, parse_json
from rmspec.oracles.validators import validator_of

SCHEMA = "rmspec.checkpoint/1"

_SAFETENSORS = "files that end in .safetensors need it"

_SAFE_DTYPES = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "C64": np.dtype(np.complex64),
}


# -- reading


def saved(arrays: Mapping[str, Array], metadata: str | None, dialect: Dialect, given: Given, *, where: str) -> Saved:
    """The saved optimizer in named arrays. Raises ``BadCheckpoint``."""
    roles = {theirs: role for role, theirs in dialect.constructor.state_names.items()}
    by_param: dict[str, dict[str, Array]] = {}
    for name, values in arrays.items():
        param, dot, role = name.rpartition(".")
        if not dot or role not in roles:
            raise BadCheckpoint(
                f"{where} has an array {name!r}",
                f"the arrays of {dialect.name} are called PARAMETER.ROLE, and the roles are {', '.join(roles)}",
                "name the dialect that the file is of with --from, or rename the arrays",
            )
        if values.dtype.name not in FORMATS:
            raise BadCheckpoint(
                f"{name} in {where} is {values.dtype.name}",
                "the state of an optimizer is floating-point numbers",
                f"it can be {', '.join(FORMATS)}",
            )
        by_param.setdefault(param, {})[roles[role]] = _signed(values, roles[role], dialect)
    if metadata is None:
        new, hyper = resolve_options(dialect, {}, given, where=where)
        return Saved(
            (
                SavedGroup(
                    new, hyper, tuple(SavedParam(name, by_param[name], given.steps) for name in _ordered(by_param))
                ),
            )
        )
    return _described(by_param, metadata_of(metadata, dialect, where), dialect, given, where)


def _described(
    by_param: dict[str, dict[str, Array]], table: dict[str, Any], dialect: Dialect, given: Given, where: str
) -> Saved:
    groups = []
    named: list[str] = []
    for entry in table["groups"]:
        new, hyper = resolve_options(dialect, options_in(dialect, entry["options"], where=where), given, where=where)
        steps = entry.get("steps", [None] * len(entry["params"]))
        if len(steps) != len(entry["params"]):
            raise BadCheckpoint(f"{where} counts the steps of {len(steps)} parameters, and has {len(entry['params'])}")
        named += entry["params"]
        params = tuple(
            SavedParam(name, by_param.get(name, {}), given.steps if count is None else count)
            for name, count in zip(entry["params"], steps, strict=True)
        )
        groups.append(SavedGroup(new, hyper, params, entry.get("lr_changed", "")))
    if len(set(named)) != len(named) or set(by_param) - set(named):
        raise BadCheckpoint(
            f"{where} describes the parameters {', '.join(named)}, and has arrays of {', '.join(by_param)}",
            "each parameter belongs to one group",
            "save the file again",
        )
    if table["complete"] and set(named) - set(by_param):
        missing = sorted(set(named) - set(by_param))[0]
        raise BadCheckpoint(
            f"{where} has no arrays of parameter {missing}", "it describes one", "the file is damaged: save it again"
        )
    return Saved(tuple(groups))


def metadata_of(text: str, dialect: Dialect, where: str) -> dict[str, Any]:
    """The description as data, checked. Raises ``BadCheckpoint``."""
    import jsonschema

    try:
        table = parse_json(text)
        validator_of("checkpoint-1").validate(table)
    except (ValueError, jsonschema.ValidationError) as error:
        reason = error.message if isinstance(error, jsonschema.ValidationError) else str(error)
        raise BadCheckpoint(
            f"the description in {where} cannot be used: {reason}",
            f"its schema is {SCHEMA}",
            "take the description out and give the options, or save the file again",
        ) from None
    if table["dialect"] != dialect.name:
        raise BadCheckpoint(
            f"{where} is of the dialect {table['dialect']}, and you say {dialect.name}",
            "the same numbers mean other things there",
            f"say --from {table['dialect']}",
        )
    assert isinstance(table, dict)
    return table


def _ordered(names: Mapping[str, object]) -> list[str]:
    return sorted(names, key=int) if all(name.isascii() and name.isdigit() for name in names) else list(names)


def npz_arrays(path: Path) -> tuple[dict[str, Array], str | None, str]:
    """The arrays of an ``.npz``, its description, and the comment of the archive. No pickle is read. Raises ``BadCheckpoint``."""
    try:
        with open_archive(path) as archive:
            comment = archive.comment.decode("utf-8", errors="replace")
        arrays = npz_members(path)
    except DAMAGE as error:
        code = "pickle" in str(error)
        raise BadCheckpoint(
            f"{path} cannot be read as .npz: {reason(error)}",
            "arrays of objects are pickles, and reading those may run code" if code else "",
            "save plain numeric arrays with numpy.savez",
        ) from None
    description = arrays.pop("rmspec", None)
    return arrays, None if description is None else str(description), comment


DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    EOFError,
    RuntimeError,  # of an encrypted member; NotImplementedError of an unknown compression
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
)
"""The exceptions of the libraries for archives and arrays on a damaged file, or a hostile one."""


def npz_members(file: Path | io.BytesIO) -> dict[str, Array]:
    """The arrays of an ``.npz`` by name. Raises ``DAMAGE``."""
    with open_archive(file) as archive:
        return {name.removesuffix(".npy"): _npy_array(archive, name) for name in archive.namelist()}


def open_archive(file: Path | io.BytesIO) -> zipfile.ZipFile:
    """Open a zip, if its members fit into memory. Raises ``DAMAGE``."""
    archive = zipfile.ZipFile(file)
    size = file.stat().st_size if isinstance(file, Path) else file.getbuffer().nbytes
    check_members({entry.filename: entry.file_size for entry in archive.infolist()}, size)
    return archive


def _npy_array(archive: zipfile.ZipFile, name: str) -> Array:
    """The array in a member, if its header promises no more than the member holds. Raises ``DAMAGE``."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(member)
        if dtype.hasobject:
            raise ValueError(f"{name} is a pickle: it has objects")
        if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize > archive.getinfo(name).file_size:
            raise ValueError(f"{name} is cut off: its shape is {shape}")
    with archive.open(name) as member:
        array = np.asarray(np.lib.format.read_array(member, allow_pickle=False))
    if array.dtype.kind == "U":
        codes = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
        if codes.size and codes.max() > sys.maxunicode:
            raise ValueError(f"{name} is no text")
    return array


def safetensors_file(path: Path) -> tuple[dict[str, Array], str | None]:
    """The arrays of a ``.safetensors`` file, and its description. Raises ``BadCheckpoint``."""
    safetensors = require("safetensors", _SAFETENSORS)
    try:
        data = path.read_bytes()
        tensors = safetensors.deserialize(data)
        header = parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
    except (OSError, ValueError, safetensors.SafetensorError) as error:
        raise BadCheckpoint(
            f"{path} cannot be read as safetensors: {reason(error)}", hint="save it again with safetensors"
        ) from None
    arrays: dict[str, Array] = {}
    for name, entry in tensors:
        if entry["dtype"] not in _SAFE_DTYPES:
            raise BadCheckpoint(
                f"{name} in {path} is {entry['dtype']}",
                "the state of an optimizer is floating-point numbers",
                f"it can be {', '.join(_SAFE_DTYPES)}",
            )
        arrays[name] = np.frombuffer(bytearray(entry["data"]), _SAFE_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return arrays, header.get("__metadata__", {}).get("rmspec")


def reason(error: Exception) -> str:
    """The first line of why a file could not be read."""
    return (
        (getattr(error, "strerror", None) or str(error)).splitlines()[0].rstrip(".") if str(error) else "it is cut off"
    )


def require(module: str, purpose: str) -> Any:
    """Import a module for reading or writing files. Raises ``Unsupported`` for a missing one."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise Unsupported(f"{module} is not installed", purpose, f"pip install {module}") from None


# -- writing


def named(saved: Saved) -> dict[str, Array]:
    """The arrays under their names."""
    arrays: dict[str, Array] = {}
    for group in saved.groups:
        names = group.dialect.constructor.state_names
        for param in group.params:
            for role, values in param.arrays.items():
                arrays[f"{param.name}.{names[role]}"] = _signed(values, role, group.dialect)
            if group.dialect.momentum_form == "always" and param.arrays and "momentum_buffer" not in param.arrays:
                # The buffer is there with or without momentum; without, no update reads what is in it.
                arrays[f"{param.name}.{names['momentum_buffer']}"] = np.zeros_like(param.arrays["square_avg"])
    return arrays


def _signed(values: Array, role: str, dialect: Dialect) -> Array:
    return -values if role in dialect.constructor.negated else values


def options_of(dialect: Dialect, hyper: Hyperparameters) -> dict[str, Any]:
    """The options under the constructor's own names, switches among them."""
    constructor = dialect.constructor
    options: dict[str, Any] = {theirs: hyper.option(name) for name, theirs in constructor.names.items()}
    for theirs, name in constructor.switches.items():
        options[theirs] = SWITCHES[name].keyword_value(getattr(dialect, name))
    return options


def npz_bytes(arrays: Mapping[str, Array], saved: Saved) -> bytes:
    """Write an ``.npz`` file. Raises ``BadCheckpoint`` for a format foreign to NumPy's files."""
    for name, values in arrays.items():
        if values.dtype == ml_dtypes.bfloat16:
            raise BadCheckpoint(
                f"{name} is bfloat16, which .npz cannot hold",
                "NumPy would store bytes without their meaning",
                "write a file that ends in .safetensors",
            )
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, rmspec=np.array(description(saved)), **arrays)
    return out.getvalue()


def safetensors_bytes(arrays: Mapping[str, Array], saved: Saved) -> bytes:
    """Write a ``.safetensors`` file. Raises ``BadCheckpoint`` for a format foreign to it."""
    require("safetensors", _SAFETENSORS)
    from safetensors.numpy import save

    for name, values in arrays.items():
        if values.dtype not in _SAFE_DTYPES.values():
            raise BadCheckpoint(
                f"{name} is {values.dtype.name}, which safetensors cannot hold", hint="write a file that ends in .npz"
            )
    return bytes(
        save(
            {name: np.ascontiguousarray(values).reshape(values.shape) for name, values in arrays.items()},
            metadata={"rmspec": description(saved)},
        )
    )


def description(saved: Saved) -> str:
    """Describe the arrays as JSON: dialect, options, parameters and steps."""
    params = saved.params()
    table: dict[str, Any] = {
        "schema": SCHEMA,
        "dialect": saved.groups[0].dialect.name,
        "complete": all(param.arrays for param in params),
        "groups": [
            {
                "options": options_of(group.dialect, group.hyper),
                "params": [param.name for param in group.params],
                "steps": [param.steps for param in group.params],
                **({"lr_changed": group.lr_changed} if group.lr_changed else {}),
            }
            for group in saved.groups
        ],
    }
    return json.dumps(table, allow_nan=False, separators=(",", ":"))
