"""Standalone scripts for subjects that are handed gradients and variables: TensorFlow, Keras, and optax.

Each framework has a ``_Style``: how a variable, a gradient, an optimizer and a step are written, and how a value is read.
What the calls of a program and its assertion are is the same for all. Source: DESIGN 4.4.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, field

from rmspec.impl.dialect import Hyperparameters, dialect_named
from rmspec.oracles.program import (
    Create,
    EditState,
    Freeze,
    Load,
    OptionValue,
    Param,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    named_rows,
    plain_number,
)
from rmspec.properties.events import Deviation

__all__ = ["FRAMEWORKS", "applied_statements"]

FRAMEWORKS = ("tensorflow", "keras", "optax")
"""The frameworks that this module writes scripts for."""

_V1 = {"lr": "learning_rate", "alpha": "decay", "eps": "epsilon"}
_KERAS = {"lr": "learning_rate", "alpha": "rho", "eps": "epsilon"}
_OPTAX = {"lr": "learning_rate", "alpha": "decay"}
_RAW = {"square_avg": "ms", "grad_avg": "mg", "momentum_buffer": "mom"}


@dataclass(slots=True)
class _Script:
    """One program in the making: statements, and what the names in it stand for."""

    deviation: Deviation
    lines: list[str] = field(default_factory=list)
    members: dict[str, tuple[str, ...]] = field(default_factory=dict)
    options: dict[str, dict[str, OptionValue]] = field(default_factory=dict)

    @property
    def program(self) -> Program:
        return self.deviation.program

    def changes(self, optimizer: str) -> bool:
        """Whether an option of an optimizer is changed later."""
        return any(isinstance(call, SetOption) and call.optimizer == optimizer for call in self.program.calls)


@dataclass(frozen=True, slots=True)
class _Style:
    """How one interface is written. Every function returns Python source."""

    head: list[str]
    variable: Callable[[Param], list[str]]
    dense: Callable[[Param, str, tuple[int, ...]], str]
    create: Callable[[_Script, Create], list[str]]
    step: Callable[[_Script, str], list[str]]
    change: Callable[[_Script, SetOption], list[str]]
    save: Callable[[_Script, Save], list[str]]
    load: Callable[[_Script, Load], list[str]]
    edit: Callable[[_Script, EditState], list[str]]
    read: Callable[[_Script, str, str], str]


def applied_statements(deviation: Deviation) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation; the last statement but its print asserts."""
    script = _Script(deviation)
    style = _style(deviation)
    for param in script.program.params:
        script.lines += style.variable(param)
    calls = script.program.calls[: deviation.call + 1]
    saved = _restorable(deviation)
    for call in calls[:-1]:
        script.lines += _call(script, style, call)
        if saved is not None and call == saved:
            script.lines.append(f"saved = {style.read(script, saved.optimizer, _counterpart(deviation, saved))}")
    before, after = _check(script, style)
    script.lines += before
    final = _call(script, style, calls[-1])
    if deviation.kind == "silent":
        summary = repr(deviation.summary)
        script.lines += [*final[:-1], "try:", f"    {final[-1]}", "except Exception as error:"]
        script.lines += ['    print("refused, as it should be:", error)', "else:", f"    raise SystemExit({summary})"]
    elif deviation.kind == "frame" and deviation.clause in ("load-mismatch", "load-shape"):
        script.lines += [*final[:-1], "try:", f"    {final[-1]}", "except Exception: pass", *after]
    else:
        script.lines += [*final, *after]
    return style.head, script.lines


def _call(script: _Script, style: _Style, call: object) -> list[str]:
    match call:
        case Create():
            names = tuple(name for group in call.groups for name in group.params)
            script.members[call.optimizer] = names
            script.options[call.optimizer] = {**call.options, **call.groups[0].options}
            return style.create(script, call)
        case SetGrad():
            return [f"{call.param}_grad = {_gradient(script, style, call)}"]
        case Step():
            return style.step(script, call.optimizer)
        case SetOption():
            return style.change(script, call)
        case Save():
            return style.save(script, call)
        case Load():
            return style.load(script, call)
        case EditState():
            return style.edit(script, call)
        case Freeze():
            return [f"{call.param}_grad = None"]
        case _:
            raise AssertionError(f"not asked of this subject: {call!r}")


def _gradient(script: _Script, style: _Style, call: SetGrad) -> str:
    if call.values is None:
        return "None"
    param = script.program.param(call.param)
    if call.bad:
        return style.dense(param, _listed(call.values, (*param.shape, 2)), (*param.shape, 2))
    rows = named_rows(call, param.shape)
    if rows is None:
        return style.dense(param, _listed(call.values, param.shape), param.shape)
    each = math.prod(param.shape[1:])
    whole = [call.values[index % len(call.values)] for index in range(math.prod(param.shape))]
    named = tuple(value for row in rows for value in whole[row * each : (row + 1) * each])
    shape = (len(rows), *param.shape[1:])
    values = _tensor(param, _listed(named or (0.0,), shape), shape)
    return (
        f"tf.IndexedSlices({values}, tf.constant({list(rows)}, tf.int64), tf.constant({list(param.shape)}, tf.int64))"
    )


def _restorable(deviation: Deviation) -> Save | None:
    """The call that saved what a load has not restored; ``None`` where it had nothing to restore for this parameter."""
    load = deviation.program.calls[deviation.call]
    if deviation.kind != "load" or not deviation.param or deviation.allowed is not None or not isinstance(load, Load):
        return None
    calls = deviation.program.calls[: deviation.call]
    return next((call for call in reversed(calls) if isinstance(call, Save) and call.slot == load.slot), None)


def _counterpart(deviation: Deviation, saved: Save) -> str:
    """The parameter whose saved state is for the one that deviates: that at the same position."""
    members = {
        call.optimizer: [name for group in call.groups for name in group.params]
        for call in deviation.program.calls
        if isinstance(call, Create)
    }
    return members[saved.optimizer][members[deviation.optimizer].index(deviation.param)]


def _check(script: _Script, style: _Style) -> tuple[list[str], list[str]]:
    deviation = script.deviation
    text = repr(deviation.summary[:100])
    read = style.read(script, deviation.optimizer, deviation.param) if deviation.param else ""
    if deviation.kind in ("value", "base") and deviation.allowed is not None:
        lo, hi = (_number(end) for end in deviation.allowed)
        finite = " and abs(value) < float('inf')" if deviation.hazard else ""
        return [], [
            f"value = float({read}[{deviation.element}])",
            f'print("observed", value, value.hex(), "allowed from", {lo}, "to", {hi})',
            f"assert {lo} <= value <= {hi}{finite}, value",
        ]
    if deviation.kind == "frame" and deviation.param:
        place = f"[{deviation.element}]" if deviation.clause == "sparse-rows" else ""
        return [f"before = {read}{place}"], [
            f"after = {read}{place}",
            'print("before", before, "after", after)',
            f"assert (before == after).all(), {text}",
        ]
    if deviation.kind == "load" and deviation.param:
        if _restorable(deviation) is not None:
            expected = "saved"
        else:
            expected = repr(dialect_named(script.program.dialect or "torch").initial(deviation.role, Hyperparameters()))
        return [], [
            f"loaded = {read}",
            f'print("expected", {expected}, "loaded", loaded)',
            f"assert (loaded == {expected}).all(), {text}",
        ]
    return [], ['print("passed: it raised nothing")']


def _listed(values: tuple[float, ...], shape: tuple[int, ...]) -> str:
    """The values as a Python list with an element for each of the shape's."""
    count = math.prod(shape)
    numbers = [_number(value) for value in values[: max(count, 1)]]
    text = f"[{', '.join(numbers)}]"
    if len(numbers) == count:
        return text
    return f"({text} * {-(-count // len(numbers))})[:{count}]"


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'


def _plain(value: OptionValue) -> str:
    value = plain_number(value)
    return repr(value) if isinstance(value, bool) else _number(value)


def _subject(program: Program, registered: str) -> tuple[list[str], str]:
    """The lines that make the user's class or factory known, and the expression that calls it."""
    place, _, attribute = program.subject.rpartition(":")
    if not place or place.split(":")[0] in FRAMEWORKS or program.subject in FRAMEWORKS:
        return [], registered
    name = attribute.split(".")[0]
    if place.endswith(".py"):
        folder = os.path.dirname(place) or "."
        return [
            "import runpy, sys",
            f"sys.path.append({folder!r})",
            f"{name} = runpy.run_path({place!r})[{name!r}]",
        ], attribute
    return [f"from {place} import {name}"], attribute


def _keywords(options: dict[str, OptionValue], names: dict[str, str]) -> str:
    return ", ".join(f"{names.get(name, name)}={_plain(value)}" for name, value in options.items())


def _pairs(script: _Script, optimizer: str) -> tuple[str, str]:
    """The gradients and the variables of an optimizer, as they are now."""
    names = script.members[optimizer]
    given = {call.param for call in script.program.calls if isinstance(call, SetGrad | Freeze)}
    grads = ", ".join(f"{name}_grad" if name in given else "None" for name in names)
    return grads, ", ".join(names)


# -- TensorFlow


def _tensor(param: Param, values: str, shape: tuple[int, ...]) -> str:
    return f"tf.constant({values}, tf.{param.dtype}, shape={shape})"


def _tf_variable(param: Param) -> list[str]:
    values = _tensor(param, _listed(param.values, param.shape), param.shape)
    return [f"{param.name}, {param.name}_grad = tf.Variable({values}), None"]


def _raw_style(deviation: Deviation) -> _Style:
    function = deviation.program.subject.endswith(":function")

    def variable(param: Param) -> list[str]:
        state = ", ".join(f"{param.name}_{suffix}" for suffix in _RAW.values())
        return [*_tf_variable(param), f"{state} = (tf.Variable(tf.zeros_like({param.name})) for _ in range(3))"]

    def create(script: _Script, call: Create) -> list[str]:
        options = {"centered": False, **script.options[call.optimizer]}
        return [f"{call.optimizer} = dict({_keywords(options, {})})"]

    def step(script: _Script, optimizer: str) -> list[str]:
        lines: list[str] = []
        centered = script.options[optimizer].get("centered", False)
        for name in script.members[optimizer]:
            grad = next(
                (c for c in reversed(script.program.calls) if isinstance(c, SetGrad) and c.param == name),
                None,
            )
            if grad is None or grad.values is None:
                continue
            sparse = grad.rows is not None and not grad.bad
            op = f"Resource{'Sparse' if sparse else ''}Apply{'Centered' if centered else ''}RMSProp"
            given = f"grad={name}_grad.values, indices={name}_grad.indices" if sparse else f"grad={name}_grad"
            state = ", ".join(
                f"{key}={name}_{key}.handle" for key in (("mg", "ms", "mom") if centered else ("ms", "mom"))
            )
            number = f"tf.constant({optimizer}[{{}}], {name}.dtype)"
            options = ", ".join(
                f"{key}={number.format(repr(option))}"
                for key, option in (("lr", "lr"), ("rho", "alpha"), ("momentum", "momentum"), ("epsilon", "eps"))
            )
            call = f"tf.raw_ops.{op}(var={name}.handle, {state}, {options}, {given})"
            lines.append(f"tf.function(lambda: {call} and None)()" if function else call)
        return lines or ["pass"]

    def change(script: _Script, call: SetOption) -> list[str]:
        script.options[call.optimizer].update(call.options)
        return [f"{call.optimizer}.update({_keywords(call.options, {})})"]

    def none(script: _Script, call: object) -> list[str]:
        raise AssertionError("the caller owns the state of a raw operation")

    def read(script: _Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        held = param if role in ("param", "grad") else f"{param}_{_RAW[role]}"
        return f'{held}.numpy().astype("float64").reshape(-1)'

    return _Style(["import tensorflow as tf"], variable, _tensor, create, step, change, none, none, none, read)


def _v1_style(deviation: Deviation) -> _Style:
    function = deviation.program.subject.endswith("-function")
    head, factory = _subject(deviation.program, "tf.compat.v1.train.RMSPropOptimizer")
    checkpoints = any(isinstance(call, Save) for call in deviation.program.calls)
    framed = deviation.kind == "frame" and deviation.role != "param"

    def create(script: _Script, call: Create) -> list[str]:
        options = script.options[call.optimizer]
        # What a frame is compared with must be there before the step that makes it.
        made = [f"{call.optimizer}._create_slots([{', '.join(script.members[call.optimizer])}])"] if framed else []
        if not script.changes(call.optimizer):
            return [f"{call.optimizer} = {factory}({_keywords(options, _V1)})", *made]
        changed = [
            c.options for c in script.program.calls if isinstance(c, SetOption) and c.optimizer == call.optimizer
        ]
        numbers = {key: value for key, value in options.items() if key != "centered"}
        numbers |= {key: 0.0 for each in changed for key in each if key not in options}
        rest = {key: value for key, value in options.items() if key == "centered"}
        held = f"{call.optimizer}_options"
        given = [f'{_V1.get(key, key)}=lambda: {held}["{key}"]' for key in numbers if key in options]
        given += [_keywords(rest, _V1)] if rest else []
        return [f"{held} = dict({_keywords(numbers, {})})", f"{call.optimizer} = {factory}({', '.join(given)})", *made]

    def step(script: _Script, optimizer: str) -> list[str]:
        grads, variables = _pairs(script, optimizer)
        call = f"{optimizer}.apply_gradients(zip([{grads}], [{variables}]))"
        return [f"tf.function(lambda: {call} and None)()" if function else call]

    def change(script: _Script, call: SetOption) -> list[str]:
        own = script.options[call.optimizer]
        lines = []
        for name, value in call.options.items():
            place = f'{call.optimizer}_options["{name}"]' if name in own else f"{call.optimizer}._{_V1.get(name, name)}"
            lines.append(f"{place} = {_plain(value)}")
        return lines

    def checkpoint(script: _Script, optimizer: str) -> str:
        held = ", ".join(f"v{index}={name}" for index, name in enumerate(script.members[optimizer]))
        return f"tf.train.Checkpoint(optimizer={optimizer}, {held})"

    def save(script: _Script, call: Save) -> list[str]:
        return [f'{call.slot} = {checkpoint(script, call.optimizer)}.write(tempfile.mkdtemp() + "/state")']

    def load(script: _Script, call: Load) -> list[str]:
        variables = ", ".join(script.members[call.optimizer])
        return [
            f"{call.optimizer}._create_slots([{variables}])",
            f"{checkpoint(script, call.optimizer)}.read({call.slot}).expect_partial()",
        ]

    def edit(script: _Script, call: EditState) -> list[str]:
        raise AssertionError("a checkpoint of TensorFlow is not edited")

    def read(script: _Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        held = param if role in ("param", "grad") else f'{optimizer}.get_slot({param}, "{script.deviation.state_name}")'
        return f'{held}.numpy().astype("float64").reshape(-1)'

    imports = ["import tempfile", "import tensorflow as tf"] if checkpoints else ["import tensorflow as tf"]
    return _Style([*imports, *head], _tf_variable, _tensor, create, step, change, save, load, edit, read)


# -- Keras


def _keras_style(deviation: Deviation) -> _Style:
    subject = deviation.program.subject
    backend = subject.partition(":")[2] if subject in ("keras:torch", "keras:jax") else "tensorflow"
    function = subject == "keras:function"
    head, factory = _subject(deviation.program, "keras.optimizers.RMSprop")
    sparse = any(isinstance(call, SetGrad) and call.rows is not None for call in deviation.program.calls)
    # A class of the user's is checked on the backend that is set; a registered name says which it is.
    chosen = f'os.environ["KERAS_BACKEND"] = "{backend}"'
    imports = [
        "import os",
        chosen if not head else 'os.environ.setdefault("KERAS_BACKEND", "tensorflow")',
        "import keras",
    ]
    imports += ["import tensorflow as tf"] if sparse or function else []

    def dense(param: Param, values: str, shape: tuple[int, ...]) -> str:
        text = f'keras.ops.convert_to_tensor({values}, dtype="{param.dtype}")'
        return text if len(shape) == 1 else f"keras.ops.reshape({text}, {shape})"

    def variable(param: Param) -> list[str]:
        values = _listed(param.values, param.shape)
        if len(param.shape) != 1:
            values = dense(param, values, param.shape)
        return [f'{param.name}, {param.name}_grad = keras.Variable({values}, dtype="{param.dtype}"), None']

    def create(script: _Script, call: Create) -> list[str]:
        names = ", ".join(script.members[call.optimizer])
        options = _keywords(script.options[call.optimizer], _KERAS)
        lines = [f"{call.optimizer} = {factory}({options})", f"{call.optimizer}.build([{names}])"]
        if function:
            lines.append(f"{call.optimizer}_step = tf.function(lambda grads: {call.optimizer}.apply(grads, [{names}]))")
        return lines

    def step(script: _Script, optimizer: str) -> list[str]:
        grads, variables = _pairs(script, optimizer)
        return [f"{optimizer}_step([{grads}])" if function else f"{optimizer}.apply([{grads}], [{variables}])"]

    def change(script: _Script, call: SetOption) -> list[str]:
        return [f"{call.optimizer}.{_KERAS.get(name, name)} = {_plain(value)}" for name, value in call.options.items()]

    def save(script: _Script, call: Save) -> list[str]:
        return [f"{call.slot} = {{}}", f"{call.optimizer}.save_own_variables({call.slot})"]

    def load(script: _Script, call: Load) -> list[str]:
        return [f"{call.optimizer}.load_own_variables({call.slot})"]

    def edit(script: _Script, call: EditState) -> list[str]:
        owner = next(
            each.optimizer for each in script.program.calls if isinstance(each, Save) and each.slot == call.slot
        )
        count = len(script.members[owner])
        if call.edit == "shorten":
            kept = f"[v for i, v in enumerate({call.slot}.values()) if i < 2 or (i - 2) % {count} != {count - 1}]"
            return [f"{call.slot} = {{str(i): v for i, v in enumerate({kept})}}"]
        key = 2 + call.index % count
        return [f'{call.slot}["{key}"] = {call.slot}["{key}"].reshape(-1).repeat(2)']

    def read(script: _Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        position = script.members[optimizer].index(param) if optimizer in script.members else 0
        held = param if role in ("param", "grad") else f"{optimizer}.{script.deviation.state_name}[{position}]"
        return f'keras.ops.convert_to_numpy({held}).astype("float64").reshape(-1)'

    return _Style([*imports, *head], variable, dense, create, step, change, save, load, edit, read)


def _legacy_style(deviation: Deviation) -> _Style:
    """Keras 2: the calls of v1 with Keras's names; its state is a list of arrays."""
    v1 = _v1_style(deviation)

    def create(script: _Script, call: Create) -> list[str]:
        options = _keywords(script.options[call.optimizer], _KERAS)
        variables = ", ".join(script.members[call.optimizer])
        return [
            f"{call.optimizer} = tf_keras.optimizers.legacy.RMSprop({options})",
            f"{call.optimizer}._create_all_weights([{variables}])",
        ]

    def change(script: _Script, call: SetOption) -> list[str]:
        return [f"{call.optimizer}.{_KERAS.get(name, name)} = {_plain(value)}" for name, value in call.options.items()]

    def save(script: _Script, call: Save) -> list[str]:
        return [f"{call.slot} = {call.optimizer}.get_weights()"]

    def load(script: _Script, call: Load) -> list[str]:
        return [f"{call.optimizer}.set_weights({call.slot})"]

    def edit(script: _Script, call: EditState) -> list[str]:
        if call.edit == "shorten":
            return [f"{call.slot} = {call.slot}[:-1]"]
        return [f"{call.slot} = [w if i != 1 else w.reshape(-1).repeat(2) for i, w in enumerate({call.slot})]"]

    head = ["import tensorflow as tf", "import tf_keras"]
    return _Style(head, v1.variable, v1.dense, create, v1.step, change, save, load, edit, v1.read)


# -- optax


def _optax_style(deviation: Deviation) -> _Style:
    head, factory = _subject(deviation.program, "optax.rmsprop")
    double = any(param.dtype == "float64" for param in deviation.program.params)
    imports = ["import jax, optax", *(['jax.config.update("jax_enable_x64", True)'] if double else [])]

    def dense(param: Param, values: str, shape: tuple[int, ...]) -> str:
        text = f"jax.numpy.array({values}, jax.numpy.{param.dtype})"
        return text if len(shape) == 1 else f"{text}.reshape({shape})"

    def variable(param: Param) -> list[str]:
        values = dense(param, _listed(param.values, param.shape), param.shape)
        return [f"{param.name}, {param.name}_grad = {values}, None"]

    def made(options: dict[str, OptionValue]) -> str:
        kept = {name: value for name, value in options.items() if name != "momentum" or plain_number(value)}
        return f"{factory}({_keywords(kept, _OPTAX)})"

    def create(script: _Script, call: Create) -> list[str]:
        states = ", ".join(f'"{name}": {call.optimizer}.init({name})' for name in script.members[call.optimizer])
        return [f"{call.optimizer} = {made(script.options[call.optimizer])}", f"{call.optimizer}_state = {{{states}}}"]

    def step(script: _Script, optimizer: str) -> list[str]:
        lines = []
        for name in script.members[optimizer]:
            if any(isinstance(call, SetGrad) and call.param == name for call in script.program.calls):
                state = f'{optimizer}_state["{name}"]'
                lines += [
                    f"u, {state} = {optimizer}.update({name}_grad, {state}, {name})",
                    f"{name} = optax.apply_updates({name}, u)",
                ]
        return lines or ["pass"]

    def change(script: _Script, call: SetOption) -> list[str]:
        script.options[call.optimizer].update(call.options)
        return [f"{call.optimizer} = {made(script.options[call.optimizer])}"]

    def none(script: _Script, call: object) -> list[str]:
        raise AssertionError("the caller owns the state of a transformation")

    def read(script: _Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        if role in ("param", "grad"):
            return f"{param}.reshape(-1)"
        sign = "-" if role == "momentum_buffer" else ""
        name = script.deviation.state_name
        found = f'[s for s in jax.tree.leaves({optimizer}_state["{param}"], is_leaf=lambda s: hasattr(s, "{name}"))'
        return f'{sign}{found} if hasattr(s, "{name}")][0].{name}.reshape(-1)'

    return _Style([*imports, *head], variable, dense, create, step, change, none, none, none, read)


def _style(deviation: Deviation) -> _Style:
    subject = deviation.program.subject
    if deviation.framework == "optax":
        return _optax_style(deviation)
    if deviation.framework == "tensorflow":
        return _raw_style(deviation) if subject in ("tensorflow", "tensorflow:function") else _v1_style(deviation)
    return _legacy_style(deviation) if subject == "keras:legacy" else _keras_style(deviation)
