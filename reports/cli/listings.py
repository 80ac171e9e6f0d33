"""``rmspec subjects``: list the registered subjects."""

from __future__ import annotations

import importlib.util
import json

from rmspec.oracles.registry import frameworks
from rmspec.reports.terminal.failure_block import WIDTH, wrapped

__all__ = ["subjects"]


def subjects(*, as_json: bool = False) -> str:
    """The registered subjects, and whether the framework of each is installed; nothing is imported for it."""
    rows = [
        {
            "name": name,
            "title": subject.title,
            "framework": framework.name,
            "installed": _installed(framework.requires),
            "install": framework.install,
        }
        for framework in frameworks()
        for name, subject in framework.subjects.items()
    ]
    if as_json:
        return json.dumps({"subjects": rows}, indent=1)
    lines: list[str] = []
    for framework in frameworks():
        installed = _installed(framework.requires)
        state = "installed" if installed else f"not installed; {framework.install}"
        lines += [f"{framework.name} ({state})"]
        width = max(map(len, framework.subjects), default=0) + 2
        for name, subject in framework.subjects.items():
            first, *rest = wrapped(subject.title, width=WIDTH - width - 2)
            lines += [f"  {name.ljust(width)}{first}", *(f"  {' ' * width}{line}" for line in rest)]
        lines.append("")
    lines += ["Your own: path/to/file.py:Class, package.module:Class."]
    return "\n".join(lines)


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
