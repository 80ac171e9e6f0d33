"""Imports point down only, and no framework is imported before one of its subjects is asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from imports import FLOORS, FRAMEWORKS, IMPL_MAY_IMPORT, MODULES, ROOT, imports_of, package_of


def is_written_for_a_framework(path: Path) -> bool:
    """Tell whether a module (path from the root) is in a framework's folder, or holds faulty subjects of one.

    What describes the framework, or writes scripts on it, is read where the framework may be missing, and is no such module.
    """
    if path.parts[0] != "oracles" or path.stem in ("__init__", "descriptor", "script", "onestep_script"):
        return False
    return len(path.parts) > 2 and path.parts[1] in FRAMEWORKS | {"faults"}


def broken_rules(source: str, path: Path) -> list[str]:
    """List the imports of a module that its floor forbids; `path` counts from the root."""
    floor = path.parts[0]
    allowed = {f"rmspec.{below}" for below in FLOORS[: FLOORS.index(floor) + 1]}
    broken = []
    for name, line, at_module_level in imports_of(source, package_of(path)):
        top = name.partition(".")[0]
        where = f"{path.as_posix()}:{line}: {name}"
        if top == "rmspec" and ".".join(name.split(".")[:2]) not in allowed:
            broken.append(f"{where}: {floor} may import {', '.join(sorted(allowed))} only")
        elif top in FLOORS:
            broken.append(f"{where}: import by the installed name, rmspec.{name}")
        elif floor == "impl" and top not in IMPL_MAY_IMPORT:
            broken.append(f"{where}: impl may import NumPy, ml_dtypes and array-api-compat only")
        elif top in FRAMEWORKS and at_module_level and not is_written_for_a_framework(path):
            broken.append(f"{where}: a framework is imported only when one of its subjects is asked for")
    return broken


def test_every_floor_has_modules() -> None:
    """All four floors are found, so that no rule below holds for want of a module to break it."""
    assert {path.parts[0] for path in MODULES} == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=Path.as_posix)
def test_imports_point_down(path: Path) -> None:
    """A module imports only what its floor may import."""
    assert broken_rules((ROOT / path).read_text(encoding="utf-8"), path) == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("impl/a.py", "import torch"),
        ("impl/a.py", "def f():\n    import torch"),
        ("impl/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor"),
        ("impl/a.py", "import hypothesis"),
        ("impl/a.py", "from rmspec.oracles import Subject"),
        ("impl/a.py", "from rmspec import oracles"),
        ("impl/a.py", "from ..oracles import Subject"),
        ("oracles/a.py", "from rmspec.properties.judge.runner import run"),
        ("oracles/a.py", "import torch"),
        ("oracles/torch/descriptor.py", "import torch"),
        ("oracles/torch/__init__.py", "from torch import Tensor"),
        ("oracles/torch/foreach.py", "from rmspec.properties import check"),
        ("oracles/torch/script.py", "from torch import Tensor"),
        ("oracles/faults/a.py", "from ...properties import check"),
        ("oracles/a.py", "try:\n    import jax.numpy\nexcept ImportError:\n    pass"),
        ("properties/a.py", "import rmspec.reports.cli.main"),
        ("properties/torch_a.py", "import torch"),
        ("properties/a.py", "class A:\n    from tensorflow import keras"),
        ("reports/a.py", "if not TYPE_CHECKING:\n    import torch"),
        ("reports/a.py", "from impl.dialect import Dialect"),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str) -> None:
    """An import that breaks one rule is reported once."""
    assert len(broken_rules(source, Path(path))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("impl/a.py", "import math\nimport numpy as np\nimport ml_dtypes, array_api_compat\nfrom . import dialect"),
        ("oracles/a.py", "def f():\n    import torch"),
        ("oracles/torch/foreach.py", "import torch\nfrom rmspec.impl.spec.dialect import Dialect"),
        ("oracles/faults/a.py", "import torch\nfrom .. import programs\nfrom ...impl import Dialect"),
        ("properties/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch"),
        ("reports/a.py", "import click\nfrom rmspec.properties import check\nfrom rmspec.impl import RMSprop"),
    ],
)
def test_a_permitted_import_is_left_alone(path: str, source: str) -> None:
    """Imports within a floor, downwards, or of a framework where its subject is made are no breach."""
    assert broken_rules(source, Path(path)) == []


def framework_comparisons(source: str) -> list[str]:
    """List the comparisons with the name of a framework, by equality or by membership."""
    compared = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            constants = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
            if constants & FRAMEWORKS:
                compared.append(f"{node.lineno}: {ast.unparse(node)}")
    return compared


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.parts[1] not in FRAMEWORKS | {"faults"}],
    ids=Path.as_posix,
)
def test_no_module_outside_of_its_folder_asks_for_a_framework_by_name(path: Path) -> None:
    """What depends on the framework is a field of its descriptor, so that one of somebody else's can have it, too."""
    assert framework_comparisons((ROOT / path).read_text("utf-8")) == []


@pytest.mark.parametrize("source", ['x == "keras"', 'x in ("torch", "optax")', 'x.split(":")[0] != "tensorflow"'])
def test_a_comparison_with_a_framework_is_found(source: str) -> None:
    """By equality, by membership, and of a part of a name."""
    assert len(framework_comparisons(source)) == 1


@pytest.mark.parametrize("module", ["rmspec.impl", "rmspec.oracles", "rmspec.properties", "rmspec.reports.cli.main"])
def test_importing_a_package_imports_no_framework(module: str) -> None:
    """Importing a package, or the command line, imports no framework, whatever chain of imports it starts."""
    code = f"import sys, {module}; print(*sorted({FRAMEWORKS!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
