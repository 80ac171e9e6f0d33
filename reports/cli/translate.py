"""``rmspec translate`` from the options to the exit code: 0 translated, 2 refused, and then nothing is written."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, cast

from rmspec.impl.spec.dialect import OPTIONS, Dialect
from rmspec.impl.translation.lines import Terms
from rmspec.impl.translation.order import arranged
from rmspec.impl.translation.saved import Saved, SavedGroup
from rmspec.impl.translation.translate import translate as translated
from rmspec.oracles.checkpoints.files import check_ending, checkpoint_bytes, loading, read_checkpoint
from rmspec.oracles.checkpoints.hyperparameters import Given, resolve_options
from rmspec.oracles.dialects import dialect_named, dialects
from rmspec.reports.escapes import say
from rmspec.reports.exit_codes import ExitCode
from rmspec.reports.outputs import check_writable, write, write_bytes
from rmspec.reports.problems import BadOption, choose
from rmspec.reports.terminal.translation import Told, as_json, as_text

__all__ = ["TranslateOptions", "translate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TranslateOptions:
    """The options of ``rmspec translate``; a hyperparameter is ``None`` by default."""

    file: str | None = None
    source: str | None = None
    target: str | None = None
    out: str | None = None
    force: bool = False
    json: str | None = None
    lr: float | None = None
    alpha: float | None = None
    eps: float | None = None
    weight_decay: float | None = None
    momentum: float | None = None
    centered: bool | None = None
    switches: Mapping[str, Any] = field(default_factory=dict)
    defaults: bool = False
    key: str | None = None
    group: int | None = None
    order: str | None = None
    axes: tuple[str, ...] = ()
    steps: int | None = None
    eps_choice: str = "better"
    decay_in_loss: bool = False
    loss_negated: bool = False
    lr_changed: bool = False
    lr_constant_from_now: bool = False
    earlier: tuple[str, ...] = ()


def translate(options: TranslateOptions) -> ExitCode:
    """Translate, write the files and print the report. Raises ``RmspecError`` before anything is written."""
    source, target = _dialects(options)
    _check(options, target)
    given = _given(options)
    saved = _arranged(options, _source(options, source, given))
    terms = Terms(
        lr_changed=options.lr_changed,
        lr_constant_from_now=options.lr_constant_from_now,
        earlier=_earlier(options, source, given),
        eps=cast("Literal['better', 'moved', 'kept']", options.eps_choice),
        decay_in_loss=options.decay_in_loss,
        loss_negated=options.loss_negated,
    )
    result = translated(saved, target, terms)
    report = Told(result, options.file, options.out, loading(options.out, target) if options.out else "")
    if options.out is not None:
        write_bytes(options.out, checkpoint_bytes(options.out, result.saved))
    if options.json is not None:
        write(options.json, as_json(report))
    say(as_text(report), error=options.json == "-")
    return ExitCode.CONFORMS


def _dialects(options: TranslateOptions) -> tuple[Dialect, Dialect]:
    for option, name in (("--from", options.source), ("--to", options.target)):
        if name is None:
            raise BadOption(
                f"{option} is missing",
                "the same numbers mean other things in another dialect",
                "write rmspec translate --from torch --to keras3 saved.pt",
            )
        choose("dialect", name, dialects(), where=option)
    return dialect_named(str(options.source)), dialect_named(str(options.target))


def _check(options: TranslateOptions, target: Dialect) -> None:
    choose("eps choice", options.eps_choice, ["better", "moved", "kept"])
    for name in ("out", "key", "group", "steps", "order", "axes", "earlier"):
        if options.file is None and getattr(options, name) not in (None, ()):
            raise BadOption(
                f"--{name} is for the state in a file, and none is named",
                hint="write rmspec translate --from torch --to keras3 saved.pt",
            )
    if options.force and options.out is None:
        raise BadOption("--force is for --out, and there is none", hint="name the file to write with --out")
    if options.lr_constant_from_now and options.earlier:
        raise BadOption(
            "--lr-constant-from-now and --earlier exclude each other",
            "the one continues as the source would, the other finds the buffer that the target would have had",
            "leave one of them out",
        )
    if options.steps is not None and options.steps < 0:
        raise BadOption(f"--steps {options.steps} is negative", hint="give the number of steps that were made")
    if options.out is not None:
        _check_out(options, options.out, target)
    if options.json is not None:
        check_writable(options.json, "--json")


def _check_out(options: TranslateOptions, out: str, target: Dialect) -> None:
    check_ending(out, target, writes=True)
    check_writable(out, "--out")
    files = {name: Path(path).resolve() for name, path in (("FILE", options.file), ("--json", options.json)) if path}
    for name, path in files.items():
        if path == Path(out).resolve():
            raise BadOption(f"--out {out} is {name} as well", "the one would replace the other", "name another file")
    if os.path.exists(out) and not options.force:
        raise BadOption(
            f"{out} exists", "what is in it would be lost", f"name another file, or say --out {out} --force"
        )


def _given(options: TranslateOptions) -> Given:
    values = {name: getattr(options, name) for name in OPTIONS if getattr(options, name) is not None}
    for name, value in values.items():
        if name != "centered" and not (value >= 0 and math.isfinite(value)):
            raise BadOption(f"--{name.replace('_', '-')} {value!r} is not a number, 0 or larger", hint="correct it")
    return Given(
        options=values,
        switches=options.switches,
        defaults=options.defaults,
        constructs=options.file is None,
        key=options.key,
        group=options.group,
        steps=options.steps,
    )


def _earlier(options: TranslateOptions, source: Dialect, given: Given) -> tuple[Saved, ...]:
    """Read the earlier states. Their differences, the learning rate and the count of steps must be in each file."""
    alike = {name: value for name, value in given.options.items() if name != "lr"}
    changed = replace(given, options=alike, steps=None)
    return tuple(_arranged(options, read_checkpoint(path, source, changed)) for path in options.earlier)


def _arranged(options: TranslateOptions, saved: Saved) -> Saved:
    axes = {}
    for text in options.axes:
        name, colon, numbers = text.rpartition(":")
        if not colon or name in axes:
            raise BadOption(f"--axes {text} names no parameter, or one again", hint="write it as --axes 0:1,0")
        axes[name] = _numbers("--axes", numbers)
    return arranged(saved, order=None if options.order is None else _numbers("--order", options.order), axes=axes)


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise BadOption(f"{option} {text} is not a list of numbers", hint=f"write them as {option} 1,0") from None


def _source(options: TranslateOptions, source: Dialect, given: Given) -> Saved:
    if options.file is not None:
        return read_checkpoint(options.file, source, given)
    dialect, hyper = resolve_options(source, {}, given, where="the command line")
    return Saved((SavedGroup(dialect, hyper),))
