"""Standalone scripts on torch: each call of a program as a line, and the assertion at the end."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES, UNNAMED, Clause
from rmspec.oracles.names import parse_name, path_setting
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import bounds_check, final_call, number, quoted
from rmspec.oracles.scripting.refusals import OR_REFUSED, PREFIX, refused_calls
from rmspec.oracles.torch.descriptor import FRAMEWORK
from rmspec.oracles.torch.edits_script import STAND_IN, edit_lines

_MANY = 8
"""So many parameters that are alike are made by one line."""


def statements(counterexample: Counterexample) -> tuple[list[str], list[str]]:
    """The imports and the statements of the script of a deviation on torch; the last statements assert."""
    writer = _Writer(counterexample)
    return writer.imports(), writer.statements()


def factory_lines(subject: str) -> tuple[set[str], list[str]]:
    """The modules and the lines to make ``RMSprop`` the optimizer of this name."""
    parts = parse_name(subject)
    place, attribute = parts.place, parts.attribute
    name = attribute.split(".")[0]
    if not place.strip() or place == "torch":
        known = FRAMEWORK.subjects.get(subject, FRAMEWORK.subjects["torch"])
        fixed = ", ".join(f"{option}={value}" for option, value in known.fixed.items())
        return {"torch"}, [f"RMSprop = lambda params, **options: torch.optim.RMSprop(params, {fixed}, **options)"]
    setting = path_setting(parts.path)
    switched = []
    if setting is not None:
        keyword, value = setting
        switched = [f"RMSprop = lambda params, make=RMSprop, **options: make(params, {keyword}={value}, **options)"]
    if parts.file:
        return {"torch", "runpy", "sys"}, [
            f"sys.path.append({os.path.dirname(place) or '.'!r})",
            f"RMSprop = runpy.run_path({place!r})[{name!r}]" + attribute[len(name) :],
            *switched,
        ]
    return {"torch"}, [f"from {place} import {name}", f"RMSprop = {attribute}", *switched]


@dataclass(slots=True)
class _Writer:
    """Writes a script; ``refused`` are the indices of the refused calls, with the last one of a script about a frame.

    ``sources`` are the variables of the gradients and the rate recorded so far, by source; ``None`` before a recording. ``alike``
    are many parameters that differ in their names alone.
    """

    deviation: Counterexample
    refused: frozenset[int] = field(init=False)
    sources: dict[str, list[str]] | None = field(init=False, default=None)
    alike: tuple[str, ...] = field(init=False, default=())

    @property
    def program(self) -> vocabulary.Program:
        return self.deviation.program

    @property
    def rule(self) -> Clause:
        return CLAUSES.get(self.deviation.clause, UNNAMED)

    @property
    def last(self) -> vocabulary.Call:
        return self.program.calls[self.deviation.call]

    def __post_init__(self) -> None:
        # The reference performs the program for it: once.
        frame = self.deviation.kind == "frame" and not self.rule.refusal
        self.refused = refused_calls(self.program, self.deviation.call + frame) | set(self._refusable())
        first = self.program.params[0]
        alike = tuple(param.name for param in self.program.params if replace(param, name="") == replace(first, name=""))
        if len(alike) >= _MANY and not self.program.subject.endswith(":differentiable"):
            self.alike = alike

    @property
    def _accepts(self) -> bool:
        """Whether the last call may be accepted as well as refused; a refused one changes nothing."""
        return self.deviation.kind == "frame" and self.deviation.call in self._refusable()

    def _refusable(self) -> Iterator[int]:
        """The refusable loads of the script: of states without step counters, or with unknown entries."""
        slots: set[str] = set()
        for index, call in enumerate(self.program.calls[: self.deviation.call + (self.deviation.kind == "frame")]):
            if isinstance(call, vocabulary.EditState) and call.edit in ("uncounted", "extended"):
                slots.add(call.slot)
            elif isinstance(call, vocabulary.Load) and call.slot in slots:
                yield index

    # -- the head

    def imports(self) -> list[str]:
        modules, make = factory_lines(self.program.subject)
        for call in self.program.calls[: self.deviation.call + 1]:
            if isinstance(call, vocabulary.Save):
                modules |= {"deepcopy": {"copy"}, "pickle": {"pickle"}, "file": {"io"}}.get(call.via, set())
            elif isinstance(call, vocabulary.EditState) and call.edit == "extended":
                modules.add("copy")
            elif isinstance(call, vocabulary.Copy):
                modules.add("copy" if call.via == "deepcopy" else "pickle")
        if self.deviation.kind == "frame" and not self.deviation.param:
            modules.add("copy")
        if any(not isinstance(self.program.calls[index], vocabulary.Create) for index in self.refused):
            modules.add("contextlib")
        if self._compiled:
            # What an earlier run of the script compiled would be read back, and pass.
            modules |= {"os", "tempfile"}
            make = ['os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()', *make]
        away = any(isinstance(call, vocabulary.EditState) and call.edit == "elsewhere" for call in self.program.calls)
        stand_in = STAND_IN.splitlines() if away and not self.program.device else []
        return [f"import {', '.join(sorted(modules))}", *make, *stand_in]

    # -- the body

    def statements(self) -> list[str]:
        lines = self._body()
        head = [f"torch.set_num_threads({self.program.threads})"] if self.program.threads else []
        return [*head, *self._params("\n".join(lines)), *lines]

    def _body(self) -> list[str]:
        lines: list[str] = []
        calls = self.program.calls[: self.deviation.call + 1]
        earlier, final = self._calls(calls[:-1]), self._call(calls[-1])
        before, after = self._check()
        lines += [*earlier, *before]
        if self._accepts:
            final[-1:] = ["accepted = False", f"{PREFIX}{final[-1]}; accepted = True"]
        elif self.deviation.call in self.refused:
            final[-1] = PREFIX + final[-1]
        if self.deviation.kind == "mode":
            return [*lines, *final[:-1], *self._in_mode(final[-1])]
        refused = self.deviation.kind == "silent" or (self.deviation.kind == "frame" and self.rule.refusal)
        if isinstance(calls[-1], vocabulary.Step) and calls[-1].closure == "raises" and not refused:
            attempt = ["raised = False", "try:", f"    {final[-1]}", "except ZeroDivisionError:", "    raised = True"]
            raised = [f"assert raised, {self.deviation.summary!r}"]
            return [*lines, *final[:-1], *attempt, *(raised if self.deviation.kind == "closure" else after)]
        return [*lines, *final_call(self.deviation, final, after)]

    def _calls(self, calls: tuple[vocabulary.Call, ...]) -> list[str]:
        lines: list[str] = []
        index = 0
        while index < len(calls):
            call = calls[index]
            if self._sets_alike(calls[index : index + len(self.alike)]):
                lines.append(f"for p in params: p.{self._call(call)[0].partition('.')[2]}")
                index += len(self.alike)
                continue
            count = 1
            while index + count < len(calls) and calls[index + count] == call:
                count += 1
            statements = self._call(call)
            if index in self.refused and isinstance(call, vocabulary.Create):
                statements[-1:] = ["try:", f"    {statements[-1]}", OR_REFUSED]
            elif index in self.refused:
                statements[-1] = PREFIX + statements[-1]
            if count > 2 and len(statements) == 1:
                lines.append(f"for _ in range({count}): {statements[0]}")
                index += count
            else:
                lines += statements
                index += 1
        return lines

    def _call(self, call: vocabulary.Call) -> list[str]:
        match call:
            case vocabulary.Create():
                lines = [f"{call.optimizer} = RMSprop({self._created(call)}{self._keywords(call.options)})"]
                again = any(isinstance(c, vocabulary.Create) and c.dicts == call.optimizer for c in self.program.calls)
                if again and not call.dicts:
                    lines.insert(0, f"{call.optimizer}_dicts = {self._created(call)}")
                    lines[-1] = f"{call.optimizer} = RMSprop({call.optimizer}_dicts{self._keywords(call.options)})"
                if call.hooks and self.deviation.kind == "hooks":
                    lines += ["runs = []", *self._hooks(call.optimizer, 0)]
                if self._compiled:
                    lines.append(f"{call.optimizer}_step = torch.compile({call.optimizer}.step)")
                return lines
            case vocabulary.SetGrad():
                return self._set_grad(call)
            case vocabulary.Record():
                self.sources = {}
                return []
            case vocabulary.Differentiate():
                weights = self._tensor(self.program.param(call.param), call.weights)
                sources = f"[{', '.join(self._sources(call.param).values())}]"
                return [f"derivatives = torch.autograd.grad({call.param}, {sources}, {weights}, allow_unused=True)"]
            case vocabulary.Step():
                return self._step(call)
            case vocabulary.ZeroGrad():
                argument = "" if call.set_to_none is None else f"set_to_none={call.set_to_none}"
                return [f"{call.optimizer}.zero_grad({argument})"]
            case vocabulary.AddParamGroup():
                return [f"{call.optimizer}.add_param_group({self._group(call.group, call.form)})"]
            case vocabulary.SetOption():
                return self._set_option(call)
            case vocabulary.Save() | vocabulary.EditState() | vocabulary.Load() | vocabulary.Copy():
                return self._state_call(call)
            case vocabulary.Freeze():
                return [f"{call.param}.requires_grad_({not call.frozen}).grad = None"]
            case vocabulary.Operate():
                return []  # a script of its own: see rmspec.oracles.scripting.operation

    def _state_call(
        self, call: vocabulary.Save | vocabulary.EditState | vocabulary.Load | vocabulary.Copy
    ) -> list[str]:
        match call:
            case vocabulary.Save():
                return self._save(call)
            case vocabulary.EditState():
                return edit_lines(call, self.program.device)
            case vocabulary.Load():
                return [f"{call.optimizer}.load_state_dict({call.slot})"]
            case vocabulary.Copy():
                return self._copy(call)

    def _set_grad(self, call: vocabulary.SetGrad) -> list[str]:
        if self.sources is None or call.values is None:
            return [f"{call.param}.grad = {self._grad(call)}"]
        grads = self.sources.setdefault(call.param, [])
        grads.append(f"{call.param}_grad{len(grads) + 1}")
        return [f"{grads[-1]} = {self._grad(call)}.requires_grad_()", f"{call.param}.grad = {grads[-1]}"]

    def _sources(self, param: str) -> dict[str, str]:
        """The variables of the sources of a parameter's derivatives."""
        recorded = self.sources or {}
        grads = {f"grad-{n}": grad for n, grad in enumerate(recorded.get(param, ()), 1)}
        rates = {"lr": rate} if (rate := "".join(recorded.get("", ()))) else {}
        return {"start": f"{param}_start", **grads, **rates}

    def _sets_alike(self, calls: tuple[vocabulary.Call, ...]) -> bool:
        """Whether these calls give the same gradient to each parameter of those alike."""
        sets = [call for call in calls if isinstance(call, vocabulary.SetGrad)]
        return (
            len(sets) == len(calls) > 0
            and tuple(call.param for call in sets) == self.alike
            and all(replace(call, param="") == replace(sets[0], param="") for call in sets)
        )

    def _listed(self, names: tuple[str, ...]) -> str:
        return "params" if names and names == self.alike else f"[{', '.join(names)}]"

    def _created(self, call: vocabulary.Create) -> str:
        if call.dicts:
            return f"{call.dicts}_dicts"
        if call.form == "groups":
            return "[" + ", ".join(self._group(group) for group in call.groups) + "]"
        names = self._listed(tuple(name for group in call.groups for name in group.params))
        return f"(p for p in {names})" if call.form == "generator" else names

    def _group(self, group: vocabulary.Group, form: str = "list") -> str:
        names = self._listed(group.params)
        params = f"(p for p in {names})" if form == "generator" else names
        params = group.params[0] if form == "tensor" and len(group.params) == 1 else params
        options = "".join(f", {quoted(name)}: {self._value(value)}" for name, value in group.options.items())
        return f'{{"params": {params}{options}}}'

    def _keywords(self, options: dict[str, vocabulary.OptionValue]) -> str:
        tensor = self.program.subject == "torch:tensor-lr"
        keywords = ""
        for name, value in options.items():
            text = self._value(value)
            if name == "lr" and tensor and not isinstance(value, vocabulary.TensorNumber):
                text = f"torch.tensor({text}, dtype=torch.float64)"
            if name == "lr" and self.sources is not None and isinstance(value, vocabulary.TensorNumber):
                self.sources[""] = ["rate"]
                text = f"(rate := {text}.requires_grad_())"
            keywords += f", {name}={text}"
        return keywords

    def _value(self, value: vocabulary.OptionValue) -> str:
        if isinstance(value, vocabulary.TensorNumber):
            return f"torch.tensor({number(value.tensor)})"
        return repr(value) if isinstance(value, bool) else number(value)

    def _set_option(self, call: vocabulary.SetOption) -> list[str]:
        lines = []
        for name, value in call.options.items():
            place = f"{call.optimizer}.param_groups[{call.group}][{quoted(name)}]"
            created = next((earlier for earlier in self.program.calls if isinstance(earlier, vocabulary.Create)), None)
            if (
                isinstance(value, vocabulary.TensorNumber)
                and created
                and isinstance(created.options.get(name), vocabulary.TensorNumber)
            ):
                lines.append(f"{place}.fill_({number(value.tensor)})")
            else:
                lines.append(f"{place} = {self._value(value)}")
        return lines

    def _save(self, call: vocabulary.Save) -> list[str]:
        state = f"{call.optimizer}.state_dict()"
        match call.via:
            case "deepcopy":
                lines = [f"{call.slot} = copy.deepcopy({state})"]
            case "pickle":
                lines = [f"{call.slot} = pickle.loads(pickle.dumps({state}))"]
            case "file":
                lines = [
                    f"torch.save({state}, buffer := io.BytesIO())",
                    f"{call.slot} = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)",
                ]
            case _:
                lines = [f"{call.slot} = {state}"]
        if self.deviation.kind == "load" and isinstance(self.last, vocabulary.Load) and self.last.slot == call.slot:
            # Before it is saved: a fault may change what it saves.
            lines.insert(0, f"saved = {self._read(call.optimizer, self._saved_param(call))}")
        return lines

    def _copy(self, call: vocabulary.Copy) -> list[str]:
        both = f"([{', '.join(call.params)}], {call.source})"
        copied = "copy.deepcopy(both)" if call.via == "deepcopy" else "pickle.loads(pickle.dumps(both))"
        return [
            f"both = {both}",
            f"for _ in range(2): both = {copied}  # a copy, and a copy of that",
            f"[{', '.join(call.params.values())}], {call.optimizer} = both",
            f"for p in [{', '.join(call.params.values())}]: p.grad = None",
        ]

    @property
    def _compiled(self) -> bool:
        return self.program.subject == "torch:compiled"

    def _step(self, call: vocabulary.Step) -> list[str]:
        name = call.optimizer
        step = f"{name}_step" if self._compiled else f"{name}.step"
        if call.mode and not (self.deviation.kind == "mode" and call is self.last):
            step = f"torch.{call.mode}()({step})"
        lines: list[str] = []
        if self.deviation.kind == "hooks" and call is self.last:
            if call.bases:
                kinds = f"for kind in type({name}).__mro__[1:]"
                derived = "issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer"
                lines = [
                    f"[object.__new__(kind)._patch_step_function() {kinds} if {derived}]  # as constructing one does"
                ]
            lines += ["runs = []", *self._hooks(name, 1), f"start = {self._all_params()}"]
        if not call.closure:
            return [*lines, f"{step}()"]
        if call.closure == "raises":
            return [*lines, "calls = []", f"{step}(lambda: (calls.append(True), 1 / 0))"]
        first = self.program.params[0].name
        tensors = {name: self._tensor(self.program.param(name), values) for name, values in call.grads.items()}
        if tuple(tensors) == self.alike and len(set(tensors.values())) == 1:
            sets = f', [setattr(p, "grad", {tensors[self.alike[0]]}) for p in params]'
        else:
            sets = "".join(f', setattr({name}, "grad", {tensor})' for name, tensor in tensors.items())
        record = f"calls.append((torch.is_grad_enabled(), {first}.detach().clone()))"
        return [
            *lines,
            f"calls, start = [], {first}.detach().clone()",
            f"closure = lambda: ({record}{sets}, torch.tensor({number(call.loss)}))[-1]",
            f"loss = {step}(closure)",
        ]

    def _hooks(self, name: str, number: int) -> list[str]:
        """Statements to register a pre-hook and a post-hook of this number, with a note of each run."""
        noted = f"{number}, o is {name}, {self._all_params()}"
        return [
            f'{name}.register_step_{kind}_hook(lambda o, *_: runs.append(("{kind}", {noted})))'
            for kind in ("pre", "post")
        ]

    def _all_params(self) -> str:
        names = [f"{param.name}.tolist()" for param in self.program.params]
        return f"[{', '.join(names)}]"

    def _hook_check(self, text: str) -> list[str]:
        name = self.deviation.optimizer
        created = [c for c in self.program.calls if isinstance(c, vocabulary.Create) and c.optimizer == name]
        numbers = (0, 1) if created and created[-1].hooks else (1,)
        due = [(kind, number, True) for kind in ("pre", "post") for number in numbers]
        return [
            "print([run[:3] for run in runs])",
            f"assert [run[:3] for run in runs] == {due}, {text}",
            f'assert all(run[3] == (start if run[0] == "pre" else {self._all_params()}) for run in runs), {text}',
        ]

    def _in_mode(self, statement: str) -> list[str]:
        """The last call in the caller's gradient mode, and an assertion on the mode after it."""
        mode = getattr(self.last, "mode", "") or "enable_grad"
        return [
            f"with torch.{mode}():",
            "    before = torch.is_grad_enabled(), torch.is_inference_mode_enabled()",
            f"    try: {statement}",
            "    except ZeroDivisionError: pass",
            "    after = torch.is_grad_enabled(), torch.is_inference_mode_enabled()",
            'print("before", before, "after", after)',
            f"assert after == before, {self.deviation.summary[:100]!r}",
        ]

    # -- tensors

    def _params(self, body: str) -> list[str]:
        """The lines for making the parameters: many alike ones are made together, and get a name if ``body`` uses it."""
        lines = [self._param(param) for param in self.program.params if param.name not in self.alike]
        if self.alike:
            first = self.program.param(self.alike[0])
            tensor = self._param(first).partition(" = ")[2]
            named = [(index, name) for index, name in enumerate(self.alike) if re.search(rf"\b{name}\b", body)]
            lines += [f"params = [{tensor} for _ in range({len(self.alike)})]"]
            lines += [f"{name} = params[{index}]" for index, name in named]
        return lines

    def _param(self, param: vocabulary.Param) -> str:
        text = f"{param.name} = {self._tensor(param, param.values, param.layout)}.requires_grad_()"
        if self.program.subject.rpartition(":")[2] != "differentiable":
            return text
        if any(isinstance(call, vocabulary.Record | vocabulary.Differentiate) for call in self.program.calls):
            start = f"{param.name}_start"
            return f"{start}{text.removeprefix(param.name)}; {param.name} = {start}.clone(); {param.name}.retain_grad()"
        return f"{text}.clone(); {param.name}.retain_grad()"

    def _grad(self, call: vocabulary.SetGrad) -> str:
        if call.values is None:
            return "None"
        text = self._tensor(self.program.param(call.param), call.values, call.layout)
        return f"{text}.to_sparse()" if call.bad else text

    def _tensor(self, param: vocabulary.Param, values: tuple[float, ...], layout: str = "contiguous") -> str:
        fmt = FORMATS[param.dtype]
        count = math.prod(param.shape)
        used = list(values) if len(values) % fmt.parts == 0 else list(values) * 2
        used = used[: max(count * fmt.parts, fmt.parts)]
        if fmt.parts == 2:
            numbers = [f"complex({number(a)}, {number(b)})" for a, b in zip(used[::2], used[1::2], strict=True)]
        else:
            numbers = [number(value) for value in used]
        device = f", device={quoted(self.program.device)}" if self.program.device else ""
        kind = f"dtype=torch.{param.dtype}{device}"
        text = f"torch.tensor([{', '.join(numbers)}], {kind})"
        if len(numbers) != count or count == 0:
            times = -(-count // len(numbers))
            text += f".repeat({times})[:{count}]" if times > 1 or count < len(numbers) else ""
        if param.shape != (count,):
            text += f".reshape({param.shape})"
        if layout == "transposed" and len(param.shape) >= 2:
            order = ", ".join(str(axis) for axis in reversed(range(len(param.shape))))
            text += f".permute({order}).contiguous().permute({order})"
        if layout == "expanded" and param.shape:
            # Of the whole tensor, as the session does: a fault may read the memory behind it.
            text += f"[{', '.join([':1'] * len(param.shape))}].expand({param.shape})"
        if layout == "strided" and param.shape:
            wide = (*param.shape[:-1], 2 * param.shape[-1] + 1)
            text = f'torch.full({wide}, float("nan"), {kind})[..., : {2 * param.shape[-1]} : 2].copy_({text})'
        return text

    # -- what is asserted

    def _read(self, optimizer: str, param: str) -> str:
        """Write an expression for a copy of the deviating observable, or for ``None`` if it is missing."""
        role = self.deviation.role
        if role == "param":
            return f"{param}.detach().clone()"
        if role == "grad":
            return f"None if {param}.grad is None else {param}.grad.clone()"
        key = quoted(self.deviation.state_name or role)
        entry = f"{optimizer}.state.get({param}, {{}}).get({key})"
        return f"None if (x := {entry}) is None else torch.as_tensor(x).detach().clone()"

    def _element(self) -> str:
        role, param = self.deviation.role, self.deviation.param
        key = quoted(self.deviation.state_name or role)
        tensor = (
            f"{param}.detach()"
            if role == "param"
            else f"torch.as_tensor({self.deviation.optimizer}.state[{param}][{key}]).detach()"
        )
        if FORMATS[self.program.param(param).dtype].parts == 2:
            tensor = f"torch.view_as_real({tensor}.resolve_conj())"
        return f"{tensor}.flatten()[{self.deviation.element}].item()"

    def _check(self) -> tuple[list[str], list[str]]:
        """Statements before and after the last call."""
        deviation = self.deviation
        text = repr(deviation.summary[:100])
        match deviation.kind:
            case "value" | "base" if deviation.allowed is not None:
                return [], bounds_check(
                    self._element(), deviation.allowed, plain=deviation.plain, finite=deviation.hazard
                )
            case "derivative" if deviation.allowed is not None:
                place = list(self._sources(deviation.param)).index(deviation.role)
                value = f"0.0 if (d := derivatives[{place}]) is None else d.flatten()[{deviation.element}].item()"
                return [], bounds_check(value, deviation.allowed)
            case "frame":
                return self._frame(text)
            case "closure":
                loss = self.last.loss if isinstance(self.last, vocabulary.Step) else 0.0
                return [], [
                    "print(len(calls), 'calls of the closure, loss', loss)",
                    "assert len(calls) == 1 and calls[0][0] and torch.equal(calls[0][1], start), calls",
                    f"assert loss is not None and float(loss) == {number(loss)}, loss",
                ]
            case "hooks":
                return [], self._hook_check(text)
            case "group":
                return [], self._group_check(text)
            case "grad":
                grad = f"{deviation.param}.grad"
                if deviation.role == "holder":
                    copy = f"holder, copy = {grad}, {grad}.clone()"
                    return [copy], [f"assert torch.equal(holder, copy), {text}"]
                if self.rule.expects == "none":
                    return [], [f"assert {grad} is None, {grad}"]
                zeros = f"{grad} is not None and not {grad}.any()"
                return [f"none = {grad} is None"], [f"assert ({grad} is None) if none else ({zeros}), {grad}"]
            case "load":
                return [], self._load_check(text)
            case _:
                return [], [f"print({'passed: it raised nothing'!r})"]

    def _frame(self, text: str) -> tuple[list[str], list[str]]:
        deviation = self.deviation
        if deviation.param:
            read = self._read(deviation.optimizer, deviation.param)
            start = number(deviation.allowed[0]) if deviation.allowed else "0.0"
            if deviation.role == "step":
                return [], [
                    f"after = {read}",
                    'print("counter", after)',
                    f"assert after is None or after.item() == {start}, {text}",
                ]
            unchanged = "same if before is not None else fresh"
            return [f"before = {read}"], [
                f"after = {read}",
                'print("before", before, "after", after)',
                f"fresh = after is None or bool((after == {start}).all())",
                "same = after is not None and before is not None and torch.equal(before, after)",
                f"assert {f'accepted or ({unchanged})' if self._accepts else unchanged}, {text}",
            ]
        if not deviation.optimizer:
            slot = next(call.slot for call in reversed(self.program.calls) if isinstance(call, vocabulary.Save))
            key = quoted(deviation.state_name or deviation.role)
            read = f'[entry[{key}].tolist() for entry in {slot}["state"].values() if {key} in entry]'
        else:
            name = deviation.optimizer
            options = '("lr", "alpha", "eps", "momentum", "weight_decay")'
            read = f"[{{k: float(v) for k, v in g.items() if k in {options}}} for g in {name}.param_groups]"
        return [f"before = {read}"], [
            f"after = {read}",
            'print("before", before, "after", after)',
            f"assert {'accepted or ' if self._accepts else ''}before == after, {text}",
        ]

    def _group_check(self, text: str) -> list[str]:
        deviation = self.deviation
        groups = f"{deviation.optimizer}.param_groups"
        if deviation.role == "groups" and deviation.allowed:
            return [f"assert len({groups}) == {int(deviation.allowed[0])}, {text}"]
        if deviation.role == "params":
            created = [
                call for call in self.program.calls if isinstance(call, vocabulary.Create | vocabulary.AddParamGroup)
            ]
            names: list[tuple[str, ...]] = []
            for call in created:
                if call.optimizer != deviation.optimizer:
                    continue
                if isinstance(call, vocabulary.AddParamGroup):
                    names.append(call.group.params)
                elif call.form == "groups":
                    names += [group.params for group in call.groups]
                else:
                    names.append(tuple(name for group in call.groups for name in group.params))
            identities = ", ".join(f"id({name})" for name in names[deviation.element])
            return [f'assert [id(p) for p in {groups}[{deviation.element}]["params"]] == [{identities}], {text}']
        value = f"{groups}[{deviation.element}][{quoted(deviation.role)}]"
        wanted_value = number(deviation.allowed[0]) if deviation.allowed else "None"
        operand = "value" if "is no number" in self.deviation.summary else "float(value)"
        return [f"value = {value}", 'print("observed", value)', f"assert {operand} == {wanted_value}, {text}"]

    def _copy_check(self, call: vocabulary.Copy, text: str) -> list[str]:
        deviation = self.deviation
        if not deviation.param:
            read = '[{{k: v for k, v in g.items() if k != "params"}} for g in {}.param_groups]'
            lines = [
                f"{name} = {read.format(of)}" for name, of in (("source", call.source), ("copied", call.optimizer))
            ]
            return [*lines, 'print("source", source, "copy", copied)', f"assert source == copied, {text}"]
        name = next(name for name, twin in call.params.items() if twin == deviation.param)
        return [
            f"source = {self._read(call.source, name)}",
            f"copied = {self._read(call.optimizer, deviation.param)}",
            'print("source", source, "copy", copied)',
            f"assert copied is not None and torch.equal(source, copied), {text}",
        ]

    def _load_check(self, text: str) -> list[str]:
        deviation = self.deviation
        if isinstance(self.last, vocabulary.Copy):
            return self._copy_check(self.last, text)
        read = self._read(deviation.optimizer, deviation.param)
        if isinstance(self.last, vocabulary.Save):
            key = quoted(deviation.state_name or deviation.role)
            position = self._order(deviation.optimizer).index(deviation.param)
            entry = f'{self.last.slot}["state"].get({position}, {{}}).get({key})'
            same = "held is not None and torch.equal(torch.as_tensor(held), live)"
            return [f"live = {read}", f"held = {entry}", f"assert {same}, {text}"]
        start = number(deviation.allowed[0]) if deviation.allowed else "0.0"
        lines = [f"loaded = {read}", f"fresh = loaded is None or bool((loaded == {start}).all())"]
        if self.rule.expects == "initial":
            return [*lines, 'print("loaded", loaded)', f"assert fresh, {text}"]
        return [
            *lines,
            'print("saved", saved, "loaded", loaded)',
            "same = saved is not None and loaded is not None and torch.equal(saved.to(loaded.dtype), loaded)",
            f"assert fresh if saved is None else same, {text}",
        ]

    def _saved_param(self, call: vocabulary.Save) -> str:
        order = self._order(self.deviation.optimizer)
        position = order.index(self.deviation.param) if self.deviation.param in order else 0
        saved = self._order(call.optimizer)
        return saved[min(position, len(saved) - 1)]

    def _order(self, optimizer: str) -> list[str]:
        return list(_params_of(self.program, optimizer))


def _params_of(program: vocabulary.Program, optimizer: str) -> Iterator[str]:
    for call in program.calls:
        if isinstance(call, vocabulary.Create) and call.optimizer == optimizer:
            for group in call.groups:
                yield from group.params
        elif isinstance(call, vocabulary.AddParamGroup) and call.optimizer == optimizer:
            yield from call.group.params
        elif isinstance(call, vocabulary.Copy) and call.optimizer == optimizer:
            yield from (call.params[name] for name in _params_of(program, call.source) if name in call.params)
