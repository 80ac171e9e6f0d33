"""Saved optimizers as Keras 3 writes them: the list of an optimizer's variables.

``optimizer.save_own_variables(store)`` numbers them from ``"0"``: the iterations, the learning rate (not with a schedule), then
the velocities of all parameters, with momentum their momentums, centered their average gradients. The same list is

- an ``.npz``: ``store = {}; optimizer.save_own_variables(store); numpy.savez(path, **store)``;
- the group ``optimizer/vars`` of a ``.weights.h5`` file (``model.save_weights``), also the one inside a ``.keras`` file, which
  has the options beside it;
- ``optimizer_weights`` of a whole model in one ``.h5``, in the order of its ``weight_names``, with the options beside it.

The numbers say nothing of rho, epsilon, momentum: those come from the file's options, from the comment that rmspec leaves in
an ``.npz`` (no reader of arrays sees it), or from the user. Nothing of Keras or TensorFlow is imported.
Source: ``keras/src/optimizers/base_optimizer.py`` and ``rmsprop.py``, ``keras/src/saving``, version 3.15.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.translation.saved import Array, Saved, SavedGroup, SavedParam, needed_roles
from rmspec.oracles.checkpoints.arrays import (
    DAMAGE,
    SCHEMA,
    description,
    metadata_of,
    npz_arrays,
    open_archive,
    reason,
    require,
)
from rmspec.oracles.checkpoints.hyperparameters import BadCheckpoint, Given, Value, options_in, resolve_options
from rmspec.oracles.keras.hdf5 import read_variables
from rmspec.oracles.reading import parse_json

_HDF5 = "files of Keras that hold HDF5 need it"
_ORDER = ("square_avg", "momentum_buffer", "grad_avg")
_OTHER_MEANING = (
    "clipnorm",
    "global_clipnorm",
    "clipvalue",
    "use_ema",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
_OF_NO_MEANING = {"name", "ema_momentum", "ema_overwrite_frequency", "is_legacy_optimizer", "jit_compile"}


# -- reading


def keras_file(path: Path, dialect: Dialect, given: Given) -> Saved | None:
    """Read a saved optimizer; ``None`` for arrays without the numbers of variables. Raises ``BadCheckpoint``."""
    ending = path.suffix.lower()
    if ending == ".keras":
        return keras_archive(path, dialect, given)
    if ending != ".npz":
        return keras_h5(path, dialect, given, where=str(path))
    arrays, _, comment = npz_arrays(path)
    numbers = [str(index) for index in range(len(arrays))]
    if not arrays or set(arrays) != set(numbers):
        return None
    return keras_saved([arrays[number] for number in numbers], None, comment, dialect, given, where=str(path))


def keras_saved(
    variables: list[Array],
    config: Mapping[str, Any] | None,
    comment: str,
    dialect: Dialect,
    given: Given,
    *,
    where: str,
) -> Saved:
    """The saved optimizer in a list of variables. Raises ``BadCheckpoint``."""
    if not variables or variables[0].shape != () or variables[0].dtype.kind not in "iu":
        raise BadCheckpoint(
            f"the first variable in {where} is no count of iterations",
            "the variables of a Keras optimizer begin with it",
            "save them with optimizer.save_own_variables",
        )
    steps, rest = int(variables[0]), variables[1:]
    stored: dict[str, Value] = {}
    if config is not None:
        stored = _configured(config, dialect, where)
    elif SCHEMA in comment:
        stored = options_in(dialect, metadata_of(comment, dialect, where)["groups"][0]["options"], where=where)
    schedule = (
        not rest or rest[0].shape != () or (config is not None and not isinstance(config.get("learning_rate"), float))
    )
    if not schedule:
        stored["lr"] = float(rest[0])
        rest = rest[1:]
    else:
        stored.pop("lr", None)
    new, hyper = resolve_options(dialect, stored, given, where=where)
    roles = [role for role in _ORDER if role in needed_roles(new, hyper)]
    if not rest or len(rest) % len(roles):
        raise BadCheckpoint(
            f"{where} has {len(rest)} variables of parameters, which are not {len(roles)} for each",
            f"with momentum {hyper.momentum!r} and centered {hyper.centered} a parameter has {', '.join(roles)}",
            "say the options that it was trained with, or save it whole",
        )
    count = len(rest) // len(roles)
    params = tuple(
        SavedParam(str(index), {role: rest[place * count + index] for place, role in enumerate(roles)}, steps)
        for index in range(count)
    )
    changed = "the optimizer has a schedule, and no learning rate among its variables" if schedule else ""
    return Saved((SavedGroup(new, hyper, params, changed),))


def keras_archive(path: Path, dialect: Dialect, given: Given) -> Saved:
    """The saved optimizer in a ``.keras`` file. Raises ``BadCheckpoint``."""
    try:
        with open_archive(path) as archive:
            config = parse_json(archive.read("config.json"), special=True)
            weights = archive.read("model.weights.h5")
    except DAMAGE as error:
        raise BadCheckpoint(
            f"{path} is no .keras file: {reason(error)}", hint="save it with model.save(path)"
        ) from None
    compiled = config.get("compile_config") if isinstance(config, Mapping) else None
    return keras_h5(
        io.BytesIO(weights), dialect, given, where=str(path), config=_optimizer(compiled, "optimizer", str(path))
    )


def keras_h5(
    file: Path | io.BytesIO, dialect: Dialect, given: Given, *, where: str, config: Mapping[str, Any] | None = None
) -> Saved:
    """The saved optimizer in an HDF5 file. Raises ``BadCheckpoint``."""
    try:
        variables, trained = read_variables(file)
        table = None if trained is None else parse_json(trained, special=True)
    except BadCheckpoint as error:
        raise BadCheckpoint(
            f"{where}: {error.what}",
            "they are in optimizer/vars, or in optimizer_weights",
            "save the model after it was compiled and trained",
        ) from None
    except DAMAGE as error:
        raise BadCheckpoint(
            f"{where} cannot be read as HDF5: {reason(error)}", hint="save it again with Keras"
        ) from None
    config = config if trained is None else _optimizer(table, "optimizer_config", where)
    return keras_saved(variables, config, "", dialect, given, where=where)


def _optimizer(table: object, key: str, where: str) -> Mapping[str, Any] | None:
    entry = table.get(key) if isinstance(table, Mapping) else None
    if not isinstance(entry, Mapping) or not isinstance(entry.get("config"), Mapping):
        return None
    if entry.get("class_name") != "RMSprop":
        raise BadCheckpoint(
            f"{where} has the optimizer {entry.get('class_name')}",
            "its variables mean something else",
            "translate the state of keras.optimizers.RMSprop",
        )
    config: Mapping[str, Any] = entry["config"]
    return config


def _configured(config: Mapping[str, Any], dialect: Dialect, where: str) -> dict[str, Value]:
    for name in _OTHER_MEANING:
        if config.get(name):
            raise BadCheckpoint(
                f"{where} was trained with {name} {config[name]!r}",
                "that changes what an update is, and no dialect has it",
                "do it outside the optimizer, and translate a state that was saved without it",
            )
    rest = {name: value for name, value in config.items() if name not in {*_OTHER_MEANING, *_OF_NO_MEANING}}
    if not isinstance(rest.get("learning_rate"), float):
        rest.pop("learning_rate", None)
    return options_in(dialect, rest, where=where)


# -- writing


def keras_bytes(saved: Saved, ending: str) -> bytes:
    """The content of a file with this ending. Raises ``BadCheckpoint`` for a state foreign to it."""
    return keras_npz_bytes(saved) if ending == ".npz" else keras_h5_bytes(saved)


def keras_npz_bytes(saved: Saved) -> bytes:
    """An ``.npz`` for ``optimizer.load_own_variables(numpy.load(path))``, once the optimizer is built."""
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **_listed(saved))
    table = json.loads(description(saved))
    for group in table["groups"]:
        group["params"], group["steps"] = [], []
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = json.dumps(table, separators=(",", ":")).encode("utf-8")
    return out.getvalue()


def keras_h5_bytes(saved: Saved) -> bytes:
    """An HDF5 file with ``optimizer/vars`` for ``load_own_variables``: this part of a ``.weights.h5`` alone."""
    h5py = require("h5py", _HDF5)
    out = io.BytesIO()
    with h5py.File(out, "w") as opened:
        group = opened.create_group("optimizer/vars")
        group.attrs["name"] = "rmsprop"
        for name, values in _listed(saved).items():
            group.create_dataset(name, data=values)
    return out.getvalue()


def _listed(saved: Saved) -> dict[str, Array]:
    (group,) = saved.groups
    for param in group.params:
        for role in STATE_ROLES:
            values = param.arrays.get(role)
            if values is not None and values.dtype.name not in ("float16", "float32", "float64"):
                raise BadCheckpoint(
                    f"{role} of parameter {param.name} is {values.dtype.name}",
                    "NumPy and HDF5 files hold no such numbers",
                    "write a file that ends in .safetensors",
                )
    variables: list[Array] = [
        np.asarray(max((param.steps or 0 for param in group.params), default=0), dtype=np.int64),
        np.asarray(group.hyper.lr, dtype=np.float32),
    ]
    for role in _ORDER:
        if role in needed_roles(group.dialect, group.hyper):
            variables += [param.arrays[role] for param in group.params]
    return {str(index): values for index, values in enumerate(variables)}
