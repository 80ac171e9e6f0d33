"""Transcripts as bytes: a head of JSON, and the arrays as they lie in memory.

What comes out of a subject's process is data, whoever wrote it: reading it starts nothing, imports nothing and loads no
pickle. An array is written once however often it is shown, and an observation names only the parts that the call before it
has changed. So the arrays that two observations share are one array after reading, as they were before; none of them can be
written to.
"""

from __future__ import annotations

import json
import math
import re
import struct
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.errors import RmspecError
from rmspec.oracles import errors
from rmspec.oracles.errors import HostError, ProtocolBroken, wording
from rmspec.oracles.host.perform import Answer, Transcript
from rmspec.oracles.program.program import Program
from rmspec.oracles.reading import as_text, parse_json
from rmspec.oracles.session.observations import check_observation, check_options
from rmspec.oracles.subject import ClosureReport, GroupView, HookRun, Observation, Outcome, Raised

_LENGTH = struct.Struct("!I")
_ALIGNMENT = 16
"""Bytes: the arrays start at multiples of it, so that the widest number of NumPy is aligned."""

_SPECIAL = {fmt.dtype.name: fmt.dtype for fmt in FORMATS.values() if fmt.dtype.kind == "V"}
_KINDS = "biufc"
_ERRORS: dict[str, type[RmspecError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, RmspecError) and "__init__" not in vars(kind)
}

_Mode = Literal["", "enabled", "disabled", "inference"]


def encode_transcript(transcript: Transcript) -> bytes:
    """The transcript but for its program. Raises ``TypeError`` for an observation of anything but numbers."""
    writer = _Writer()
    start = writer.observation(transcript.start)
    answers = [
        f"[{_json(_outcome(answer.outcome))},{writer.observation(answer.after)}]" for answer in transcript.answers
    ]
    failure = None if transcript.failure is None else encode_error(transcript.failure)
    rest = _json([sorted(transcript.options), sorted(transcript.carried), failure, list(transcript.devices)])
    return writer.whole(f"[{start},[{','.join(answers)}],{rest}]")


def decode_transcript(data: memoryview, program: Program) -> Transcript:
    """The transcript of ``program``, its arrays lying in ``data``. Raises ``ProtocolBroken`` for other bytes."""
    try:
        return _transcript(data, program)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RecursionError, struct.error) as error:
        raise ProtocolBroken(f"it sent no transcript: {type(error).__name__}: {error}") from None


def encode_error(error: BaseException) -> dict[str, str]:
    """An exception as plain data: its kind, and its three parts; a ``HostError`` for an unexpected one."""
    kind = next((kind.__name__ for kind in type(error).__mro__ if _ERRORS.get(kind.__name__) is kind), "")
    if kind and isinstance(error, RmspecError):
        return {"kind": kind, "what": error.what, "why": error.why, "hint": error.hint}
    trace = "".join(traceback.format_exception(error))
    return {"kind": HostError.__name__, "what": f"{type(error).__name__}: {wording(error)}", "why": trace, "hint": ""}


def decode_error(data: Mapping[str, Any]) -> RmspecError:
    """The exception in plain data. Raises ``KeyError`` and ``TypeError`` for other data."""
    return _ERRORS[data["kind"]](as_text(data["what"]), as_text(data["why"]), as_text(data["hint"]))


class _Writer:
    """Numbers the arrays of a transcript, and leaves out the parts of an observation unchanged since the last."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._arrays: list[NDArray[Any]] = []
        self._latest: tuple[str, ...] = ("",) * len(_PARTS)

    def observation(self, observation: Observation) -> str:
        """The observation as JSON: ``null`` for a part equal to the last observation's."""
        parts = tuple(map(_json, self._parts(observation)))
        before, self._latest = self._latest, parts
        # Compared as texts: 1.0 and true, or 0.0 and -0.0, are equal numbers.
        return f"[{','.join('null' if new == old else new for new, old in zip(parts, before, strict=True))}]"

    def _parts(self, observation: Observation) -> list[Any]:
        return [
            self._roles(observation.params),
            {name: None if array is None else self._number(array) for name, array in observation.grads.items()},
            {
                optimizer: None if groups is None else [[list(group.params), _plain(group.options)] for group in groups]
                for optimizer, groups in observation.groups.items()
            },
            {
                optimizer: {name: self._roles(roles) for name, roles in params.items()}
                for optimizer, params in observation.state.items()
            },
            {
                slot: [[index, self._roles(roles)] for index, roles in entries.items()]
                for slot, entries in observation.slots.items()
            },
            {
                optimizer: {name: float(count) for name, count in counts.items()}
                for optimizer, counts in observation.steps.items()
            },
        ]

    def _roles(self, arrays: Mapping[str, NDArray[Any]]) -> dict[str, int]:
        return {role: self._number(array) for role, array in arrays.items()}

    def _number(self, array: Any) -> int:
        number = self._numbers.get(id(array))
        if number is None:
            if isinstance(array, np.generic):
                # What NumPy makes of an array without dimensions in most of its operations.
                self._numbers[id(array)] = len(self._arrays)
                self._arrays.append(np.asarray(array))
                return self._numbers[id(array)]
            if not isinstance(array, np.ndarray) or dtype_name(array.dtype) is None:
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise TypeError(f"an observation shows arrays of numbers, and this is {kind}")
            number = self._numbers[id(array)] = len(self._arrays)
            self._arrays.append(array)
        return number

    def whole(self, head: str) -> bytes:
        """The head, the table of the arrays, and the arrays."""
        table = [[dtype_name(array.dtype), list(array.shape)] for array in self._arrays]
        text = f"[{head},{_json(table)}]".encode()
        parts = [_LENGTH.pack(len(text)), text]
        size = _LENGTH.size + len(text)
        for array in self._arrays:
            gap = -size % _ALIGNMENT
            parts += [bytes(gap), array.tobytes()]
            size += gap + array.nbytes
        return b"".join(parts)


_json = json.JSONEncoder(separators=(",", ":")).encode


def dtype_name(dtype: np.dtype[Any]) -> str | None:
    """The name of a dtype of numbers; ``None`` for any other."""
    if dtype.kind in _KINDS:
        return dtype.str
    return dtype.name if _SPECIAL.get(dtype.name) == dtype else None


def dtype_named(name: object) -> np.dtype[Any]:
    """The dtype of numbers of this name. Raises ``TypeError`` for any other."""
    text = as_text(name)
    # NumPy reads much more in such a name, and some of it as Python.
    if text not in _SPECIAL and not re.fullmatch(r"[<>=|][biufc]\d{1,2}", text):
        raise TypeError(f"{text[:60]!r} is no dtype of numbers")
    dtype = _SPECIAL[text] if text in _SPECIAL else np.dtype(text)
    if dtype_name(dtype) != text:
        raise TypeError(f"{text} is no dtype of numbers")
    return dtype


def _outcome(outcome: Outcome) -> list[Any] | None:
    """An outcome, ``None`` for one without anything to say."""
    raised, closure = outcome.raised, outcome.closure
    parts = [
        None if raised is None else [str(raised.type), str(raised.message)],
        None
        if closure is None
        else [
            int(closure.calls),
            bool(closure.grad_enabled),
            bool(closure.moved_before),
            None if closure.returned is None else float(closure.returned),
        ],
        None if outcome.hooks is None else [int(count) for count in outcome.hooks],
        None if outcome.caller_dict_changed is None else bool(outcome.caller_dict_changed),
        {str(path): int(count) for path, count in outcome.paths.items()} or None,
        {str(source): [float(real) for real in reals] for source, reals in outcome.derivatives.items()} or None,
        None
        if outcome.hook_runs is None
        else [[run.kind, int(run.number), bool(run.optimizer), bool(run.misplaced)] for run in outcome.hook_runs],
        outcome.mode_left or None,
        None if outcome.held_changed is None else str(outcome.held_changed),
    ]
    return None if all(part is None for part in parts) else parts


def _plain(options: Mapping[str, Any]) -> dict[str, float | bool]:
    numbers = {name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()}
    for value in numbers.values():
        if not isinstance(value, bool | int | float):
            raise TypeError(f"an option is a number, and this is {type(value).__name__}")
    return numbers


def _transcript(data: memoryview, program: Program) -> Transcript:
    (length,) = _LENGTH.unpack_from(data)
    end = _LENGTH.size + length
    (first, later, (options, carried, failure, devices)), table = parse_json(
        bytes(data[_LENGTH.size : end]), special=True
    )
    arrays = _arrays(data, end, table)
    latest = _observation(first, arrays, ())
    start = checked = Observation(*latest)
    check_observation(start, program.params)
    answers = []
    for outcome, parts in later:
        latest = _observation(parts, arrays, latest)
        after = Observation(*latest)
        check_observation(after, program.params, checked)
        answers.append(Answer(_decoded_outcome(outcome), after))
        checked = after
    if len(answers) > len(program.calls):
        raise ValueError(f"{len(answers)} answers to {len(program.calls)} calls")
    check_options((*options, *carried), "what it takes and carries")
    return Transcript(
        program,
        start,
        tuple(answers),
        frozenset(map(as_text, options)),
        frozenset(map(as_text, carried)),
        None if failure is None else decode_error(failure),
        tuple(map(as_text, devices)),
    )


_Arrays = list[NDArray[Any]]


def _arrays(data: memoryview, offset: int, table: list[Any]) -> _Arrays:
    arrays = []
    for name, shape in table:
        dtype = dtype_named(name)
        offset += -offset % _ALIGNMENT
        count = math.prod(shape)
        if min(shape, default=0) < 0 or offset + count * dtype.itemsize > len(data):
            raise ValueError(f"an array of shape {shape} is cut off")
        arrays.append(np.frombuffer(data, dtype, count, offset).reshape(shape))
        offset += count * dtype.itemsize
    return arrays


def _observation(parts: list[Any], arrays: _Arrays, before: tuple[Any, ...]) -> tuple[Any, ...]:
    """The parts of an observation, with those left out taken from the one ``before``."""
    return tuple(
        before[place] if part is None else read(part, arrays)
        for place, (part, read) in enumerate(zip(parts, _PARTS, strict=True))
    )


def _roles(data: Mapping[str, int], arrays: _Arrays) -> dict[str, NDArray[Any]]:
    return {role: arrays[number] for role, number in data.items()}


def _grads(data: Mapping[str, int | None], arrays: _Arrays) -> dict[str, NDArray[Any] | None]:
    return {name: None if number is None else arrays[number] for name, number in data.items()}


def _groups(data: Mapping[str, Any], arrays: _Arrays) -> dict[str, tuple[GroupView, ...] | None]:
    return {
        optimizer: None if groups is None else tuple(GroupView(tuple(names), options) for names, options in groups)
        for optimizer, groups in data.items()
    }


def _state(data: Mapping[str, Any], arrays: _Arrays) -> dict[str, dict[str, dict[str, NDArray[Any]]]]:
    return {
        optimizer: {name: _roles(roles, arrays) for name, roles in params.items()} for optimizer, params in data.items()
    }


def _slots(data: Mapping[str, Any], arrays: _Arrays) -> dict[str, dict[int, dict[str, NDArray[Any]]]]:
    return {slot: {index: _roles(roles, arrays) for index, roles in entries} for slot, entries in data.items()}


def _steps(data: Mapping[str, Mapping[str, float]], arrays: _Arrays) -> dict[str, dict[str, float]]:
    return {optimizer: {name: float(count) for name, count in counts.items()} for optimizer, counts in data.items()}


_PARTS: tuple[Callable[[Any, _Arrays], Any], ...] = (_roles, _grads, _groups, _state, _slots, _steps)
"""Readers of the parts of an observation, in the order of its fields."""


def _decoded_outcome(parts: list[Any] | None) -> Outcome:
    if parts is None:
        return Outcome()
    raised, closure, hooks, changed, paths, derivatives, runs, mode, holder = parts
    return Outcome(
        None if raised is None else Raised(*map(as_text, raised)),
        None if closure is None else _closure(*closure),
        None if hooks is None else (_whole(hooks[0]), _whole(hooks[1])),
        None if changed is None else bool(changed),
        {as_text(path): _whole(count) for path, count in (paths or {}).items()},
        {as_text(source): tuple(map(float, reals)) for source, reals in (derivatives or {}).items()},
        None if runs is None else tuple(_hook_run(*run) for run in runs),
        _mode(mode or ""),
        None if holder is None else as_text(holder),
    )


def _closure(calls: object, grad_enabled: object, moved_before: object, returned: object) -> ClosureReport:
    if returned is not None and (isinstance(returned, bool) or not isinstance(returned, int | float)):
        raise TypeError(f"{returned!r} is no loss")
    return ClosureReport(
        _whole(calls), bool(grad_enabled), bool(moved_before), None if returned is None else float(returned)
    )


def _hook_run(kind: object, number: object, optimizer: object, misplaced: object) -> HookRun:
    if kind not in ("pre", "post"):
        raise TypeError(f"{kind!r} is no kind of hook")
    return HookRun("pre" if kind == "pre" else "post", _whole(number), bool(optimizer), bool(misplaced))


def _mode(value: object) -> _Mode:
    for mode in get_args(_Mode):
        if value == mode:
            return cast(_Mode, mode)
    raise TypeError(f"{value!r} is no gradient mode")


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} is no count")
    return value
