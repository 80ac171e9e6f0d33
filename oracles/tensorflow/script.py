"""Standalone scripts on TensorFlow: the raw operations, and the optimizer of TensorFlow 1."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.program.program import Create, Load, Param, Save, SetGrad, SetOption
from rmspec.oracles.scripting.applied import applied_statements
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.style import Script, Style, keywords, listed, pairs, plain, subject_of
from rmspec.oracles.tensorflow.descriptor import FRAMEWORK

_NAMES = DIALECTS["tensorflow1"].constructor.names
_SLOTS = FRAMEWORK.subjects["tensorflow"].state_names


def statements(counterexample: Counterexample) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation on TensorFlow."""
    known = FRAMEWORK.subjects.get(counterexample.program.subject)
    raw = known is not None and known.dialect == "tensorflow-op"
    return applied_statements(counterexample, (_raw_style if raw else v1_style)(counterexample))


def _raw_style(deviation: Counterexample) -> Style:
    """The style of the raw operations; the caller owns the state."""
    function = deviation.program.subject.endswith(":function")

    def variable(param: Param) -> list[str]:
        state = ", ".join(f"{param.name}_{suffix}" for suffix in _SLOTS.values())
        return [*_variable(param), f"{state} = (tf.Variable(tf.zeros_like({param.name})) for _ in range(3))"]

    def create(script: Script, call: Create) -> list[str]:
        options = {"centered": False, **script.options[call.optimizer]}
        return [f"{call.optimizer} = dict({keywords(options, {})})"]

    def step(script: Script, optimizer: str) -> list[str]:
        lines: list[str] = []
        centered = script.options[optimizer].get("centered", False)
        for name in script.members[optimizer]:
            grad = next((c for c in reversed(script.program.calls) if isinstance(c, SetGrad) and c.param == name), None)
            if grad is None or grad.values is None:
                continue
            sparse = grad.rows is not None and not grad.bad
            op = f"Resource{'Sparse' if sparse else ''}Apply{'Centered' if centered else ''}RMSProp"
            gradient = f"grad={name}_grad.values, indices={name}_grad.indices" if sparse else f"grad={name}_grad"
            state = ", ".join(
                f"{key}={name}_{key}.handle" for key in (("mg", "ms", "mom") if centered else ("ms", "mom"))
            )
            number = f"tf.constant({optimizer}[{{}}], {name}.dtype)"
            options = ", ".join(
                f"{key}={number.format(repr(option))}"
                for key, option in (("lr", "lr"), ("rho", "alpha"), ("momentum", "momentum"), ("epsilon", "eps"))
            )
            call = f"tf.raw_ops.{op}(var={name}.handle, {state}, {options}, {gradient})"
            lines.append(f"tf.function(lambda: {call} and None)()" if function else call)
        return lines or ["pass"]

    def change(script: Script, call: SetOption) -> list[str]:
        script.options[call.optimizer].update(call.options)
        return [f"{call.optimizer}.update({keywords(call.options, {})})"]

    def read(script: Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        source = param if role in ("param", "grad") else f"{param}_{_SLOTS[role]}"
        return f'{source}.numpy().astype("float64").reshape(-1)'

    return Style(["import tensorflow as tf"], variable, _tensor, create, step, change, read, sparse=sparse)


def v1_style(deviation: Counterexample) -> Style:
    """The style of ``tf.compat.v1.train.RMSPropOptimizer``, with checkpoints for saved states."""
    function = deviation.program.subject.endswith("-function")
    head, factory = subject_of(deviation.program, "tf.compat.v1.train.RMSPropOptimizer")
    checkpoints = any(isinstance(call, Save) for call in deviation.program.calls)
    framed = deviation.kind == "frame" and deviation.role != "param"

    def create(script: Script, call: Create) -> list[str]:
        options = script.options[call.optimizer]
        # What a frame is compared with must be there before the step that makes it.
        slots = [f"{call.optimizer}._create_slots([{', '.join(script.members[call.optimizer])}])"] if framed else []
        if not script.changes(call.optimizer):
            return [f"{call.optimizer} = {factory}({keywords(options, _NAMES)})", *slots]
        changed = [
            c.options for c in script.program.calls if isinstance(c, SetOption) and c.optimizer == call.optimizer
        ]
        numbers = {key: value for key, value in options.items() if key != "centered"}
        numbers |= {key: 0.0 for table in changed for key in table if key not in options}
        rest = {key: value for key, value in options.items() if key == "centered"}
        store = f"{call.optimizer}_options"
        arguments = [f'{_NAMES.get(key, key)}=lambda: {store}["{key}"]' for key in numbers if key in options]
        arguments += [keywords(rest, _NAMES)] if rest else []
        return [
            f"{store} = dict({keywords(numbers, {})})",
            f"{call.optimizer} = {factory}({', '.join(arguments)})",
            *slots,
        ]

    def step(script: Script, optimizer: str) -> list[str]:
        grads, variables = pairs(script, optimizer)
        call = f"{optimizer}.apply_gradients(zip([{grads}], [{variables}]))"
        return [f"tf.function(lambda: {call} and None)()" if function else call]

    def change(script: Script, call: SetOption) -> list[str]:
        own = script.options[call.optimizer]
        lines = []
        for name, value in call.options.items():
            place = (
                f'{call.optimizer}_options["{name}"]' if name in own else f"{call.optimizer}._{_NAMES.get(name, name)}"
            )
            lines.append(f"{place} = {plain(value)}")
        return lines

    def checkpoint(script: Script, optimizer: str) -> str:
        members = ", ".join(f"v{index}={name}" for index, name in enumerate(script.members[optimizer]))
        return f"tf.train.Checkpoint(optimizer={optimizer}, {members})"

    def save(script: Script, call: Save) -> list[str]:
        return [f'{call.slot} = {checkpoint(script, call.optimizer)}.write(tempfile.mkdtemp() + "/state")']

    def load(script: Script, call: Load) -> list[str]:
        variables = ", ".join(script.members[call.optimizer])
        return [
            f"{call.optimizer}._create_slots([{variables}])",
            f"{checkpoint(script, call.optimizer)}.read({call.slot}).expect_partial()",
        ]

    def read(script: Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        source = (
            param if role in ("param", "grad") else f'{optimizer}.get_slot({param}, "{script.deviation.state_name}")'
        )
        return f'{source}.numpy().astype("float64").reshape(-1)'

    imports = ["import tempfile", "import tensorflow as tf"] if checkpoints else ["import tensorflow as tf"]
    return Style([*imports, *head], _variable, _tensor, create, step, change, read, save, load, sparse=sparse)


def _tensor(param: Param, values: str, shape: tuple[int, ...]) -> str:
    """A tensor of a parameter's format as Python source."""
    return f"tf.constant({values}, tf.{param.dtype}, shape={shape})"


def _variable(param: Param) -> list[str]:
    values = _tensor(param, listed(param.values, param.shape), param.shape)
    return [f"{param.name}, {param.name}_grad = tf.Variable({values}), None"]


def sparse(param: Param, values: str, rows: tuple[int, ...]) -> str:
    """Indexed slices of a parameter as Python source, from the source of their values and their rows."""
    slices = _tensor(param, values, (len(rows), *param.shape[1:]))
    return (
        f"tf.IndexedSlices({slices}, tf.constant({list(rows)}, tf.int64), tf.constant({list(param.shape)}, tf.int64))"
    )
