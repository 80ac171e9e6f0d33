"""Baselines: the optimizers beneath a subject, and whether they show the same deviation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rmspec.impl.arithmetic.envelope import STATE_ROLES
from rmspec.impl.arithmetic.policy import Policy
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.dialects import dialect_named
from rmspec.oracles.host.hiding import show_only
from rmspec.oracles.host.perform import Driven, perform
from rmspec.oracles.program.program import Create, Program, Step
from rmspec.properties.counterexamples.other_options import plain_options
from rmspec.properties.counterexamples.variants import plain_numbers
from rmspec.properties.judge.findings import Finding
from rmspec.properties.judge.runner import judge, run
from rmspec.properties.known import applies, shipped
from rmspec.properties.search.fitting import admit_whole, lacks_derivatives

__all__ = ["CUT", "Baselines"]

CUT = "?"
"""The answer where nothing can be said: the baseline could not be followed so far."""

_REMEMBERED = 4000


class Baselines:
    """The baselines ``all`` of a subject, run on the same programs; ``roles`` are the visible state of the subject."""

    def __init__(
        self, all: Sequence[Driven], subject: Driven, roles: frozenset[str], dialect: Dialect, policy: Policy
    ) -> None:
        self.all = tuple(all)
        self._subject = subject
        self._roles = roles
        self._dialect = dialect
        self._policy = policy
        self._witnessed: dict[str, tuple[Finding, ...]] = {}
        self._remembered: dict[tuple[str, int], tuple[tuple[set[object], int], ...]] = {}

    def inherits(self, program: Program, finding: Finding) -> str:
        """Find the baseline to break the same clause at the same place of the same program; or an empty string.

        ``CUT`` where a baseline could not be followed so far, so that nothing can be said.
        """
        cut = ""
        if self.all and self._hooks_of_bases(program, finding):
            return self.all[0].name
        program = self._spell_defaults(program, finding)
        # So is an option of a group, if it is the dialect's default.
        default = finding.kind == "group" and bool(CLAUSES[finding.clause].option)
        spoken = finding.kind in ("value", "base") or default
        for baseline in self.all:
            if lacks_derivatives(program, baseline.capabilities()):
                continue
            judged_by = self._dialect
            if spoken and baseline.dialect != self._dialect.name:
                # It computes something else on purpose: that it deviates from this dialect excuses no one.
                if not CLAUSES[finding.clause].decided:
                    continue
                # What it does besides shows against its own.
                judged_by = dialect_named(baseline.dialect)
            calls = 0
            for places, calls in self._places(baseline, program, judged_by):  # noqa: B007 - the last one counts below
                if (finding.clause, finding.place) in places:
                    return baseline.name
            if self._habit(baseline, program, finding) or self._shares_habit(baseline, finding):
                return baseline.name
            if calls <= finding.call:
                if self._shares_live_state(baseline, program, finding):
                    return baseline.name
                cut = CUT
        return cut

    def _hooks_of_bases(self, program: Program, finding: Finding) -> bool:
        """Tell whether hooks run wrongly only once optimizers of the base classes were constructed, a habit of the framework."""
        steps = (replace(call, bases=False) if isinstance(call, Step) else call for call in program.calls)
        bare = replace(program, calls=tuple(steps))
        if finding.kind != "hooks" or bare == program:
            return False
        findings = run(bare, self._subject, self._dialect, policy=self._policy).findings
        return not any(similar.kind == "hooks" and similar.call == finding.call for similar in findings)

    def _spell_defaults(self, program: Program, finding: Finding) -> Program:
        """Give the baseline the subject's other defaults as options, for the same step."""
        case = finding.case
        if case is None:
            return program
        differing = {
            option: case.hyper.option(option)
            for option, source in case.sources.items()
            if source == "default" and case.hyper.option(option) != getattr(self._dialect.defaults, option)
        }
        if not differing:
            return program
        calls = (
            replace(call, options={**differing, **call.options})
            if isinstance(call, Create) and call.optimizer == finding.optimizer
            else call
            for call in program.calls
        )
        return replace(program, calls=tuple(calls))

    def _places(self, baseline: Driven, program: Program, dialect: Dialect) -> tuple[tuple[set[object], int], ...]:
        """Find the deviations of a baseline in a program, and count the judged calls.

        A baseline that shows more of its state than the subject is judged twice: with no more of it in sight than the
        subject shows, and as it is.
        """
        key = (baseline.name, hash((repr(program), dialect.name)))
        if key not in self._remembered:
            if len(self._remembered) > _REMEMBERED:
                self._remembered.clear()
            whole = perform(program, baseline)
            less = not baseline.capabilities().roles <= self._roles
            judged = [
                judge(transcript, dialect, policy=self._policy)
                for transcript in ((show_only(whole, self._roles), whole) if less else (whole,))
            ]
            self._remembered[key] = tuple(
                ({(finding.clause, finding.place) for finding in run.findings if not finding.hazard}, run.calls)
                for run in judged
            )
        return self._remembered[key]

    def _habit(self, baseline: Driven, program: Program, finding: Finding) -> bool:
        """Tell whether a baseline does the same on plain numbers.

        A change, or a value accepted, does not depend on the numbers, and those at hand may hide it, as an overflow or
        ``alpha=1`` does: they leave nothing to change.
        """
        if finding.kind not in ("frame", "silent"):
            return False
        sign = (finding.clause, finding.place)
        for plain in (plain_numbers(program), plain_numbers(plain_options(program))):
            if any(sign in places for places, _ in self._places(baseline, plain, self._dialect)):
                findings = run(plain, self._subject, self._dialect, policy=self._policy).findings
                return any((deviation.clause, deviation.place) == sign for deviation in findings)
        return False

    def _shares_habit(self, baseline: Driven, finding: Finding) -> bool:
        """Tell whether the subject has a listed habit of a baseline with this finding: its witness shows it here as well.

        The program at hand need not show it on the baseline, which may stop earlier, or keep its state in another order.
        """
        if finding.kind not in ("frame", "silent"):
            return False
        versions = baseline.versions()
        return any(
            entry.clause == finding.clause
            and applies(entry, baseline.name, versions)
            and entry.witness is not None
            and any(_alike(finding, similar) for similar in self._findings(entry.id, entry.witness))
            for entry in shipped()
        )

    def _shares_live_state(self, baseline: Driven, program: Program, finding: Finding) -> bool:
        """Tell whether a value follows from a live state dict, a listed habit of the baseline."""
        versions = baseline.versions()
        if finding.kind != "value" or not any(
            CLAUSES[entry.clause].lives and applies(entry, baseline.name, versions) for entry in shipped()
        ):
            return False
        transcript = perform(program, self._subject)
        findings = judge(transcript, self._dialect, policy=self._policy, live=True).findings
        return not any(similar.place == finding.place for similar in findings if not similar.hazard)

    def _findings(self, id: str, witness: Program) -> tuple[Finding, ...]:
        """The findings of a witness on the subject; none for a subject without its formats or calls."""
        if id not in self._witnessed:
            admitted = admit_whole(witness, self._subject.capabilities())
            plain = replace(witness, clause="")
            self._witnessed[id] = (
                () if admitted is None else run(plain, self._subject, self._dialect, policy=self._policy).findings
            )
        return self._witnessed[id]


def _alike(finding: Finding, similar: Finding) -> bool:
    """Whether two findings are one habit: of one clause, of one kind, and both about a state or neither."""
    about_state = finding.role in STATE_ROLES, similar.role in STATE_ROLES
    return (finding.clause, finding.kind) == (similar.clause, similar.kind) and about_state[0] == about_state[1]
