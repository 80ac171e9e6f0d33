"""The shape of the house: rooms that import in one direction, folders and modules of a size that a reader can survey."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from imports import MODULES, ROOT, imports_of, package_of

MODULES_IN_A_FOLDER = 16
LINES_IN_A_MODULE = 400

LONG_MODULES = {
    "impl/arithmetic/intervals.py": "one arithmetic, whose operations share their rounding and are proved together",
    "impl/spec/clauses.py": "a table: one row a clause",
    "impl/spec/switches.py": "a table: one row a switch",
    "oracles/program/program.py": "one vocabulary: every call beside its JSON form",
    "oracles/torch/script.py": "one script: every call as a line of torch",
}
"""Modules of more than ``LINES_IN_A_MODULE`` lines, each with the reason."""


def room_of(module: Path) -> str:
    """Name the room of a module (path from the root): its subpackage, or on the floor itself the module alone.

    The ``__init__`` of a floor is a node of its own, since it only names what the rooms export.
    """
    return module.parent.as_posix() if len(module.parts) > 2 else module.with_suffix("").as_posix()


def module_of(name: str, root: Path = ROOT) -> Path | None:
    """Find the module (path from the root) that defines a dotted name of rmspec, or ``None``."""
    parts = name.split(".")[1:]
    for length in range(len(parts), 0, -1):
        for path in (Path(*parts[:length]).with_suffix(".py"), Path(*parts[:length], "__init__.py")):
            if (root / path).is_file():
                return path
    return None


def arrows_of(modules: Iterable[Path], root: Path = ROOT) -> dict[tuple[str, str], list[str]]:
    """List the imports from room to room, those in functions and for types included."""
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in modules:
        for name, line, _ in imports_of((root / path).read_text("utf-8"), package_of(path)):
            target = module_of(name, root) if name.startswith("rmspec.") else None
            if target is not None and room_of(target) != room_of(path):
                arrows[room_of(path), room_of(target)].append(f"{path.as_posix()}:{line}: {name}")
    return arrows


def in_a_circle(arrows: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Choose the arrows from whose head a path leads back to their tail."""
    targets: dict[str, set[str]] = defaultdict(set)
    for tail, head in arrows:
        targets[tail].add(head)

    def reachable(start: str) -> set[str]:
        rooms, waiting = set(), [start]
        while waiting:
            for room in targets[waiting.pop()] - rooms:
                rooms.add(room)
                waiting.append(room)
        return rooms

    onward = {room: reachable(room) for room in list(targets)}
    return {(tail, head) for tail in onward for head in targets[tail] if tail in onward.get(head, ())}


def test_rooms_import_in_no_circle() -> None:
    """From no room do imports lead back to it, not even those inside of functions."""
    arrows = arrows_of(MODULES)
    assert {arrow: arrows[arrow] for arrow in sorted(in_a_circle(arrows))} == {}


@pytest.mark.parametrize(
    ("sources", "circles"),
    [
        ({"impl/a/one.py": "from rmspec.impl.b.two import x", "impl/b/two.py": ""}, 0),
        ({"impl/a/one.py": "from rmspec.impl.b.two import x", "impl/b/two.py": "from rmspec.impl.a import one"}, 2),
        ({"impl/a/one.py": "def f():\n    from ..b import two", "impl/b/two.py": "import rmspec.impl.a.one"}, 2),
        ({"impl/a/one.py": "from rmspec.impl.base import x", "impl/base.py": "from rmspec.impl.a.one import y"}, 2),
        ({"impl/a/one.py": "from rmspec.impl.a.two import x", "impl/a/two.py": "from rmspec.impl.a.one import y"}, 0),
    ],
)
def test_a_circle_is_found(sources: Mapping[str, str], circles: int, tmp_path: Path) -> None:
    """Through a function, a relative import or a module on the floor; within one room there is none."""
    for name, text in sources.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(in_a_circle(arrows_of(map(Path, sources), tmp_path))) == circles


def test_no_folder_holds_more_modules_than_a_reader_surveys() -> None:
    """At most sixteen beside ``__init__`` (and ``__main__``, which is a door and no module to read)."""
    folders: dict[str, list[str]] = defaultdict(list)
    for path in MODULES:
        if path.stem not in ("__init__", "__main__"):
            folders[path.parent.as_posix()].append(path.stem)
    assert {name: modules for name, modules in folders.items() if len(modules) > MODULES_IN_A_FOLDER} == {}


def test_a_long_module_has_a_reason() -> None:
    """A module of more than 400 lines stands in the table with a reason, and the table holds no other."""
    lines = {path.as_posix(): len((ROOT / path).read_text("utf-8").splitlines()) for path in MODULES}
    assert {
        name: count for name, count in lines.items() if count > LINES_IN_A_MODULE and name not in LONG_MODULES
    } == {}
    assert [name for name in LONG_MODULES if lines.get(name, 0) <= LINES_IN_A_MODULE] == []
