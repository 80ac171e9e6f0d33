"""``rmspec log FILE``: sum up the log of a run in a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rmspec.reports.files.ndjson import Log, read_log
from rmspec.reports.readers.json_reader import result_of
from rmspec.reports.terminal.failure_block import count, wrapped
from rmspec.reports.terminal.table import clause_sum
from rmspec.reports.text import plain

__all__ = ["log_summary"]


def log_summary(path: str) -> str:
    """Format the verdicts and the new deviations of a log. Raises ``BadLog``, or ``MissingFooter`` for a truncated one."""
    return "\n".join(_lines(read_log(path)))


def _lines(log: Log) -> Iterator[str]:
    environment = log.header.get("environment", {})
    yield f"rmspec {environment.get('rmspec', '?')}, profile {environment.get('profile', '?')}, seed {environment.get('seed', '?')}"
    if not log.footer.get("complete"):
        yield "interrupted: this log holds what was known by then"
    for event in log.events:
        if event.get("event") == "subject-finished":
            yield from _subject(event["subject"])


def _subject(result: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    yield from wrapped(plain(f"{result['name']}: {result['verdict']}"), hang=2)
    new = [deviation for deviation in result["deviations"] if deviation["known"] is None]
    if result["clauses"]:
        yield from wrapped(clause_sum(result_of(result)), indent=2, hang=4)
    facts = [
        count(len(new), "new deviation"),
        f"{len(result['deviations']) - len(new)} known or inherited",
        count(len(result["hazards"]), "hazard"),
        count(result["element_checks"], "element check"),
    ]
    yield from wrapped(", ".join(facts), indent=2, hang=4)
    for deviation in new:
        yield from wrapped(plain(f"{deviation['clause']}: {deviation['summary']}"), indent=2, hang=4)
    for text in (result.get("message", ""), *(f"stale: {deviation}" for deviation in result.get("stale", ()))):
        yield from wrapped(plain(text), indent=2, hang=4)
