"""Files of saved optimizers: the layout of a dialect and an ending, to read and to write.

Every dialect has named arrays, ``.npz`` and ``.safetensors``; the layouts of a framework stand in its descriptor and go before
them. A file is read whole and checked before anything else is done; no code from it is run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rmspec.impl.spec.constructors import PAGE
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.translation.saved import Saved, check_saved
from rmspec.oracles.checkpoints import arrays as array_checkpoint
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given
from rmspec.oracles.framework import Layout, import_reference
from rmspec.oracles.reading import is_file
from rmspec.oracles.registry import frameworks

_ARRAYS = (".npz", ".safetensors")


def check_ending(path: str, dialect: Dialect, *, writes: bool) -> str:
    """Check the ending of a file name against the layouts of a dialect, and return it. Raises ``BadCheckpoint``."""
    ending = Path(path).suffix.lower()
    own = [suffix for layout in _layouts(dialect) for suffix in (layout.writes if writes else layout.reads)]
    usual = list(dict.fromkeys([*own, *_ARRAYS]))
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
    if not is_file(file):
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
    """The content of a file of this name for a saved optimizer. Raises ``BadCheckpoint`` for one without such a file."""
    dialect = saved.groups[0].dialect
    ending = check_ending(path, dialect, writes=True)
    bare = [param.name for param in saved.params() if not param.arrays]
    if bare and not dialect.constructor.groups:
        raise BadCheckpoint(
            f"parameter {bare[0]} has no state yet",
            f"{dialect.name} has state for every parameter, and the shape of this one is not in the file",
            "make one step with a gradient for every parameter, and save again",
        )
    layout = next((candidate for candidate in _layouts(dialect) if ending in candidate.writes), None)
    if layout is not None:
        _require(layout)
        content: bytes = import_reference(layout.writer)(saved, ending)
        return content
    arrays = array_checkpoint.named(saved)
    if ending == ".npz":
        return array_checkpoint.npz_bytes(arrays, saved)
    return array_checkpoint.safetensors_bytes(arrays, saved)


def loading(path: str, dialect: Dialect) -> str:
    """The Python to paste for loading such a file, one statement a line; for opening it, if no optimizer loads it.

    The optimizer is called ``optimizer`` and the model ``model``; what reads the file is imported, the framework is not.
    """
    ending = check_ending(path, dialect, writes=True)
    layout = next((candidate for candidate in _layouts(dialect) if ending in candidate.loading), None)
    if layout is not None:
        return layout.loading[ending].format(path=repr(path))
    names = ", ".join(f"PARAMETER.{name}" for name in dialect.constructor.state_names.values())
    module, reader = ("numpy", "load") if ending == ".npz" else ("safetensors.numpy", "load_file")
    return f"import {module}\narrays = {module}.{reader}({path!r})\n# its names: {names}"


def _read(file: Path, ending: str, dialect: Dialect, given: Given) -> Saved:
    where = str(file)
    layouts = [candidate for candidate in _layouts(dialect) if ending in candidate.reads]
    if given.key is not None and not any(candidate.keyed for candidate in layouts):
        keyed = [
            name for framework in frameworks() for layout in framework.layouts if layout.keyed for name in layout.reads
        ]
        raise BadCheckpoint(
            f"{where} has no keys", f"--key is for files that end in {', '.join(keyed)}", "leave it out"
        )
    for layout in layouts:
        _require(layout)
        saved: Saved | None = import_reference(layout.reader)(file, dialect, given)
        if saved is not None:
            return saved
    if ending == ".npz":
        arrays, metadata, _ = array_checkpoint.npz_arrays(file)
    else:
        arrays, metadata = array_checkpoint.safetensors_file(file)
    return array_checkpoint.saved(arrays, metadata, dialect, given, where=where)


def _layouts(dialect: Dialect) -> list[Layout]:
    page = dialect.constructor == PAGE
    return [
        layout
        for framework in frameworks()
        for layout in framework.layouts
        if dialect.name in layout.dialects or (page and layout.page)
    ]


def _require(layout: Layout) -> None:
    if layout.requires:
        array_checkpoint.require(layout.requires, layout.purpose)
