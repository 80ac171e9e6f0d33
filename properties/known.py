"""Known deviations: a list that names them, each with a reason and a witness, checked both ways.

TOML, one ``[[known]]`` table an entry: ``id``, ``clause``, ``subject`` (a pattern as in a shell, or several separated by
``|``), ``versions`` (a table of package name to version range), ``when`` (conditions on the deviation: ``kind``, ``role``,
``formats``, ``message``, ``call``, and ``options`` that its program must set, each, or one of those separated by ``|``),
``reason``, ``link``, ``witness`` (a stored program, beside the list), ``inheritable`` (what is built on the subject does it
in other programs as well, because it depends on the last bit), ``expires`` (a date, the last day on which the entry counts,
in UTC). An entry whose witness no longer deviates, or that names no clause, is stale, and so is one that has expired.

``tested``, a table of package name to versions beside the entries, names the versions on which the list was seen to hold
(``"2.13"`` is each 2.13.x). On any other version that an entry names it counts as well, is "untested here", and is never stale.
Source: DESIGN 4.5.
"""

from __future__ import annotations

import difflib
import fnmatch
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.spec.clauses import UnknownClause, clause
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.framework import Framework
from rmspec.oracles.program.program import AddParamGroup, Create, Program, SetOption, op, parse
from rmspec.oracles.registry import frameworks
from rmspec.oracles.subject import OPTIONS
from rmspec.properties.events import Deviation
from rmspec.properties.judge.findings import Kind

__all__ = ["BadKnownList", "Known", "applies", "expired", "matches", "placed", "read_known", "shipped", "speaks_of"]

_KEYS = {"id", "clause", "subject", "versions", "when", "reason", "link", "witness", "inheritable", "expires"}
_CONDITIONS = {"kind", "role", "formats", "message", "call", "options"}
_CHOICES: dict[str, tuple[str, ...]] = {"kind": get_args(Kind), "formats": tuple(FORMATS), "options": OPTIONS}


class BadKnownList(InputProblem):
    """A list of known deviations that cannot be read."""


@dataclass(frozen=True, slots=True)
class Known:
    """One known deviation. ``when`` maps conditions to what the deviation must have; ``witness`` is a program that shows it.

    ``tested`` are the versions on which it was seen, by package; ``untested`` names the version here that is none of them.
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
    """The frameworks' own lists for their registered subjects, in the order of the frameworks' names."""
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
    """The list in a file. Raises ``BadKnownList``, which names the entry and the key that is wrong."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise BadKnownList(
            f"there is no list of known deviations {path}",
            "without it every deviation that it names would count as new",
            "name a list that is there; rmspec known add makes one",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadKnownList(
            f"cannot read the list of known deviations {path}: {reason}",
            "without it every deviation that it names would count as new",
            "name a file of [[known]] tables, as rmspec known add makes it",
        ) from None
    return tuple(_entries(text, str(path), lambda name: (path.parent / name).read_text("utf-8")))


def speaks_of(entry: Known, subject: str) -> bool:
    """Whether an entry speaks of this subject, at some version."""
    return any(fnmatch.fnmatchcase(subject, pattern) for pattern in _alternatives(entry.subject))


def applies(entry: Known, subject: str, versions: Mapping[str, str]) -> bool:
    """Whether an entry speaks of this subject at these versions."""
    if not speaks_of(entry, subject):
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


def placed(entry: Known, versions: Mapping[str, str]) -> Known:
    """An entry that applies at these versions, which says so where it was seen on none of them: untested here."""
    for package, tested in entry.tested.items():
        here = versions.get(package, "")
        if package not in entry.versions or any(f"{here}.".startswith(f"{each}.") for each in tested):
            continue
        untested = f"{package} {here}"
        seen = f"untested here: it was seen with {package} {' and '.join(tested)}, and this is {here}"
        return replace(entry, untested=untested, reason=f"{entry.reason.rstrip('.')} ({seen}).")
    return entry


def expired(entry: Known, today: date | None = None) -> bool:
    """Whether the last day on which an entry counts is over; ``today`` is that of UTC, everywhere the same."""
    return entry.expires is not None and entry.expires < (today or datetime.now(UTC).date())


def matches(entry: Known, deviation: Deviation) -> bool:
    """Whether an entry that applies names this deviation."""
    if entry.clause != deviation.clause:
        return False
    for condition, wanted in entry.when.items():
        if condition == "kind" and deviation.kind not in _listed(wanted):
            return False
        if condition == "role" and deviation.role not in _listed(wanted):
            return False
        if condition == "message" and str(wanted) not in deviation.summary:
            return False
        if condition == "formats" and not {param.dtype for param in deviation.program.params} <= set(_listed(wanted)):
            return False
        if condition == "options" and not all(
            _options(deviation.program).intersection(_alternatives(each)) for each in _listed(wanted)
        ):
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


def _alternatives(pattern: str) -> list[str]:
    return [each.strip() for each in pattern.split("|")]


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value]


def _entries(text: str, where: str, read: Any) -> Iterable[Known]:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadKnownList(f"{where} is not TOML: {error}", hint="mend the file") from None
    tables = data.get("known", [])
    if set(data) - {"known", "tested"} or not isinstance(tables, list):
        raise BadKnownList(
            f"{where} must hold [[known]] tables and nothing else", hint="rmspec known add writes such a list"
        )
    tested = _tested(where, data.get("tested", {}))
    seen: set[str] = set()
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
            odd_key = sorted(unknown)[0] if unknown else ""
            what = f"unknown key {odd_key!r}{_near(odd_key, _KEYS)}" if unknown else f"no {sorted(lacking)[0]!r}"
            raise BadKnownList(f"{name}: {what}", hint=f"the keys are {', '.join(sorted(_KEYS))}")
        odd = set(table.get("when", {})) - _CONDITIONS
        if odd:
            raise BadKnownList(
                f"{name}: unknown condition {sorted(odd)[0]!r}{_near(sorted(odd)[0], _CONDITIONS)}",
                hint=f"choose from {', '.join(sorted(_CONDITIONS))}",
            )
        _check_values(name, table)
        if table["id"] in seen:
            raise BadKnownList(
                f"{where} has two entries with the id {table['id']!r}",
                "a report could not say which of them counts",
                "give each its own id",
            )
        seen.add(table["id"])
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
            table.get("expires"),
            tested,
        )


def _tested(where: str, table: Any) -> Mapping[str, tuple[str, ...]]:
    """The versions on which a list was seen to hold, by package."""
    if not isinstance(table, dict):
        raise BadKnownList(f"{where}: tested is not a table", hint='write tested = { torch = ["2.13"] }')
    for package, versions in table.items():
        if not isinstance(versions, list) or not versions or not all(isinstance(each, str) for each in versions):
            raise BadKnownList(
                f"{where}: tested.{package} is no list of versions", hint=f'write tested = {{ {package} = ["2.13"] }}'
            )
    return {package: tuple(versions) for package, versions in table.items()}


def _check_values(name: str, table: Mapping[str, Any]) -> None:
    for key in ("id", "clause", "subject", "reason", "link", "witness"):
        if not isinstance(table.get(key, ""), str):
            raise BadKnownList(f"{name}: {key} is not a string", hint=f'write {key} = "..."')
    if not isinstance(table.get("inheritable", False), bool):
        raise BadKnownList(f"{name}: inheritable is not true or false", hint="write inheritable = true")
    expires = table.get("expires")
    if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
        raise BadKnownList(
            f"{name}: expires = {expires!r} is not a date",
            "the entry would never expire",
            "write the last day on which it counts, without quotes, as in expires = 2027-01-31",
        )
    for condition, choices in _CHOICES.items():
        listed = _listed(table.get("when", {}).get(condition, []))
        if condition == "options":
            listed = [name for each in listed for name in _alternatives(str(each))]
        for value in listed:
            if value not in choices:
                raise BadKnownList(
                    f"{name}: unknown value {value!r} of {condition}{_near(str(value), choices)}",
                    "no deviation would ever match it",
                    f"choose from {', '.join(choices)}",
                )


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
