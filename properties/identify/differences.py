"""Differences between a subject and the dialect it speaks, or comes closest to.

All probes and the sharp programs are judged under the dialect, with every number that can be seen. What deviates is explained
as in a check, by peeling: an option scaled or ignored, a branch with a rule of its own, another default.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rmspec.impl.arithmetic.amendments import BRANCHES, Amendment, branch_of
from rmspec.impl.arithmetic.formats import FORMATS
from rmspec.impl.arithmetic.policy import STRICT
from rmspec.impl.spec.clauses import CLAUSE_OF_DEFAULT
from rmspec.impl.spec.dialect import Dialect, Hyperparameters
from rmspec.impl.spec.switches import SWITCHES
from rmspec.oracles.errors import SubjectFailed
from rmspec.oracles.host.perform import Driven, Transcript
from rmspec.oracles.program.program import Create, Program, SetGrad
from rmspec.oracles.subject import Capabilities
from rmspec.properties.events import Deviation
from rmspec.properties.identify.answer import Contradiction, Difference, Remainder
from rmspec.properties.identify.probes import Prober
from rmspec.properties.identify.questions import precise
from rmspec.properties.identify.sharp import sharp
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.ledger import number
from rmspec.properties.judge.runner import judge
from rmspec.properties.known import Known, applies, matches, shipped
from rmspec.properties.peeling.evidence import (
    Effort,
    Witnessed,
    amended,
    branch_at,
    coarseness,
    explicable,
    fits,
    judge_until,
)
from rmspec.properties.peeling.peeling import Peeling

__all__ = ["Comparison", "Outcome", "listed"]

_EFFORT = 30.0
"""For each call of the programs so many are judged in looking for amendments, at most."""

_ROUNDED = Amendment(SWITCHES["scalars"].clause, (("scalars", "storage"),))
"""What an entry of a list about rounded options may excuse, and no more."""

_OPTION_OF = {clause: option for option, clause in CLAUSE_OF_DEFAULT.items()}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The differences from a dialect, and the remainders without explanation."""

    dialect: Dialect
    differences: tuple[Difference, ...] = ()
    remainders: tuple[Remainder, ...] = ()

    @property
    def amendments(self) -> tuple[Amendment, ...]:
        """The amendments of the differences."""
        return tuple(difference.amendment for difference in self.differences)

    @property
    def minor(self) -> bool:
        """Whether nothing but defaults differs, or numbers in complex formats alone."""
        real = any(not remainder.complex_alone for remainder in self.remainders)
        return not real and not any(amendment.switches or amendment.uses for amendment in self.amendments)


def listed(subject: Driven) -> tuple[Known, ...]:
    """List the shipped known deviations of a subject, or inherited by it, about values in some formats."""
    versions = subject.versions()
    return tuple(
        entry
        for entry in shipped()
        if entry.when.get("kind") == "value"
        and "formats" in entry.when
        and (
            applies(entry, subject.name, versions)
            or (entry.inheritable and any(applies(entry, name, versions) for name in subject.baselines))
        )
    )


@dataclass(slots=True)
class Comparison:
    """A subject's programs, to be compared with dialects; deviating ones are repeated with other options.

    ``format`` is the format of the probes. What is seen in the ``refuted`` formats no dialect explains. ``known`` are the listed
    deviations of the framework in some formats: they are no differences.
    """

    prober: Prober
    capabilities: Capabilities
    format: str
    refuted: frozenset[str] = frozenset()
    known: tuple[Known, ...] = ()
    _judged: dict[tuple[int, Dialect], tuple[Finding, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for format in self.capabilities.formats:
            self._ask(format)

    def nearest(self, dialects: Iterable[Dialect]) -> Dialect:
        """Choose the dialect with the fewest deviating programs; the first without any."""
        counts: list[tuple[int, Dialect]] = []
        for dialect in dialects:
            count = sum(bool(self._findings(transcript, dialect)) for transcript in self._transcripts())
            if not count:
                return dialect
            counts.append((count, dialect))
        return min(counts, key=lambda pair: pair[0])[1]

    def against(self, dialect: Dialect, given: Sequence[Amendment] = ()) -> Outcome:
        """Find the differences from a dialect, besides those ``given``."""
        start = amended(dialect, given)
        defaults = self._defaults(start)
        start = amended(start, (difference.amendment for difference in defaults))
        ignored = {option for amendment in given for option, _ in amendment.uses}
        defaults = [
            difference
            for difference in defaults
            if not ignored & {option for option, _ in difference.amendment.defaults}
        ]
        adopted = self._adopted(start)
        full = amended(start, (difference.amendment for difference in adopted))
        differences = (*map(Difference, given), *defaults, *self._with_evidence(adopted, start, full))
        return Outcome(dialect, differences, tuple(self._remainders(start, full)))

    # -- programs, performed and judged

    def _ask(self, format: str, *, thorough: bool = False) -> None:
        """Perform the sharp programs of a format, up to one fatal to the subject."""
        for program in sharp(self.capabilities, format, branches=format == self.format, thorough=thorough):
            try:
                self.prober.perform(program)
            except SubjectFailed:
                return

    def _transcripts(self) -> list[Transcript]:
        return [entry for entry in self.prober.transcripts if entry.failure is None]

    def _findings(self, transcript: Transcript, dialect: Dialect) -> tuple[Finding, ...]:
        """The findings on values and on defaults."""
        question = id(transcript), dialect
        if question not in self._judged:
            self._judged[question] = tuple(
                finding
                for finding in judge(transcript, dialect).findings
                if self._concerns(finding, transcript, dialect)
                or (finding.kind == "group" and finding.clause in _OPTION_OF)
            )
        return self._judged[question]

    def _concerns(self, finding: Finding, transcript: Transcript, dialect: Dialect) -> bool:
        return explicable(finding, dialect) and not any(
            matches(
                entry, Deviation(entry.clause, "", transcript.program, finding.kind, finding.call, role=finding.role)
            )
            and (entry.clause != _ROUNDED.clause or fits(finding, dialect, (_ROUNDED,), STRICT, Effort(1)) is not False)
            for entry in self.known
        )

    def _values(self, transcript: Transcript, dialect: Dialect) -> tuple[Finding, ...]:
        return tuple(finding for finding in self._findings(transcript, dialect) if finding.kind == "value")

    def _defaults(self, dialect: Dialect) -> list[Difference]:
        """List the defaults of the groups at odds with the dialect's."""
        differences: dict[str, Difference] = {}
        for transcript in self._transcripts():
            for finding in self._findings(transcript, dialect):
                if finding.kind == "group" and isinstance(finding.observed, int | float):
                    option = _OPTION_OF[finding.clause]
                    value = bool(finding.observed) if option == "centered" else float(finding.observed)
                    amendment = Amendment(finding.clause, defaults=((option, value),))
                    evidence = _contradiction(transcript.program, finding, amendment)
                    differences.setdefault(option, Difference(amendment, evidence=evidence))
        return list(differences.values())

    def _adopted(self, start: Dialect) -> list[Difference]:
        """Peel the programs of real formats, the refuted ones aside; repeat those of the most precise deviating one.

        Where more precise formats conform, what is found in the others holds in these alone.
        """
        chosen = [name for name in precise(self.capabilities.formats) if name not in self.refuted]
        failing = {
            _format(finding) for transcript in self._transcripts() for finding in self._values(transcript, start)
        }
        deviating = [name for name in chosen if name in failing]
        if not deviating:
            return []
        self._ask(deviating[0], thorough=True)
        formats = tuple(deviating) if deviating[0] != chosen[0] else ()
        performed = [
            transcript
            for transcript in self._transcripts()
            if transcript.program.params[0].dtype in (formats or chosen)
        ]
        record = [Witnessed(transcript, self._values(transcript, start)) for transcript in performed]
        hidden = not any(any(answer.after.groups.values()) for transcript in performed for answer in transcript.answers)
        effort = Effort(_EFFORT * sum(len(transcript.program.calls) for transcript in performed))

        def judged(transcript: Transcript, dialect: Dialect, until: int | None) -> tuple[Finding, ...]:
            return judge_until(
                transcript, dialect, STRICT, lambda finding: self._concerns(finding, transcript, dialect), effort, until
            )

        peeling = Peeling(judged, start, STRICT, record, hidden, effort)
        peeling.run()
        return [
            Difference(
                replace(adoption.amendment, formats=formats),
                tuple(replace(tie, formats=formats) for tie in adoption.ties),
            )
            for adoption in peeling.adopted
        ]

    def _remainder(self, role: str, findings: Sequence[Finding], dialect: Dialect) -> Remainder:
        """Describe the branches and formats of these findings, as far as other ones were performed."""
        performed = {
            branch_of(replace(dialect, amendments=()), _hyper(transcript.program)) for transcript in self._transcripts()
        }
        branches = {branch_at(finding, dialect) for finding in findings}
        literals = tuple(
            (name, value)
            for place, name in enumerate(BRANCHES)
            for value in (True, False)
            if {branch[place] for branch in branches} == {value} and any(branch[place] != value for branch in performed)
        )
        formats = {_format(finding) for finding in findings}
        return Remainder(role, tuple(literals), tuple(name for name in self.capabilities.formats if name in formats))

    def _remainders(self, start: Dialect, full: Dialect) -> list[Remainder]:
        """Group the deviations still there, the first of each program: one remainder a role."""
        left: dict[str, list[tuple[Transcript, Finding]]] = {}
        for transcript in sorted(self._transcripts(), key=lambda entry: _cost(entry.program)):
            values = self._values(transcript, full)
            if values:
                first = min(values, key=lambda finding: finding.call)
                left.setdefault(first.role, []).append((transcript, first))
        remainders = []
        for role, pairs in left.items():
            remainder = self._remainder(role, [finding for _, finding in pairs], start)
            evidence = self._contradiction_of(*pairs[0], full, None)
            if remainder.complex_alone:
                evidence = replace(evidence, clause="complex-pairs", summary=remainder.words())
            remainders.append(replace(remainder, evidence=evidence))
        return remainders

    # -- the programs to show

    def _with_evidence(self, adopted: Sequence[Difference], start: Dialect, full: Dialect) -> Iterator[Difference]:
        """Show each difference by the first finding explained by it, in a short program of a precise format."""
        for difference in adopted:
            without = amended(start, (entry.amendment for entry in adopted if entry is not difference))
            yield replace(difference, evidence=self._evidence(difference.amendment, without, full))

    def _evidence(self, amendment: Amendment, without: Dialect, full: Dialect) -> Contradiction | None:
        for transcript in sorted(self._transcripts(), key=lambda entry: _cost(entry.program)):
            after = {finding.place for finding in self._values(transcript, full)}
            explained = [finding for finding in self._values(transcript, without) if finding.place not in after]
            if explained:
                return self._contradiction_of(
                    transcript, min(explained, key=lambda finding: finding.call), without, amendment
                )
        return None

    def _contradiction_of(
        self, transcript: Transcript, finding: Finding, dialect: Dialect, amendment: Amendment | None
    ) -> Contradiction:
        """Show a finding on its element alone, if it deviates likewise."""
        program = _alone(transcript.program, finding.element)
        if program is not None:
            try:
                values = self._values(self.prober.perform(program), dialect)
            except SubjectFailed:
                values = ()
            alone = next((value for value in values if (value.call, value.role) == (finding.call, finding.role)), None)
            if alone is not None:
                return _contradiction(program, alone, amendment)
        return _contradiction(transcript.program, finding, amendment)


def _contradiction(program: Program, finding: Finding, amendment: Amendment | None) -> Contradiction:
    """A finding, explained by an amendment or by nothing."""
    clause = finding.clause if amendment is None else amendment.clause
    summary = "nothing that rmspec knows explains it" if amendment is None else amendment.words()
    calls = program.calls[: finding.call + 1]
    observed = finding.observed if isinstance(finding.observed, int | float) else float("nan")
    allowed = finding.allowed or (observed, observed)
    return Contradiction(clause, summary, replace(program, calls=calls), float(observed), allowed, finding.role)


def _alone(program: Program, element: int) -> Program | None:
    """The program on one of its elements; ``None`` if it has no others, or they are complex."""
    (param,) = program.params
    if param.shape == (1,) or FORMATS[param.dtype].parts == 2:
        return None
    calls = tuple(
        replace(call, values=_only(call.values, element)) if isinstance(call, SetGrad) and call.values else call
        for call in program.calls
    )
    return replace(program, params=(replace(param, shape=(1,), values=_only(param.values, element)),), calls=calls)


def _only(values: tuple[float, ...], element: int) -> tuple[float, ...]:
    return (values[element % len(values)],)


def _hyper(program: Program) -> Hyperparameters:
    """The options given to the optimizer of a program."""
    given: dict[str, Any] = {
        name: number(value)
        for call in program.calls
        if isinstance(call, Create)
        for name, value in call.options.items()
    }
    return Hyperparameters(**given)


def _format(finding: Finding) -> str:
    assert finding.case is not None
    return finding.case.format


def _cost(program: Program) -> tuple[int, int]:
    return coarseness(program), len(program.calls)
