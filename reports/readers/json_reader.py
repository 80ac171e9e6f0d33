"""Read, check and merge reports: JSON from ``rmspec check --json`` or ``rmspec report``.

A file that is cut off, that another version wrote, or whose parts contradict each other is refused: what is built on it
would say something that nobody checked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from typing import Any

from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.impl.errors import RmspecError
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import UnknownDialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.errors import InputProblem, MalformedProgram
from rmspec.oracles.reading import parse_json
from rmspec.oracles.validators import quick_validator
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.documents import CONVERTER, read_text, stored_json
from rmspec.reports.environment import version
from rmspec.reports.files.json import SCHEMA
from rmspec.reports.text import explanation_lines

__all__ = ["BadReport", "deviation_of", "load", "merged", "read", "result_of"]

Data = dict[str, Any]

_SAME = ("rmspec", "hypothesis", "profile", "seed", "policy", "fingerprint", "dtype", "without", "time_budget")
"""What runs must have in common, so that their verdicts can stand in one table."""


class BadReport(InputProblem):
    """An unreadable report, or one at odds with another."""


def load(path: str) -> Data:
    """Read a file with the schema of reports. Raises ``BadReport`` with the reason."""
    hint = "give files that rmspec check --json wrote"
    text = read_text(path, BadReport, hint)
    try:
        data = parse_json(text)
    except ValueError as error:
        cut = isinstance(error, json.JSONDecodeError) and (
            not text[error.pos :].strip() or error.msg.startswith("Unterminated string")
        )
        what = "ends in the middle: it was cut off" if cut else f"is not JSON: {error}"
        raise BadReport(f"{path} {what}", "what is missing cannot be told from what was not found", hint) from None
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        named = data.get("schema") if isinstance(data, dict) else None
        raise BadReport(f"{path} is not a report: its schema is {named!r}, not {SCHEMA!r}", hint=hint)
    errors = islice(_validator().iter_errors(data), 100)
    first = min(errors, key=lambda each: list(map(str, each.absolute_path)), default=None)
    if first is not None:
        place = "/".join(str(part) for part in first.absolute_path) or "the top"
        raise BadReport(f"{path} does not follow the schema, at {place}: {first.message[:200]}", hint=hint)
    return {key: value for key, value in data.items() if key != "verification"}


@cache
def _validator() -> Any:
    return quick_validator(stored_json("schemas/report-1.json"))


def read(path: str) -> Data:
    """Read the report in a file, and check it for contradictions. Raises ``BadReport`` with the reason."""
    data = load(path)
    _consistent(data, path)
    return data


def merged(reports: Sequence[tuple[str, Data]]) -> Data:
    """Merge several reports, each given with its file. Raises ``BadReport`` if they do not go together."""
    (first, whole), *others = reports
    owners = {each["name"]: first for each in whole["subjects"]}
    for path, data in others:
        for key in _SAME:
            one, other = whole["environment"].get(key), data["environment"].get(key)
            # Where no subject could be loaded, no programs were generated.
            if one != other and not (key == "fingerprint" and (one is None or other is None)):
                raise BadReport(
                    f"{first} and {path} do not go together: {key} is {one or 'not set'} in one and {other or 'not set'} in the other",
                    "verdicts of different searches are not comparable",
                    "check the subjects again with the same version and options",
                )
        for each in data["subjects"]:
            if each["name"] in owners:
                raise BadReport(
                    f"{each['name']} is in {owners[each['name']]} and in {path}",
                    "one of two verdicts on a subject would be lost",
                    "leave one of the files out",
                )
            owners[each["name"]] = path
    environments = [data["environment"] for _, data in reports]
    names = sorted({name for each in environments for name in each})
    return {
        "schema": SCHEMA,
        "complete": all(data["complete"] for _, data in reports),
        "exit_code": None,  # for whoever decides on the whole
        "seconds": round(sum(data["seconds"] for _, data in reports), 3),
        "environment": {
            name: "; ".join(dict.fromkeys(each[name] for each in environments if name in each)) for name in names
        },
        "subjects": [
            each if len(reports) == 1 else {**each, "environment": each.get("environment", data["environment"])}
            for _, data in reports
            for each in data["subjects"]
        ],
    }


def result_of(subject: Mapping[str, Any]) -> SubjectResult:
    """Rebuild the result of a subject from its report, but for the use of its envelopes and its trajectory."""
    data = {key: value for key, value in subject.items() if key not in ("envelope_use", "trajectory")}
    try:
        result = CONVERTER.structure({**data, "deviations": (), "hazards": ()}, SubjectResult)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadReport(f"the result of {subject['name']} cannot be read: {error}", hint="check it again") from None
    return replace(
        result,
        deviations=tuple(deviation_of(each) for each in subject["deviations"]),
        hazards=tuple(deviation_of(each, hazard=True) for each in subject["hazards"]),
    )


def deviation_of(data: Mapping[str, Any], *, hazard: bool = False) -> Deviation:
    """A deviation of a report as it is printed; its script stays in the report. Raises ``MalformedProgram``."""
    # In a report ``elements`` are those of the program, and no amendment is null.
    known = {key: value for key, value in data.items() if key != "elements" and (key, value) != ("amendment", None)}
    older = {"kind": "", "call": max(data["calls"] - 1, 0)}
    return CONVERTER.structure({**older, **known, "hazard": hazard}, Deviation)


def _consistent(data: Data, path: str) -> None:
    """Raise ``BadReport`` if one part of a report contradicts another, or this version of rmspec does not know it."""
    if not data["subjects"]:
        raise BadReport(f"{path} has no subject", "there is nothing to report on", "check at least one subject")
    written = data["environment"]["rmspec"]
    if written != version():
        raise BadReport(
            f"{path} was written by rmspec {written}, this is rmspec {version()}",
            "their clauses may differ",
            "check the subjects again, or report with the version that checked them",
        )
    names = [each["name"] for each in data["subjects"]]
    if len(set(names)) != len(names):
        raise BadReport(f"{path} has a subject twice", hint="one of the two was added by hand; check it again")
    for subject in data["subjects"]:
        problem = _contradiction(subject)
        if problem:
            raise BadReport(
                f"{path} contradicts itself: {subject['name']}: {problem}",
                "a report that was changed or put together by hand proves nothing",
                "check the subject again",
            )


def _contradiction(subject: Data) -> str:
    ids = [clause["id"] for clause in subject["clauses"]]
    if ids and ids not in (list(CLAUSES), [id for id, clause in CLAUSES.items() if not clause.younger]):
        odd = sorted(set(ids) ^ set(CLAUSES)) or ["their order"]
        return f"its clauses are not those of the specification ({', '.join(odd[:3])})"
    checks = (_wrong_verdict, _wrong_counts, _wrong_figures, _wrong_program, _wrong_clause)
    return next(filter(None, (check(subject) for check in checks)), "")


def _wrong_verdict(subject: Data) -> str:
    verdict = subject["verdict"]
    new = any(deviation["known"] is None for deviation in subject["deviations"])
    if verdict == "deviates" and not new:
        return "it deviates, and no new deviation is listed"
    if verdict in ("conforms", "known", "unsupported") and new:
        return f"its verdict is {verdict}, and a new deviation is listed"
    if verdict == "conforms" and subject["deviations"]:
        return "its verdict is conforms, and a deviation is listed"
    return ""


def _wrong_counts(subject: Data) -> str:
    if subject["inconclusive_checks"] > subject["element_checks"]:
        return "it has more inconclusive checks than checks"
    if sum(subject.get("inconclusive_reasons", {}).values()) not in (0, subject["inconclusive_checks"]):
        return "the reasons of its inconclusive checks do not add up to them"
    for clause in subject["clauses"]:
        if clause["inconclusive"] > clause["checks"]:
            return f"{clause['id']} has more inconclusive checks than checks"
    return ""


def _wrong_figures(subject: Data) -> str:
    use = subject.get("envelope_use")
    if use and any(
        len(counts[key]) != len(use["edges_ulp"]) - 1
        for counts in use["formats"].values()
        for key in ("used", "allowed")
    ):
        return "the use of its envelopes has more counts than edges, or fewer"
    if subject.get("trajectory"):
        if subject["policy"] not in POLICIES:
            return f"there is no policy {subject['policy']}"
        try:
            dialect_named(subject["dialect"])
        except UnknownDialect as error:
            return error.what
    return ""


def _wrong_program(subject: Data) -> str:
    for deviation in subject["deviations"] + subject["hazards"]:
        clause = deviation["clause"]
        if clause not in CLAUSES:
            return f"there is no clause {clause}"
        try:
            parsed = deviation_of(deviation)
        except MalformedProgram as error:
            return f"the program of {clause} cannot be read: {error.what}"
        calls = len(parsed.program.calls)
        if parsed.call >= calls or calls != deviation["calls"]:
            return f"the program of {clause} has {calls} calls, not {deviation['calls']}"
        try:
            explanation_lines(parsed)
        except RmspecError as error:
            return f"the amendment of {clause} cannot be read: {error.what}"
    return ""


def _wrong_clause(subject: Data) -> str:
    deviating = {deviation["clause"] for deviation in subject["deviations"]}
    for clause in subject["clauses"]:
        if odd := set(clause.get("hidden_by", ())) - deviating:
            return f"{clause['id']} is hidden by {min(odd)}, and no deviation of that is listed"
    verdicts = {clause["id"]: clause["verdict"] for clause in subject["clauses"]}
    for id, verdict in verdicts.items():
        if verdict in ("deviates", "known", "inherited") and id not in deviating:
            return f"{id} is {verdict}, and no deviation of it is listed"
    for deviation in subject["deviations"]:
        clause = deviation["clause"]
        possible = ("deviates",) if deviation["known"] is None else ("deviates", "known", "inherited")
        if verdicts and verdicts[clause] not in possible:
            return f"{clause} is {verdicts[clause]}, and a deviation of it is listed"
    return ""
