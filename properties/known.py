"""Known deviations: a list that names them, each with a reason and a witness, checked both ways.

TOML, one ``[[known]]`` table an entry: ``id``, ``clause``, ``subject`` (a pattern as in a shell, or several separated by
``|``), ``versions`` (a table of package name to version range), ``when`` (conditions on the deviation: ``kind``, ``role``,
``formats``, ``message``, ``call``, and ``options`` that its program must set),
``reason``, ``link``, ``witness`` (a stored program, beside the list), ``inheritable`` (what is built on the subject does it
in other programs as well, because it depends on the last bit). An entry whose witness no longer deviates, or that
names no clause, is stale. Source: DESIGN 4.5.
"""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from rmspec.impl.clauses import UnknownClause, clause
from rmspec.impl.errors import RmspecError
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.program import AddParamGroup, Create, Program, SetOption, op, parse
from rmspec.properties.events import Deviation

__all__ = ["BadKnownList", "Known", "applies", "matches", "read_known", "shipped"]

_KEYS = {"id", "clause", "subject", "versions", "when", "reason", "link", "witness", "inheritable"}
_CONDITIONS = {"kind", "role", "formats", "message", "call", "options"}


class BadKnownList(InputProblem):
    """A list of known deviations that cannot be read."""


class StaleClause(RmspecError):
    """An entry that names a clause that there is not."""


@dataclass(frozen=True, slots=True)
class Known:
    """One known deviation. ``when`` maps conditions to what the deviation must have; ``witness`` is a program that shows it."""

    id: str
    clause: str
    subject: str
    reason: str
    versions: Mapping[str, str] = field(default_factory=dict)
    when: Mapping[str, Any] = field(default_factory=dict)
    link: str = ""
    witness: Program | None = None
    origin: str = ""
    inheritable: bool = False

    @property
    def matches_no_clause(self) -> bool:
        """Whether its clause does not exist."""
        try:
            clause(self.clause)
        except UnknownClause:
            return True
        return False


def shipped() -> tuple[Known, ...]:
    """The list that rmspec ships for the subjects that it registers."""
    folder = files("rmspec.properties") / "known_deviations"
    found: list[Known] = []
    for each in sorted(folder.iterdir(), key=lambda item: item.name):
        if each.name.endswith(".toml"):
            text = each.read_text("utf-8")
            found += _entries(text, each.name, lambda name: (folder / name).read_text("utf-8"))
    return tuple(found)


def read_known(path: Path) -> tuple[Known, ...]:
    """The list in a file. Raises ``BadKnownList``, which names the entry and the key that is wrong."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadKnownList(f"cannot read the list of known deviations {path}: {error}", hint="check --known") from None
    return tuple(_entries(text, str(path), lambda name: (path.parent / name).read_text("utf-8")))


def applies(entry: Known, subject: str, versions: Mapping[str, str]) -> bool:
    """Whether an entry speaks of this subject at these versions."""
    if not any(fnmatch.fnmatchcase(subject, pattern.strip()) for pattern in entry.subject.split("|")):
        return False
    for package, wanted in entry.versions.items():
        try:
            if package not in versions or Version(versions[package].split("+")[0]) not in SpecifierSet(
                wanted, prereleases=True
            ):
                return False
        except InvalidVersion:
            return False
    return True


def matches(entry: Known, deviation: Deviation) -> bool:
    """Whether an entry that applies names this deviation."""
    if entry.clause != deviation.clause:
        return False
    for condition, wanted in entry.when.items():
        if condition == "kind" and deviation.kind != wanted:
            return False
        if condition == "role" and deviation.role not in _listed(wanted):
            return False
        if condition == "message" and str(wanted) not in deviation.summary:
            return False
        if condition == "formats" and not {param.dtype for param in deviation.program.params} <= set(_listed(wanted)):
            return False
        if condition == "options" and not set(_listed(wanted)) <= _options(deviation.program):
            return False
        if condition == "call" and op(deviation.program.calls[deviation.call]) not in _listed(wanted):
            return False
    return True


def _options(program: Program) -> set[str]:
    """The options that a program gives a value other than 0 or False."""
    found: set[str] = set()
    for call in program.calls:
        tables: list[Mapping[str, Any]] = []
        if isinstance(call, Create):
            tables = [call.options, *(group.options for group in call.groups)]
        elif isinstance(call, AddParamGroup):
            tables = [call.group.options]
        elif isinstance(call, SetOption):
            tables = [call.options]
        found |= {name for table in tables for name, value in table.items() if value}
    return found


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _entries(text: str, where: str, read: Any) -> Iterable[Known]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadKnownList(f"{where} is not TOML: {error}", hint="mend the file") from None
    tables = data.get("known", [])
    if set(data) - {"known"} or not isinstance(tables, list):
        raise BadKnownList(
            f"{where} must hold [[known]] tables and nothing else", hint="see the README, known deviations"
        )
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            raise BadKnownList(f"{where}, entry {number} is not a table", hint="write each entry under [[known]]")
        for key in ("versions", "when"):
            if not isinstance(table.get(key, {}), dict):
                raise BadKnownList(
                    f"{where}, entry {number}: {key} is not a table", hint=f"write {key} = {{ name = value }}"
                )
        name = f"{where}, entry {table.get('id', number)}"
        unknown = set(table) - _KEYS
        lacking = {"id", "clause", "subject", "reason"} - set(table)
        if unknown or lacking:
            what = f"unknown key {sorted(unknown)[0]!r}" if unknown else f"no {sorted(lacking)[0]!r}"
            raise BadKnownList(f"{name}: {what}", hint=f"the keys are {', '.join(sorted(_KEYS))}")
        odd = set(table.get("when", {})) - _CONDITIONS
        if odd:
            raise BadKnownList(
                f"{name}: unknown condition {sorted(odd)[0]!r}", hint=f"choose from {', '.join(sorted(_CONDITIONS))}"
            )
        for wanted in table.get("versions", {}).values():
            try:
                SpecifierSet(str(wanted))
            except InvalidSpecifier:
                raise BadKnownList(
                    f"{name}: {wanted!r} is not a version range", hint="write one as '>=2.6,<2.14'"
                ) from None
        witness = None
        if "witness" in table:
            try:
                witness = parse(read(table["witness"]), where=str(table["witness"]))
            except OSError:
                raise BadKnownList(
                    f"{name}: there is no witness {table['witness']}", hint="give a stored program"
                ) from None
            except MalformedProgram as error:
                raise BadKnownList(f"{name}: {error}") from None
        yield Known(
            str(table["id"]),
            str(table["clause"]),
            str(table["subject"]),
            str(table["reason"]),
            table.get("versions", {}),
            table.get("when", {}),
            str(table.get("link", "")),
            witness,
            where,
            bool(table.get("inheritable", False)),
        )
