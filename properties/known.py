"""Lists of known deviations, with reasons and witnesses, checked both ways.

TOML, one ``[[known]]`` table an entry: ``id``, ``clause``, ``subject`` (a pattern as in a shell, or several separated by
``|``), ``versions`` (a table of package name to version range), ``when`` (conditions on the deviation: ``kind``, ``role``,
``formats``, ``message``, ``call``, and ``options`` that its program must set, each, or one of those separated by ``|``),
``amendment`` (the accepted difference from the specification: what it explains is known, and nothing else that peeling tells
from it), ``reason``, ``link``, ``witness`` (a stored program, beside the list), ``inheritable`` (what is built on the subject does it
in other programs as well, because it depends on the last bit), ``expires`` (a date, the last day on which the entry counts,
in UTC). An entry whose witness no longer deviates, or that names no clause, is stale, and so is one that has expired.
``where`` says on which ``device`` and ``platform`` it holds (patterns as in a shell): elsewhere it does not apply, and is never
stale. ``varies`` is such a table as well: there the entry counts, and is never stale, because what is found depends on timing.

``tested``, a table of package name to versions beside the entries, names the versions on which the list was seen to hold
(``"2.13"`` is each 2.13.x). On any other version that an entry names it counts as well, is "untested here", and is never stale.
See ``docs/how-to/known-deviation.md``.
"""

from __future__ import annotations

import fnmatch
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from rmspec.impl.arithmetic.amendments import Amendment, BadAmendment, parse_amendment
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.errors import nearest
from rmspec.impl.spec.clauses import UnknownClause, clause
from rmspec.impl.spec.switches import UnknownPosition
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.framework import Framework
from rmspec.oracles.names import parse_name
from rmspec.oracles.program.changes import option_tables
from rmspec.oracles.program.program import Program, op, parse
from rmspec.oracles.reading import is_file, parse_toml, read_text
from rmspec.oracles.registry import frameworks
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Kind

__all__ = [
    "BadKnownList",
    "Known",
    "Locality",
    "absence",
    "applies",
    "expired",
    "matches",
    "placed",
    "read_known",
    "shipped",
    "speaks_of",
]

_KEYS: dict[str, tuple[type, str, str]] = {
    **dict.fromkeys(("id", "clause", "subject", "reason", "link", "witness"), (str, "a string", '"..."')),
    **dict.fromkeys(("versions", "when"), (dict, "a table", "{ name = value }")),
    **dict.fromkeys(("where", "varies"), (dict, "a table", '{ device = "cpu" }')),
    "amendment": (dict, "a table", '{ eps_place = "inside" }'),
    "inheritable": (bool, "true or false", "true"),
    "expires": (date, "a date", "2027-01-31"),
}
"""The keys of an entry, each with the type of its value, the type in words, and an example."""

_CHOICES: dict[str, tuple[str, ...]] = {"kind": get_args(Kind), "formats": tuple(FORMATS), "options": OPTIONS}


@dataclass(frozen=True, slots=True)
class Locality:
    """The place of a check: the kind of ``device``, and the operating system and processor as the ``platform``."""

    device: str = "cpu"
    platform: str = f"{platform.system()} {platform.machine()}"

    def within(self, table: Mapping[str, str]) -> bool:
        """Whether a table of patterns names these surroundings."""
        return all(
            any(fnmatch.fnmatchcase(getattr(self, key), pattern) for pattern in _alternatives(patterns))
            for key, patterns in table.items()
        )


class BadKnownList(InputProblem):
    """A list of known deviations cannot be read."""


@dataclass(frozen=True, slots=True)
class Known:
    """One known deviation. ``when`` holds conditions on the deviation, ``witness`` a program for it, ``amendment`` its cause.

    ``tested`` are the versions on which it was seen, by package; ``untested`` names the version here that is none of them.
    ``where`` it holds, and where it ``varies``, are patterns of ``Locality``.
    """

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
    expires: date | None = None
    tested: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    untested: str = ""
    amendment: Amendment | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    varies: Mapping[str, str] = field(default_factory=dict)

    @property
    def matches_no_clause(self) -> bool:
        """Whether its clause does not exist."""
        try:
            clause(self.clause)
        except UnknownClause:
            return True
        return False


@cache
def shipped() -> tuple[Known, ...]:
    """Read the lists of the registered frameworks, in the order of their names."""
    return tuple(
        entry for framework in sorted(frameworks(), key=lambda framework: framework.name) for entry in _of(framework)
    )


def _of(framework: Framework) -> Iterable[Known]:
    folder = files(framework.package) / "known_deviations"
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir(), key=lambda item: item.name):
        if file.name.endswith(".toml"):
            yield from _entries(file.read_text("utf-8"), file.name, lambda name: (folder / name).read_text("utf-8"))


def read_known(path: Path) -> tuple[Known, ...]:
    """Read the list in a file. Raises ``BadKnownList`` with the entry and the key at fault."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise BadKnownList(
            f"there is no list of known deviations {path}",
            "without it every deviation that it names would count as new",
            "name a list that is there; rmspec known add makes one",
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else _not_text(error)
        raise BadKnownList(
            f"cannot read the list of known deviations {path}: {reason}",
            "without it every deviation that it names would count as new",
            "name a file of [[known]] tables, as rmspec known add makes it",
        ) from None
    return tuple(_entries(text, str(path), lambda name: _regular(path.parent / name)))


def _regular(path: Path) -> str:
    """The text of a file named in a list; a pipe counts as none, since it may never end."""
    if not is_file(path):
        raise FileNotFoundError(path)
    return read_text(path)


def _not_text(error: ValueError) -> str:
    return "it is not text" if isinstance(error, UnicodeDecodeError) else str(error)


def speaks_of(entry: Known, subject: str) -> bool:
    """Whether an entry speaks of this subject, at some version; one without an execution path speaks of every path."""
    names = (subject, parse_name(subject).base)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names for pattern in _alternatives(entry.subject))


def absence(entry: Known, versions: Mapping[str, str], locality: Locality) -> str:
    """Say why an entry does not apply here; empty if it does. It speaks of the subject already."""
    for package, span in entry.versions.items():
        if package in versions and not _within(versions[package], span):
            return f"it holds with {package} {span}, and this is {versions[package]}"
    for key, patterns in entry.where.items():
        if not locality.within({key: patterns}):
            return f"it holds with {key} {patterns}, and this is {getattr(locality, key)}"
    return ""


def applies(entry: Known, subject: str, versions: Mapping[str, str], locality: Locality | None = None) -> bool:
    """Whether an entry speaks of this subject at these versions, in this ``locality`` if it is known."""
    if not speaks_of(entry, subject) or (locality is not None and not locality.within(entry.where)):
        return False
    return all(package in versions and _within(versions[package], span) for package, span in entry.versions.items())


def _within(version: str, span: str) -> bool:
    try:
        return Version(version.split("+")[0]) in SpecifierSet(span, prereleases=True)
    except InvalidVersion:
        return False


def placed(entry: Known, versions: Mapping[str, str]) -> Known:
    """Mark an entry as untested here if these versions are not among its tested ones."""
    for package, tested in entry.tested.items():
        version = versions.get(package, "")
        if package not in entry.versions or any(f"{version}.".startswith(f"{prefix}.") for prefix in tested):
            continue
        note = f"untested here: it was seen with {package} {' and '.join(tested)}, and this is {version}"
        return replace(entry, untested=f"{package} {version}", reason=f"{entry.reason.rstrip('.')} ({note}).")
    return entry


def expired(entry: Known, today: date | None = None) -> bool:
    """Tell whether an entry's last day is over; ``today`` is the date in UTC, everywhere the same."""
    return entry.expires is not None and entry.expires < (today or datetime.now(UTC).date())


def matches(entry: Known, deviation: Deviation) -> bool:
    """Tell whether an entry names this deviation; ``applies`` comes first.

    An entry with an amendment names what that amendment explains, or the same change in fewer places. Without an explanation
    its clause and conditions decide, unless the deviation was found given an amendment: it has another cause then.
    """
    if entry.amendment is not None:
        if deviation.amendment:
            return entry.amendment.covers(parse_amendment(deviation.amendment, deviation.clause))
        if deviation.given:
            return False
    return entry.clause == deviation.clause and all(
        _HOLDS[condition](_listed(value), deviation) for condition, value in entry.when.items()
    )


_HOLDS: dict[str, Callable[[list[Any], Deviation], bool]] = {
    "kind": lambda values, deviation: deviation.kind in values,
    "role": lambda values, deviation: deviation.role in values,
    "message": lambda values, deviation: any(str(value) in deviation.summary for value in values),
    "formats": lambda values, deviation: _formats(deviation) <= set(values),
    "options": lambda values, deviation: all(
        _options(deviation.program).intersection(_alternatives(value)) for value in values
    ),
    "call": lambda values, deviation: op(deviation.program.calls[deviation.call]) in values,
}
"""The conditions of ``when``, each with its test of a list of values."""


def _formats(deviation: Deviation) -> set[str]:
    """The format of the deviating parameter; without one, those of all parameters."""
    formats = {param.name: param.dtype for param in deviation.program.params}
    return {formats[deviation.param]} if deviation.param in formats else set(formats.values())


def _options(program: Program) -> set[str]:
    """List the options of a program with a value other than 0 or False."""
    tables = (table for call in program.calls for table in option_tables(call))
    return {name for table in tables for name, value in table.items() if value}


def _alternatives(pattern: str) -> list[str]:
    return [name.strip() for name in pattern.split("|")]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _entries(text: str, where: str, read: Callable[[str], str]) -> Iterable[Known]:
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise BadKnownList(f"{where} is not TOML: {error}", hint="mend the file") from None
    tables = data.get("known", [])
    if set(data) - {"known", "tested"} or not isinstance(tables, list):
        raise BadKnownList(
            f"{where} must hold [[known]] tables and nothing else", hint="rmspec known add writes such a list"
        )
    tested = _tested(where, data.get("tested", {}))
    ids: set[str] = set()
    for number, table in enumerate(tables, 1):
        if not isinstance(table, dict):
            raise BadKnownList(f"{where}, entry {number} is not a table", hint="write each entry under [[known]]")
        name = f"{where}, entry {table.get('id', number)}"
        _check_keys(name, table)
        _check_values(name, table)
        if table["id"] in ids:
            raise BadKnownList(
                f"{where} has two entries with the id {table['id']!r}",
                "a report could not say which of them counts",
                "give each its own id",
            )
        ids.add(table["id"])
        witness = _witness(name, table["witness"], read) if "witness" in table else None
        amendment = _amendment(name, table["amendment"], table["clause"]) if "amendment" in table else None
        yield Known(**{**table, "witness": witness, "amendment": amendment}, origin=where, tested=tested)


def _check_keys(name: str, table: Mapping[str, Any]) -> None:
    """Refuse an entry with a key or a condition unknown or missing, or with a value of another type."""
    unknown = sorted(set(table) - set(_KEYS))
    lacking = sorted({"id", "clause", "subject", "reason"} - set(table))
    if unknown or lacking:
        fault = f"unknown key {unknown[0]!r}{nearest(unknown[0], _KEYS)}" if unknown else f"no {lacking[0]!r}"
        raise BadKnownList(f"{name}: {fault}", hint=f"the keys are {', '.join(sorted(_KEYS))}")
    if isinstance(table.get("expires"), datetime) or not isinstance(table.get("expires", date.max), date):
        raise BadKnownList(
            f"{name}: expires = {table['expires']!r} is not a date",
            "the entry would never expire",
            "write the last day on which it counts, without quotes, as in expires = 2027-01-31",
        )
    for key, (kind, text, example) in _KEYS.items():
        if key in table and not isinstance(table[key], kind):
            raise BadKnownList(f"{name}: {key} is not {text}", hint=f"write {key} = {example}")
    places = [field.name for field in fields(Locality)]
    for key, choices in (("when", sorted(_HOLDS)), ("where", places), ("varies", places)):
        odd = sorted(set(table.get(key, {})) - set(choices))
        if odd:
            raise BadKnownList(
                f"{name}: unknown condition {odd[0]!r}{nearest(odd[0], choices)}",
                hint=f"choose from {', '.join(choices)}",
            )
    for key in ("where", "varies"):
        for place, pattern in table.get(key, {}).items():
            if not isinstance(pattern, str):
                raise BadKnownList(
                    f"{name}: {key}.{place} is not a string", hint=f'write {key} = {{ {place} = "..." }}'
                )


def _witness(name: str, file: str, read: Callable[[str], str]) -> Program:
    try:
        return parse(read(file), where=file)
    except OSError:
        raise BadKnownList(f"{name}: there is no witness {file}", hint="give a stored program") from None
    except ValueError as error:
        raise BadKnownList(
            f"{name}: the witness {file} cannot be read: {_not_text(error)}", hint="give a stored program"
        ) from None
    except MalformedProgram as error:
        raise BadKnownList(f"{name}: {error}") from None


def _amendment(name: str, table: Mapping[str, object], clause: str) -> Amendment:
    try:
        return parse_amendment(table, clause)
    except (BadAmendment, UnknownPosition) as error:
        raise BadKnownList(
            f"{name}: amendment: {error.what}", "it would never explain the deviation", error.hint
        ) from None


def _tested(where: str, table: Any) -> Mapping[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        raise BadKnownList(f"{where}: tested is not a table", hint='write tested = { torch = ["2.13"] }')
    for package, versions in table.items():
        if not isinstance(versions, list) or not versions or not all(isinstance(version, str) for version in versions):
            raise BadKnownList(
                f"{where}: tested.{package} is no list of versions", hint=f'write tested = {{ {package} = ["2.13"] }}'
            )
    return {package: tuple(versions) for package, versions in table.items()}


def _check_values(name: str, table: Mapping[str, Any]) -> None:
    for span in table.get("versions", {}).values():
        try:
            SpecifierSet(str(span))
        except InvalidSpecifier:
            raise BadKnownList(f"{name}: {span!r} is not a version range", hint="write one as '>=2.6,<2.14'") from None
    for condition, choices in _CHOICES.items():
        listed = _listed(table.get("when", {}).get(condition, []))
        if condition == "options":
            listed = [option for value in listed for option in _alternatives(str(value))]
        for value in listed:
            if value not in choices:
                raise BadKnownList(
                    f"{name}: unknown value {value!r} of {condition}{nearest(str(value), choices)}",
                    "no deviation would ever match it",
                    f"choose from {', '.join(choices)}",
                )
