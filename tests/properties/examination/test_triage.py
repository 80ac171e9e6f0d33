"""Triage: a fold over judged programs in the order of the plan, with no clock in it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from programs import Spoilt, create, program, step

from rmspec.oracles.program.program import Call, Load, Program, Save, Step
from rmspec.properties.counterexamples.baselines import Baselines
from rmspec.properties.events import Deviation
from rmspec.properties.examination.books import Books
from rmspec.properties.examination.examinee import Examinee
from rmspec.properties.examination.triage import Place, Triage
from rmspec.properties.judge.findings import Finding
from rmspec.properties.settings import Settings

SETTINGS = Settings(profile="smoke", programs=(), formats=("float32",), known=())

PROGRAMS = (
    program(create(), step(p=2.0), step(p=0.5)),
    program(create(momentum=0.5), step(p=1.0)),
    program(create(), step(p=1.0), Save("A", "s"), Load("A", "s"), step(p=1.0)),
    program(create(lr=0.5), step(p=4.0), step(p=4.0), step(p=4.0)),
)


def moving(session: Any, call: Call) -> None:
    """Every step moves every parameter by one more, and every load doubles it."""
    for parameter in session._params.values():
        if isinstance(call, Step):
            parameter.data += 1
        elif isinstance(call, Load):
            parameter.data *= 2


def examinee() -> Examinee:
    return Examinee.of(Spoilt(moving), SETTINGS)


def triage(subject: Examinee) -> Triage:
    return Triage(subject, Baselines((), subject.subject, subject.capabilities.roles, subject.dialect, SETTINGS.policy))


def fold(subject: Examinee, judged: list[tuple[Program, tuple[Finding, ...]]]) -> dict[Place, Deviation]:
    """What is left after all of these were taken up."""
    folded = triage(subject)
    for given, findings in judged:
        for _ in folded.take_up(given, findings):
            pass
    return folded.deviations


def test_programs_that_were_judged_elsewhere_come_to_the_same() -> None:
    """Judged one by one or all beforehand, in whatever order: taken up in the order of the plan, the fold is the same."""
    subject = examinee()
    live = triage(subject)
    for given in PROGRAMS:
        list(live.take_up(given, subject.run(given).findings))
    backwards = {index: examinee().run(PROGRAMS[index]).findings for index in reversed(range(len(PROGRAMS)))}
    merged = fold(examinee(), [(given, backwards[index]) for index, given in enumerate(PROGRAMS)])
    assert len(merged) > 1
    assert list(merged.items()) == list(live.deviations.items())


def test_seconds_are_stamped_outside_of_the_fold() -> None:
    """A deviation in the fold knows no time; the books stamp it, and keep the stamp for the result."""
    subject = examinee()
    deviations = fold(subject, [(given, subject.run(given).findings) for given in PROGRAMS])
    assert {deviation.seconds_to_first for deviation in deviations.values()} == {0.0}
    books = Books(subject)
    place = next(iter(deviations))
    assert books.stamp(place, deviations[place], 1.5).seconds_to_first == 1.5
    result = books.result(deviations)
    assert [each.seconds_to_first for each in result.deviations] == [1.5] + [0.0] * (len(result.deviations) - 1)


def test_the_same_finding_again_counts_and_is_not_new() -> None:
    """A fault in every program is one deviation, seen in many."""
    subject = examinee()
    folded = triage(subject)
    given = PROGRAMS[0]
    findings = subject.run(given).findings
    first = list(folded.take_up(given, findings))
    assert first
    assert list(folded.take_up(given, findings)) == []
    assert folded.deviations[first[0]].occurrences > 1


def test_a_rare_fault_is_told_apart_from_a_frequent_one_that_looks_alike() -> None:
    """After many ascents of a parameter, one update that is lost has another cause, and is looked into."""
    kept: dict[str, Any] = {}

    def ascending(session: Any, call: Call) -> None:
        for name, parameter in session._params.items():
            if isinstance(call, Step):
                was, moved = kept[name], parameter.data - kept[name]
                parameter.data[...] = was if abs(moved) < 1e-5 else was - moved
            kept[name] = parameter.data.copy()

    subject = Examinee.of(Spoilt(ascending), SETTINGS)
    ascents = [program(create(lr=2.0**-number, eps=0.25), step(p=2.0)) for number in range(1, 13)]
    lost = program(create(lr=2.0**-21, eps=0.25), step(p=2.0), params=(replace(ascents[0].params[0], values=(0.0,)),))
    deviations = fold(subject, [(given, subject.run(given).findings) for given in (*ascents, lost)])
    assert [clause for clause, _ in deviations] == ["descent", "update"]
