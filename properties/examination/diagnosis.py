"""Diagnosis: from a finding to a deviation, by running the subject on further programs.

Its hypotheses, the shortest program that shows it, the clause that explains it, and the description of all that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rmspec.impl.arithmetic.amendments import Amendment, spell_amendment
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.host.host import Host
from rmspec.oracles.program.program import Program, SetGrad
from rmspec.properties.counterexamples.attribution import attribute, has_layouts
from rmspec.properties.counterexamples.baselines import CUT, Baselines
from rmspec.properties.counterexamples.described import described, recognized
from rmspec.properties.counterexamples.halves import in_format, many_elements, short_options
from rmspec.properties.counterexamples.hypotheses import hypotheses, near_miss
from rmspec.properties.counterexamples.other_options import shifted_options, with_option
from rmspec.properties.counterexamples.reduction import reduce
from rmspec.properties.counterexamples.unamended import unamended_bounds
from rmspec.properties.counterexamples.variants import (
    after_others,
    alone_with,
    normal_numbers,
    plain_numbers,
    stored_values,
)
from rmspec.properties.events import Deviation
from rmspec.properties.examination.entries import Entries
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.judge.findings import Finding
from rmspec.properties.search.operations import operation_alone

__all__ = ["COMPILED_ATTEMPTS", "Diagnosis"]

COMPILED_ATTEMPTS = 8
"""So many programs are tried to make a program shorter where each is compiled."""

_STARTS = {clause.id for clause in CLAUSES.values() if clause.starts}
"""The clauses on initial values."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The diagnosis of the findings of one examinee; it keeps nothing of one finding for the next."""

    examinee: Examinee
    entries: Entries
    baselines: Baselines

    def labels(self, program: Program, finding: Finding, run_findings: tuple[Finding, ...]) -> tuple[str, ...]:
        """List the hypotheses in accord with a finding, with its kin in the run, and with varied numbers."""
        if self.examinee.compiles:
            return ()  # what one program left in the compiler decides the next: other programs say nothing of this one
        labels = hypotheses(finding, program, self.examinee.dialect)
        kin = [similar for similar in run_findings if similar.key == finding.key and similar is not finding][:3]
        for similar in kin:
            labels = _shared(labels, hypotheses(similar, program, self.examinee.dialect))
        for varied in self._varied(program, finding, labels):
            if not labels:
                break
            for similar in self.examinee.run(varied).findings:
                if similar.key == finding.key and similar.call == finding.call:
                    labels = _shared(labels, hypotheses(similar, varied, self.examinee.dialect))
        if finding.half and near_miss(finding):
            labels = self._of_next_number(program, finding, labels)
        if "isolation" in labels:
            # An option of another optimizer may have the value that fits by chance.
            alone = alone_with(program, finding.optimizer)
            done = self.examinee.run(alone)
            if alone != program and any(similar.key == finding.key for similar in done.findings):
                labels = tuple(label for label in labels if label != "isolation")
        if any(label in _STARTS for label in labels) and self._goes_on(program, finding):
            labels = tuple(label for label in labels if label not in _STARTS)
        return labels

    def _of_next_number(self, program: Program, finding: Finding, labels: tuple[str, ...]) -> tuple[str, ...]:
        """Drop the hypotheses no better than chance for a half beside its envelope: many rules reach it.

        Another rule deviates in a wider format as well, and options rounded too early deviate only where rounding changes them.
        """

        def shows(candidate: Program) -> bool:
            return any(similar.key == finding.key for similar in self.examinee.run(candidate).findings)

        rules = [label for label in labels if label not in ("scalar-precision", "subnormals")]
        wider = next((name for name in ("float32", "float64") if name in self.examinee.capabilities.formats), "")
        if rules and wider and not shows(in_format(program, wider)):
            labels = tuple(label for label in labels if label not in rules)
        if "scalar-precision" in labels and shows(many_elements(short_options(program))):
            labels = tuple(label for label in labels if label != "scalar-precision")
        return labels

    def _varied(self, program: Program, finding: Finding, labels: tuple[str, ...]) -> Iterator[Program]:
        """The program with other numbers.

        What explains a finding holds for these as well. Two wrong results may fall on one half by chance: a wider format
        tells them apart. Among small numbers that become 0 anything may follow: with none of them the rest is seen alone.
        """
        if "subnormals" in labels:
            yield from (normal_numbers(program, shrink=shrink) for shrink in (2, 4))
        yield from (plain_numbers(program, turn) for turn in (1, 2, 3))
        yield shifted_options(program)
        if finding.half and "float32" in self.examinee.capabilities.formats:
            yield in_format(program, "float32")

    def _goes_on(self, program: Program, finding: Finding) -> bool:
        """Whether one more step deviates likewise, from the values seen.

        Another initial value would show in the first step alone.
        """
        done = self.examinee.run(_one_step_more(program, finding))
        return any(
            (similar.kind, similar.param, similar.role, similar.call)
            == ("value", finding.param, finding.role, finding.call + 1)
            for similar in done.findings
        )

    def _starts_otherwise(self, program: Program, finding: Finding) -> bool:
        """Whether another initial value of a hidden square average explains a finding.

        It does for one more step as well, and for other numbers, another alpha and an eps to be seen.
        """
        varied = with_option(with_option(plain_numbers(program, 1), "eps", 0.25), "alpha", 0.5)
        first_squares = [_first_square(program, finding.param), _first_square(varied, finding.param)]
        starts: tuple[Sequence[float | Literal["eps"]], ...] = ((0.0, 0.0), (1.0, 1.0), ("eps", "eps"), first_squares)
        return any(
            self._explained_by(values[0], program, finding) and self._explained_by(values[1], varied, finding)
            for values in starts
        )

    def _explained_by(self, initial: float | Literal["eps"], program: Program, finding: Finding) -> bool:
        """Whether nothing of the parameter deviates with this initial square average, one step beyond the finding's."""
        examinee = self.examinee.under(replace(self.examinee.dialect, initial_square_avg=initial))
        return not any(
            (similar.kind, similar.param, similar.role) == ("value", finding.param, "param")
            for similar in examinee.run(_one_step_more(program, finding)).findings
        )

    def reduce(
        self,
        program: Program,
        finding: Finding,
        labels: tuple[str, ...],
        inherited: str,
        excluded: frozenset[str] = frozenset(),
        allowed: Callable[[Finding], bool] = lambda _: False,
    ) -> tuple[Program, Finding, str]:
        """Find the shortest program of a finding, the finding in it, and its clause there.

        ``excluded`` are the causes of findings that look alike; none of them may explain this one. What is ``allowed`` is no
        such finding.
        """

        def shows(candidate: Program, *, strict: bool = True) -> Finding | None:
            if not {param.dtype for param in candidate.params} <= set(self.examinee.capabilities.formats):
                return None
            for similar in self.examinee.run(candidate).findings:
                if similar.key != finding.key and (strict or not _same_exception(program, finding, candidate, similar)):
                    continue
                if allowed(similar):
                    continue
                if not finding.hazard and inherited != CUT and self.baselines.inherits(candidate, similar) != inherited:
                    continue
                # What explained it before must still explain it.
                if strict or excluded:
                    now = hypotheses(similar, candidate, self.examinee.dialect)
                    if not excluded.isdisjoint(now) or (strict and not _explains(now, labels)):
                        continue
                return similar
            return None

        if finding.kind == "operation":
            single = operation_alone(program, finding.call, finding.param, finding.operands)
            same = shows(single, strict=False)
            return (program, finding, finding.clause) if same is None else (single, same, same.clause)
        if self.examinee.compiles:
            reduced, evidence = reduce(program, finding, shows, attempts=COMPILED_ATTEMPTS)
            alone = self._by_itself(finding, reduced, after_others(reduced, evidence.optimizer), program)
            if alone is None:
                # It needs what went before in the process: no circumstance of this program is to blame.
                return reduced, evidence, evidence.clause
            return *alone, self.attribute(*alone, ())
        reduced, evidence = reduce(program, finding, shows, attempts=250 if finding.hazard else 700)
        plain = stored_values(reduced)
        again = shows(plain)
        if again is not None:
            reduced, evidence = plain, again
        # What several causes had made together, one may make alone.
        labels = labels or self.labels(reduced, evidence, ())
        if evidence.role == "param" and _STARTS.intersection(labels) and not self._starts_otherwise(reduced, evidence):
            labels = tuple(label for label in labels if label not in _STARTS)
        clause = attribute(
            evidence,
            reduced,
            self.examinee.dialect,
            lambda candidate: shows(candidate, strict=False) is not None,
            labels=labels,
        )
        return reduced, evidence, clause

    def _by_itself(self, finding: Finding, *candidates: Program) -> tuple[Program, Finding] | None:
        """Find the first of these programs with this finding in a fresh process, and the finding there; ``None`` without one."""
        for place, candidate in enumerate(candidates):
            if candidate in candidates[:place]:
                continue
            if isinstance(self.examinee.subject, Host):
                with self.examinee.subject.fresh() as fresh:
                    findings = self.examinee.judge(fresh.perform(candidate)).findings
            else:
                findings = self.examinee.run(candidate).findings
            for similar in findings:
                if similar.key == finding.key:
                    return candidate, similar
        return None

    def attribute(self, program: Program, finding: Finding, labels: tuple[str, ...]) -> str:
        """Choose the clause of a finding under these hypotheses; of a value in a compiled step the clause of its line."""
        if self.examinee.compiles:
            if finding.kind == "value":
                return finding.clause
            listed = self._clause_of_message(program, finding)
            clause = listed or attribute(finding, program, self.examinee.dialect)
            return "layout" if clause in ("group-options", "isolation") and has_layouts(program) else clause

        def still(candidate: Program) -> bool:
            done = self.examinee.run(candidate)
            return any(
                similar.key == finding.key or _same_exception(program, finding, candidate, similar)
                for similar in done.findings
            )

        return attribute(finding, program, self.examinee.dialect, still, labels=labels)

    def _clause_of_message(self, program: Program, finding: Finding) -> str:
        """Name the clause of an exception listed by its message, for this subject alone; empty if it is not listed.

        The message names the cause. The program need not: earlier ones in the process may have caused it.
        """
        subject = self.examinee.subject
        entries = (
            entry for entry in self.entries.of(subject) if entry.subject == subject.name and entry.when.get("message")
        )
        return next(
            (entry.clause for entry in entries if self.describe(program, finding, entry.clause).known == entry.id), ""
        )

    def describe(
        self,
        program: Program,
        finding: Finding,
        clause: str,
        inherited: str = "",
        *,
        amendment: Amendment | None = None,
        given: tuple[str, ...] | None = None,
    ) -> Deviation:
        """Describe a finding as a deviation from ``clause``, with the entry of a known list for it; without seconds.

        ``amendment`` explains it, and it was found ``given`` others, in words (``None``: those of the specification in force).
        """
        stored = replace(
            program,
            note="",
            bug_classes=(),
            subject=self.examinee.subject.name,
            framework=self.examinee.settings.framework or "",
            dialect=self.examinee.dialect.name,
            policy=self.examinee.settings.policy.name,
            device="" if self.examinee.settings.device == "cpu" else self.examinee.settings.device,
        )
        deviation = described(
            finding,
            stored,
            clause,
            call=finding.call,
            optimizer=finding.optimizer,
            framework=self.examinee.subject.framework,
            state_names=self.examinee.subject.state_names(),
        )
        if given is None:
            given = tuple(entry.words() for entry in self.examinee.dialect.amendments)
        spelled = {} if amendment is None else spell_amendment(amendment)
        plain = None
        # Bounds given what was seen of wrong lines, or under amendments, are no bounds of a correct optimizer.
        if (given or finding.by_line) and finding.kind == "value" and not finding.hazard:
            plain = unamended_bounds(stored, finding, self.examinee.settings.policy)
        deviation = replace(deviation, amendment=spelled, given=given, plain=plain)
        if inherited:
            return replace(deviation, known=f"inherited:{inherited}", reason="the baseline does the same")
        # What depends on the last bit may show on the baseline in another program than here.
        habits = (
            (baseline.name, entry)
            for baseline in self.baselines.all
            for entry in self.entries.of(baseline)
            if entry.inheritable
        )
        return recognized(deviation, self.entries.of(self.examinee.subject), habits, finding.clause)


def _one_step_more(program: Program, finding: Finding) -> Program:
    """The program up to a finding, with its step once more."""
    return replace(program, calls=(*program.calls[: finding.call + 1], program.calls[finding.call]))


def _same_exception(program: Program, finding: Finding, candidate: Program, similar: Finding) -> bool:
    """Whether two findings are one exception of one kind of call, under any clause."""
    return (
        finding.kind == similar.kind == "raised"
        and finding.hazard == similar.hazard
        and finding.key[2] == similar.key[2]
        and type(program.calls[finding.call]) is type(candidate.calls[similar.call])
    )


def _first_square(program: Program, param: str) -> float:
    """The square of a parameter's first gradient."""
    given = (call.values for call in program.calls if isinstance(call, SetGrad) and call.param == param)
    return next((abs(values[0]) ** 2 for values in given if values), 0.0)


def _explains(now: tuple[str, ...], then: tuple[str, ...]) -> bool:
    return not then or bool(set(now) & set(then))


def _shared(labels: tuple[str, ...], kin_labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if label in kin_labels)
