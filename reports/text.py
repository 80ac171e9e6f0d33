"""Numbers, calls and text as a person reads them: decimal beside hexadecimal, one line a call, nothing to garble it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rmspec.impl.arithmetic.amendments import parse_amendment
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.program import Call, Param, Program
from rmspec.properties.events import ClauseResult, Deviation, Evidence, OperationEvidence, OtherDialect, SubjectResult
from rmspec.reports.escapes import plain, shell_word

__all__ = [
    "call_line",
    "clause_note",
    "dialect_lines",
    "element_count",
    "evidence_lines",
    "explanation_lines",
    "given_words",
    "hexadecimal",
    "measured_lines",
    "number",
    "other_path_lines",
    "paths_by_reason",
    "plain",
    "program_lines",
    "script_note",
    "spoken_lines",
    "spot",
]

_SHOWN = 8


def hexadecimal(value: float) -> str:
    """Format a number in decimal (the shortest exact form) and hexadecimal: ``0.1 = 0x1.999999999999ap-4``."""
    return f"{value!r} = {value.hex()}" if math.isfinite(value) else repr(value)


def number(value: float | str | None) -> str:
    """A number of a report as it is printed; nothing for ``None``."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{float(value):.4g}" if math.isfinite(float(value)) else str(value)


def measured_lines(deviation: Deviation) -> list[str]:
    """Format the observed value in one line, and the allowed one: a line, the two ends of an interval, or nothing."""
    observed = deviation.observed
    if isinstance(observed, int | float) and not isinstance(observed, bool):
        lines = [f"observed  {hexadecimal(float(observed))}"]
    else:
        lines = [f"observed  {plain(deviation.summary if observed is None else str(observed))}"]
    if deviation.allowed is None:
        return lines
    low, high = deviation.allowed
    if low == high:
        return [*lines, f"allowed   {hexadecimal(low)}"]
    return [*lines, f"allowed   from {hexadecimal(low)}", f"          to   {hexadecimal(high)}"]


def explanation_lines(deviation: Deviation) -> list[str]:
    """Format the amendment of a deviation, and those given when it was found: a line each, or none."""
    lines = []
    if deviation.amendment:
        lines.append(f"explained by: {parse_amendment(deviation.amendment, deviation.clause).words()}")
    return lines + ([f"found {given_words(deviation.given)}"] if deviation.given else [])


def script_note(deviation: Deviation) -> str:
    """Format the outcome of running the script of a deviation: nothing to say of one in order."""
    if deviation.script_run is None:
        return " (not run)"
    return (
        ""
        if deviation.script_run.shows
        else f" (it was run, and does not show the deviation: {deviation.script_run.end})"
    )


def given_words(amendments: Sequence[str]) -> str:
    """Format the amendments of a verdict: ``given: eps is added inside the square root``."""
    return f"given: {'; '.join(amendments)}"


def dialect_lines(result: SubjectResult) -> list[str]:
    """Name the other dialect of a subject, with the commands to go on; empty if there is none."""
    if result.speaks is None:
        return []
    return spoken_lines(result.name, result.speaks)


def evidence_lines(evidence: Evidence | None) -> list[str]:
    """Name the execution paths of a subject, a line each, and the steps and programs outside of them."""
    if evidence is None:
        return []
    lines = [
        f"path {path}: {counted.steps:,} steps, {counted.entries:,} {counted.title}"
        for path, counted in evidence.paths.items()
    ]
    if evidence.astray:
        lines.append(f"steps on another path, which are no checks: {evidence.astray:,}")
    if evidence.left_out:
        lines.append(f"programs not asked of this path, since each variant is compiled: {evidence.left_out:,}")
    alike: dict[str, list[str]] = {}
    for name in dict.fromkeys(measured.format for measured in evidence.operations):
        text = _operation_accuracy([measured for measured in evidence.operations if measured.format == name])
        alike.setdefault(text, []).append(name)
    return lines + [f"operations in {', '.join(names)}: {text}" for text, names in alike.items()]


def paths_by_reason(other_paths: Mapping[str, str]) -> dict[str, list[str]]:
    """The unchecked execution paths of a subject, by the reason."""
    reasons: dict[str, list[str]] = {}
    for path, reason in other_paths.items():
        reasons.setdefault(reason, []).append(path)
    return reasons


def other_path_lines(other_paths: Mapping[str, str]) -> list[str]:
    """Name the unchecked execution paths of a subject, a line for each reason."""
    reasons = paths_by_reason(other_paths)
    return [f"execution path not checked: {', '.join(paths)}: {reason}" for reason, paths in reasons.items()]


def _operation_accuracy(operations: Sequence[OperationEvidence]) -> str:
    """Format the accuracy of the operations in one format."""
    exact = [measured.operation for measured in operations if not measured.accuracy.off | measured.accuracy.distinct]
    parts = [f"{', '.join(exact)} correctly rounded"] if exact else []
    for measured in operations:
        accuracy = measured.accuracy
        if accuracy.off:
            source = f": {measured.promise}" if measured.promise else ""
            parts.append(
                f"{measured.operation} off by up to {accuracy.worst:.3g} units in the last place, {accuracy.off:,} results not "
                f"the nearest (judged within {measured.allowed:g}{source})"
            )
        if accuracy.distinct:
            percent = round(100 * accuracy.fused / accuracy.distinct)
            often = {0: "twice", 100: "once"}.get(percent, f"once in {percent} %")
            parts.append(f"x*y + z rounded {often}")
    lost = sum(measured.accuracy.lost for measured in operations)
    parts.append(f"{lost:,} results lost to subnormal numbers" if lost else "subnormal numbers kept")
    inputs = min(measured.accuracy.inputs + measured.accuracy.subnormal for measured in operations)
    return f"{'; '.join(parts)} ({inputs:,} inputs each)"


def spoken_lines(name: str, speaks: OtherDialect) -> list[str]:
    """Name the other dialect of this subject, with the commands to go on."""
    subject = shell_word(name)
    if not speaks.names:
        return [
            f"it speaks another dialect throughout, one without a name: {'; '.join(speaks.switches)}",
            f"rmspec identify {subject}",
        ]
    names = " or ".join(speaks.names)
    return [
        f"it speaks the dialect {names} throughout: {'; '.join(speaks.switches)}",
        f"rmspec identify {subject}",
        f"rmspec check {subject} --dialect {shell_word(speaks.names[0])}",
    ]


def clause_note(clause: ClauseResult) -> str:
    """Format the qualification of a verdict: the clauses in its way, its reason, and its amendments."""
    by = f" by {', '.join(clause.hidden_by)}" if clause.hidden_by else ""
    parts = [f"hidden{by}"] if clause.verdict == "hidden" else []
    parts += [clause.reason] if clause.reason else []
    if clause.blocked and clause.verdict not in ("hidden", "deviates"):
        parts.append(f"{clause.blocked:,} more checks blocked{by}")
    return "; ".join(parts + ([given_words(clause.given)] if clause.given else []))


def spot(deviation: Deviation) -> str:
    """Locate ``observed`` and ``allowed``: the number, and the call before it."""
    place = deviation.param
    if deviation.role not in ("", "param", "theta"):
        place = f"{deviation.role} of {place}" if place else deviation.role
    if place and deviation.allowed is not None:
        place += f", element {deviation.element}"
    after = f"after call {deviation.call + 1} of {len(deviation.program.calls)}"
    return f"{place}, {after}" if place else after


def element_count(program: Program) -> int:
    """The number of elements of all parameters."""
    return sum(math.prod(param.shape) for param in program.params)


def program_lines(program: Program, *, mark: int | None = None) -> list[str]:
    """A program, a line for each parameter and call; the call with the index ``mark`` is pointed at."""
    lines = [_param_line(param) for param in program.params]
    for index, call in enumerate(program.calls):
        line = call_line(call, program)
        lines.append(f"{line}    # <- here" if index == mark else line)
    return lines


def _param_line(param: Param) -> str:
    layout = "" if param.layout == "contiguous" else f", {param.layout}"
    values, repeated = _used(param.values, param)
    return f"{param.name} = {_values(values)}    # {param.dtype}, shape {param.shape}{layout}{', ' + repeated if repeated else ''}"


def call_line(call: Call, program: Program | None = None) -> str:
    """One call as a line of Python-like text; with its program, no more values than its parameters have elements."""
    match call:
        case vocabulary.Create():
            return f"{call.optimizer} = RMSprop({_comma(_created(call), _options(call.options))})"
        case vocabulary.SetGrad():
            if call.values is None:
                return f"{call.param}.grad = None"
            rows = "" if call.rows is None else _rows_named(call.rows)
            values, repeated = _used(call.values, _declared(program, call.param))
            layout = call.layout if call.layout != "contiguous" else ""
            notes = [each for each in (layout, call.bad, rows, repeated) if each]
            return f"{call.param}.grad = {_values(values)}" + (f"    # {', '.join(notes)}" if notes else "")
        case vocabulary.Step():
            return f"{call.optimizer}.step({_closure(call, program)}){'    # with step hooks' if call.hooks else ''}"
        case vocabulary.ZeroGrad():
            given = "" if call.set_to_none is None else f"set_to_none={call.set_to_none}"
            return f"{call.optimizer}.zero_grad({given})"
        case vocabulary.AddParamGroup():
            form = "" if call.form == "list" else f"    # params as a {call.form}"
            return f"{call.optimizer}.add_param_group({_group(call.group)}){form}"
        case vocabulary.SetOption():
            place = f"{call.optimizer}.param_groups[{call.group}]"
            return "; ".join(f"{place}[{name!r}] = {_option(value)}" for name, value in call.options.items())
        case vocabulary.Save():
            via = {"deepcopy": "copy.deepcopy({})", "file": "saved to a file: {}", "pickle": "pickled: {}"}.get(
                call.via, "{}"
            )
            return f"{call.slot} = {via.format(f'{call.optimizer}.state_dict()')}"
        case vocabulary.EditState():
            edits = {
                "relabel": "give its parameters other ids",
                "drop": f"drop the state of parameter {call.index}",
                "shorten": "drop the last parameter of its last group",
                "reshape": f"reshape the state of parameter {call.index}",
            }
            return f"edit {call.slot}: {edits[call.edit]}"
        case vocabulary.Load():
            return f"{call.optimizer}.load_state_dict({call.slot})"
        case vocabulary.Freeze():
            return f"{call.param}.requires_grad_({not call.frozen})"
        case vocabulary.Operate():
            x, y, z = call.operands
            words = {"add": f"{x} + {y}", "multiply": f"{x} * {y}", "divide": f"{x} / {y}", "sqrt": f"sqrt({x})"}
            return "; ".join(
                f"{result} = {words.get(operation, f'{x} * {y} + {z}')}" for operation, result in call.results.items()
            )


def _created(call: vocabulary.Create) -> str:
    names = ", ".join(name for group in call.groups for name in group.params)
    if call.form == "groups":
        return f"[{', '.join(_group(group) for group in call.groups)}]"
    return f"iter([{names}])" if call.form == "generator" else f"[{names}]"


def _group(group: vocabulary.Group) -> str:
    parts = [
        f"'params': [{', '.join(group.params)}]",
        *(f"{name!r}: {_option(v)}" for name, v in group.options.items()),
    ]
    return "{" + ", ".join(parts) + "}"


def _closure(call: vocabulary.Step, program: Program | None) -> str:
    if not call.closure:
        return ""
    if call.closure == "raises":
        return "closure that raises"
    grads = ", ".join(
        f"{name}.grad = {_values(_used(values, _declared(program, name))[0])}" for name, values in call.grads.items()
    )
    return _comma(f"closure that returns {call.loss!r}", f"sets {grads}" if grads else "")


def _options(options: vocabulary.Options) -> str:
    return ", ".join(f"{name}={_option(value)}" for name, value in options.items())


def _option(value: vocabulary.OptionValue) -> str:
    return f"tensor({value.tensor!r})" if isinstance(value, vocabulary.TensorNumber) else repr(value)


def _declared(program: Program | None, name: str) -> Param | None:
    return None if program is None else program.param(name)


def _used(values: tuple[float, ...], param: Param | None) -> tuple[tuple[float, ...], str]:
    """List the values of a tensor of this shape, and a note if they repeat to fill it."""
    if param is None:
        return values, ""
    count = math.prod(param.shape) * FORMATS[param.dtype].parts
    return values[: max(count, 1)], "values repeat" if len(values) < count else ""


def _values(values: tuple[float, ...]) -> str:
    if len(values) == 1:
        return repr(values[0])
    shown = ", ".join(repr(value) for value in values[:_SHOWN])
    return f"[{shown}, ... {len(values)} in all]" if len(values) > _SHOWN else f"[{shown}]"


def _comma(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _rows_named(rows: tuple[int, ...]) -> str:
    return (
        f"row{'s' if len(rows) > 1 else ''} {', '.join(map(str, rows))} alone"
        if rows
        else "a sparse gradient of no row"
    )
