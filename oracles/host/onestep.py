"""A recorded step in the process of a subject: fitted to a fresh optimizer, and performed by it.

Both questions are for optimizers of torch, the one framework that is recorded.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rmspec.oracles.host.transcripts import dtype_name, dtype_named
from rmspec.oracles.reading import parse_json
from rmspec.oracles.recordings.onestep import OneStep, Stepped

_TORCH = "rmspec.oracles.torch.onestep"


@dataclass(frozen=True, slots=True)
class Fit:
    """The question of a step's fit: the options of the constructor, and those missing in a fresh optimizer."""

    step: OneStep


def encode_fitted(name: str, ask: Fit) -> str:
    """The names of the options, extras and attributes of the step, as it fits the subject of this name."""
    torch = importlib.import_module(_TORCH)
    step = torch.fitted(torch.factory(name, ask.step.device), ask.step)
    return json.dumps([list(step.options), list(step.extras), list(step.attributes)])


def decode_fitted(data: bytes, ask: Fit) -> OneStep:
    """The step with these names alone. Raises ``KeyError`` and ``ValueError`` for unknown ones."""
    known = {**ask.step.attributes, **ask.step.extras, **ask.step.options}
    options, extras, attributes = ({name: known[name] for name in names} for names in parse_json(data))
    return replace(ask.step, options=options, extras=extras, attributes=attributes)


def encode_stepped(name: str, step: OneStep) -> str:
    """Perform the step on the subject of this name."""
    torch = importlib.import_module(_TORCH)
    stepped = torch.perform(torch.factory(name, step.device), step)
    return json.dumps([_encode(stepped.before), _encode(stepped.after)])


def decode_stepped(data: bytes) -> Stepped:
    """The performed step. Raises ``KeyError``, ``TypeError`` and ``ValueError`` for other data."""
    before, after = parse_json(data, special=True)
    return Stepped(_decode(before), _decode(after))


def _encode(arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    return {name: [dtype_name(array.dtype), array.astype(np.float64).tolist()] for name, array in arrays.items()}


def _decode(data: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    return {name: np.array(values, np.float64).astype(dtype_named(dtype)) for name, (dtype, values) in data.items()}
