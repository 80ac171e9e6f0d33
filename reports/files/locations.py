"""The place of a subject in the project: a file and a line, for the findings on a code host.

Nothing is imported for it. What is no file of the project (a registered subject, an installed module, a process) is
shown at the project's ``pyproject.toml``: code hosts refuse a finding without a place.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rmspec.oracles.names import parse_name
from rmspec.oracles.reading import is_file

__all__ = ["Place", "place", "project_root"]

FALLBACK = "pyproject.toml"


@dataclass(frozen=True, slots=True)
class Place:
    """A file, named with forward slashes from the root of the project, and a line of it, from 1 on."""

    file: str
    line: int = 1


def project_root(folder: Path) -> Path:
    """Find the root of paths: the checkout around ``folder``, if a CI names one, else ``folder``."""
    folder = folder.resolve()
    named = os.environ.get("GITHUB_WORKSPACE") or os.environ.get("CI_PROJECT_DIR")
    if named and folder.is_relative_to(Path(named).resolve()):
        return Path(named).resolve()
    return folder


def place(name: str, folder: Path) -> Place:
    """The place of the subject ``name`` of a run in ``folder``."""
    parts = parse_name(name)
    module, attribute = parts.place, parts.attribute
    root = project_root(folder)
    for file in _files(module, folder):
        if not is_file(file):
            continue
        resolved = file.resolve()
        if resolved.is_relative_to(root):
            return Place(resolved.relative_to(root).as_posix(), _line(resolved, attribute))
    return Place(FALLBACK)


def _files(module: str, folder: Path) -> Iterator[Path]:
    if not module:
        return
    if module.endswith(".py"):
        yield folder / module
        return
    parts = module.split(".")
    if all(part.isidentifier() for part in parts):
        for base in (folder, folder / "src"):
            yield base.joinpath(*parts).with_suffix(".py")
            yield base.joinpath(*parts, "__init__.py")


def _line(file: Path, attribute: str) -> int:
    """Find the line of a name's definition, import or assignment in a module; 1 if unknown."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 1
    first = attribute.partition(".")[0]
    for node in tree.body:
        if first in _defined(node):
            return node.lineno
    return 1


def _defined(node: ast.stmt) -> set[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {alias.asname or alias.name for alias in names}
        case ast.Assign(targets=targets):
            return {target.id for target in targets if isinstance(target, ast.Name)}
        case ast.AnnAssign(target=ast.Name(id=name)):
            return {name}
        case _:
            return set()
