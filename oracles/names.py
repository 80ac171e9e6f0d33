"""The names of subjects, taken apart: a place, an attribute in it, and an execution path.

``torch:foreach`` is registered whole. ``path/to/file.py:Attr`` and ``package.module:Attr`` are a user's own, with the path after
another colon where there is one: ``file.py:Attr:foreach`` calls ``Attr`` with ``foreach=True``, ``file.py:Attr:no_foreach`` with
``foreach=False``.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from rmspec.impl.spec.dialect import Dialect
from rmspec.impl.spec.switches import SWITCHES, Switch, set_switches
from rmspec.oracles.dialects import dialects
from rmspec.oracles.registry import frameworks, registered_names

__all__ = ["SubjectName", "dialect_of_path", "parse_name", "path_keywords", "path_setting"]

_OFF = "no_"


@dataclass(frozen=True, slots=True)
class SubjectName:
    """The parts of a name: ``place`` is a file or a module, empty for a registered name or a process.

    ``attribute`` is the class or factory there, ``path`` its execution path, empty for the one that its defaults take.
    """

    place: str
    attribute: str
    path: str = ""

    @property
    def file(self) -> bool:
        """Whether the place is a file."""
        return self.place.endswith(".py")

    @property
    def base(self) -> str:
        """The name without its path."""
        return f"{self.place}:{self.attribute}" if self.place else self.attribute

    @property
    def writable(self) -> bool:
        """Whether it is Python: a registered name, or the name of an attribute, in a file or in a module."""
        if not self.place:
            return True
        words = [*self.attribute.split("."), *(() if self.file else self.place.split("."))]
        return all(word.isidentifier() and not keyword.iskeyword(word) for word in words)

    def placed(self, place: str) -> str:
        """The whole name with another place."""
        return str(replace(self, place=place))

    def __str__(self) -> str:
        return self.base + (f":{self.path}" if self.path else "")


def parse_name(name: str) -> SubjectName:
    """Take a name apart.

    Where the last part is no path, all before it is the place, and cannot be loaded.
    """
    if name in registered_names() or name.startswith("process:") or ":" not in name:
        return SubjectName("", name)
    place, _, last = name.rpartition(":")
    first, _, attribute = place.rpartition(":")
    if first and attribute and path_setting(last) is not None:
        return SubjectName(first, attribute, last)
    return SubjectName(place, last)


@cache
def path_keywords() -> Mapping[str, Switch | None]:
    """The keyword arguments for paths: those of the dialect's switches, and of the frameworks' execution paths."""
    spoken = {row.keyword: row for row in SWITCHES.values() if row.keyword and _is_flag(row)}
    executed = {keyword for framework in frameworks() for keyword in framework.switches}
    return {**dict.fromkeys(sorted(executed)), **spoken}


def path_setting(path: str) -> tuple[str, bool] | None:
    """The keyword argument of a path and its value; ``None`` for another name."""
    keyword = path.removeprefix(_OFF)
    return (keyword, keyword == path) if keyword in path_keywords() else None


def dialect_of_path(dialect: Dialect, path: str) -> Dialect:
    """The dialect of an optimizer of this ``dialect`` on a path."""
    setting = path_setting(path)
    row = None if setting is None else path_keywords()[setting[0]]
    if setting is None or row is None:
        return dialect
    position = row.position_of(setting[1])
    if row.value(dialect) == position:
        return dialect
    switched = set_switches(dialect, {row.name: row.spell(position)})
    for named in dialects().values():
        if replace(switched, name=named.name, title=named.title) == named:
            return named
    spelled = str(row.spell(position)).lower() if isinstance(position, bool) else row.spell(position)
    title = f"{dialect.title}; {row.position(position).words}"
    return replace(switched, name=f"{dialect.name},{row.name}={spelled}", title=title)


def _is_flag(row: Switch) -> bool:
    return {False, True} <= {row.keyword_value(position.value) for position in row.positions}
