"""Programs: finite lists of calls on optimizers, as plain data, and their JSON form.

One vocabulary serves three uses: the stored counterexample, the conformance vector for other languages, and the wire
protocol of a subject that runs as its own process. Floats are hexadecimal strings (``float.hex()``), non-finite ones
``"nan"``, ``"inf"``, ``"-inf"``; dtype and shape are explicit; complex values are (real, imaginary) pairs of numbers.
A list of values that is shorter than its tensor repeats.
The JSON Schema is ``schemas/program-1.json`` in ``rmspec.oracles``.
"""

from __future__ import annotations

import difflib
import json
import keyword
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import Any, Literal, get_args

import cattrs
import jsonschema
import numpy as np
from cattrs.strategies import configure_tagged_union
from cattrs.v import format_exception
from numpy.typing import NDArray

from rmspec.impl.arithmetic.accuracy import Operation
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.reading import parse_json
from rmspec.oracles.validators import validator_of

MAX_ELEMENTS = 2**24
"""The most elements that the parameters of a program may have together: a step of them is checked in a few gigabytes."""

MAX_DIMENSIONS = 32
"""The most dimensions of a tensor: every framework has as many."""

MAX_CALLS = 20_000
"""The most calls of a program: as many are checked and performed in minutes."""

MAX_NAME = 100
"""The most characters of the name of a parameter, an optimizer or a slot."""

_ERRORS = 50

Layout = Literal["contiguous", "transposed", "strided", "expanded"]
CreateForm = Literal["list", "generator", "groups"]
AddForm = Literal["list", "generator", "tensor"]
Via = Literal["state_dict", "deepcopy", "file", "pickle"]


@dataclass(frozen=True, slots=True)
class TensorNumber:
    """A number as a 0-dimensional float32 tensor of the subject's framework."""

    tensor: float


OptionValue = bool | float | TensorNumber
Options = dict[str, OptionValue]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: ``values`` (reals, two per complex element) repeat to fill ``shape`` in the format ``dtype``."""

    name: str
    dtype: str = "float32"
    shape: tuple[int, ...] = (1,)
    values: tuple[float, ...] = (1.0,)
    layout: Layout = "contiguous"


@dataclass(frozen=True, slots=True)
class Group:
    """A parameter group as a user writes it: names of parameters, and options for this group alone."""

    params: tuple[str, ...]
    options: Options = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Create:
    """Make an optimizer. ``form``: parameters as a ``list`` or ``generator``, or as ``groups`` (dicts)."""

    optimizer: str
    groups: tuple[Group, ...]
    options: Options = field(default_factory=dict)
    form: CreateForm = "groups"


@dataclass(frozen=True, slots=True)
class SetGrad:
    """Set a gradient: repeated ``values``, or ``None``; ``bad`` makes it one foreign to RMSprop.

    With ``rows`` it is a row-sparse gradient, which names these indices of the first axis alone: a row that is named
    twice counts twice, one that the parameter does not have is left out.
    """

    param: str
    values: tuple[float, ...] | None
    layout: Layout = "contiguous"
    bad: Literal["", "sparse"] = ""
    rows: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One call of ``step``. A closure sets ``grads`` and returns ``loss``, or ``raises``. ``hooks`` counts step hooks."""

    optimizer: str
    closure: Literal["", "returns", "raises"] = ""
    grads: dict[str, tuple[float, ...]] = field(default_factory=dict)
    loss: float = 0.0
    hooks: bool = False


@dataclass(frozen=True, slots=True)
class ZeroGrad:
    """One call of ``zero_grad``; ``set_to_none`` is left out when it is ``None``."""

    optimizer: str
    set_to_none: bool | None = None


@dataclass(frozen=True, slots=True)
class AddParamGroup:
    """One call of ``add_param_group``: its dict has a ``list``, a ``generator`` or a single ``tensor`` of parameters."""

    optimizer: str
    group: Group
    form: AddForm = "list"


@dataclass(frozen=True, slots=True)
class SetOption:
    """Change an option of a group in place, as a schedule does."""

    optimizer: str
    group: int
    options: Options


@dataclass(frozen=True, slots=True)
class Save:
    """Take ``state_dict()`` into a slot: as it is, or through a deep copy, the framework's own file, or a pickle."""

    optimizer: str
    slot: str
    via: Via = "deepcopy"


@dataclass(frozen=True, slots=True)
class EditState:
    """Change a saved state: ``relabel`` (other ids, other order), ``drop`` one parameter's entry (``index``),
    ``shorten`` the last group by a parameter, ``reshape`` one entry's tensors."""

    slot: str
    edit: Literal["relabel", "drop", "shorten", "reshape"]
    index: int = 0


@dataclass(frozen=True, slots=True)
class Load:
    """One call of ``load_state_dict`` with the content of a slot."""

    optimizer: str
    slot: str


@dataclass(frozen=True, slots=True)
class Freeze:
    """Freeze a parameter (``requires_grad`` off, no gradient) or unfreeze it."""

    param: str
    frozen: bool = True


@dataclass(frozen=True, slots=True)
class Operate:
    """Have elementary operations performed by the means of the execution path, on no optimizer.

    ``operands`` are the parameters x, y and z; ``results`` names the parameter for the result of each operation: a sum, product
    or quotient of x and y, the root of x (``sqrt``), x*y + z (``multiply-add``).
    """

    operands: tuple[str, str, str]
    results: dict[Operation, str]


Call = Create | SetGrad | Step | ZeroGrad | AddParamGroup | SetOption | Save | EditState | Load | Freeze | Operate

_OPS: dict[str, type[Any]] = {
    re.sub("(?<=[a-z])(?=[A-Z])", "_", kind.__name__).lower(): kind for kind in get_args(Call)
}
_NAMES = {kind: name for name, kind in _OPS.items()}


def op(call: Call) -> str:
    """The name of a call in the JSON form."""
    return _NAMES[type(call)]


@dataclass(frozen=True, slots=True)
class Program:
    """A finite list of calls. ``note`` says its purpose, ``bug_classes`` lists the classes of faults caught by it.

    A program that records a deviation also names the ``subject``, its ``framework`` where that was not detected, the
    ``dialect``, the ``policy`` and the ``device`` of the run, and the ``clause`` that broke.
    """

    params: tuple[Param, ...]
    calls: tuple[Call, ...]
    note: str = ""
    bug_classes: tuple[int, ...] = ()
    clause: str = ""
    subject: str = ""
    framework: str = ""
    dialect: str = ""
    policy: str = ""
    device: str = ""
    schema: Literal["rmspec.program/1"] = "rmspec.program/1"

    def param(self, name: str) -> Param:
        """The declaration of a parameter. Raises ``KeyError`` for an undeclared one."""
        for declared in self.params:
            if declared.name == name:
                return declared
        raise KeyError(name)


def plain_number(value: OptionValue) -> float | bool:
    """An option's value as a number, however it is handed over."""
    return value.tensor if isinstance(value, TensorNumber) else value


def real(text: str) -> float:
    """A float of the JSON form. Raises ``ValueError`` for anything else."""
    if text in ("nan", "inf", "-inf"):
        return float(text)
    try:
        value = float.fromhex(text)
    except OverflowError:
        raise ValueError(f"too large: {text[:60]!r} is beyond the largest number") from None
    if not math.isfinite(value):
        raise ValueError(f"not a finite hexadecimal number: {text!r}")
    return value


def hexadecimal(value: float) -> str:
    """A float as the JSON form writes it."""
    return float(value).hex() if math.isfinite(value) else str(float(value))


def elements(values: tuple[float, ...], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The values as an array of this format and shape: they repeat to fill it, and are rounded to nearest."""
    fmt = FORMATS[dtype]
    count = math.prod(shape) * fmt.parts
    # To repeat one number resize would put together as many arrays.
    single = len(values) == 1
    flat = np.full(count, values[0], np.float64) if single else np.resize(np.asarray(values, np.float64), count)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        parts = (_odd(flat) if fmt.name == "bfloat16" else flat).astype(fmt.part.dtype)
    return (parts.view(fmt.dtype) if fmt.parts == 2 else parts).reshape(shape)


def _odd(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """The values in float32, inexact ones rounded to odd: the cast to bfloat16 goes by way of float32 and would round twice."""
    near = values.astype(np.float32)
    cut = np.where(np.abs(near) > np.abs(values), np.nextafter(near, np.float32(0)), near)
    return np.where(cut == values, cut, (cut.view(np.uint32) | 1).view(np.float32))


def named_rows(call: SetGrad, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The rows of a row-sparse gradient, as far as they exist; ``None`` for a dense gradient."""
    if call.rows is None or call.values is None or not shape:
        return None
    return tuple(row for row in call.rows if row < shape[0])


def gradient(call: SetGrad, dtype: str, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """A gradient as a dense array: 0 in the rows outside a row-sparse one; ``None`` for none."""
    if call.values is None:
        return None
    dense = elements(call.values, dtype, shape)
    rows = named_rows(call, shape)
    if rows is None:
        return dense
    sparse = np.zeros_like(dense)
    with np.errstate(over="ignore"):
        np.add.at(sparse, list(rows), dense[list(rows)])
    return sparse


def to_json(program: Program) -> dict[str, Any]:
    """The program as JSON data, with its ``schema`` first; entries at their default are left out."""
    data = _converter().unstructure(program)
    return {"schema": program.schema, **data}


def from_json(data: object, *, where: str = "the program", trusted: bool = False) -> Program:
    """Read a program from JSON data. Raises ``MalformedProgram``, naming the wrong place.

    ``trusted`` skips the schema, for programs that are part of the package and validated by its tests.
    """
    if not trusted and (beyond := _beyond(data)):
        raise MalformedProgram(f"{where} is not a program: {beyond}", hint="compare it with a stored one")
    # The first errors are enough to name one: each call of thousands may have its own.
    errors = () if trusted else tuple(islice(validator_of("program-1").iter_errors(data), _ERRORS))
    if errors:
        worst = min(errors, key=lambda error: (-len(error.absolute_path), error.message))
        while worst.context:
            # Of the forms of a call the one whose name it bears, if there is one.
            wrong_ops = {error.schema_path[0] for error in worst.context if list(error.path) == ["op"]}
            meant = [error for error in worst.context if error.schema_path[0] not in wrong_ops]
            worst = max(meant or worst.context, key=lambda error: len(error.absolute_path))
        place = "/".join(str(part) for part in worst.absolute_path) or "the top level"
        raise MalformedProgram(
            f"{where} is not a program: at {place[:200]}: {_problem(worst)}",
            "a program follows the schema rmspec.program/1",
            "write programs with rmspec check --repro-dir, or compare with the schema in rmspec/oracles/schemas",
        )
    try:
        given = {key: value for key, value in data.items() if key != "shows"} if isinstance(data, dict) else data
        program: Program = _converter().structure(given, Program)
        _check_names(program)
    except (cattrs.BaseValidationError, ValueError, KeyError, TypeError) as error:
        broken = isinstance(error, cattrs.BaseValidationError)
        reason = "; ".join(cattrs.transform_error(error, format_exception=_words)) if broken else str(error)
        raise MalformedProgram(
            f"{where} is not a program: {reason[:300]}", hint="compare it with a stored one"
        ) from None
    return program


def _words(error: BaseException, kind: type | None) -> str:
    return str(error) if type(error) is ValueError else format_exception(error, kind)


def _beyond(data: object) -> str:
    """Describe the part of a program's data beyond the bounds; empty for nothing, or for no program."""
    if not isinstance(data, dict):
        return ""
    calls, params = (data.get(key) for key in ("calls", "params"))
    if isinstance(calls, list) and len(calls) > MAX_CALLS:
        return f"it has {len(calls):,} calls; at most {MAX_CALLS:,} are replayed"
    tables = [param for param in params if isinstance(param, dict)] if isinstance(params, list) else []
    shapes = [param["shape"] for param in tables if isinstance(param.get("shape"), list)]
    if any(len(shape) > MAX_DIMENSIONS for shape in shapes):
        return f"a parameter has {max(map(len, shapes))} dimensions; at most {MAX_DIMENSIONS} are checked"
    whole = [shape for shape in shapes if all(isinstance(size, int) and size >= 0 for size in shape)]
    count = sum(map(math.prod, whole))
    if count > MAX_ELEMENTS:
        return f"its parameters have {_large(count)} elements together; at most {MAX_ELEMENTS:,} fit into memory safely"
    largest = max((max(shape, default=0) for shape in whole), default=0)
    if largest > MAX_ELEMENTS:
        # A tensor without elements may have it, and no framework counts so far.
        return f"a parameter has a dimension of {_large(largest)}; at most {MAX_ELEMENTS:,} can be counted"
    return ""


def _large(number: int) -> str:
    return f"{number:,}" if number <= 10**30 else "more than 10^30"


def _problem(error: jsonschema.ValidationError) -> str:
    """Describe the error at one place, in the words of the vocabulary if the schema's own say less."""
    value = json.dumps(error.instance)[:100]
    if (
        error.validator in ("pattern", "maxLength")
        and isinstance(error.instance, str)
        and len(error.instance) > MAX_NAME
    ):
        return f"{value[:60]}... has {len(error.instance):,} characters, which are too many"
    if list(error.absolute_path)[-1:] == ["op"]:
        near = difflib.get_close_matches(str(error.instance), list(_OPS), n=1)
        return f"unknown op {value}" + (f"; did you mean {near[0]}?" if near else f"; the ops are {', '.join(_OPS)}")
    number = "a float in hexadecimal, such as 0x1.8p+1, nor nan, inf or -inf"
    if error.validator == "type" and error.validator_value == "boolean":
        return f"{value} is neither true or false nor {number}"
    if error.validator == "pattern" and "nan|" in str(error.validator_value):
        return f"{value} is neither {number}"
    return str(error.message)[:200]


def parse(text: str, *, where: str = "the program", trusted: bool = False) -> Program:
    """The program in a JSON text. Raises ``MalformedProgram`` for a truncated or malformed one."""
    try:
        data = parse_json(text)
    except json.JSONDecodeError as error:
        raise MalformedProgram(
            f"{where} is not JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}",
            "it may have been cut off" if _cut_off(error, text) else "",
            "give a file that rmspec check --repro-dir wrote",
        ) from None
    except ValueError as error:
        # A number of hundreds of digits, or nesting without end: JSON, and no program.
        raise MalformedProgram(f"{where} is not a program: {error}", hint="compare it with a stored one") from None
    return from_json(data, where=where, trusted=trusted)


def _cut_off(error: json.JSONDecodeError, text: str) -> bool:
    """Whether the text ends before its JSON does; a string without an end counts from its beginning."""
    return error.pos >= len(text.rstrip()) - 1 or error.msg.startswith("Unterminated string")


def _check_names(program: Program) -> None:
    _check_params(program)
    params = {param.name for param in program.params}
    optimizers, slots = set[str](), set[str]()
    for index, call in enumerate(program.calls):
        if isinstance(call, Create):
            optimizers.add(call.optimizer)
        if isinstance(call, Save):
            slots.add(call.slot)
        for option in _option_names(call):
            if keyword.iskeyword(option):
                raise ValueError(f"call {index} has the option {option}, a word of Python: no constructor takes it")
        for name in _params_of(call):
            if name not in params:
                raise ValueError(f"call {index} names a parameter that is not declared: {name}")
        if hasattr(call, "optimizer") and call.optimizer not in optimizers:
            raise ValueError(f"call {index} names an optimizer that is not created: {call.optimizer}")
        if isinstance(call, Load | EditState) and call.slot not in slots:
            raise ValueError(f"call {index} names a slot that was not saved: {call.slot}")


def _check_params(program: Program) -> None:
    names = [param.name for param in program.params]
    if len(set(names)) != len(names):
        raise ValueError("two parameters have one name")
    for param in program.params:
        if param.dtype not in FORMATS:
            raise ValueError(f"parameter {param.name}: unknown dtype {param.dtype!r}")
        if not param.values:
            raise ValueError(f"parameter {param.name}: no values")


def _option_names(call: Call) -> Iterable[str]:
    match call:
        case Create():
            return [name for table in (call.options, *(group.options for group in call.groups)) for name in table]
        case AddParamGroup():
            return call.group.options
        case SetOption():
            return call.options
        case _:
            return ()


def _params_of(call: Call) -> Iterable[str]:
    match call:
        case Create():
            return [name for group in call.groups for name in group.params]
        case AddParamGroup():
            return call.group.params
        case SetGrad() | Freeze():
            return (call.param,)
        case Step():
            return call.grads
        case Operate():
            return (*call.operands, *call.results.values())
        case _:
            return ()


def _option(value: object) -> OptionValue:
    if isinstance(value, bool):
        return value
    if isinstance(value, Mapping):
        return TensorNumber(real(value["tensor"]))
    return real(str(value))


@cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(omit_if_default=True)
    converter.register_unstructure_hook(float, hexadecimal)
    converter.register_structure_hook(float, lambda value, _: real(value))
    converter.register_structure_hook(OptionValue, lambda value, _: _option(value))
    converter.register_unstructure_hook(
        OptionValue,
        lambda value: (
            value
            if isinstance(value, bool)
            else {"tensor": hexadecimal(value.tensor)}
            if isinstance(value, TensorNumber)
            else hexadecimal(value)
        ),
    )
    configure_tagged_union(Call, converter, tag_name="op", tag_generator=lambda kind: _NAMES[kind])
    return converter
