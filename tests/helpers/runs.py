"""Made-up runs for the tests of reporters: results with many deviations, and the events that tell of them."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rmspec.impl.spec.clauses import CLAUSES
from rmspec.oracles.program.program import Create, Group, Param, Program, SetGrad, Step
from rmspec.properties.events import (
    ClauseResult,
    Deviation,
    DeviationFound,
    DialectFound,
    Event,
    RunFinished,
    RunStarted,
    SubjectFinished,
    SubjectResult,
    SubjectStarted,
)
from rmspec.reports.record import Record, Recorder

PROGRAM = Program(
    (Param("p", "float32", (1,), (1.0,)),),
    (Create("A", (Group(("p",)),), {"eps": 0.5}, "list"), SetGrad("p", (2.0,)), Step("A")),
    clause="eps-placement",
    subject="torch",
    dialect="torch",
)
ENVIRONMENT = {"rmspec": "1", "python": "3", "numpy": "2", "profile": "ci", "seed": "0", "policy": "strict"}


def record_of(events: Iterable[Event]) -> Record:
    """The record of events that end with ``RunFinished``."""
    recorder = Recorder()
    for event in events:
        recorder.handle(event)
    assert recorder.record is not None
    return recorder.record


def deviation(clause: str = "eps-placement", **changes: object) -> Deviation:
    """A new deviation from a clause."""
    found = Deviation(
        clause, "param is 0.5", PROGRAM, "value", 2, "A", "p", "param", 0, 1, 0.5, (0.25, 0.375), framework="torch"
    )
    return replace(found, **changes)  # type: ignore[arg-type]


def subject(name: str, *found: Deviation, **changes: object) -> SubjectResult:
    """A result with these deviations, every other clause of which conforms."""
    broken = {each.clause for each in found if each.known is None and not each.hazard}
    result = SubjectResult(
        name,
        "deviates" if broken else "known" if found else "conforms",
        "torch",
        framework="torch",
        seconds=1.25,
        programs=7,
        steps=20,
        element_checks=1000,
        clauses=tuple(ClauseResult(id, 9, 0, "deviates" if id in broken else "conforms") for id in CLAUSES),
        deviations=tuple(each for each in found if not each.hazard),
        hazards=tuple(each for each in found if each.hazard),
        formats=("float32",),
        versions={"torch": "2.13"},
    )
    return replace(result, **changes)  # type: ignore[arg-type]


def judged_under_amendments(
    name: str = "mine.py:X", *, known: str | None = "mine-eps", **changes: object
) -> SubjectResult:
    """A subject that puts eps inside the root, which a list names: what else could be judged then, and what not."""
    eps = "eps is added inside the square root"
    found = deviation(known=known, reason="as in TensorFlow" if known else "", amendment={"eps_place": "inside"})
    copied = deviation("hooks", known="inherited:torch", reason="the baseline does the same")
    by = ("eps-placement",)
    judged = {
        "eps-placement": ClauseResult("eps-placement", 9, 0, "known" if known else "deviates"),
        "hooks": ClauseResult("hooks", 9, 0, "inherited"),
        "momentum-buffer": ClauseResult("momentum-buffer", 9, 0, "conforms", telling=4, given=(eps,)),
        "update": ClauseResult("update", 9, 0, "conforms", telling=4, blocked=1234, hidden_by=by, given=(eps,)),
        "momentum-lr": ClauseResult("momentum-lr", 0, 0, "hidden", blocked=120, hidden_by=by),
        "lr-place-seen": ClauseResult("lr-place-seen", 0, 0, "hidden", blocked=7, hidden_by=by),
        "maximize": ClauseResult("maximize", 0, 0, "not-checked", None, "the dialect torch does not maximize"),
    }
    result = subject(name, found, copied)
    clauses = tuple(judged.get(clause.id, clause) for clause in result.clauses)
    return replace(result, clauses=clauses, **changes)  # type: ignore[arg-type]


def many(subjects: int = 10, clauses: int = 50) -> tuple[SubjectResult, ...]:
    """Subjects that each deviate from many clauses: 500 deviations, if nothing else is asked for."""
    names = list(CLAUSES)[:clauses]
    return tuple(
        subject(
            f"src/port{number}.py:RMSprop",
            *(
                deviation(id, program=replace(PROGRAM, clause=id, subject=f"src/port{number}.py:RMSprop"))
                for id in names
            ),
        )
        for number in range(subjects)
    )


def events(
    *results: SubjectResult,
    complete: bool = True,
    internal: bool = False,
    fail_on_hazards: bool = False,
    repro_dir: str | None = None,
) -> list[Event]:
    """The events of a run with these results."""
    names = tuple(result.name for result in results)
    happened: list[Event] = [RunStarted(names, ENVIRONMENT, fail_on_hazards, repro_dir)]
    for result in results:
        if result.dialect:
            happened.append(
                SubjectStarted(result.name, result.framework, result.dialect, result.formats, result.versions, "")
            )
        if result.speaks is not None:
            happened.append(DialectFound(result.name, result.speaks))
        happened += [DeviationFound(result.name, each) for each in (*result.deviations, *result.hazards)]
        happened.append(SubjectFinished(result))
    return [*happened, RunFinished(complete, 2.5, internal)]


def record(*results: SubjectResult, **options: Any) -> Record:
    """The record of a run with these results; the options are those of ``events``."""
    return record_of(events(*results, **options))
