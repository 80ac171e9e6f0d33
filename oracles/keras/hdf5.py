"""Files of HDF5, read in a process of its own: the library loops without end on some damaged files, and crashes on others.

The process is a fork of this one. It reads the variables of an optimizer and writes them as an ``.npz``, which is read as any
file of anyone is. One that takes longer than a file of this size may is ended.
"""

from __future__ import annotations

import io
import os
import select
import signal
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from rmspec.impl.translation.saved import Array
from rmspec.oracles.checkpoints.arrays import DAMAGE, npz_members, reason, require
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint
from rmspec.oracles.reading import check_members

__all__ = ["read_variables"]

_PATIENCE = 4.0
"""Seconds for a file of any size: a hundred times what the largest of the tests takes."""

_SPEED = 20e6
"""Bytes that are read in a second on a slow disk."""


def read_variables(file: Path | io.BytesIO) -> tuple[list[Array], str | None]:
    """The variables of an optimizer in their order, and the configuration of its training. Raises ``BadCheckpoint`` and ``DAMAGE``."""
    h5py = require("h5py", "files of Keras that hold HDF5 need it")
    size = file.stat().st_size if isinstance(file, Path) else file.getbuffer().nbytes
    ours, theirs = os.pipe()
    with warnings.catch_warnings():
        # Frameworks with threads of their own warn of a fork; this one calls none of them, and is ended at its deadline.
        warnings.simplefilter("ignore", RuntimeWarning)
        pid = os.fork()
    if not pid:
        os.close(ours)
        _answer(h5py, file, size, theirs)
    os.close(theirs)
    try:
        data = _listen(ours, time.monotonic() + _PATIENCE + size / _SPEED)
    finally:
        os.close(ours)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    members = npz_members(io.BytesIO(data)) if data else {"problem": np.array("its library crashed on it")}
    if "problem" in members:
        problem = str(members["problem"])
        raise BadCheckpoint(problem) if "none" in members else ValueError(problem)
    config = members.pop("config", None)
    return [members[str(index)] for index in range(len(members))], None if config is None else str(config)


def _listen(pipe: int, deadline: float) -> bytes:
    data = bytearray()
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        chunk = os.read(pipe, 1 << 20)
        if not chunk:
            return bytes(data)
        data += chunk
    raise ValueError("its library does not come to an end with it")


def _answer(h5py: Any, file: Path | io.BytesIO, size: int, pipe: int) -> NoReturn:
    """Write the answer to the pipe, and end this process."""
    try:
        try:
            members = _members(h5py, file, size)
        except BadCheckpoint as error:
            members = {"problem": np.array(error.what), "none": np.array(True)}
        except DAMAGE as error:
            members = {"problem": np.array(reason(error))}
        with os.fdopen(pipe, "wb") as stream:
            out = io.BytesIO()
            np.savez(out, allow_pickle=False, **members)
            stream.write(out.getbuffer())
    finally:
        os._exit(0)


def _members(h5py: Any, file: Path | io.BytesIO, size: int) -> dict[str, Array]:
    with h5py.File(file, "r") as opened:
        arrays = {str(index): array for index, array in enumerate(_variables(h5py, opened, size))}
        if "training_config" not in opened.attrs:
            return arrays
        config = opened.attrs["training_config"]
        text = config.decode("utf-8") if isinstance(config, bytes) else config
        if not isinstance(text, str):
            raise TypeError("its training_config is no text")
        return {**arrays, "config": np.array(text)}


def _variables(h5py: Any, opened: Any, size: int) -> list[Array]:
    """Read the variables in a file of this ``size``. Its links to other files are not followed."""
    names: list[Any]
    if "optimizer_weights" in opened and "weight_names" in opened["optimizer_weights"].attrs:
        group = opened["optimizer_weights"]
        names = list(group.attrs["weight_names"])
    else:
        group = opened.get("optimizer/vars", {})
        names = [str(index) for index in range(len(group))]
    if any(isinstance(group.get(name, getlink=True), h5py.ExternalLink) for name in names):
        raise ValueError("a variable of it is a link to another file")
    datasets = [group.get(name) for name in names]
    if not datasets or any(
        not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iufc" for dataset in datasets
    ):
        raise BadCheckpoint("it has no variables of an optimizer")
    if any(dataset.external or dataset.is_virtual for dataset in datasets):
        raise ValueError("a variable of it lies in another file")
    check_members({str(dataset.name): dataset.size * dataset.dtype.itemsize for dataset in datasets}, size)
    return [np.asarray(dataset[()]) for dataset in datasets]
