"""The gate: the problems of a run close it, and decide the exit code. See ``docs/reference/exit-codes.md``.

Every report shows the problems of the one ``Gate`` of its run, so that none disagrees with the exit code: without a problem
it is 0, and each problem asks for the code that it has. Known and inherited deviations are no problem, nor are hazards,
unless they were asked to fail the run. A subject without support here is one only where no other subject was checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rmspec.properties.events import Deviation, SubjectResult
from rmspec.properties.verdict_table import VERDICTS
from rmspec.reports.exit_codes import PRECEDENCE, WORDS, ExitCode

__all__ = ["Gate", "Problem", "decide", "exit_code"]


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason to close the gate: its exit code, a title, and the details in words.

    ``subject`` is empty for a problem of the whole run; ``deviation`` is there for one that deviates.
    """

    code: ExitCode
    title: str
    text: str
    subject: str = ""
    deviation: Deviation | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """The decision on a run: its problems, those of the whole run first, then subject by subject.

    ``hidden`` clauses close no gate, and are counted.
    """

    problems: tuple[Problem, ...] = ()
    fail_on_hazards: bool = False
    hidden: int = 0

    @property
    def code(self) -> ExitCode:
        """The exit code: of those of the problems, the first in precedence."""
        return min((problem.code for problem in self.problems), key=PRECEDENCE.index, default=ExitCode.CONFORMS)

    @property
    def sentence(self) -> str:
        """The decision in one line: ``exit code 1: deviates from 2 clauses``."""
        counts = {code: sum(problem.code is code for problem in self.problems) for code in PRECEDENCE}
        clauses = len({problem.deviation.clause for problem in self.problems if problem.deviation is not None})
        more = f" from {clauses} clause{'s' if clauses != 1 else ''}" if self.code is ExitCode.DEVIATES else ""
        further = [WORDS[code] for code in PRECEDENCE if counts[code] and code is not self.code]
        also = f"; also: {', '.join(further)}" if further else ""
        clauses_are = "clause is" if self.hidden == 1 else "clauses are"
        behind = f"; {self.hidden} {clauses_are} hidden behind deviations" if self.hidden else ""
        return f"exit code {self.code.value}: {WORDS[self.code]}{more}{also}{behind}"

    def of(self, subject: str) -> tuple[Problem, ...]:
        """List the problems of a subject; of the whole run for an empty name."""
        return tuple(problem for problem in self.problems if problem.subject == subject)

    def fails(self, deviation: Deviation) -> bool:
        """Whether a deviation or a hazard closes the gate."""
        if deviation.hazard:
            return self.fail_on_hazards
        return deviation.known is None


def decide(
    results: Sequence[SubjectResult], *, complete: bool = True, internal: bool = False, fail_on_hazards: bool = False
) -> Gate:
    """Decide on a run with these results, ``complete`` or interrupted; ``internal`` marks a fault of rmspec."""
    problems = []
    if not complete:
        text = "the reports hold what was known by then"
        problems.append(Problem(ExitCode.INTERRUPTED, "rmspec was interrupted", text))
    if internal:
        text = "the message on standard error says how to report it"
        problems.append(Problem(ExitCode.INTERNAL, "rmspec itself failed", text))
    if not results:
        problems.append(Problem(ExitCode.NOTHING_CHECKED, "nothing was checked", "the run has no subject"))
    checked = any(VERDICTS[result.verdict].checked for result in results)
    rule = Gate(fail_on_hazards=fail_on_hazards)
    for result in results:
        problems += _deviations(result, rule)
        problems += _verdict(result, complete=complete, checked=checked)
        problems += [Problem(ExitCode.STALE, "stale known deviation", entry, result.name) for entry in result.stale]
    hidden = sum(clause.verdict == "hidden" for result in results for clause in result.clauses)
    return Gate(tuple(problems), fail_on_hazards, hidden)


def exit_code(
    results: Sequence[SubjectResult], *, complete: bool = True, internal: bool = False, fail_on_hazards: bool = False
) -> ExitCode:
    """The exit code of a run with these results: see ``decide``."""
    return decide(results, complete=complete, internal=internal, fail_on_hazards=fail_on_hazards).code


def _deviations(result: SubjectResult, rule: Gate) -> list[Problem]:
    return [
        Problem(ExitCode.DEVIATES, deviation.clause, deviation.summary, result.name, deviation)
        for deviation in (*result.deviations, *result.hazards)
        if rule.fails(deviation)
    ]


def _verdict(result: SubjectResult, *, complete: bool, checked: bool) -> list[Problem]:
    """List the problems with the verdict itself, deviations left out; ``checked`` is true if any subject was checked."""
    row, text = VERDICTS[result.verdict], result.message
    code = ExitCode(row.exit_code)
    if code is ExitCode.SUBJECT_FAILED:
        return [Problem(code, "the subject could not be checked", text, result.name)]
    if code is not ExitCode.NOTHING_CHECKED or (row.optional and checked):
        return []
    if not complete and not result.complete:
        return []  # the interruption says it
    title = "the subject is not supported here" if row.optional else "nothing could be verified"
    return [Problem(code, title, text or "every check of it was inconclusive", result.name)]
