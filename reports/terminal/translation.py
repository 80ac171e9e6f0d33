"""A translation as a person reads it and as JSON, schema ``rmspec.translation/1`` (``schemas/translation-1.json``)."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from rmspec.impl.translation.lines import Line
from rmspec.impl.translation.translate import Translation
from rmspec.oracles.checkpoints.arrays import options_of
from rmspec.reports.documents import as_data, json_text, select_keys
from rmspec.reports.terminal.failure_block import WIDTH, count, wrapped

__all__ = ["SCHEMA", "Told", "as_json", "as_text"]

SCHEMA = "rmspec.translation/1"


@dataclass(frozen=True, slots=True)
class Told:
    """A translation, its input file, its output file, and the Python to load the output."""

    translation: Translation
    read: str | None
    written: str | None
    loading: str


def as_json(told: Told) -> str:
    """The report as the text of a JSON document."""
    translation = told.translation
    table = {
        "schema": SCHEMA,
        "source": translation.source,
        "target": translation.target,
        "exact": translation.exact,
        "read": told.read,
        "written": told.written,
        "loading": told.loading,
        "groups": [
            {
                "call": text,
                "options": options_of(group.dialect, group.hyper),
                "parameters": len(group.params),
                "lines": [
                    select_keys("translation-1", "line", {**as_data(line), "what": line.quantity})
                    for line in translation.lines
                    if line.group == index
                ],
            }
            for index, (group, text) in enumerate(zip(translation.saved.groups, translation.calls(), strict=True))
        ],
    }
    return json_text(table)


def as_text(told: Told) -> str:
    """Format the report for a terminal, at most 80 columns wide if words allow it."""
    translation = told.translation
    kinds = {line.kind for line in translation.lines}
    worst = next(kind for kind in ("bounded", "rounded", "exact") if kind in kinds or kind == "exact")
    heading = f"{translation.source} -> {translation.target}: {_VERDICTS[worst]}"
    lines = wrapped(heading, hang=2)
    for index, text in enumerate(translation.calls()):
        group = translation.saved.groups[index]
        if len(translation.saved.groups) > 1:
            lines += ["", f"group {index}, {count(len(group.params), 'parameter')}"]
        elif group.params:
            lines += [f"  {count(len(group.params), 'parameter')} from {told.read}"]
        lines += ["", *_table([line for line in translation.lines if line.group == index], translation)]
        lines += ["", "  construct it with:", *wrapped(text, indent=4, hang=8)]
    if told.written:
        lines += ["", *wrapped(f"written to {told.written}; load it with:", indent=2, hang=4)]
        # Not wrapped: a statement or a file name that is broken cannot be pasted.
        lines += [f"    {line}" for line in told.loading.splitlines()]
    return "\n".join(lines)


_VERDICTS = {
    "exact": "exact",
    "rounded": "exact but for rounding",
    "bounded": "not exact; the difference is bounded",
}


def _table(lines: list[Line], translation: Translation) -> list[str]:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), width=WIDTH)
    table.add_column("what", no_wrap=True)
    table.add_column("how", no_wrap=True)
    table.add_column(f"{translation.source} -> {translation.target}", overflow="fold")
    for line in lines:
        table.add_row(line.quantity, *_how(line), end_section=False)
    out = io.StringIO()
    Console(file=out, width=WIDTH, color_system=None, markup=False, highlight=False, emoji=False).print(table)
    return [text.rstrip() for text in out.getvalue().splitlines()]


def _how(line: Line) -> tuple[str, str]:
    how: str = line.kind
    if line.kind != "exact":
        how = f"{line.kind}, {line.bound:.2g}" if line.absolute else f"{line.kind}, {_percent(line.bound)}"
    change = line.source if line.source == line.target else f"{line.source} -> {line.target}"
    parts = [change]
    if line.inexact:
        parts.append(f"{line.inexact:,} of {count(line.elements, 'number')} not exact")
    elif line.elements:
        parts.append(count(line.elements, "number"))
    parts += [part for part in (line.note, f"if {line.condition}" if line.condition else "") if part]
    return how, "; ".join(parts)


def _percent(bound: float) -> str:
    return f"{100 * bound:.3g} %" if bound >= 1e-5 else f"{bound:.2g}"
