"""The product's modules and what each of them imports, read from the source and executed nowhere."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
FLOORS = ("impl", "oracles", "properties", "reports")
FRAMEWORKS = {path.parent.name for path in ROOT.glob("oracles/*/descriptor.py")} - {"numpy"} | {
    "jax",
    "jaxlib",
    "tf_keras",
}
"""The folders of frameworks, and what those bring along; NumPy is there without any."""

IMPL_MAY_IMPORT = {"array_api_compat", "ml_dtypes", "numpy", "rmspec"} | sys.stdlib_module_names
MODULES = sorted(path.relative_to(ROOT) for floor in FLOORS for path in (ROOT / floor).rglob("*.py"))


class Import(NamedTuple):
    """One imported name, and whether importing the module that says so executes it."""

    name: str
    line: int
    at_module_level: bool


def is_type_checking(test: ast.expr) -> bool:
    """Tell whether a condition holds for type checkers alone."""
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imports_of(source: str, package: str) -> list[Import]:
    """List every import of a module of `package`, relative ones resolved, in functions and for types alike."""

    def walk(node: ast.AST, at_module_level: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, at_module_level)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno, at_module_level)
        elif isinstance(node, ast.If) and is_type_checking(node.test):
            for child in node.body:
                yield from walk(child, False)
            for child in node.orelse:
                yield from walk(child, at_module_level)
        else:
            inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from walk(child, at_module_level and not inside)

    return list(walk(ast.parse(source), True))


def package_of(path: Path) -> str:
    """Name the package that a module (path from the root) belongs to."""
    return ".".join(["rmspec", *path.parts[:-1]])
