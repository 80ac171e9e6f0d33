"""``rmspec known add``, ``list`` and ``prune``: the tool writes the list of known deviations, people write the reasons."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from rmspec.impl.arithmetic.amendments import Amendment, parse_amendment, spell_amendment
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.program.program import Program, from_json
from rmspec.properties.known import Known, expired, read_known, shipped
from rmspec.reports.config.pyproject import read_config
from rmspec.reports.escapes import escape_json, one_line, plain
from rmspec.reports.files.known_toml import WITNESSES, append, orphans, remove
from rmspec.reports.problems import BadOption, choose
from rmspec.reports.readers.json_reader import load
from rmspec.reports.stored import read_program
from rmspec.reports.terminal.failure_block import wrapped

__all__ = ["AddOptions", "add", "listing", "prune"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AddOptions:
    """The options of ``rmspec known add``: the sources of entries, and a person's words on them."""

    programs: tuple[str, ...] = ()
    report: str | None = None
    known: str | None = None
    clauses: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    reason: str = ""
    link: str = ""
    id: str | None = None
    versions: tuple[str, ...] = ()
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A candidate for an entry: its clause, its subject, the kind of its finding, its program, and its amendment.

    ``given``: it was found under amendments.
    """

    clause: str
    subject: str
    kind: str
    program: Program
    amendment: Amendment | None = None
    given: bool = False

    def on(self, entry: Known, pattern: str) -> bool:
        """Whether an entry with this pattern for its subject accepts it already."""
        if entry.subject != pattern:
            return False
        if entry.amendment is not None:
            if self.amendment is not None:
                return entry.amendment.covers(self.amendment)
            if self.given:
                return False
        kind = entry.when.get("kind", "")
        return entry.clause == self.clause and (not self.kind or kind in (self.kind, ""))


def add(options: AddOptions, folder: Path) -> str:
    """Add deviations to a list, and name them. Raises ``InputProblem`` before anything is written."""
    path = _list_path(options.known, folder)
    if not options.reason.strip():
        raise BadOption(
            "no reason is given",
            "nobody can judge later whether a deviation accepted without a reason may go",
            'write it as --reason "ported with sqrt(v + eps)"',
        )
    for name in options.clauses:
        choose("clause", name, CLAUSES, where="--clause")
    candidates = [*_from_programs(options.programs), *(_from_report(options.report) if options.report else ())]
    if not options.programs and not options.report:
        raise BadOption(
            "nothing is named that could be added",
            hint="name stored programs, as in rmspec known add repro/mine.json, or a report, as --from report.json",
        )
    candidates = [
        candidate
        for candidate in candidates
        if (not options.clauses or candidate.clause in options.clauses)
        and (not options.subjects or candidate.subject in options.subjects)
    ]
    if options.id is not None and len(candidates) > 1:
        raise BadOption(f"--id names one entry, and {len(candidates)} would be added", hint="say which with --clause")
    held = read_known(path) if os.path.exists(path) else ()
    listed = list(held)
    entries: list[tuple[Known, Program]] = []
    lines: list[str] = []
    ids = {entry.id for entry in (*held, *shipped())}
    for candidate in candidates:
        # A bar separates patterns, and no way to write it is a bar alone.
        pattern = glob.escape(candidate.subject).replace("|", "?")
        if any(candidate.on(entry, pattern) for entry in listed):
            lines.append(f"{candidate.clause} of {candidate.subject} is on the list already")
            continue
        id = _id(candidate, options.id, ids)
        ids.add(id)
        entry = Known(
            id,
            candidate.clause,
            pattern,
            options.reason.strip(),
            versions=_versions(options.versions),
            when={"kind": candidate.kind} if candidate.kind else {},
            link=options.link,
            expires=_date(options.expires),
            amendment=candidate.amendment,
        )
        listed.append(entry)
        entries.append((entry, candidate.program))
        lines.append(f"added {id}: {candidate.clause} of {one_line(candidate.subject)}")
    if entries:
        append(path, entries)
    else:
        lines.append("nothing was added")
    return _message(path, lines)


def prune(known: str | None, reports: Sequence[str], folder: Path, *, dry_run: bool = False) -> str:
    """Remove stale entries from a list, with reasons: by the reports of checks, by date, or by clause.

    The witnesses that nothing names any more go as well.
    """
    path = _list_path(known, folder)
    entries = read_known(path)
    reasons = {entry.id: f"there is no clause {entry.clause!r}" for entry in entries if entry.matches_no_clause}
    reasons.update({entry.id: f"it expired on {entry.expires}" for entry in entries if expired(entry)})
    subjects = [subject for report in reports for subject in load(report)["subjects"]]
    alive = {deviation["known"] for subject in subjects for deviation in subject["deviations"]}
    lines: list[str] = []
    for subject in subjects:
        for stale in subject.get("stale", ()):
            id, _, why = stale.partition(": ")
            if id in reasons or id not in {entry.id for entry in entries}:
                continue
            if id in alive:
                lines.append(f"kept {id}: stale for {subject['name']}, but another subject still needs it")
            else:
                reasons[id] = f"{why} ({subject['name']})"
    left = orphans(path, list(reasons)) if reasons else ()
    if reasons and not dry_run:
        remove(path, list(reasons))
    verb = "would remove" if dry_run else "removed"
    lines = [*(f"{verb} {id}: {why}" for id, why in reasons.items()), *lines]
    lines += [_deleted(file, dry_run) for file in left]
    if reasons and len(reasons) == len(entries):
        lines.append(
            "no entry is left; the file stays" if not dry_run else "no entry would be left; the file would stay"
        )
    return _message(
        path, lines or ["no entry is stale" if reports else "no entry has expired, and every clause exists"]
    )


def _deleted(witness: Path, dry_run: bool) -> str:
    name = f"{WITNESSES}/{witness.name}"
    if dry_run:
        return f"would remove {name}: no entry would name it"
    try:
        witness.unlink()
    except OSError as error:
        return f"left {name}, which no entry names: {error.strerror}"
    return f"removed {name}: no entry names it"


def listing(known: str | None, folder: Path, *, ours: bool = True, as_json: bool = False) -> str:
    """Read the entries of the user's list, and of rmspec's own (``ours``)."""
    configured = known or _configured(folder)
    absent = configured is not None and known is None and not os.path.exists(configured)
    own = read_known(Path(configured)) if configured and not absent else ()
    entries = [*own, *(shipped() if ours else ())]
    if as_json:
        return escape_json(json.dumps({"known": [_document(entry) for entry in entries]}, indent=1, ensure_ascii=False))
    if absent:
        # ``known add`` makes it; until then there is nothing in it.
        return "\n".join([f"{configured} is not there yet: rmspec known add makes it", *_lines(entries)])
    if not entries:
        return "no deviation is known: there is no list"
    return "\n".join(_lines(entries))


def _lines(entries: Sequence[Known]) -> list[str]:
    return [line for entry in entries for line in _entry_lines(entry)]


def _entry_lines(entry: Known) -> Iterator[str]:
    yield from wrapped(plain(f"{entry.id}: {entry.clause} of {entry.subject} ({_state(entry)})"), hang=2)
    conditions = [f"{name} {value}{_tested(entry, name)}" for name, value in entry.versions.items()]
    conditions += [f"{name} {value}" for name, value in entry.where.items()]
    conditions += [f"varies on {name} {value}" for name, value in entry.varies.items()]
    conditions += [f"{name} = {json.dumps(value)}" for name, value in entry.when.items()]
    if conditions:
        yield from wrapped(plain("; ".join(conditions)), indent=4)
    if entry.amendment is not None:
        yield from wrapped(plain(f"accepted: {entry.amendment.words()}"), indent=4)
    yield from wrapped(plain(entry.reason), indent=4)
    yield from wrapped(plain(f"in {entry.origin}"), indent=4)


def _tested(entry: Known, package: str) -> str:
    return f" (tested: {', '.join(entry.tested[package])})" if package in entry.tested else ""


def _state(entry: Known) -> str:
    if entry.matches_no_clause:
        return "STALE: there is no such clause"
    if expired(entry):
        return f"EXPIRED on {entry.expires}"
    witness = "" if entry.witness is not None else "without a witness"
    until = f"until {entry.expires}" if entry.expires else ""
    return ", ".join(part for part in ("counts", until, witness) if part)


def _document(entry: Known) -> dict[str, Any]:
    return {
        "id": entry.id,
        "clause": entry.clause,
        "subject": entry.subject,
        "versions": dict(entry.versions),
        "tested": {name: list(versions) for name, versions in entry.tested.items() if name in entry.versions},
        "when": dict(entry.when),
        "amendment": spell_amendment(entry.amendment) if entry.amendment else None,
        "reason": entry.reason,
        "link": entry.link,
        "expires": entry.expires.isoformat() if entry.expires else None,
        "expired": expired(entry),
        "clause_exists": not entry.matches_no_clause,
        "witness": entry.witness is not None,
        "inheritable": entry.inheritable,
        "where": dict(entry.where),
        "varies": dict(entry.varies),
        "origin": entry.origin,
    }


def _list_path(known: str | None, folder: Path) -> Path:
    name = known or _configured(folder)
    if name is None:
        raise BadOption(
            "no list is named",
            "rmspec's own list is not yours to edit",
            "write --known known.toml, or set known in [tool.rmspec] of pyproject.toml",
        )
    return Path(name)


def _configured(folder: Path) -> str | None:
    configured = read_config(folder).get("known")
    return configured if isinstance(configured, str) else None


def _from_programs(files: Sequence[str]) -> Iterator[_Candidate]:
    for file in files:
        program = read_program(file)
        if not program.clause or not program.subject:
            raise BadOption(
                f"{file} names no {'subject' if program.clause else 'clause'}",
                "it is a program that records no deviation",
                "give a file that rmspec check --repro-dir wrote",
            )
        choose("clause", program.clause, CLAUSES, where=file)
        yield _Candidate(program.clause, program.subject, "", program)


def _from_report(file: str) -> Iterator[_Candidate]:
    for subject in load(file)["subjects"]:
        for deviation in subject["deviations"]:
            if deviation["known"] is None:
                clause, table = choose("clause", deviation["clause"], CLAUSES, where=file), deviation.get("amendment")
                yield _Candidate(
                    clause,
                    subject["name"],
                    deviation.get("kind", ""),
                    from_json(deviation["program"]),
                    parse_amendment(table, clause) if table else None,
                    bool(deviation.get("given")),
                )


def _id(candidate: _Candidate, typed: str | None, ids: set[str]) -> str:
    if typed is not None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", typed):
            raise BadOption(f"--id {typed!r} is not an id", hint="use letters, digits, hyphens, as in --id my-entry")
        if typed in ids:
            raise BadOption(f"there is an entry {typed} already", hint="choose another --id")
        return typed
    name = re.split(r"[/\\]", candidate.subject)[-1]
    plain_name = re.sub(r"[^A-Za-z0-9]+", "-", name.replace(".py:", "-")).strip("-").lower()[:40] or "subject"
    base = f"{plain_name}-{candidate.clause}"
    number = 1
    while (id := base if number == 1 else f"{base}-{number}") in ids:
        number += 1
    return id


def _versions(ranges: Sequence[str]) -> dict[str, str]:
    versions: dict[str, str] = {}
    for text in ranges:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            requirement = None
        if requirement is None or not requirement.specifier:
            raise BadOption(
                f"--versions {text!r} is not a version range", hint="write it as --versions 'torch>=2.6,<3'"
            )
        versions[requirement.name] = ",".join(sorted(map(str, requirement.specifier), reverse=True))
    return versions


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadOption(
            f"--expires {text!r} is not a date", hint="write the last day on which it counts, as --expires 2027-01-31"
        ) from None


def _message(path: Path, lines: Sequence[str]) -> str:
    return "\n".join(line for text in (f"{path}:", *lines) for line in wrapped(plain(text), hang=2))
