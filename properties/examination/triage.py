"""Triage: tells new findings from repeated, inherited and known ones.

A fold over the judged programs in the order of the plan. What it makes of a finding depends on the findings before it and on
answers of the subject and its baselines, never on the clock and never on who was first: programs that were judged in
several places come to the same once their findings are taken up in the order of the plan. Seconds are stamped outside.
"""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.host.host import Host
from rmspec.oracles.host.perform import Transcript
from rmspec.oracles.program.program import Program
from rmspec.properties.counterexamples.baselines import CUT, Baselines
from rmspec.properties.counterexamples.described import accepts, allowed_by_page
from rmspec.properties.counterexamples.hypotheses import hypotheses
from rmspec.properties.events import Deviation
from rmspec.properties.examination.diagnosis import Diagnosis
from rmspec.properties.examination.entries import Entries
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.judge.findings import Finding
from rmspec.properties.known import Known, matches
from rmspec.properties.lines.cells import Cell
from rmspec.properties.peeling.evidence import Effort, fits, flushed
from rmspec.properties.search.fitting import admit_whole

__all__ = ["Place", "Triage"]

Place = tuple[str, str]
"""The place of a deviation: its clause, and ``hazard``, the id of what it is known by, ``own``, or ``once`` for a sighting."""

_Look = tuple[tuple[str, str, str, bool], bool, bool, str, bool]
"""What findings that look alike have in common; the last is true where they have another cause than the first ones."""

_LOOKS = 8
"""So many findings that look alike are looked into: a subject that is wrong everywhere shows the same in every program."""

_GLANCES = 64
"""So many findings beyond those are asked whether they have another cause: a rare fault may look like a frequent one."""

_REDUCTIONS = 4
"""So many findings of one family are reduced."""


class Triage:
    """The fold: ``deviations`` and hazards so far, by their places, in the order of the findings.

    ``spoils`` are the lines and cells of their findings, by clause.
    """

    def __init__(self, examinee: Examinee, baselines: Baselines, plain: Examinee | None = None) -> None:
        """``plain`` is the examinee by the specification without amendments, if the other one has some."""
        self.deviations: dict[Place, Deviation] = {}
        self.spoils: dict[str, set[tuple[str, Cell]]] = {}
        self._places_of_look: dict[_Look, set[Place]] = {}
        self._examinee = examinee
        self._plain = plain or examinee
        self.baselines = baselines
        self.entries = Entries(examinee.settings.known, examinee.locality)
        self.diagnosis = Diagnosis(examinee, self.entries, baselines)
        self._places: dict[object, Place] = {}
        self._reductions: Counter[object] = Counter()
        self._looks: Counter[_Look] = Counter()
        self._glances: Counter[_Look] = Counter()
        self._causes: dict[_Look, set[str]] = {}
        self._transcripts: dict[str, Transcript] = {}

    def under(self, examinee: Examinee) -> Triage:
        """Begin anew with the values, judged by another specification, and keep everything else.

        Of the values those stay that deviate from it as well, in their shortest program and for the same reason.
        """
        again = Triage(examinee, self.baselines, self._plain)
        retained = {
            place: replace(deviation, occurrences=0) if _is_value(deviation) and not deviation.sighting else deviation
            for place, deviation in self.deviations.items()
            if not _is_value(deviation) or deviation.sighting or again.stays(deviation)
        }
        again.deviations.update(retained)
        again._places.update((key, place) for key, place in self._places.items() if place in retained)
        again._transcripts.update(self._transcripts)
        again._looks.update(self._looks)
        for look in self._looks:
            if look[0][0] == "value" and not look[0][3]:
                again._looks[look] = 0
        return again

    def stays(self, deviation: Deviation) -> bool:
        """Whether the program of a deviation still deviates, by the same clause."""
        program, dialect = replace(deviation.program, clause=""), self._examinee.dialect
        if any(entry.id == deviation.known and entry.amendment for entry in self.entries.of(self._examinee.subject)):
            # The entry accepts its cause alone; what is left now has another.
            return False
        if _differential(deviation.clause):
            program = deviation.program
        for finding in self._examinee.run(program).findings:
            if finding.hazard or finding.kind != deviation.kind or finding.role != deviation.role:
                continue
            if finding.clause == deviation.clause and CLAUSES[finding.clause].kind == "differential":
                return not any(
                    similar.kind == "value" for similar in self._examinee.run(replace(program, clause="")).findings
                )
            labels = hypotheses(finding, program, dialect)
            return self.diagnosis.attribute(program, finding, labels) == deviation.clause
        return False

    def keep_sighting(self, deviation: Deviation) -> Place:
        """Keep a deviation seen in the first step of a process alone, and return its place."""
        place = (deviation.clause, deviation.known or "once")
        self.deviations.setdefault(place, deviation)
        return place

    def take_up(self, program: Program, findings: tuple[Finding, ...]) -> Iterator[Place]:
        """Take up the findings of the next program, and yield the places of new deviations."""
        for finding in findings:
            # What a program of a differential clause shows besides is no matter of that clause.
            meant = program if _differential(finding.clause) else replace(program, clause="")
            place = self._consider(meant, finding, findings)
            if place is not None:
                yield place

    def _consider(self, program: Program, finding: Finding, findings: tuple[Finding, ...]) -> Place | None:
        if _differential(finding.clause) and self._explained_already(finding.clause):
            return None
        small = flushed(finding, self._examinee.dialect)
        plain: _Look = (finding.key, finding.half, small, "", False)
        if self._page_allows(finding):
            self._spoil(plain, finding)
            return None
        apart = self._looks[plain] >= _LOOKS
        if apart and not self._has_another_cause(program, finding, plain):
            self._spoil(plain, finding)
            return None
        inherited = "" if finding.hazard else self.baselines.inherits(program, finding)
        look: _Look = (finding.key, finding.half, small, inherited, apart)
        self._looks[look] += 1
        if self._looks[look] > _LOOKS:
            self._spoil(look, finding)
            return None
        listed = None if inherited else self._listed(program, finding, small)
        if listed is not None:
            self._spoil(look, finding, listed)
            self._again(listed)
            return listed if self.deviations[listed].occurrences == 1 else None
        labels = self.diagnosis.labels(program, finding, findings)
        self._causes.setdefault(look, set()).update(labels[:1] or ("",))
        key = (finding.key, labels[:1], inherited, finding.half, small)
        if key in self._places:
            self._spoil(look, finding, self._places[key])
            self._again(self._places[key])
            return None
        family = (finding.kind, finding.role, finding.hazard, inherited, finding.half, small)
        if self._reductions[family] >= _REDUCTIONS:
            return None
        self._reductions[family] += 1
        excluded = frozenset(self._causes[plain] if apart else ())
        deviation = self._diagnosed(program, finding, labels, inherited, excluded)
        if allowed_by_page(deviation):
            self._spoil(look, finding)
            return None
        place = (deviation.clause, "hazard" if finding.hazard else deviation.known or "own")
        self._places[key] = place
        self._spoil(look, finding, place)
        if place in self.deviations:
            self._again(place)
            return None
        self.deviations[place] = deviation
        return place

    def _page_allows(self, finding: Finding) -> bool:
        """Whether amendments alone refuse a value: the page has it, from the state seen before the step."""
        plain = self._plain.dialect
        if finding.by_line or finding.hazard or self._examinee.dialect == plain:
            return False
        return fits(finding, plain, (), self._plain.settings.policy, Effort(math.inf)) is True

    def _has_another_cause(self, program: Program, finding: Finding, look: _Look) -> bool:
        """Whether a finding accords with no cause of the findings looked into, though each of these has one."""
        causes = self._causes.get(look, set())
        if not causes or "" in causes or self._glances[look] >= _GLANCES:
            return False
        self._glances[look] += 1
        return causes.isdisjoint(hypotheses(finding, program, self._examinee.dialect))

    def _spoil(self, look: _Look, finding: Finding, place: Place | None = None) -> None:
        """Note the cell of a finding under its clause; of one not looked into, under the clauses of its like."""
        places = self._places_of_look.setdefault(look, set())
        if place is not None:
            places.add(place)
        if finding.cell is not None and not finding.hazard:
            for clause, _ in places if place is None else (place,):
                self.spoils.setdefault(clause, set()).add((finding.role, finding.cell))

    def _diagnosed(
        self, program: Program, finding: Finding, labels: tuple[str, ...], inherited: str, excluded: frozenset[str]
    ) -> Deviation:
        if _differential(finding.clause):
            # Made for this clause, and short: what is taken out of it would leave the clause without its conditions.
            clause = finding.clause
        else:
            program, finding, clause = self.diagnosis.reduce(
                program, finding, labels, inherited, excluded, self._page_allows
            )
        if inherited == CUT:
            inherited = self.baselines.inherits(program, finding).removeprefix(CUT)
        return self.diagnosis.describe(program, finding, clause, inherited)

    def _explained_already(self, clause: str) -> bool:
        """Whether a value has deviated by a clause of the dialect itself: its relation to others is then broken as well.

        A list that knows the deviation knows what follows from it, unless it names this ``clause`` as well.
        """
        listed = any(entry.clause == clause for entry in self.entries.of(self._examinee.subject))
        return any(
            (deviation.known is None or not (deviation.inherited or listed))
            and deviation.kind == "value"
            and not deviation.hazard
            and not deviation.sighting
            and not _differential(deviation.clause)
            for deviation in self.deviations.values()
        )

    def _again(self, place: Place) -> None:
        deviation = self.deviations[place]
        self.deviations[place] = replace(deviation, occurrences=deviation.occurrences + 1)

    # -- known deviations

    def _listed(self, program: Program, finding: Finding, small: bool) -> Place | None:
        """Find the place of a finding by the known list alone, if its clause is decided already.

        The witness of the list shows it with the shortest program: there is nothing to reduce. A value is decided where
        it is what is left when subnormal numbers become 0 (``small``), or where it is named by its line alone.
        """
        compiles = self._examinee.compiles
        if finding.hazard or (finding.kind in ("raised", "value") and not small and not compiles):
            return None
        clause = "subnormals" if small else finding.clause
        if compiles and finding.kind == "raised":
            clause = self.diagnosis.attribute(program, finding, ())
        whole = self.diagnosis.describe(program, finding, clause)
        entry = next((entry for entry in self.entries.of(self._examinee.subject) if matches(entry, whole)), None)
        if entry is None or entry.witness is None or set(entry.when) & {"options", "formats"}:
            return None
        place = (clause, entry.id)
        if place not in self.deviations:
            witness = self._admitted_witness(entry)
            if witness is None or not self._witnessed(entry, witness):
                return None
            self.deviations[place] = replace(self.deviations[place], occurrences=0)
        return place

    def expired(self) -> Iterator[Place]:
        """Take up the deviations of the witnesses of expired entries, as new ones."""
        for entry in self.entries.expired(self._examinee.subject):
            witness = None if entry.matches_no_clause else self._admitted_witness(entry)
            deviation = None if witness is None else self._deviation_of(entry, witness)
            if deviation is not None:
                place = (deviation.clause, deviation.known or "own")
                if place not in self.deviations:
                    self.deviations[place] = deviation
                    yield place

    def stale(self) -> tuple[str, ...]:
        """List the stale entries on this subject, with the reason of each.

        An entry whose witness still deviates is among the deviations from then on, found by the search or not.
        """
        subject = self._examinee.subject
        stale = [
            f"{entry.id}: it expired on {entry.expires}, and no longer counts"
            for entry in self.entries.expired(subject)
        ]
        for entry in self.entries.of(subject):
            if entry.matches_no_clause:
                near = difflib.get_close_matches(entry.clause, CLAUSES, n=1)
                meant = f"; did you mean {near[0]}?" if near else ""
                stale.append(f"{entry.id}: there is no clause {entry.clause!r}{meant}")
                continue
            matched = any(deviation.known == entry.id for deviation in self.deviations.values())
            if entry.witness is None:
                if not entry.untested and not self.entries.varies(entry) and not matched:
                    stale.append(f"{entry.id}: nothing that was found matches it, and it has no witness")
                continue
            if self._examinee.compiles and entry.subject != subject.name:
                # Each witness is compiled; it is replayed on the other subjects that the entry speaks of.
                continue
            if entry.amendment is not None and matched:
                # Its cause is there; among other faults its witness may show theirs first.
                continue
            admitted = self._admitted_witness(entry)
            steady = not entry.untested and not self.entries.varies(entry)
            if admitted is not None and not self._witnessed(entry, admitted) and steady:
                stale.append(f"{entry.id}: its witness no longer deviates")
        return tuple(stale)

    def _admitted_witness(self, entry: Known) -> Program | None:
        """The witness of an entry; ``None`` if this subject cannot be asked it as it is."""
        return None if entry.witness is None else admit_whole(entry.witness, self._examinee.capabilities)

    def _witnessed(self, entry: Known, program: Program) -> bool:
        deviation = self._deviation_of(entry, program)
        if deviation is None:
            return False
        # Found by the search or not: what is known is named, with its witness.
        known = replace(deviation, known=entry.id, reason=entry.reason)
        self.deviations.setdefault((deviation.clause, entry.id), known)
        return True

    def _deviation_of(self, entry: Known, program: Program) -> Deviation | None:
        """Run a program and find its deviation under an entry: without amendments, or else under those in force."""
        again = () if self._examinee is self._plain else (self._examinee,)
        transcript = self._performed(entry, program)
        for examinee in (self._plain, *again):
            diagnosis = replace(self.diagnosis, examinee=examinee)
            findings = examinee.judge(transcript).findings
            for finding in findings:
                if finding.hazard:
                    continue
                plain = hypotheses(finding, program, examinee.dialect)
                deviation = diagnosis.describe(program, finding, diagnosis.attribute(program, finding, plain))
                if accepts(entry, deviation, finding.clause):
                    return deviation
                # What explains these numbers by chance does not hold for others: so the search named it.
                labels = diagnosis.labels(program, finding, findings)
                if labels != plain:
                    deviation = diagnosis.describe(program, finding, diagnosis.attribute(program, finding, labels))
                    if accepts(entry, deviation, finding.clause):
                        return deviation
        return None

    def _performed(self, entry: Known, program: Program) -> Transcript:
        """Perform the program of an entry; of a compiled path once, in a fresh process.

        Earlier graphs of a process decide what its steps do.
        """
        subject = self._examinee.subject
        if not self._examinee.compiles or not isinstance(subject, Host):
            return self._examinee.perform(program)
        if entry.id not in self._transcripts:
            with subject.fresh() as fresh:
                self._transcripts[entry.id] = fresh.perform(program)
        return self._transcripts[entry.id]


def _is_value(deviation: Deviation) -> bool:
    return deviation.kind == "value" and not deviation.hazard


def _differential(clause: str) -> bool:
    return CLAUSES[clause].kind == "differential"
