"""The layers of a subject's faults: those explained by amendments, and the rest under all of these.

After the search every transcript with a deviating value is looked at together (``rmspec.properties.peeling``). What explains
them is adopted, all transcripts are judged again by the specification as amended, and what deviates still is a deviation of its
own. Each amendment is a deviation as well, shown by the shortest program in which it deviates with the others adopted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rmspec.impl.arithmetic.amendments import Amendment
from rmspec.impl.spec.clauses import CLAUSES
from rmspec.impl.spec.dialect import Dialect
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.program.program import Program
from rmspec.properties.counterexamples.baselines import CUT
from rmspec.properties.counterexamples.described import allowed_by_page
from rmspec.properties.counterexamples.reduction import reduce
from rmspec.properties.counterexamples.variants import stored_values
from rmspec.properties.events import Deviation
from rmspec.properties.examination.books import Books
from rmspec.properties.examination.diagnosis import COMPILED_ATTEMPTS, Diagnosis
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.triage import Triage
from rmspec.properties.judge.findings import Finding, Tally
from rmspec.properties.known import shipped
from rmspec.properties.peeling.evidence import Effort, Witnessed, amended, coarseness, explicable, judge_until, spread
from rmspec.properties.peeling.peeling import Adoption, Peeling

__all__ = ["Examined", "Layers"]

_FAILING, _CONFORMING = 60, 40
"""So many transcripts with findings, and without, are looked at: evenly spread over all there are."""

_EFFORT = 5
"""For each call of the search so many are judged in looking for amendments, at most: judging is a part of a search."""

_ATTEMPTS = 200
"""So many programs are tried to make the program of an amendment shorter."""

_STARTS = 40
"""So many programs are tried as the start of the shortest one for an amendment."""


@dataclass(frozen=True, slots=True)
class Examined:
    """A program of the search with its findings, and its transcript if it was kept."""

    program: Program
    findings: tuple[Finding, ...]
    transcript: Transcript | None


class Layers:
    """The layers of one examination: they are looked for once, at the end of its search."""

    def __init__(self, examinee: Examinee, triage: Triage, record: Sequence[Examined], books: Books) -> None:
        self._examinee = examinee
        self._triage = triage
        self._record = record
        self._books = books
        self._excused: dict[int, set[object]] = {}
        calls = sum(len(entry.program.calls) for entry in record)
        self._effort = Effort(_EFFORT * calls, lambda: books.spent)

    def judged_again(self) -> tuple[Triage, Examinee]:
        """The triage and the examinee under the specification as amended: those of before, if nothing explains a deviation."""
        listed = {entry.id for entry in shipped()}
        if not any(
            _explicable(deviation) and deviation.known not in listed for deviation in self._triage.deviations.values()
        ):
            return self._triage, self._examinee
        dialect = self._examinee.dialect
        stored = [entry for entry in self._record if entry.transcript is not None]
        failing = [entry for entry in stored if any(explicable(finding, dialect) for finding in entry.findings)]
        conforming = [entry for entry in stored if not entry.findings]
        stored = [*spread(failing, _FAILING), *spread(conforming, _CONFORMING)]
        record = [Witnessed(entry.transcript, self._values(entry)) for entry in stored if entry.transcript is not None]
        peeling = Peeling(
            self._judge,
            dialect,
            self._examinee.settings.policy,
            record,
            not any(any(answer.after.groups.values()) for entry in record for answer in entry.transcript.answers),
            self._effort,
        )
        peeling.run()
        if not peeling.adopted:
            peeling.adopt([Adoption(amendment) for amendment in self._known_amendments()])
        if not peeling.adopted:
            return self._triage, self._examinee
        return self._under(peeling)

    def _known_amendments(self) -> tuple[Amendment, ...]:
        """The amendments of the known entries of deviations, as far as they explain them.

        The entry accepts its cause and nothing else: a deviation with another one is a new one.
        """
        deviations = self._triage.deviations
        entries = {entry.id: entry for entry in self._triage.entries.of(self._examinee.subject)}
        known: dict[str, Amendment] = {}
        for place, deviation in list(deviations.items()):
            entry = entries.get(deviation.known or "")
            if entry is None or entry.amendment is None or not _explicable(deviation) or deviation.amendment:
                continue
            if self._explains(entry.amendment, deviation):
                known[entry.id] = entry.amendment
                continue
            del deviations[place]
            deviations.setdefault((deviation.clause, "own"), replace(deviation, known=None, reason=""))
        return tuple(known.values())

    def _explains(self, amendment: Amendment, deviation: Deviation) -> bool:
        """Whether the program of a deviation no longer shows it under an amendment."""
        examinee = self._examinee.under(amended(self._examinee.dialect, [amendment]))
        place = (deviation.kind, deviation.param, deviation.role, deviation.call)
        return not any(
            (finding.kind, finding.param, finding.role, finding.call) == place and not finding.hazard
            for finding in examinee.run(replace(deviation.program, clause="")).findings
        )

    def seconds(self, deviation: Deviation) -> float:
        """The seconds of the search until a deviation was seen first, under any name."""
        return self._books.first_seconds(lambda place: place[0] == deviation.clause)

    def _under(self, peeling: Peeling) -> tuple[Triage, Examinee]:
        examinee, tally = self._examinee.under(peeling.dialect), Tally()
        triage = self._triage.under(examinee)
        for adoption in peeling.adopted:
            deviation = self._deviation(adoption, peeling)
            if deviation is not None:
                # Two amendments may break one clause, and so may what nothing explains: each is a deviation.
                words = adoption.amendment.words()
                listed = (deviation.clause, deviation.known or words)
                triage.deviations[(deviation.clause, words) if listed in triage.deviations else listed] = deviation
        for entry in self._record:
            transcript = entry.transcript or self._examinee.perform(entry.program)
            findings = examinee.judge(transcript, tally).findings
            # All but the values are kept, with how often they were met.
            values = tuple(finding for finding in findings if finding.kind == "value" and not finding.hazard)
            for _ in triage.take_up(entry.program, values):
                pass
        for place, deviation in list(triage.deviations.items()):
            if allowed_by_page(deviation):
                del triage.deviations[place]
        numbers: Counter[str] = Counter()
        for place, deviation in triage.deviations.items():
            numbers[deviation.clause] += deviation.known is None and not deviation.hazard
            # One whose program the search has made is in none of its programs, perhaps.
            triage.deviations[place] = replace(
                deviation,
                occurrences=max(1, deviation.occurrences),
                number=max(1, numbers[deviation.clause]) if deviation.known is None else 1,
            )
        self._books.recount(examinee, tally)
        return triage, examinee

    # -- findings to be explained

    def _values(self, examined: Examined) -> tuple[Finding, ...]:
        """The findings of a program to be explained; those of a baseline are excused in every later judgement."""
        values = tuple(finding for finding in examined.findings if explicable(finding, self._examinee.dialect))
        excused: set[object] = {
            finding.place for finding in values if self._triage.baselines.inherits(examined.program, finding)
        }
        if excused:
            self._excused[id(examined.transcript)] = excused
        return tuple(finding for finding in values if finding.place not in excused)

    def _judge(self, transcript: Transcript, dialect: Dialect, until: int | None = None) -> tuple[Finding, ...]:
        excused = self._excused.get(id(transcript), set())
        return judge_until(
            transcript,
            dialect,
            self._examinee.settings.policy,
            lambda finding: explicable(finding, dialect) and finding.place not in excused,
            self._effort,
            until,
        )

    # -- an amendment as a deviation

    def _deviation(self, adoption: Adoption, peeling: Peeling) -> Deviation | None:
        """The deviation explained by an amendment, in the shortest program: alone, if a program shows it so.

        What a baseline does as well is one of its own only where no program shows it without the baseline. ``None``: nothing
        deviates without this amendment, the later ones explain it all.
        """
        amendments = [entry.amendment for entry in peeling.adopted]
        place = amendments.index(adoption.amendment)
        # A later position of the same switch holds in its place: what this one explains is seen without that.
        used = [
            entry
            for number, entry in enumerate(amendments)
            if number <= place or not _overrides(entry, adoption.amendment)
        ]
        remaining = [entry for entry in used if entry is not adoption.amendment]
        without, full = amended(self._examinee.dialect, remaining), amended(self._examinee.dialect, used)
        for alone in (True, False) if remaining else (True,):
            inherited: Deviation | None = None
            isolate = _Isolation(self._examinee, without, full, alone)
            for start in self._starts(without, full):
                finding = isolate(start)
                if finding is None or (inherited is not None and self._inherits(start, finding)):
                    continue
                deviation = self._shortest(adoption, isolate, start, finding, () if alone else tuple(remaining))
                if not deviation.inherited:
                    return deviation
                inherited = inherited or deviation
            if inherited is not None:
                return inherited
        return None

    def _inherits(self, program: Program, finding: Finding) -> bool:
        return self._triage.baselines.inherits(program, finding) not in ("", CUT)

    def _shortest(
        self,
        adoption: Adoption,
        isolate: _Isolation,
        start: Program,
        finding: Finding,
        remaining: tuple[Amendment, ...],
    ) -> Deviation:
        """Reduce the program of an amendment; a deviation of the subject's own stays its own."""
        own = not self._inherits(start, finding)

        def shows(program: Program) -> Finding | None:
            similar = isolate(program)
            return None if similar is None or (own and self._inherits(program, similar)) else similar

        attempts = COMPILED_ATTEMPTS if self._examinee.compiles else _ATTEMPTS
        program, finding = reduce(start, finding, shows, attempts=attempts)
        plain = stored_values(program)
        again = shows(plain)
        if again is not None:
            program, finding = plain, again
        return self._described(adoption, program, finding, remaining)

    def _starts(self, without: Dialect, full: Dialect) -> Iterator[Program]:
        """Programs with a finding explained by the amendment: short ones of precise formats first."""
        for deviation in self._triage.deviations.values():
            if _explicable(deviation):
                # The search has made it short already.
                yield replace(deviation.program, clause="")
        failing = [entry for entry in self._record if entry.transcript is not None and entry.findings]
        count = 0
        for entry in sorted(failing, key=lambda entry: (coarseness(entry.program), len(entry.program.calls))):
            assert entry.transcript is not None
            deviating = self._judge(entry.transcript, without)
            if not deviating:
                continue
            left = {finding.place for finding in self._judge(entry.transcript, full, deviating[0].call)}
            if any(finding.place not in left for finding in deviating):
                yield entry.program
                count += 1
            if count >= (COMPILED_ATTEMPTS if self._examinee.compiles else _STARTS):
                return

    def _described(
        self, adoption: Adoption, program: Program, finding: Finding, remaining: tuple[Amendment, ...]
    ) -> Deviation:
        diagnosis = Diagnosis(self._examinee, self._triage.entries, self._triage.baselines)
        inherited = "" if remaining else self._triage.baselines.inherits(program, finding)
        deviation = diagnosis.describe(
            program,
            finding,
            adoption.amendment.clause,
            inherited.removeprefix(CUT),
            amendment=adoption.amendment,
            given=tuple(entry.words() for entry in remaining),
        )
        if adoption.ties and deviation.known is None:
            ties = ", or ".join(entry.words() for entry in adoption.ties)
            deviation = replace(deviation, reason=f"what was seen fits this as well: {ties}")
        return deviation


@dataclass(frozen=True, slots=True)
class _Isolation:
    """The question of whether a program shows the deviation of one amendment.

    It deviates without the amendment, and not with it. ``alone``: and it deviates from the specification in the same way, so
    that the other amendments make no difference.
    """

    examinee: Examinee
    without: Dialect
    full: Dialect
    alone: bool

    def __call__(self, program: Program) -> Finding | None:
        """The finding explained by the amendment."""
        transcript = self.examinee.perform(program)
        after = {finding.place for finding in self.examinee.under(self.full).judge(transcript).findings}
        plain = {
            (finding.call, finding.param, finding.role, finding.allowed)
            for finding in (self.examinee.judge(transcript).findings if self.alone else ())
        }
        for finding in self.examinee.under(self.without).judge(transcript).findings:
            if finding.kind != "value" or finding.hazard or finding.place in after:
                continue
            if not self.alone or (finding.call, finding.param, finding.role, finding.allowed) in plain:
                return finding
        return None


def _overrides(later: Amendment, earlier: Amendment) -> bool:
    """Whether an amendment puts a switch of an earlier one into another position, everywhere."""
    names = {name for name, _ in earlier.switches}
    return later.general and any(name in names for name, _ in later.switches)


def _explicable(deviation: Deviation) -> bool:
    """Whether a deviation may be explained by an amendment: a value, and no list or baseline of rmspec's own explains it."""
    return (
        deviation.kind == "value"
        and not deviation.hazard
        and not deviation.sighting
        and not deviation.inherited
        and CLAUSES[deviation.clause].kind != "differential"
    )
