"""The standalone script of one step from a recording: at most 25 lines, with torch and without rmspec."""

from __future__ import annotations

import keyword

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.recordings.onestep import OneStep, Reproduction
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import MAX_LINES, bounds_check, number, packed, quoted
from rmspec.oracles.scripting.standalone import title_line
from rmspec.oracles.torch.script import factory_lines


def onestep_script(deviation: Counterexample, subject: str, reproduction: Reproduction) -> str:
    """The script of a deviation reproduced on ``subject``; it ends in a failing assertion."""
    modules, make = factory_lines(subject)
    head = [
        title_line(deviation.clause, deviation.program.dialect),
        f"import {', '.join(sorted(modules))}",
        *make,
    ]
    return "\n".join([*head, *packed(_statements(deviation, reproduction), MAX_LINES - len(head))]) + "\n"


def _statements(deviation: Counterexample, reproduction: Reproduction) -> list[str]:
    step = reproduction.step
    options = "".join(f", {name}={_value(value)}" for name, value in step.options.items() if _is_name(name))
    lines = [
        f"p = {_tensor(step.param, step.dtype, step)}.requires_grad_()",
        f"A = RMSprop([p]{options})",
        *(f"A.param_groups[0][{quoted(name)}] = {_value(value)}" for name, value in step.extras.items()),
        *(_attribute(name, value) for name, value in step.attributes.items()),
    ]
    if step.state:
        # On the processor, as torch keeps numbers; tensors of elements are where the parameter is.
        entries = (f"{quoted(key)}: {_tensor(values, dtype, step)}" for key, (dtype, values) in step.state.items())
        lines.append(f"A.state[p] = {{{', '.join(entries)}}}")
    lines.append(f"p.grad = {_tensor(step.grad, step.dtype, step)}")
    if step.earlier:
        lines.append(f"for _ in range({step.earlier}): A.step()")
    return [*lines, "A.step()", *bounds_check(_element(deviation, reproduction), reproduction.allowed)]


def _element(deviation: Counterexample, reproduction: Reproduction) -> str:
    role = deviation.role
    tensor = "p.detach()" if role == "param" else f"A.state[p][{quoted(deviation.state_name or role)}].detach()"
    if FORMATS[reproduction.step.dtype].parts == 2:
        tensor = f"torch.view_as_real({tensor}.resolve_conj())"
    return f"{tensor}.flatten()[{reproduction.element}].item()"


def _tensor(values: tuple[float, ...], dtype: str, step: OneStep) -> str:
    if dtype == "number":
        return f"torch.tensor({number(values[0])})"
    parts = [number(value) for value in values]
    text = f"complex({', '.join(parts)})" if FORMATS[dtype].parts == 2 else ", ".join(parts)
    device = "" if step.device == "cpu" else f", device={quoted(step.device)}"
    return f"torch.tensor([{text}], dtype=torch.{dtype}{device})"


def _attribute(name: str, value: bool | int | float | str) -> str:
    return f"A.{name} = {_value(value)}" if _is_name(name) else f"setattr(A, {quoted(name)}, {_value(value)})"


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)


def _value(value: bool | int | float | str) -> str:
    return number(value) if isinstance(value, float) else repr(value)
