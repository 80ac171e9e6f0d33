"""Standalone scripts over plain lists: they import ``rmspec_lists`` and nothing of rmspec."""

from rmspec.oracles import Style, applied_statements
from rmspec_lists.descriptor import LISTS

NAMES = LISTS.constructor.names


def statements(counterexample):
    """The imports and the statements of the script of a counterexample."""
    return applied_statements(counterexample, STYLE)


def keywords(options):
    return ", ".join(f"{NAMES[name]}={value!r}" for name, value in options.items())


def step(script, optimizer):
    names = script.members[optimizer]
    gradients = ", ".join(f"{name}_grad" for name in names)
    return [f"{optimizer}.step([{', '.join(names)}], [{gradients}])"]


def read(script, optimizer, param):
    held = param
    if script.deviation.role not in ("param", "grad"):
        held = f"{optimizer}.squares[{script.members[optimizer].index(param)}]"
    return f"numpy.array({held})"


STYLE = Style(
    head=["import numpy, rmspec_lists"],
    variable=lambda param: [f"{param.name}, {param.name}_grad = {list(param.values)}, None"],
    dense=lambda param, values, shape: values,
    create=lambda script, call: [
        f"{call.optimizer} = rmspec_lists.RMSprop({keywords(script.options[call.optimizer])})"
    ],
    step=step,
    change=lambda script, call: [f"{call.optimizer}.{NAMES[name]} = {value!r}" for name, value in call.options.items()],
    read=read,
)
