"""Fit programs to subjects: to their options, their features, and their number formats."""

from __future__ import annotations

from dataclasses import replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.dialect import Hyperparameters
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.program.changes import change_options, groups_of
from rmspec.oracles.program.program import Call, Program
from rmspec.oracles.subject import OPTIONS, Capabilities
from rmspec.properties.judge.runner import retarget

__all__ = ["admit", "admit_whole", "lacks_derivatives", "restrict"]

_RECORDING = vocabulary.Record | vocabulary.Differentiate

_PAGE = Hyperparameters()


def restrict(capabilities: Capabilities, formats: tuple[str, ...], without: frozenset[str]) -> Capabilities:
    """Take number formats (if some are named, all others) and features out of capabilities."""
    chosen = tuple(name for name in capabilities.formats if not formats or name in formats)
    features = capabilities.features - without
    if "complex" not in features:
        chosen = tuple(name for name in chosen if FORMATS[name].parts == 1)
    missing = {**capabilities.missing, **dict.fromkeys(sorted(without), "left out with --without")}
    options = capabilities.options - without
    operations = frozenset[str]() if "operations" in without else capabilities.operations
    return replace(
        capabilities, formats=chosen, features=features, missing=missing, options=options, operations=operations
    )


def admit(program: Program, capabilities: Capabilities) -> Program | None:
    """Fit a program to a subject; ``None`` if nothing worth a check is left."""
    features = capabilities.features
    if lacks_derivatives(program, capabilities):
        return None
    if all(isinstance(call, vocabulary.Create) for call in program.calls):
        # It asks the constructor alone, and that whatever the options are.
        capabilities = replace(capabilities, instead={})
    if "circumstances" not in features and any(not group.params for call in program.calls for group in groups_of(call)):
        return None
    calls: list[Call] = []
    members: dict[str, list[str]] = {}
    copies = {call.optimizer for call in program.calls if isinstance(call, vocabulary.Copy)}
    for call in program.calls:
        if "copy" not in features and getattr(call, "optimizer", "") in copies:
            continue
        fitted = _call(call, capabilities)
        if fitted is None:
            continue
        if isinstance(fitted, vocabulary.Create | vocabulary.AddParamGroup):
            before = [] if isinstance(fitted, vocabulary.Create) else members.get(fitted.optimizer, [])
            names = [*before, *(name for group in groups_of(fitted) for name in group.params)]
            members[fitted.optimizer] = names
            if "duplicates" not in features and len(set(names)) != len(names):
                return None
        calls.append(fitted)
    if not any(isinstance(call, vocabulary.Create | vocabulary.Operate) for call in calls):
        return None
    params = program.params
    if "layout" not in features:
        params = tuple(replace(param, layout="contiguous") for param in params)
    whole = retarget(replace(program, params=params, calls=tuple(calls)), capabilities.formats)
    if any(isinstance(call, _RECORDING) for call in calls) and not _derived(whole):
        return None
    return whole


def lacks_derivatives(program: Program, capabilities: Capabilities) -> bool:
    """Whether a program asks for derivatives, and the subject has not announced any."""
    return "derivatives" not in capabilities.features and any(isinstance(call, _RECORDING) for call in program.calls)


def _derived(program: Program) -> bool:
    """Whether the derivatives of a program are bounded well: in complex numbers and in half precision they are not asked for."""
    return {param.dtype for param in program.params} <= {"float32", "float64"}


def admit_whole(program: Program, capabilities: Capabilities) -> Program | None:
    """Fit a program to a subject in its own formats and with all of its calls; ``None`` if the subject cannot be asked these."""
    if not {param.dtype for param in program.params} <= set(capabilities.formats):
        return None
    admitted = admit(program, capabilities)
    return admitted if admitted is not None and admitted.calls == program.calls else None


def _call(call: Call, capabilities: Capabilities) -> Call | None:
    features = capabilities.features
    call = change_options(call, lambda options: _options(options, capabilities))
    if capabilities.instead:
        call = change_options(call, lambda options: {**options, **_on(options, capabilities)})
    match call:
        case vocabulary.Create():
            hooks = call.hooks and {"circumstances", "hooks"} <= features
            call = replace(call, hooks=hooks, dicts=call.dicts if "circumstances" in features else "")
            if "groups" not in features:
                names = tuple(name for group in call.groups for name in group.params)
                options = {**call.options, **call.groups[0].options}
                form: vocabulary.CreateForm = "generator" if call.form == "generator" else "list"
                call = vocabulary.Create(call.optimizer, (vocabulary.Group(names),), options, form, hooks=hooks)
            missing = {name: _PAGE.option(name) for name in sorted(capabilities.required - set(call.options))}
            return replace(call, options={**call.options, **missing, **_on(call.options, capabilities, absent=True)})
        case vocabulary.AddParamGroup():
            return call if "groups" in features else None
        case vocabulary.SetOption():
            fixed = set(OPTIONS) - capabilities.changeable
            options = {name: value for name, value in call.options.items() if name not in fixed}
            return replace(call, options=options) if options and "schedule" in features else None
        case vocabulary.Save() | vocabulary.Load() | vocabulary.EditState():
            return _of_state(call, capabilities)
        case vocabulary.Operate():
            return call if set(call.results) <= capabilities.operations else None
        case vocabulary.ZeroGrad():
            return call if "zero_grad" in features else None
        case vocabulary.Step():
            closure = call.closure if "closure" in features else ""
            if call.closure == "raises" and not closure:
                return None
            hooks = call.hooks and "hooks" in features
            circumstances = "circumstances" in features
            return replace(
                call,
                closure=closure,
                grads=call.grads if closure else {},
                hooks=hooks,
                mode=call.mode if circumstances else "",
                bases=call.bases and hooks and circumstances,
            )
        case vocabulary.SetGrad():
            if call.rows is not None and "sparse" not in features:
                call = replace(call, rows=None)
            return call if "layout" in features or call.layout == "contiguous" else replace(call, layout="contiguous")
        case _:
            return call


def _of_state(
    call: vocabulary.Save | vocabulary.Load | vocabulary.EditState, capabilities: Capabilities
) -> Call | None:
    if "state_dict" not in capabilities.features:
        return None
    if isinstance(call, vocabulary.EditState) and call.edit not in capabilities.edits:
        return None
    if isinstance(call, vocabulary.Save) and call.via == "file" and "file" not in capabilities.features:
        return replace(call, via="deepcopy")
    return call


def _on(
    options: vocabulary.Options, capabilities: Capabilities, *, absent: bool = False
) -> dict[str, vocabulary.OptionValue]:
    """The options to be on against the program, each with its value; of those left out as well, if ``absent``."""
    return {
        name: value
        for name, value in capabilities.instead.items()
        if (absent or name in options) and not vocabulary.plain_number(options.get(name, 0.0))
    }


def _options(options: vocabulary.Options, capabilities: Capabilities) -> vocabulary.Options:
    absent = set(OPTIONS) - capabilities.options
    tensors = "tensor_lr" in capabilities.features
    return {
        name: value if tensors else vocabulary.plain_number(value)
        for name, value in options.items()
        if name not in absent
    }
