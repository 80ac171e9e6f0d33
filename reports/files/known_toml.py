"""Edit a list of known deviations: add and remove entries, keep comments and order.

What is written is read back first, by the reader of the lists: a file that an edit would spoil is left as it was.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, InlineTable, Table, Whitespace

from rmspec.impl.arithmetic.amendments import spell_amendment
from rmspec.oracles.errors import MalformedProgram
from rmspec.oracles.program.program import Program, parse
from rmspec.properties.known import BadKnownList, Known, read_known
from rmspec.reports.outputs import check_writable, make_folder, write
from rmspec.reports.stored import program_text

__all__ = ["WITNESSES", "append", "orphans", "remove"]

WITNESSES = "witnesses"
"""The folder beside a list that witnesses are written to."""

_Trivia = list[tuple[Any, Any]]


def append(path: Path, entries: Sequence[tuple[Known, Program]]) -> None:
    """Append entries to a list, new or old, and write the witness of each into a file beside it.

    Raises ``BadKnownList`` for a file that is no list, and ``BadOption`` where it cannot be written.
    """
    check_writable(str(path), "--known")
    entries_before = read_known(path) if os.path.exists(path) else ()
    document = _parsed(path) if os.path.exists(path) else tomlkit.document()
    listed = document.get("known")
    if listed is None:
        listed = document["known"] = tomlkit.aot()
        listed = document["known"]
    folder = path.parent / WITNESSES
    make_folder(str(folder))
    for entry, witness in entries:
        write(str(folder / f"{entry.id}.json"), program_text(witness))
        table = _table(entry)
        if isinstance(listed, AoT):
            text = document.as_string()
            if text.strip() and not text.endswith("\n\n"):
                _join(_tail(document, listed), [(None, Whitespace("\n" if text.endswith("\n") else "\n\n"))])
            listed.append(table)
        else:
            inline = tomlkit.inline_table()
            inline.update(table)
            listed.append(inline)
    text = document.as_string().rstrip() if os.path.exists(path) else document.as_string().strip()
    _replace(path, f"{text}\n", [*(each.id for each in entries_before), *(entry.id for entry, _ in entries)])


def remove(path: Path, ids: Sequence[str]) -> tuple[Known, ...]:
    """Take the entries with these ids out of a list, with the comments right above them, and return them."""
    entries = read_known(path)
    document = _parsed(path)
    listed = document.get("known")
    places = [index for index, entry in enumerate(entries) if entry.id in ids]
    for index in reversed(places):
        if isinstance(listed, AoT):
            after = _cut_trailing(listed[index].value.body)
            before = _tail(document, listed, index)
            _cut_own_comment(before)
            del listed[index]
            _join(before, after)
        elif listed is not None:
            del listed[index]
    remaining = [entry.id for entry in entries if entry.id not in ids]
    # Without a table only what stands around them is left; tomlkit would write an empty one.
    text = (
        document.as_string()
        if remaining
        else "".join(item.as_string() for _, item in document.body if _is_trivia(item))
    )
    _replace(path, text, remaining)
    return tuple(entries[index] for index in places)


def orphans(path: Path, ids: Sequence[str]) -> tuple[Path, ...]:
    """List the witnesses left unused without the entries of these ids, for rmspec to delete.

    Only files right in the folder of witnesses beside the list, no links, each a stored program to the letter as rmspec writes
    it, and named neither by an entry that stays nor in any other TOML file beside the list.
    """
    tables = [table for table in _parsed(path).unwrap().get("known", []) if isinstance(table.get("witness"), str)]
    stay = {(path.parent / table["witness"]).resolve() for table in tables if table["id"] not in ids}
    files = dict.fromkeys(path.parent / table["witness"] for table in tables if table["id"] in ids)
    folder = path.parent.resolve() / WITNESSES
    own = [file for file in files if not file.is_symlink() and file.resolve().parent == folder and _is_stored(file)]
    return tuple(file for file in own if file.resolve() not in stay and not _named_beside(path, file.name))


def _is_stored(file: Path) -> bool:
    """Whether a file is a stored program, in every byte as rmspec writes it."""
    try:
        text = file.read_text("utf-8")
        return text == program_text(parse(text))
    except (OSError, UnicodeDecodeError, MalformedProgram):
        return False


def _named_beside(path: Path, name: str) -> bool:
    """Whether another TOML file in the folder of a list has this name in it, or cannot be read."""
    for neighbour in path.parent.glob("*.toml"):
        if neighbour.name != path.name:
            try:
                if name in neighbour.read_text("utf-8"):
                    return True
            except (OSError, UnicodeDecodeError):
                return True
    return False


def _table(entry: Known) -> Table:
    table = tomlkit.table()
    for name in ("id", "clause", "subject", "versions", "when", "reason", "link", "expires"):
        if value := getattr(entry, name):
            table.add(name, _inline(value) if isinstance(value, Mapping) else value)
    if entry.amendment is not None:
        table.add("amendment", _inline(spell_amendment(entry.amendment)))
    table.add("witness", f"{WITNESSES}/{entry.id}.json")
    return table


def _inline(values: Mapping[str, object]) -> InlineTable:
    table = tomlkit.inline_table()
    table.update(dict(values))
    # As people write it, with room inside the braces.
    text = table.as_string()
    spaced = tomlkit.parse(f"x = {{ {text[1:-1]} }}\n")["x"]
    return spaced if isinstance(spaced, InlineTable) else table


def _parsed(path: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise BadKnownList(f"cannot edit {path}: {error}", hint="mend the file") from None


def _replace(path: Path, text: str, ids: Sequence[str]) -> None:
    """Write the new text in the place of the old, once it has been read as a list of just these entries."""
    trial = path.with_name(f".{path.name}.{os.getpid()}.toml")
    try:
        write(str(trial), text)
        read = read_known(trial)
    finally:
        trial.unlink(missing_ok=True)
    if [entry.id for entry in read] != list(ids):
        raise BadKnownList(
            f"cannot edit {path} without spoiling it",
            "it is written in a way that rmspec cannot keep",
            "edit it by hand",
        )
    write(str(path), text)


# -- what stands between two tables: tomlkit keeps it at the end of the first


def _tail(document: tomlkit.TOMLDocument, listed: AoT, index: int | None = None) -> _Trivia:
    """Find the body before the table ``index``, ending in the comments above it (``None``: of the last table)."""
    index = len(listed) if index is None else index
    if index:
        body: _Trivia = listed[index - 1].value.body
        return body
    return document.body


def _is_trivia(item: object) -> bool:
    return isinstance(item, Comment | Whitespace)


def _cut_trailing(body: _Trivia) -> _Trivia:
    end = len(body)
    while end and body[end - 1][0] is None:
        end -= 1
    cut = body[end:]
    del body[end:]
    return cut


def _cut_own_comment(body: _Trivia) -> None:
    """Cut off the comment right above a table, without a line between."""
    place = _before_tables(body)
    while place and isinstance(body[place - 1][1], Comment):
        del body[place - 1]
        place -= 1
    if place and isinstance(body[place - 1][1], Whitespace):
        del body[place - 1]


def _join(body: _Trivia, trivia: _Trivia) -> None:
    place = _before_tables(body)
    body[place:place] = trivia


def _before_tables(body: _Trivia) -> int:
    """Find the end of the trivia: before the tables, in the body of a document, or at the end, in a table's body."""
    return next((index for index, (_, item) in enumerate(body) if isinstance(item, AoT)), len(body))
