"""The standalone script of one step from a recording: at most 25 lines that import torch and no rmspec."""

from __future__ import annotations

from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.wording import statement
from rmspec.oracles.recordings.onestep import OneStep
from rmspec.oracles.torch.script import MAX_LINES, _number, _packed, _Writer
from rmspec.properties.events import Deviation
from rmspec.properties.recordings.reproduction import Reproduction

__all__ = ["onestep_script"]


def onestep_script(deviation: Deviation, subject: str, found: Reproduction) -> str:
    """The script of a deviation that was reproduced on ``subject``; it ends in an assertion that fails."""
    program = replace(deviation.program, subject=subject)
    head = [
        f'"""{deviation.clause}: {statement(deviation.clause, deviation.program.dialect)}."""',
        *_Writer(replace(deviation, program=program)).imports(),
    ]
    return "\n".join([*head, *_packed(_statements(deviation, found), MAX_LINES - len(head))]) + "\n"


def _statements(deviation: Deviation, found: Reproduction) -> list[str]:
    step = found.step
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
    lo, hi = (_number(end) for end in found.allowed)
    return [
        *lines,
        "A.step()",
        f"value = {_element(deviation, found)}",
        f'print("observed", value, value.hex(), "allowed from", {lo}, "to", {hi})',
        f"assert {lo} <= value <= {hi}, value",
    ]


def _element(deviation: Deviation, found: Reproduction) -> str:
    role = deviation.role
    tensor = "p.detach()" if role == "param" else f'A.state[p]["{deviation.state_name or role}"].detach()'
    if FORMATS[found.step.dtype].parts == 2:
        tensor = f"torch.view_as_real({tensor}.resolve_conj())"
    return f"{tensor}.flatten()[{found.element}].item()"


def _tensor(values: tuple[float, ...], dtype: str, step: OneStep) -> str:
    if dtype == "number":
        return f"torch.tensor({_number(values[0])})"
    parts = [_number(value) for value in values]
    text = f"complex({', '.join(parts)})" if FORMATS[dtype].parts == 2 else ", ".join(parts)
    device = "" if step.device == "cpu" else f', device="{step.device}"'
    return f"torch.tensor([{text}], dtype=torch.{dtype}{device})"


def _value(value: bool | int | float | str) -> str:
    return _number(value) if isinstance(value, float) else repr(value)
