"""Standalone scripts on Keras 3, and on the optimizers of Keras 2."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.program.program import Create, EditState, Load, Param, Save, SetGrad, SetOption
from rmspec.oracles.scripting.applied import applied_statements
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.style import Script, Style, keywords, listed, pairs, plain, subject_of
from rmspec.oracles.tensorflow.script import sparse, v1_style

_NAMES = DIALECTS["keras3"].constructor.names


def statements(counterexample: Counterexample) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation on Keras."""
    legacy = counterexample.program.subject == "keras:legacy"
    return applied_statements(counterexample, (_legacy_style if legacy else _keras_style)(counterexample))


def _keras_style(deviation: Counterexample) -> Style:
    """The style of Keras 3, on the subject's backend."""
    subject = deviation.program.subject
    backend = subject.partition(":")[2] if subject in ("keras:torch", "keras:jax") else "tensorflow"
    function = subject == "keras:function"
    head, factory = subject_of(deviation.program, "keras.optimizers.RMSprop")
    slices = any(isinstance(call, SetGrad) and call.rows is not None for call in deviation.program.calls)
    # A class of the user's is checked on the backend that is set; a registered name says which it is.
    chosen = f'os.environ["KERAS_BACKEND"] = "{backend}"'
    imports = [
        "import os",
        chosen if not head else 'os.environ.setdefault("KERAS_BACKEND", "tensorflow")',
        "import keras",
    ]
    imports += ["import tensorflow as tf"] if slices or function else []

    def dense(param: Param, values: str, shape: tuple[int, ...]) -> str:
        text = f'keras.ops.convert_to_tensor({values}, dtype="{param.dtype}")'
        return text if len(shape) == 1 else f"keras.ops.reshape({text}, {shape})"

    def variable(param: Param) -> list[str]:
        values = listed(param.values, param.shape)
        if len(param.shape) != 1:
            values = dense(param, values, param.shape)
        return [f'{param.name}, {param.name}_grad = keras.Variable({values}, dtype="{param.dtype}"), None']

    def create(script: Script, call: Create) -> list[str]:
        names = ", ".join(script.members[call.optimizer])
        options = keywords(script.options[call.optimizer], _NAMES)
        lines = [f"{call.optimizer} = {factory}({options})", f"{call.optimizer}.build([{names}])"]
        if function:
            lines.append(f"{call.optimizer}_step = tf.function(lambda grads: {call.optimizer}.apply(grads, [{names}]))")
        return lines

    def step(script: Script, optimizer: str) -> list[str]:
        grads, variables = pairs(script, optimizer)
        return [f"{optimizer}_step([{grads}])" if function else f"{optimizer}.apply([{grads}], [{variables}])"]

    def save(script: Script, call: Save) -> list[str]:
        return [f"{call.slot} = {{}}", f"{call.optimizer}.save_own_variables({call.slot})"]

    def load(script: Script, call: Load) -> list[str]:
        return [f"{call.optimizer}.load_own_variables({call.slot})"]

    def edit(script: Script, call: EditState) -> list[str]:
        owner = next(
            saving.optimizer for saving in script.program.calls if isinstance(saving, Save) and saving.slot == call.slot
        )
        count = len(script.members[owner])
        if call.edit == "shorten":
            entries = f"[v for i, v in enumerate({call.slot}.values()) if i < 2 or (i - 2) % {count} != {count - 1}]"
            return [f"{call.slot} = {{str(i): v for i, v in enumerate({entries})}}"]
        key = 2 + call.index % count
        return [f'{call.slot}["{key}"] = {call.slot}["{key}"].reshape(-1).repeat(2)']

    def read(script: Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        position = script.members[optimizer].index(param) if optimizer in script.members else 0
        name = script.deviation.state_name
        place = f"{optimizer}.{name}" if name.startswith("_") else _named(optimizer, name)
        source = param if role in ("param", "grad") else f"{place}[{position}]"
        return f'keras.ops.convert_to_numpy({source}).astype("float64").reshape(-1)'

    return Style([*imports, *head], variable, dense, create, step, _change, read, save, load, edit, sparse)


def _named(optimizer: str, ending: str) -> str:
    return f'[v for v in {optimizer}.variables if v.name.endswith("_{ending}")]'


def _change(script: Script, call: SetOption) -> list[str]:
    return [f"{call.optimizer}.{_NAMES.get(name, name)} = {plain(value)}" for name, value in call.options.items()]


def _legacy_style(deviation: Counterexample) -> Style:
    """Keras 2: the calls of v1 with Keras's names; its state is a list of arrays."""
    v1 = v1_style(deviation)

    def create(script: Script, call: Create) -> list[str]:
        options = keywords(script.options[call.optimizer], _NAMES)
        variables = ", ".join(script.members[call.optimizer])
        return [
            f"{call.optimizer} = tf_keras.optimizers.legacy.RMSprop({options})",
            f"{call.optimizer}._create_all_weights([{variables}])",
        ]

    def save(script: Script, call: Save) -> list[str]:
        return [f"{call.slot} = {call.optimizer}.get_weights()"]

    def load(script: Script, call: Load) -> list[str]:
        return [f"{call.optimizer}.set_weights({call.slot})"]

    def edit(script: Script, call: EditState) -> list[str]:
        if call.edit == "shorten":
            return [f"{call.slot} = {call.slot}[:-1]"]
        return [f"{call.slot} = [w if i != 1 else w.reshape(-1).repeat(2) for i, w in enumerate({call.slot})]"]

    head = ["import tensorflow as tf", "import tf_keras"]
    return Style(head, v1.variable, v1.dense, create, v1.step, _change, v1.read, save, load, edit, v1.sparse)
