"""The list of faults, read from the source of their modules: listing them imports no framework."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.resources import files
from typing import Any, Literal, TypeVar

Path = Literal["for-loop", "foreach"]
Class = TypeVar("Class", bound=type)

_PATHS: dict[str, Path] = {
    "LoopRMSprop": "for-loop",
    "ForeachRMSprop": "foreach",
    "SwitchedRMSprop": "foreach",
    "DifferentiableRMSprop": "for-loop",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One optimizer, wrong on purpose in one place.

    The class ``attr`` of ``module`` gives ``id``, ``summary`` (its docstring) and ``path`` (its base class); its decorator
    gives the rest, see ``fault``.
    """

    id: str
    summary: str
    module: str
    attr: str
    path: Path
    clauses: tuple[str, ...]
    bug_class: int = 0
    elementwise: bool = True
    inherited: bool = False
    dialect: str = "torch"
    switch: str = ""

    @property
    def subject(self) -> str:
        """The name of the optimizer for ``load`` and ``rmspec check``, on the faulty path."""
        return f"{self.module}:{self.attr}" + (f":{self.switch}" if self.switch else "")

    def optimizer(self) -> type:
        """Import the class; this imports torch."""
        optimizer: type = getattr(import_module(self.module), self.attr)
        return optimizer

    def factory(self) -> Callable[..., Any]:
        """Import the class, to be called on the faulty path; this imports torch."""
        return partial(self.optimizer(), **{self.switch: True}) if self.switch else self.optimizer()


def fault(
    *clauses: str,
    bug_class: int = 0,
    elementwise: bool = True,
    inherited: bool = False,
    dialect: str = "torch",
    switch: str = "",
) -> Callable[[Class], Class]:
    """Mark a class as a fault. ``FAULTS`` reads the arguments from the source, so they must be literals.

    ``clauses`` are the clauses that a correct attribution may name, the expected one first. ``bug_class`` is the number of
    the class of faults that it stands for, or 0 where it is a plain slip in the pseudocode. ``elementwise`` says that one
    parameter of one element shows the fault; ``inherited`` that torch's own optimizer does the same, so that it counts with
    ``--baseline none`` alone; ``dialect`` is the one that the class claims to speak; ``switch`` is the
    argument without which there is no fault: it selects the path.
    """
    return lambda optimizer: optimizer


def read_faults(source: str, module: str) -> Iterator[Fault]:
    """Read the faults of a module from its source.

    Raises ``ValueError`` for a class that cannot be listed.
    """
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            base = ast.unparse(node.bases[0]) if node.bases else ""
            marks = [mark for mark in node.decorator_list if ast.unparse(mark).startswith("fault(")]
            if bool(marks) != (base in _PATHS):
                raise ValueError(
                    f"{module}.{node.name} cannot be listed: "
                    f"a fault has the decorator @fault(...) and derives from {' or '.join(_PATHS)}"
                )
            for mark in marks:
                yield _read(node, mark, module, _PATHS[base])


def _read(node: ast.ClassDef, mark: ast.expr, module: str, path: Path) -> Fault:
    assert isinstance(mark, ast.Call)
    options: dict[str, Any] = {str(option.arg): ast.literal_eval(option.value) for option in mark.keywords}
    return Fault(
        id=re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", node.name).lower(),
        summary=ast.get_docstring(node) or "",
        module=module,
        attr=node.name,
        path=path,
        clauses=tuple(ast.literal_eval(clause) for clause in mark.args),
        **options,
    )


def _list_faults() -> Iterator[Fault]:
    for module in sorted(files(__package__).iterdir(), key=lambda file: file.name):
        name, _, ending = module.name.rpartition(".")
        if ending == "py" and name not in ("__init__", "base", "composed", "listing"):
            yield from read_faults(module.read_text("utf-8"), f"{__package__}.{name}")


FAULTS: tuple[Fault, ...] = tuple(_list_faults())
