"""A checked subject in a few lines: known and inherited deviations, hazards, observations, unchecked clauses.

``-v`` prints each whole, instead of the names alone. What an earlier subject of the run has in common with it is not
printed again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from rmspec.properties.events import Deviation, SubjectResult
from rmspec.reports.terminal.failure_block import wrapped
from rmspec.reports.text import clause_note, evidence_lines, given_words, paths_by_reason, plain

__all__ = ["Summaries"]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A line of a list: ``label`` names it, ``text`` says the whole of it; it stands for so many ``clauses``."""

    label: str
    text: str
    clauses: int = 1


@dataclass(slots=True)
class Summaries:
    """Summarizes subject after subject; ``verbose`` prints every entry whole."""

    verbose: bool = False
    _printed: dict[tuple[str, str], str] = field(default_factory=dict)

    def lines(self, result: SubjectResult) -> Iterator[str]:
        """Format the summary of the next subject."""
        for heading, entries in _excused(result):
            yield from self._list(result.name, heading, entries, whole=self.verbose)
        for heading, entries in _open(result):
            yield from self._list(result.name, heading, entries, whole=True)
        # Steps and programs outside of the path stand in the closing block, with it.
        evidence = result.evidence
        if self.verbose and evidence is not None and not (evidence.astray or evidence.left_out):
            for text in evidence_lines(evidence):
                yield from wrapped(plain(text), indent=2, hang=4)
        if result.search:
            yield from wrapped(f"the search {result.search}", indent=2, hang=4)

    def _list(self, name: str, heading: str, entries: Sequence[_Entry], *, whole: bool) -> Iterator[str]:
        if not entries:
            return
        new = [entry for entry in entries if (heading, entry.text) not in self._printed]
        shared: dict[str, list[str]] = {}
        for entry in entries:
            if entry not in new:
                shared.setdefault(self._printed[heading, entry.text], []).append(entry.label)
        self._printed |= {(heading, entry.text): name for entry in new}
        title = f"{heading} ({sum(entry.clauses for entry in entries)}):"
        if not new and len(shared) == 1:
            yield from wrapped(plain(f"{title} as {next(iter(shared))}"), indent=2, hang=4)
        elif whole:
            yield f"  {title}"
            likewise = [f"as {owner}: {', '.join(labels)}" for owner, labels in shared.items()]
            for text in [*(entry.text for entry in new), *likewise]:
                yield from wrapped(plain(text), indent=4, hang=6)
        else:
            yield from wrapped(plain(f"{title} {', '.join(entry.label for entry in entries)}"), indent=2, hang=4)


def _excused(result: SubjectResult) -> Iterator[tuple[str, list[_Entry]]]:
    """List the deviations, hazards and observations of no consequence for the gate."""
    known = [deviation for deviation in result.deviations if deviation.known and not deviation.inherited]
    yield "known deviations", [_known(deviation) for deviation in known]
    copied = [deviation for deviation in result.deviations if deviation.inherited]
    origins = dict.fromkeys((deviation.known or "").partition(":")[2] for deviation in copied)
    yield f"inherited from {', '.join(origins)}", [_plain(deviation) for deviation in copied]
    yield "hazards of the formula", [_plain(deviation) for deviation in result.hazards]
    for amendments in dict.fromkeys(clause.given for clause in result.clauses if clause.given):
        under = [clause for clause in result.clauses if clause.given == amendments and clause.verdict == "conforms"]
        yield f"conform, {given_words(amendments)}", [_Entry(clause.id, clause.id) for clause in under]
    observed = [clause for clause in result.clauses if clause.verdict == "observed"]
    yield (
        "observed only, as the page promises nothing",
        [_Entry(clause.id, f"{clause.id}: {clause.reason}") for clause in observed],
    )


def _open(result: SubjectResult) -> Iterator[tuple[str, list[_Entry]]]:
    yield "hidden behind another deviation, neither passed nor failed", _by_reason(result, "hidden")
    if result.complete:
        yield "not checked", _by_reason(result, "not-checked")
    yield "inconclusive", _by_reason(result, "inconclusive")
    reasons = paths_by_reason(result.other_paths)
    yield (
        "execution paths not checked",
        [_Entry(", ".join(paths), f"{', '.join(paths)}: {why}", len(paths)) for why, paths in reasons.items()],
    )
    yield "known deviations that hold elsewhere", [_Entry(text.partition(":")[0], text) for text in result.elsewhere]
    yield "stale known deviations", [_Entry(text.partition(":")[0], text) for text in result.stale]


def _known(deviation: Deviation) -> _Entry:
    text = f"{deviation.clause} ({deviation.known}): {deviation.reason or deviation.summary}"
    return _Entry(deviation.clause, text)


def _plain(deviation: Deviation) -> _Entry:
    return _Entry(deviation.clause, f"{deviation.clause}: {deviation.summary}")


def _by_reason(result: SubjectResult, verdict: str) -> list[_Entry]:
    reasons: dict[str, list[str]] = {}
    for clause in result.clauses:
        if clause.verdict == verdict:
            reasons.setdefault(clause_note(clause), []).append(clause.id)
    return [_Entry(", ".join(ids), f"{', '.join(ids)}: {reason}", len(ids)) for reason, ids in reasons.items()]
