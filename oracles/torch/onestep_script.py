"""The standalone script of one step from a recording: at most 25 lines, with torch and without rmspec."""

from __future__ import annotations

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.dialects import statement
from rmspec.oracles.recordings.onestep import OneStep, Reproduction
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import MAX_LINES, bounds_check, number, packed
from rmspec.oracles.torch.script import factory_lines


def onestep_script(deviation: Counterexample, subject: str, reproduction: Reproduction) -> str:
    """The script of a deviation reproduced on ``subject``; it ends in a failing assertion."""
    modules, make = factory_lines(subject)
    head = [
        f'"""{deviation.clause}: {statement(deviation.clause, deviation.program.dialect)}."""',
        f"import {', '.join(sorted(modules))}",
        *make,
    ]
    return "\n".join([*head, *packed(_statements(deviation, reproduction), MAX_LINES - len(head))]) + "\n"


def _statements(deviation: Counterexample, reproduction: Reproduction) -> list[str]:
    step = reproduction.step
    options = "".join(f", {name}={_value(value)}" for name, value in step.options.items())
    lines = [
        f"p = {_tensor(step.param, step.dtype, step)}.requires_grad_()",
        f"A = RMSprop([p]{options})",
        *(f'A.param_groups[0]["{name}"] = {_value(value)}' for name, value in step.extras.items()),
        *(f"A.{name} = {_value(value)}" for name, value in step.attributes.items()),
    ]
    if step.state:
        # On the processor, as torch keeps numbers; tensors of elements are where the parameter is.
        entries = (f'"{key}": {_tensor(values, dtype, step)}' for key, (dtype, values) in step.state.items())
        lines.append(f"A.state[p] = {{{', '.join(entries)}}}")
    lines.append(f"p.grad = {_tensor(step.grad, step.dtype, step)}")
    if step.earlier:
        lines.append(f"for _ in range({step.earlier}): A.step()")
    return [*lines, "A.step()", *bounds_check(_element(deviation, reproduction), reproduction.allowed)]


def _element(deviation: Counterexample, reproduction: Reproduction) -> str:
    role = deviation.role
    tensor = "p.detach()" if role == "param" else f'A.state[p]["{deviation.state_name or role}"].detach()'
    if FORMATS[reproduction.step.dtype].parts == 2:
        tensor = f"torch.view_as_real({tensor}.resolve_conj())"
    return f"{tensor}.flatten()[{reproduction.element}].item()"


def _tensor(values: tuple[float, ...], dtype: str, step: OneStep) -> str:
    if dtype == "number":
        return f"torch.tensor({number(values[0])})"
    parts = [number(value) for value in values]
    text = f"complex({', '.join(parts)})" if FORMATS[dtype].parts == 2 else ", ".join(parts)
    device = "" if step.device == "cpu" else f', device="{step.device}"'
    return f"torch.tensor([{text}], dtype=torch.{dtype}{device})"


def _value(value: bool | int | float | str) -> str:
    return number(value) if isinstance(value, float) else repr(value)
