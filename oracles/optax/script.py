"""Standalone scripts on optax."""

from __future__ import annotations

from rmspec.impl.spec.dialect import DIALECTS
from rmspec.oracles.program.program import Create, OptionValue, Param, SetGrad, SetOption, plain_number
from rmspec.oracles.scripting.applied import applied_statements
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.style import Script, Style, keywords, listed, subject_of

_CONSTRUCTOR = DIALECTS["optax"].constructor


def statements(counterexample: Counterexample) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation on optax."""
    return applied_statements(counterexample, _style(counterexample))


def _style(deviation: Counterexample) -> Style:
    """The style of optax: a transformation, and a state for each parameter."""
    head, factory = subject_of(deviation.program, "optax.rmsprop")
    double = any(param.dtype == "float64" for param in deviation.program.params)
    imports = ["import jax, optax", *(['jax.config.update("jax_enable_x64", True)'] if double else [])]

    def dense(param: Param, values: str, shape: tuple[int, ...]) -> str:
        text = f"jax.numpy.array({values}, jax.numpy.{param.dtype})"
        return text if len(shape) == 1 else f"{text}.reshape({shape})"

    def variable(param: Param) -> list[str]:
        values = dense(param, listed(param.values, param.shape), param.shape)
        return [f"{param.name}, {param.name}_grad = {values}, None"]

    def transformation(options: dict[str, OptionValue]) -> str:
        used = {name: value for name, value in options.items() if name != "momentum" or plain_number(value)}
        return f"{factory}({keywords(used, _CONSTRUCTOR.names)})"

    def create(script: Script, call: Create) -> list[str]:
        states = ", ".join(f'"{name}": {call.optimizer}.init({name})' for name in script.members[call.optimizer])
        return [
            f"{call.optimizer} = {transformation(script.options[call.optimizer])}",
            f"{call.optimizer}_state = {{{states}}}",
        ]

    def step(script: Script, optimizer: str) -> list[str]:
        lines = []
        for name in script.members[optimizer]:
            if any(isinstance(call, SetGrad) and call.param == name for call in script.program.calls):
                state = f'{optimizer}_state["{name}"]'
                lines += [
                    f"u, {state} = {optimizer}.update({name}_grad, {state}, {name})",
                    f"{name} = optax.apply_updates({name}, u)",
                ]
        return lines or ["pass"]

    def change(script: Script, call: SetOption) -> list[str]:
        script.options[call.optimizer].update(call.options)
        return [f"{call.optimizer} = {transformation(script.options[call.optimizer])}"]

    def read(script: Script, optimizer: str, param: str) -> str:
        role = script.deviation.role
        if role in ("param", "grad"):
            return f"{param}.reshape(-1)"
        sign = "-" if role in _CONSTRUCTOR.negated else ""
        name = script.deviation.state_name
        # An array may have a method of that name as well.
        lines = f'lambda s: hasattr(s, "_fields") and "{name}" in s._fields'
        holders = f'[s for s in jax.tree.leaves({optimizer}_state["{param}"], is_leaf={lines})'
        return f'{sign}{holders} if hasattr(s, "_fields")][0].{name}.reshape(-1)'

    return Style([*imports, *head], variable, dense, create, step, change, read)
