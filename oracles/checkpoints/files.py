"""Files of saved optimizers: which layout a dialect and an ending mean, to read and to write.

==============================  =======================================================
ending                          layout
==============================  =======================================================
``.pt``, ``.pth``               ``torch.save(optimizer.state_dict())``: torch, and classes called like it
``.keras``, ``.h5``             what Keras 3 writes: keras3
``.npz``                        keras3: the numbered variables; others: named arrays
``.safetensors``                named arrays, any dialect
==============================  =======================================================

A file is read whole and checked before anything else is done; no code from it is run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.signatures import constructor_of
from rmspec.impl.translation.saved import Saved, check_saved
from rmspec.oracles.checkpoints import arrays as array_checkpoint
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given
from rmspec.oracles.errors import Unsupported
from rmspec.oracles.keras import checkpoint as keras_checkpoint

__all__ = ["check_ending", "checkpoint_bytes", "loading", "read_checkpoint"]

_TORCH = (".pt", ".pth")
_KERAS = (".h5", ".hdf5")
_ARRAYS = (".npz", ".safetensors")


def check_ending(path: str, dialect: Dialect, *, writes: bool) -> str:
    """The ending of a file name that this dialect can have. Raises ``BadCheckpoint``."""
    ending = Path(path).suffix.lower()
    usual = [*_ARRAYS]
    if constructor_of(dialect).groups:
        usual = [*_TORCH, *usual]
    if dialect.name == "keras3":
        usual = [*_KERAS, *usual] if writes else [*_KERAS, ".keras", *usual]
    if ending not in usual:
        raise BadCheckpoint(
            f"{path}: there is no layout of {dialect.name} for files that end in {ending or 'nothing'}",
            "the ending says how the file is " + ("written" if writes else "read"),
            f"choose from {', '.join(usual)}",
        )
    return ending


def read_checkpoint(path: str, dialect: Dialect, given: Given | None = None) -> Saved:
    """The saved optimizer in a file of this dialect, whole and checked.

    Raises ``BadCheckpoint`` and ``IncompleteState``; ``Unsupported`` where a library that the file needs is missing.
    """
    given = given or Given()
    ending = check_ending(path, dialect, writes=False)
    file = Path(path)
    if not file.is_file():
        raise BadCheckpoint(f"there is no file {path}", hint="name a saved state")
    saved = _read(file, ending, dialect, given)
    if given.group is not None:
        if not 0 <= given.group < len(saved.groups):
            raise BadCheckpoint(
                f"{path} has no group {given.group}", f"it has {len(saved.groups)}, counted from 0", "say --group 0"
            )
        saved = Saved((saved.groups[given.group],))
    if given.steps is not None:
        saved = Saved(
            tuple(
                replace(
                    group,
                    params=tuple(
                        replace(param, steps=given.steps) if param.steps is None else param for param in group.params
                    ),
                )
                for group in saved.groups
            )
        )
    if not saved.params():
        raise BadCheckpoint(f"{path} has no parameters", hint="save the state of an optimizer that has some")
    check_saved(saved)
    return saved


def checkpoint_bytes(path: str, saved: Saved) -> bytes:
    """What a file of this name holds for this saved optimizer. Raises ``BadCheckpoint`` where it cannot."""
    dialect = saved.groups[0].dialect
    ending = check_ending(path, dialect, writes=True)
    bare = [param.name for param in saved.params() if not param.arrays]
    if bare and not constructor_of(dialect).groups:
        raise BadCheckpoint(
            f"parameter {bare[0]} has no state yet",
            f"{dialect.name} has state for every parameter, and the shape of this one is not in the file",
            "make one step with a gradient for every parameter, and save again",
        )
    if ending in _TORCH:
        _need_torch()
        from rmspec.oracles.torch.checkpoint import torch_bytes

        return torch_bytes(saved)
    if dialect.name == "keras3" and ending in _KERAS:
        return keras_checkpoint.keras_h5_bytes(saved)
    if dialect.name == "keras3" and ending == ".npz":
        return keras_checkpoint.keras_npz_bytes(saved)
    arrays = array_checkpoint.named(saved)
    if ending == ".npz":
        return array_checkpoint.npz_bytes(arrays, saved)
    return array_checkpoint.safetensors_bytes(arrays, saved)


def loading(path: str, dialect: Dialect) -> str:
    """The Python to paste that loads such a file, one statement a line; where nothing takes it, that opens it.

    The optimizer is called ``optimizer`` and the model ``model``; what reads the file is imported, the framework is not.
    """
    ending = check_ending(path, dialect, writes=True)
    if ending in _TORCH:
        return f"optimizer.load_state_dict(torch.load({path!r}, weights_only=True))"
    build = "optimizer.build(model.trainable_variables)"
    if dialect.name == "keras3" and ending == ".npz":
        return f"import numpy\n{build}\noptimizer.load_own_variables(numpy.load({path!r}))"
    if dialect.name == "keras3" and ending in _KERAS:
        return f'import h5py\n{build}\noptimizer.load_own_variables(h5py.File({path!r})["optimizer/vars"])'
    names = ", ".join(f"PARAMETER.{name}" for name in array_checkpoint.role_names(dialect).values())
    module, reader = ("numpy", "load") if ending == ".npz" else ("safetensors.numpy", "load_file")
    return f"import {module}\narrays = {module}.{reader}({path!r})\n# its names: {names}"


def _read(file: Path, ending: str, dialect: Dialect, given: Given) -> Saved:
    where = str(file)
    if ending in _TORCH:
        _need_torch()
        from rmspec.oracles.torch.checkpoint import torch_file

        return torch_file(file, dialect, given)
    if given.key is not None:
        raise BadCheckpoint(f"{where} has no keys", "--key is for files of torch.save", "leave it out")
    if ending == ".keras":
        return keras_checkpoint.keras_archive(file, dialect, given)
    if ending in _KERAS:
        return keras_checkpoint.keras_h5(file, dialect, given, where=where)
    if ending == ".npz":
        arrays, metadata, comment = array_checkpoint.npz_arrays(file)
        if dialect.name == "keras3" and keras_checkpoint.numbered(arrays):
            variables = [arrays[str(index)] for index in range(len(arrays))]
            return keras_checkpoint.keras_saved(variables, None, comment, dialect, given, where=where)
    else:
        arrays, metadata = array_checkpoint.safetensors_file(file)
    return array_checkpoint.saved(arrays, metadata, dialect, given, where=where)


def _need_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise Unsupported("torch is not installed", "files of torch.save need it", "pip install torch") from None
