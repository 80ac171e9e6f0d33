"""Chosen programs for a compiled path: every variant of a step costs a compilation, of seconds.

How many variants a program needs is counted from the program alone, and so is what it covers: branches of the pseudocode,
formats, sizes, options and their changes, calls. The programs that cover most for what they cost come first, until the
variants are used up.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.oracles.program.program import (
    AddParamGroup,
    Copy,
    Create,
    EditState,
    Freeze,
    Group,
    Load,
    Options,
    Program,
    Save,
    SetGrad,
    SetOption,
    Step,
    ZeroGrad,
    plain_number,
)

__all__ = ["choose_programs", "count_variants"]

_MOST = 6
"""No program with more variants is chosen: several with less cover more."""

_VARIANT, _PARAM, _COMPLEX = 6, 1, 8
"""What a variant costs, and each of its parameters: half seconds, as measured with torch's compiler."""

_SMALL = 72
"""Up to so many elements each size is one of its own, beside the width of a vector or not."""


@dataclass(slots=True)
class _Optimizer:
    """An optimizer as far as its variants go: the parameters and options of its groups, and how often it was made or loaded."""

    groups: list[tuple[tuple[str, ...], dict[str, object]]] = field(default_factory=list)
    turn: int = 0
    stepped: set[str] = field(default_factory=set)

    @property
    def sizes(self) -> list[int]:
        """The number of parameters in each group."""
        return [len(names) for names, _ in self.groups]


@dataclass(slots=True)
class _Saved:
    """A state saved of its ``owner``: the ``sizes`` of its groups, for each parameter whether it had state, and the edits since."""

    owner: str
    via: str
    sizes: list[int]
    entries: list[bool]
    edits: tuple[tuple[str, bool], ...] = ()


class _Walk:
    """A walk through a program: its ``variants``, their ``cost``, and its ``aspects``."""

    def __init__(self, program: Program) -> None:
        self.variants: set[Hashable] = set()
        self.cost = 0
        self.aspects: set[tuple[Hashable, ...]] = {("clause", program.clause)} if program.clause else set()
        self._program = program
        self._optimizers: dict[str, _Optimizer] = {}
        self._grads: dict[str, Hashable] = {}
        self._slots: dict[str, _Saved] = {}
        for call in program.calls:
            self._take(call)

    def _take(self, call: object) -> None:
        match call:
            case Create():
                turn = self._optimizers[call.optimizer].turn + 1 if call.optimizer in self._optimizers else 0
                self._optimizers[call.optimizer] = _Optimizer(
                    [_group(group, call.options) for group in call.groups], turn
                )
                self._note("create", call.form, len(call.groups) > 1, len(self._optimizers) > 1)
                for option in call.options:
                    self._note("given", option)
            case AddParamGroup():
                optimizer = self._optimizers.get(call.optimizer)
                if optimizer is not None:
                    optimizer.groups.append(_group(call.group, {}))
                self._note("add", call.form)
            case SetGrad():
                self._grads[call.param] = None if call.values is None else (call.layout, call.bad, call.rows)
                self._note("gradient", call.layout, call.bad, call.values is None, call.rows is not None)
            case Copy():
                source = self._optimizers[call.source]
                groups = [(tuple(call.params[name] for name in names), dict(given)) for names, given in source.groups]
                self._optimizers[call.optimizer] = _Optimizer(groups)
                self._note("copy", call.via)
            case SetOption():
                optimizer = self._optimizers.get(call.optimizer)
                if optimizer is not None and call.group < len(optimizer.groups):
                    optimizer.groups[call.group][1].update(call.options)
                for option in call.options:
                    self._note("changed", option)
            case Load():
                optimizer = self._optimizers.get(call.optimizer)
                if optimizer is not None:
                    optimizer.turn += 1
                self._note("load", len(self._optimizers) > 1)
                if optimizer is not None and call.slot in self._slots:
                    saved = self._slots[call.slot]
                    self._note("taken", saved.via == "state_dict", saved.owner == call.optimizer)
                    self._note("loaded", saved.sizes == optimizer.sizes, any(saved.entries))
                    for edit in saved.edits:
                        self._note("edited", *edit)
            case Step():
                self._grads.update(dict.fromkeys(call.grads, "closure"))
                self._note("step", call.closure, call.hooks)
                self._step(call)
            case _:
                self._pass_by(call)

    def _pass_by(self, call: object) -> None:
        match call:
            case Save():
                self._note("save", call.via)
                optimizer = self._optimizers.get(call.optimizer)
                if optimizer is not None:
                    entries = [name in optimizer.stepped for names, _ in optimizer.groups for name in names]
                    self._slots[call.slot] = _Saved(call.optimizer, call.via, optimizer.sizes, entries)
            case EditState():
                if call.slot in self._slots:
                    saved = self._slots[call.slot]
                    present = bool(saved.entries) and saved.entries[call.index % len(saved.entries)]
                    saved.edits += ((call.edit, present),)
            case ZeroGrad():
                self._note("zero", call.set_to_none)
                if call.set_to_none is not False:
                    self._grads.clear()
            case Freeze():
                self._grads[call.param] = None
                self._note("freeze", call.frozen)

    def _step(self, call: Step) -> None:
        optimizer = self._optimizers.get(call.optimizer)
        if optimizer is None or call.closure == "raises":
            return
        stepped = tuple(
            (
                tuple((name, self._grads.get(name)) for name in names),
                tuple(sorted(options.items(), key=lambda item: item[0])),
            )
            for names, options in optimizer.groups
        )
        optimizer.stepped.update(name for names, _ in optimizer.groups for name in names if self._grads.get(name))
        variant = (call.optimizer, optimizer.turn, stepped)
        if variant not in self.variants:
            self.variants.add(variant)
            formats = [FORMATS[self._program.param(name).dtype] for names, _ in optimizer.groups for name in names]
            self.cost += _VARIANT + sum(_COMPLEX if fmt.parts == 2 else _PARAM for fmt in formats)
        for names, options in optimizer.groups:
            self.aspects.update(self._steps_of(names, options))
        self._note("optimizers", len(self._optimizers) > 1)

    def _steps_of(self, names: Sequence[str], options: dict[str, object]) -> Iterator[tuple[Hashable, ...]]:
        branches = tuple(bool(options.get(option)) for option in ("momentum", "centered", "weight_decay"))
        for option, value in options.items():
            yield ("value", option, value)
        for name in names:
            declared = self._program.param(name)
            size = math.prod(declared.shape)
            yield ("branches", declared.dtype, branches)
            yield ("size", min(size, _SMALL))
            yield ("size", declared.dtype, min(size, _SMALL) > 8, min(size, _SMALL) % 8 == 0)
            yield ("layout", declared.layout)

    def _note(self, *aspect: Hashable) -> None:
        self.aspects.add(aspect)


def count_variants(program: Program) -> int:
    """Count the different steps of a program: other optimizers, parameters, options or states to start from."""
    return len(_Walk(program).variants)


def choose_programs(programs: Sequence[Program], variants: int) -> list[Program]:
    """Choose programs with at most so many variants in all, in their order; those without any are free."""
    walks = [_Walk(program) for program in programs]
    chosen = {index for index, walk in enumerate(walks) if not walk.variants}
    covered: set[tuple[Hashable, ...]] = set()
    left = variants
    while True:
        gains = [
            (_weigh(walk.aspects - covered) / walk.cost, -walk.cost, -index)
            for index, walk in enumerate(walks)
            if index not in chosen and len(walk.variants) <= min(left, _MOST)
        ]
        gain, _, place = max(gains, default=(0.0, 0, 0))
        if not gains or (not gain and not left):
            return [programs[index] for index in sorted(chosen)]
        chosen.add(-place)
        left -= len(walks[-place].variants)
        covered |= walks[-place].aspects


def _weigh(aspects: set[tuple[Hashable, ...]]) -> int:
    """Add up the worth of aspects; there is no end of the values of an option, and one more is worth a fourth."""
    return sum(1 if kind == "value" else 4 for kind, *_ in aspects)


def _group(group: Group, options: Options) -> tuple[tuple[str, ...], dict[str, object]]:
    given = {**options, **group.options}
    return group.params, {name: plain_number(value) for name, value in given.items()}
