"""``rmspec subjects``: list the registered subjects."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from rmspec.impl.errors import RmspecError
from rmspec.oracles.framework import Framework
from rmspec.oracles.registry import frameworks, registered_names
from rmspec.properties.events import Evidence
from rmspec.reports.problems import choose
from rmspec.reports.terminal.failure_block import WIDTH, wrapped
from rmspec.reports.text import evidence_lines

__all__ = ["subjects"]


def subjects(*, as_json: bool = False, names: Collection[str] = (), measure: bool = False) -> str:
    """The registered subjects, and whether the framework of each is installed; nothing is imported for it.

    ``names`` are the ones listed, all where there are none. With ``measure`` the elementary operations of each are measured, in a
    process of its own. Raises ``BadOption`` for an unknown name.
    """
    for name in names:
        choose("subject", name, registered_names())
    listed = [
        (framework, [name for name in framework.subjects if not names or name in names]) for framework in frameworks()
    ]
    if as_json:
        rows = [_row(framework, name, measure) for framework, chosen in listed for name in chosen]
        return json.dumps({"subjects": rows}, indent=1)
    lines: list[str] = []
    for framework, chosen in listed:
        if names and not chosen:
            continue
        installed = _installed(framework.requires)
        state = "installed" if installed else f"not installed; {framework.install}"
        lines += [f"{framework.name} ({state})"]
        width = max(map(len, chosen), default=0) + 2
        for name in chosen:
            texts = [framework.subjects[name].title]
            if measure and installed:
                texts += evidence_lines(_accuracies(name)) or ["its elementary operations cannot be measured"]
            first, *rest = (line for text in texts for line in wrapped(text, width=WIDTH - width - 2))
            lines += [f"  {name.ljust(width)}{first}", *(f"  {' ' * width}{line}" for line in rest)]
        lines.append("")
    lines += ["Your own: path/to/file.py:Class, package.module:Class."]
    return "\n".join(lines)


def _row(framework: Framework, name: str, measure: bool) -> dict[str, Any]:
    installed = _installed(framework.requires)
    measured = _accuracies(name) if measure and installed else None
    return {
        "name": name,
        "title": framework.subjects[name].title,
        "framework": framework.name,
        "installed": installed,
        "install": framework.install,
        **({} if measured is None else {"operations": [asdict(operation) for operation in measured.operations]}),
    }


def _accuracies(name: str) -> Evidence | None:
    """Measure the elementary operations of a subject; ``None`` if it cannot run here."""
    from rmspec.properties.check import operation_accuracies

    try:
        return operation_accuracies(name)
    except RmspecError:
        return None


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
