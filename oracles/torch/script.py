"""Standalone scripts on torch: each call of a program as a line, and the assertion at the end."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import CLAUSES, UNNAMED, Clause
from rmspec.oracles.names import parse_name, path_setting
from rmspec.oracles.program import program as vocabulary
from rmspec.oracles.scripting.counterexample import Counterexample
from rmspec.oracles.scripting.lines import bounds_check, final_call, number, quoted
from rmspec.oracles.scripting.refusals import OR_REFUSED, PREFIX, refused_calls
from rmspec.oracles.torch.descriptor import FRAMEWORK


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
    """Writes a script; ``refused`` are the indices of the refused calls, with the last one of a script about a frame."""

    deviation: Counterexample
    refused: frozenset[int] = field(init=False)

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
        self.refused = refused_calls(self.program, self.deviation.call + frame)

    # -- the head

    def imports(self) -> list[str]:
        modules, make = factory_lines(self.program.subject)
        for call in self.program.calls[: self.deviation.call + 1]:
            if isinstance(call, vocabulary.Save):
                modules |= {"deepcopy": {"copy"}, "pickle": {"pickle"}, "file": {"io"}}.get(call.via, set())
        if self.deviation.kind == "frame" and not self.deviation.param:
            modules.add("copy")
        if any(not isinstance(self.program.calls[index], vocabulary.Create) for index in self.refused):
            modules.add("contextlib")
        if self._compiled:
            # What an earlier run of the script compiled would be read back, and pass.
            modules |= {"os", "tempfile"}
            make = ['os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp()', *make]
        return [f"import {', '.join(sorted(modules))}", *make]

    # -- the body

    def statements(self) -> list[str]:
        lines = [self._param(param) for param in self.program.params]
        before, after = self._check()
        calls = self.program.calls[: self.deviation.call + 1]
        lines += [*self._calls(calls[:-1]), *before]
        final = self._call(calls[-1])
        if self.deviation.call in self.refused:
            final[-1] = PREFIX + final[-1]
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
                if self._compiled:
                    lines.append(f"{call.optimizer}_step = torch.compile({call.optimizer}.step)")
                return lines
            case vocabulary.SetGrad():
                return [f"{call.param}.grad = {self._grad(call)}"]
            case vocabulary.Step():
                return self._step(call)
            case vocabulary.ZeroGrad():
                argument = "" if call.set_to_none is None else f"set_to_none={call.set_to_none}"
                return [f"{call.optimizer}.zero_grad({argument})"]
            case vocabulary.AddParamGroup():
                return [f"{call.optimizer}.add_param_group({self._group(call.group, call.form)})"]
            case vocabulary.SetOption():
                return self._set_option(call)
            case vocabulary.Save():
                return self._save(call)
            case vocabulary.EditState():
                return self._edit(call)
            case vocabulary.Load():
                return [f"{call.optimizer}.load_state_dict({call.slot})"]
            case vocabulary.Freeze():
                return [f"{call.param}.requires_grad_({not call.frozen}).grad = None"]
            case vocabulary.Operate():
                return []  # a script of its own: see rmspec.oracles.scripting.operation

    def _created(self, call: vocabulary.Create) -> str:
        if call.form == "groups":
            return "[" + ", ".join(self._group(group) for group in call.groups) + "]"
        names = ", ".join(name for group in call.groups for name in group.params)
        return f"(p for p in [{names}])" if call.form == "generator" else f"[{names}]"

    def _group(self, group: vocabulary.Group, form: str = "list") -> str:
        names = ", ".join(group.params)
        params = f"(p for p in [{names}])" if form == "generator" else f"[{names}]"
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

    def _edit(self, call: vocabulary.EditState) -> list[str]:
        slot = call.slot
        ids = f'[k for g in {slot}["param_groups"] for k in g["params"]]'
        match call.edit:
            case "drop":
                return [f"ids = {ids}", f'{slot}["state"].pop(ids[{call.index} % len(ids)], None)']
            case "shorten":
                return [f'{slot}["state"].pop({slot}["param_groups"][-1]["params"].pop(), None)']
            case "relabel":
                return [
                    f"ids = {{k: 100 + 7 * (9 - i) for i, k in enumerate({ids})}}",
                    f'{slot}["state"] = {{ids[k]: v for k, v in reversed(list({slot}["state"].items()))}}',
                    f'for g in {slot}["param_groups"]: g["params"] = [ids[k] for k in g["params"]]',
                ]
            case "reshape":
                return [
                    f"ids = {ids}",
                    f'entry = {slot}["state"].get(ids[{call.index} % len(ids)], {{}})',
                    "for k, v in entry.items():",
                    '    entry[k] = v if k == "step" else torch.cat([torch.as_tensor(v).flatten(), torch.zeros(1)])',
                ]

    @property
    def _compiled(self) -> bool:
        return self.program.subject == "torch:compiled"

    def _step(self, call: vocabulary.Step) -> list[str]:
        name = call.optimizer
        step = f"{name}_step" if self._compiled else f"{name}.step"
        lines: list[str] = []
        if call.hooks and self.deviation.kind == "hooks" and call is self.last:
            lines = ["hooks = [0, 0]"]
            for index, kind in enumerate(("pre", "post")):
                count = f"hooks.__setitem__({index}, hooks[{index}] + 1)"
                lines.append(f"{name}.register_step_{kind}_hook(lambda *_: {count})")
        if not call.closure:
            return [*lines, f"{step}()"]
        if call.closure == "raises":
            return [*lines, "calls = []", f"{step}(lambda: (calls.append(True), 1 / 0))"]
        first = self.program.params[0].name
        sets = "".join(
            f', setattr({param}, "grad", {self._tensor(self.program.param(param), values)})'
            for param, values in call.grads.items()
        )
        record = f"calls.append((torch.is_grad_enabled(), {first}.detach().clone()))"
        return [
            *lines,
            f"calls, start = [], {first}.detach().clone()",
            f"closure = lambda: ({record}{sets}, torch.tensor({number(call.loss)}))[-1]",
            f"loss = {step}(closure)",
        ]

    # -- tensors

    def _param(self, param: vocabulary.Param) -> str:
        text = f"{param.name} = {self._tensor(param, param.values, param.layout)}.requires_grad_()"
        if self.program.subject.rpartition(":")[2] == "differentiable":
            text += f".clone(); {param.name}.retain_grad()"
        return text

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
                return [], [f"assert hooks == [1, 1], ({text}, hooks)"]
            case "group":
                return [], self._group_check(text)
            case "grad":
                grad = f"{deviation.param}.grad"
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
            return [f"before = {read}"], [
                f"after = {read}",
                'print("before", before, "after", after)',
                f"fresh = after is None or bool((after == {start}).all())",
                "same = after is not None and before is not None and torch.equal(before, after)",
                f"assert same if before is not None else fresh, {text}",
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
            f"assert before == after, {text}",
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
        return [f"value = {value}", 'print("observed", value)', f"assert float(value) == {wanted_value}, {text}"]

    def _load_check(self, text: str) -> list[str]:
        deviation = self.deviation
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
