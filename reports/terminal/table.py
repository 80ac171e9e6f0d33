"""The closing block of a run: the verdict on each subject, its evidence, and the commands for its new deviations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rmspec.impl.arithmetic.policy import POLICIES
from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.verdict_table import READING_ORDER, VERDICTS
from rmspec.reports.gate import Gate
from rmspec.reports.terminal.failure_block import count, wrapped
from rmspec.reports.text import dialect_lines, evidence_lines, plain, sighting_words

__all__ = ["clause_counts", "clause_sum", "tallies", "verdict_lines", "verdict_phrase"]

Commands = Callable[[str, Deviation], Sequence[str]]
"""The commands to replay a deviation of a subject, by its name: the last but one replays its file, those before store it."""


def tallies(result: SubjectResult) -> dict[str, int]:
    """Count the deviations of a result by kind, ``new``, ``known`` and ``inherited``, its ``hazards``, and ``hidden`` clauses."""
    new = sum(deviation.known is None for deviation in result.deviations)
    from_baseline = sum(deviation.inherited for deviation in result.deviations)
    known = len(result.deviations) - new - from_baseline
    hidden = sum(clause.verdict == "hidden" for clause in result.clauses)
    return {
        "new": new,
        "known": known,
        "inherited": from_baseline,
        "hazards": len(result.hazards),
        "hidden": hidden,
    }


def verdict_phrase(result: SubjectResult) -> str:
    """Format a verdict with its counts: ``conforms (55 of 62 clauses checked, 6 known deviations, 3 hidden)``."""
    counts = tallies(result)
    facts = []
    if result.clauses:
        checked = sum(VERDICTS[clause.verdict].checked for clause in result.clauses)
        facts.append(f"{checked} of {len(result.clauses)} clauses checked")
    facts += [f"{count(counts[kind], f'{kind} deviation')}" for kind in ("known", "inherited") if counts[kind]]
    facts += [f"{counts['hidden']} hidden"] if counts["hidden"] else []
    verdict = {"known": "conforms"}.get(result.verdict, result.verdict)
    if result.verdict == "deviates":
        verdict = f"deviates from {count(len({d.clause for d in result.deviations if d.known is None}), 'clause')}"
    return f"{verdict} ({', '.join(facts)})" if facts else verdict


def clause_sum(result: SubjectResult) -> str:
    """Add the verdicts on clauses up: ``52 conform + 6 known + 4 not checked = 62 clauses``."""
    parts = [f"{number} {VERDICTS[word].tally}" for word, number in clause_counts(result).items()]
    return f"{' + '.join(parts)} = {count(len(result.clauses), 'clause')}"


def clause_counts(result: SubjectResult) -> dict[str, int]:
    """Count the clauses by verdict, in reading order, but for verdicts of no clause."""
    verdicts: list[str] = [clause.verdict for clause in result.clauses]
    return {word: verdicts.count(word) for word in READING_ORDER if word in verdicts}


def verdict_lines(
    results: Sequence[SubjectResult], commands: Commands, *, fail_on_hazards: bool = False
) -> list[tuple[str, str]]:
    """Format the closing block: each line with its verdict, or nothing.

    80 columns, but for names and commands, which are never broken.
    """
    lines: list[tuple[str, str]] = []
    for result in results:
        lines += [(line, result.verdict) for line in wrapped(plain(f"{result.name}: {verdict_phrase(result)}"), hang=2)]
        lines += [(line, "") for line in _evidence(result)]
        lines += [(line, "") for line in _failing(result, commands, fail_on_hazards)]
    return lines


def _evidence(result: SubjectResult) -> list[str]:
    lines: list[str] = []
    for text in (result.message, result.hint):
        lines += wrapped(plain(text), indent=2, hang=4) if text else []
    for number, text in enumerate(dialect_lines(result)):
        lines += wrapped(plain(text), indent=2, hang=4) if not number else [f"    {plain(text)}"]
    if result.clauses:
        lines += wrapped(clause_sum(result), indent=2, hang=4)
    if result.programs:
        facts = [count(result.programs, "program")]
        if result.steps:
            facts += [count(result.steps, "step"), count(result.element_checks, "element check")]
        facts += [count(len(result.hazards), "hazard"), f"{result.seconds:.1f} s"]
        place = "".join(f", on {device}" for device in result.devices if result.devices != ("cpu",))
        against = f"against the dialect {result.dialect}, policy {_policy(result)}{place}: " if result.dialect else ""
        lines += wrapped(plain(against + ", ".join(facts)), indent=2, hang=4)
    if result.evidence is not None and (result.evidence.astray or result.evidence.left_out):
        for text in evidence_lines(result.evidence):
            lines += wrapped(plain(text), indent=2, hang=4)
    lines += _inconclusive(result)
    if result.stale:
        ids = ", ".join(entry.split(":")[0] for entry in result.stale)
        lines += wrapped(plain(f"stale known deviations: {ids}"), indent=2, hang=4)
    return lines


def _policy(result: SubjectResult) -> str:
    """The policy, with the measured accuracies allowed besides."""
    operations = () if result.evidence is None else result.evidence.operations
    policy = POLICIES.get(result.policy)
    beyond: dict[str, list[str]] = {}
    for measured in operations:
        if policy is not None and measured.allowed > policy.stated(measured.operation):
            beyond.setdefault(f"{measured.operation} within {measured.allowed:g} ulp", []).append(measured.format)
    words = [f"{accuracy} in {', '.join(formats)}" for accuracy, formats in beyond.items()]
    return f"{result.policy} ({'; '.join(words)})" if words else result.policy


def _inconclusive(result: SubjectResult) -> list[str]:
    if not result.inconclusive_checks:
        return []
    share = 100 * result.inconclusive_checks / max(result.element_checks, 1)
    reasons = [f"{reason} ({number:,})" for reason, number in result.inconclusive_reasons.items()]
    because = f": {'; '.join(reasons)}" if reasons else ""
    text = f"{count(result.inconclusive_checks, 'element check')} inconclusive ({share:.1f} %){because}"
    return wrapped(text, indent=2, hang=4)


def _failing(result: SubjectResult, commands: Commands, fail_on_hazards: bool) -> list[str]:
    gate = Gate(fail_on_hazards=fail_on_hazards)
    failing = [deviation for deviation in (*result.deviations, *result.hazards) if gate.fails(deviation)]
    if not failing:
        return []
    failing.sort(key=lambda deviation: (deviation.hazard, len(deviation.program.calls), deviation.clause))
    labels = [f"{deviation.clause}{' (hazard)' if deviation.hazard else ''}" for deviation in failing]
    lines = ["  new deviations, the shortest program first:"]
    store: list[str] = []
    for label, deviation in zip(labels, failing, strict=True):
        if deviation.sighting is not None:
            replay = sighting_words(deviation.sighting)
        else:
            *store, replay, _ = commands(result.name, deviation)
        lines.append(f"    {label.ljust(max(map(len, labels)))}  {replay}")
    return lines + [f"    (first store the programs: {command})" for command in store]
